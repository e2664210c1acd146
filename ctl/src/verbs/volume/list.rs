//! `tierctl volume list`: all volumes.

use clap::Args;
use tier_wire::{VolumeList, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{or_dash, size};

#[derive(Args, Debug)]
pub(crate) struct List {}

impl List {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let list: VolumeList = client.get(route::VOLUMES).await?;
        if list.volumes.is_empty() {
            printer.note("there is no volume yet; `tierctl volume create` makes one");
        }
        printer.show(&list, listed)
    }
}

fn listed(list: &VolumeList, look: Look) -> String {
    let columns = [
        Column::Left("NAME"),
        Column::Left("STATE"),
        Column::Right("SIZE"),
        Column::Right("REGION"),
        Column::Right("MEMBERS"),
        Column::Left("DEVICE"),
    ];
    let rows = list.volumes.iter().map(|volume| {
        vec![
            volume.name.to_string(),
            volume.state.name().into(),
            size(volume.size_bytes),
            size(volume.region_bytes),
            volume.members.len().to_string(),
            or_dash(volume.device.clone(), |device| device),
        ]
    });
    table(look, &columns, rows)
}
