//! What people see of a volume, in the words of the wire. Changes nothing.

mod explain;
mod models;
mod moves;
mod status;
mod wear;

use std::time::Duration;

use tier_core::command::Stage;
use tier_core::units::{MemberIndex, Micros, MoveId};
use tier_core::volume::{Class, Profile};
use tier_store::create::NewVolume;
use tier_store::words::{BackendKind, ReplicaState};
use tier_wire as wire;

use super::discover::Found;
use super::handle::{Asker, Info};
use super::runtime::Runtime;
use crate::member::Facts;

pub(crate) use self::explain::explain;
pub(crate) use self::models::{models, network};
pub(crate) use self::moves::{core_priority, moves, one_move, plan, would_move};
pub(crate) use self::status::{heat, status};

/// The core's word for a class of the wire.
pub(crate) const fn core_class(class: wire::Class) -> Class {
    match class {
        wire::Class::Nvme => Class::Nvme,
        wire::Class::Ssd => Class::Ssd,
        wire::Class::Hdd => Class::Hdd,
    }
}

const fn wire_class(class: Class) -> wire::Class {
    match class {
        Class::Nvme => wire::Class::Nvme,
        Class::Ssd => wire::Class::Ssd,
        Class::Hdd => wire::Class::Hdd,
    }
}

/// The store's word for a backend of the wire.
pub(crate) const fn backend_kind(backend: wire::Backend) -> BackendKind {
    match backend {
        wire::Backend::Dm => BackendKind::Dm,
        wire::Backend::Ublk => BackendKind::Ublk,
    }
}

const fn wire_backend(backend: BackendKind) -> wire::Backend {
    match backend {
        BackendKind::Dm => wire::Backend::Dm,
        BackendKind::Ublk => wire::Backend::Ublk,
    }
}

fn profile(of: Profile) -> wire::Profile {
    wire::Profile {
        measured: of != Profile::typical(Class::Nvme)
            && of != Profile::typical(Class::Ssd)
            && of != Profile::typical(Class::Hdd),
        read_seconds: of.read_seconds,
        write_seconds: of.write_seconds,
        bytes_per_second: of.bytes_per_second,
    }
}

fn seconds(micros: Micros) -> f64 {
    Duration::from_micros(micros.0).as_secs_f64()
}

/// A volume that does not run, from its members' labels.
pub(crate) fn stopped(name: wire::VolumeName, members: &[Found]) -> wire::Volume {
    let newest = members
        .iter()
        .map(|found| &found.label)
        .max_by_key(|label| label.epoch.number);
    let expected = newest.map_or(0, |label| usize::from(label.member_count));
    let state = if members.len() < expected {
        wire::VolumeRunState::Incomplete
    } else {
        wire::VolumeRunState::Stopped
    };
    let region_bytes = newest.map_or(0, |label| label.region_size.bytes().0);
    let regions = newest.map_or(0, |label| label.volume_regions);
    wire::Volume {
        name,
        uuid: newest.map_or_else(String::new, |label| label.volume.to_string()),
        state,
        backend: newest.map_or_else(wire::Backend::default, |label| wire_backend(label.backend)),
        device: None,
        size_bytes: region_bytes * u64::from(regions),
        region_bytes,
        regions,
        block_bytes: newest.map_or(0, |label| u64::from(label.volume_block_bytes)),
        discard: false,
        generation: newest.map_or(0, |label| label.acted_on.0),
        epoch: newest.map_or_else(String::new, |label| label.epoch.to_string()),
        members: members.iter().map(stopped_member).collect(),
    }
}

/// A volume as it would be.
pub(crate) fn planned(name: wire::VolumeName, new: &NewVolume, members: &[Facts]) -> wire::Volume {
    let layouts = members
        .iter()
        .zip(&new.layout.members)
        .zip(&new.members)
        .zip(0_u16..);
    let members = layouts.map(|(((found, layout), member), index)| wire::Member {
        index,
        uuid: String::new(),
        path: Some(found.path.display().to_string()),
        class: wire_class(member.class),
        state: wire::MemberState::Present,
        capacity_bytes: new.region_size.bytes_of(layout.regions).0,
        used_bytes: 0,
        block_bytes: found.logical_block.0,
        replica: layout.area.is_some(),
        profile: profile(member.profile),
        load: None,
    });
    wire::Volume {
        name,
        uuid: String::new(),
        state: wire::VolumeRunState::Stopped,
        backend: wire_backend(new.backend),
        device: None,
        size_bytes: new.region_size.bytes_of(new.layout.regions).0,
        region_bytes: new.region_size.bytes().0,
        regions: new.layout.regions,
        block_bytes: u64::from(new.layout.block_bytes),
        discard: false,
        generation: 0,
        epoch: String::new(),
        members: members.collect(),
    }
}

