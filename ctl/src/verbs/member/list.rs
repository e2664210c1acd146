//! `tierctl member list`: the members of a volume.

use clap::Args;
use tier_wire::{Member, MemberList, VolumeName, route};

use crate::client::Client;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{or_dash, percent, percent_of, seconds, size};

#[derive(Args, Debug)]
pub(crate) struct List {
    /// The volume
    volume: Option<VolumeName>,
}

impl List {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let name = client.volume_or_only(self.volume).await?;
        let list: MemberList = client.get(&route::of_volume(route::MEMBERS, &name)).await?;
        printer.show(&list, |list, look| members(&list.members, look))
    }
}

/// The table of members. A speed that is only typical of the class, not measured, has a `~`.
pub(crate) fn members(members: &[Member], look: Look) -> String {
    let columns = [
        Column::Right("#"),
        Column::Left("CLASS"),
        Column::Left("STATE"),
        Column::Right("CAPACITY"),
        Column::Right("USED"),
        Column::Right("USED %"),
        Column::Left("META"),
        Column::Right("4K READ"),
        Column::Right("BUSY"),
        Column::Left("DEVICE"),
    ];
    let rows = members.iter().map(|member| {
        let guess = if member.profile.measured { "" } else { "~" };
        vec![
            member.index.to_string(),
            member.class.to_string(),
            member.state.name().into(),
            size(member.capacity_bytes),
            size(member.used_bytes),
            percent_of(member.used_bytes, member.capacity_bytes),
            if member.replica {
                "yes".into()
            } else {
                "–".into()
            },
            format!("{guess}{}", seconds(member.profile.read_seconds)),
            or_dash(member.load, |load| percent(load.busy)),
            or_dash(member.path.clone(), |path| path),
        ]
    });
    table(look, &columns, rows)
}
