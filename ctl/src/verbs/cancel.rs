//! `tierctl cancel`: takes a move back.

use clap::Args;
use tier_wire::{CancelMove, Move, VolumeName, route};

use super::moves::{place, regions};
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Cancel {
    /// Number of the move
    id: u64,
    /// The volume
    volume: Option<VolumeName>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Cancel {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let request = CancelMove {
            dry_run: self.dry_run,
        };
        let taken_back: Move = client
            .post(&route::cancel(&name, self.id), &request)
            .await?;
        printer.show(&taken_back, |taken_back, _| {
            format!(
                "{} move {}: regions {} stay on {}\n",
                if self.dry_run {
                    "Would take back"
                } else {
                    "Taking back"
                },
                taken_back.id,
                regions(taken_back.first, taken_back.count),
                place(taken_back.from),
            )
        })
    }
}