fn stopped_member(found: &Found) -> wire::Member {
    let label = &found.label;
    wire::Member {
        index: label.index.0,
        uuid: label.member.to_string(),
        path: Some(found.path.display().to_string()),
        class: wire_class(label.class),
        state: wire::MemberState::Present,
        capacity_bytes: label.region_size.bytes_of(label.data_regions).0,
        used_bytes: 0,
        block_bytes: u64::from(label.block_bytes),
        replica: label.area.is_some(),
        profile: profile(Profile::typical(label.class)),
        load: None,
    }
}

/// Looks at a running volume.
pub(crate) fn volume_of(asker: &Asker) -> impl FnOnce(&Runtime) -> wire::Volume + Send + 'static {
    let info = asker.info.clone();
    move |runtime| volume(runtime, &info)
}

fn volume(runtime: &Runtime, info: &Info) -> wire::Volume {
    let facts = &info.facts;
    let durable = runtime.parts.metadata.durable();
    let missing = facts.members.iter().any(|member| !member.present);
    wire::Volume {
        name: info.name.clone(),
        uuid: facts.volume.to_string(),
        state: if missing {
            wire::VolumeRunState::Degraded
        } else {
            wire::VolumeRunState::Running
        },
        backend: wire_backend(facts.backend),
        device: Some(info.link.display().to_string()),
        size_bytes: facts.region_size.bytes_of(facts.regions).0,
        region_bytes: facts.region_size.bytes().0,
        regions: facts.regions,
        block_bytes: u64::from(facts.block_bytes),
        discard: info.discard,
        generation: durable.generation.0,
        epoch: durable.epoch,
        members: facts
            .members
            .iter()
            .map(|member| running_member(runtime, info, member))
            .collect(),
    }
}

fn running_member(
    runtime: &Runtime,
    info: &Info,
    member: &tier_store::words::MemberFacts,
) -> wire::Member {
    let path = info.paths.iter().find(|(index, _)| *index == member.index);
    let load = runtime
        .served
        .load
        .members
        .iter()
        .find(|load| load.member == member.index);
    let size = info.facts.region_size;
    let used = used_regions(runtime, member.index);
    wire::Member {
        index: member.index.0,
        uuid: member.id.to_string(),
        path: path.map(|(_, path)| path.display().to_string()),
        class: wire_class(member.class),
        state: if member.present {
            wire::MemberState::Present
        } else {
            wire::MemberState::Missing
        },
        capacity_bytes: size.bytes_of(member.regions).0,
        used_bytes: size.bytes_of(used).0,
        block_bytes: u64::from(member.block_bytes),
        replica: member.replica == ReplicaState::Live,
        profile: profile(member.profile),
        load: load.map(|load| wire::MemberLoad {
            busy: load.busy,
            in_flight: load.in_flight,
            read_seconds: load.read_latency.map(seconds),
            write_seconds: load.write_latency.map(seconds),
        }),
    }
}

fn used_regions(runtime: &Runtime, member: MemberIndex) -> u32 {
    let extents = runtime.parts.engine.map().iter();
    extents
        .flat_map(|extent| {
            extent
                .legs
                .iter()
                .map(|leg| (leg.member, extent.count))
                .collect::<Vec<_>>()
        })
        .filter(|(on, _)| *on == member)
        .map(|(_, count)| count)
        .sum()
}

impl Runtime {
    /// The class of a member.
    pub(crate) fn class_of(&self, member: MemberIndex) -> Option<Class> {
        let members = &self.parts.known_members;
        members
            .iter()
            .find(|known| known.index == member)
            .map(|known| known.class)
    }

    /// Whether the policy begins no moves.
    pub(crate) fn is_paused(&self) -> bool {
        self.parts.engine.status().paused
    }

    /// Moves that have not ended, with their stage.
    pub(crate) fn move_stages(&self) -> Vec<(MoveId, Stage)> {
        self.parts
            .engine
            .moves()
            .map(|one| (one.id, one.stage))
            .collect()
    }
}
