//! `tierctl health`: how tierd itself is doing.

use clap::Args;
use tier_wire::{Health as Shown, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::table::facts;
use crate::units::seconds;

#[derive(Args, Debug)]
pub(crate) struct Health {}

impl Health {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let health: Shown = client.get(route::HEALTH).await?;
        printer.show(&health, |health, _| {
            let mut text = facts(&[
                ("tierd", health.version.clone()),
                ("API", health.api.clone()),
                ("Process", health.pid.to_string()),
                ("Up for", seconds(health.uptime_seconds)),
                ("Volumes", health.volumes.to_string()),
            ]);
            for problem in &health.problems {
                text += &format!("problem: {problem}\n");
            }
            text
        })
    }
}
