//! `tierctl volume stop`: stops a volume that nobody uses.

use clap::Args;
use tier_wire::{StopVolume, VolumeChange, VolumeName, route};

use super::changed;
use crate::client::Client;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Stop {
    /// The volume
    volume: VolumeName,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Stop {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let target = route::of_volume(route::STOP, &self.volume);
        let change: VolumeChange = client
            .post(
                &target,
                &StopVolume {
                    dry_run: self.dry_run,
                },
            )
            .await?;
        printer.show(&change, |change, look| {
            changed(change, look, "Stopped", "Would stop")
        })
    }
}
