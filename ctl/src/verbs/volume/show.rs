//! `tierctl volume show`: one volume and its members.

use clap::Args;
use tier_wire::{Volume, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::facts;
use crate::units::{or_dash, size};
use crate::verbs::member::list::members;

#[derive(Args, Debug)]
pub(crate) struct Show {
    /// The volume
    volume: Option<VolumeName>,
}

impl Show {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let shown: Volume = client.get(&route::of_volume(route::VOLUME, &name)).await?;
        printer.show(&shown, volume)
    }
}

/// Facts about a volume, and the table of its members.
pub(super) fn volume(volume: &Volume, look: Look) -> String {
    let discard = if volume.discard {
        "passed on"
    } else {
        "off: not every member has it"
    };
    let mut text = facts(&[
        ("Name", volume.name.to_string()),
        ("State", volume.state.name().into()),
        ("Backend", volume.backend.to_string()),
        ("Device", or_dash(volume.device.clone(), |device| device)),
        ("Size", size(volume.size_bytes)),
        (
            "Regions",
            format!("{} of {}", volume.regions, size(volume.region_bytes)),
        ),
        ("Block size", size(volume.block_bytes)),
        ("Discard", discard.into()),
        ("UUID", volume.uuid.clone()),
        ("Epoch", volume.epoch.clone()),
        ("Generation", volume.generation.to_string()),
    ]);
    text.push('\n');
    text += &members(&volume.members, look);
    text
}
