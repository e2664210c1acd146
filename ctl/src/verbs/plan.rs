//! `tierctl plan`: what the policy would move now.

use clap::Args;
use tier_wire::{Plan as Shown, PlannedMove, VolumeName, route};

use super::moves::{place, regions};
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{count, seconds, size};

#[derive(Args, Debug)]
pub(crate) struct Plan {
    /// The volume
    volume: Option<VolumeName>,
}

impl Plan {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let plan: Shown = client.get(&route::of_volume(route::PLAN, &name)).await?;
        printer.show(&plan, shown)
    }
}

fn shown(plan: &Shown, look: Look) -> String {
    if plan.moves.is_empty() {
        return "The policy would move nothing now.\n".into();
    }
    let columns = [
        Column::Right("REGIONS"),
        Column::Left("FROM"),
        Column::Left("TO"),
        Column::Right("SIZE"),
        Column::Right("TIME"),
        Column::Left("REASON"),
    ];
    let row = |planned: &PlannedMove| {
        vec![
            regions(planned.first, planned.count),
            place(planned.from),
            place(planned.to),
            size(planned.bytes),
            seconds(planned.seconds),
            planned.reason.text.clone(),
        ]
    };
    let mut text = table(look, &columns, plan.moves.iter().map(row));
    text += &format!(
        "\n{}, {}, {}{}\n",
        count(u64::try_from(plan.moves.len()).unwrap_or(u64::MAX), "move"),
        size(plan.bytes),
        seconds(plan.seconds),
        if plan.paused {
            "; the policy is paused, so none of it begins by itself"
        } else {
            ""
        },
    );
    text
}
