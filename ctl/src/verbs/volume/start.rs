//! `tierctl volume start`: starts a volume that is stopped.

use clap::Args;
use tier_wire::{Backend, StartVolume, VolumeChange, VolumeName, route};

use super::changed;
use crate::client::Client;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Start {
    /// The volume
    volume: VolumeName,
    /// What serves its I/O from now on, dm or ublk. What served it last if left out
    #[arg(long, value_name = "BACKEND")]
    backend: Option<Backend>,
    /// Start without members that are missing. What is on them alone cannot be read or written
    /// until they are back and the volume is stopped and started again
    #[arg(long)]
    degraded: bool,
    /// Do not ask before a degraded start
    #[arg(long)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Start {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        if self.degraded && !self.dry_run {
            let question = format!(
                "Starting volume {} without its missing members: all I/O to what is on them alone fails.",
                self.volume
            );
            confirm(&question, self.volume.as_str(), self.yes)?;
        }
        let request = StartVolume {
            backend: self.backend,
            degraded: self.degraded,
            dry_run: self.dry_run,
        };
        let target = route::of_volume(route::START, &self.volume);
        let change: VolumeChange = client.post(&target, &request).await?;
        printer.show(&change, |change, look| {
            changed(change, look, "Started", "Would start")
        })
    }
}
