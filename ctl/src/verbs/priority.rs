//! `tierctl priority`: changes how fast a move goes.

use clap::Args;
use tier_wire::{Move, Priority, SetPriority as Request, VolumeName, route};

use super::moves::{place, regions};
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::units::parse_priority;

#[derive(Args, Debug)]
pub(crate) struct SetPriority {
    /// Number of the move
    id: u64,
    /// How fast from now on: low, normal or high
    #[arg(value_parser = parse_priority)]
    priority: Priority,
    /// The volume
    volume: Option<VolumeName>,
}

impl SetPriority {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let request = Request {
            priority: self.priority,
        };
        let changed: Move = client
            .post(&route::priority(&name, self.id), &request)
            .await?;
        printer.show(&changed, |changed, _| {
            format!(
                "Move {} goes on with {} priority: regions {} from {} to {}\n",
                changed.id,
                self.priority.name(),
                regions(changed.first, changed.count),
                place(changed.from),
                place(changed.to),
            )
        })
    }
}
