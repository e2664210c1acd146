//! `tierctl volume destroy`: destroys a volume and all data on it.

use clap::Args;
use tier_wire::{DestroyVolume, VolumeChange, VolumeName, route};

use super::summary;
use crate::client::Client;
use crate::confirm::confirm;
use crate::failure::Failure;
use crate::printer::Printer;
use crate::units::{count, size};

#[derive(Args, Debug)]
pub(crate) struct Destroy {
    /// The volume; it has to be stopped
    volume: VolumeName,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

impl Destroy {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let target = route::of_volume(route::DESTROY, &self.volume);
        if !self.dry_run && !self.yes {
            // What cannot be done at all is said before anybody is asked.
            let rehearsed: VolumeChange = client
                .post(&target, &DestroyVolume { dry_run: true })
                .await?;
            let question = format!(
                "This destroys volume {} and all data on it ({} on {}).",
                self.volume,
                size(rehearsed.volume.size_bytes),
                count(
                    u64::try_from(rehearsed.volume.members.len()).unwrap_or(u64::MAX),
                    "member"
                ),
            );
            confirm(&question, self.volume.as_str(), false)?;
        }
        let request = DestroyVolume {
            dry_run: self.dry_run,
        };
        let change: VolumeChange = client.post(&target, &request).await?;
        printer.show(&change, |change, _| {
            summary(change, "Destroyed", "Would destroy")
        })
    }
}
