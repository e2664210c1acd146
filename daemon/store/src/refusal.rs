//! Why a volume is not opened.
//!
//! Owns: [`OpenError`], one variant per reason, each naming the devices, members and generations it
//! is about and what can be done. Holds no logic but its own wording.

use serde::Serialize;
use tier_core::units::{Bytes, Generation, MemberIndex};
use tier_core::volume::Class;

use crate::label::LabelError;
use crate::words::{Epoch, EpochId, MemberFacts, MemberId, VolumeId};

/// A member as an error names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberName {
    /// Its position in the volume's list.
    pub index: MemberIndex,
    /// Its id.
    pub id: MemberId,
    /// Its kind.
    pub class: Class,
    /// Size of its device.
    pub device_bytes: Bytes,
}

impl From<&MemberFacts> for MemberName {
    fn from(member: &MemberFacts) -> Self {
        Self {
            index: member.index,
            id: member.id,
            class: member.class,
            device_bytes: member.device_bytes,
        }
    }
}

/// Which way a member went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Way {
    /// The device.
    pub device: String,
    /// The member.
    pub member: MemberIndex,
    /// The epoch it is in.
    pub epoch: Epoch,
    /// The epoch before that.
    pub parent: Option<EpochId>,
    /// Whether this is on the line of the newest metadata found.
    pub with_newest: bool,
}

/// Why a volume cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No device was given.
    #[error("no device was given to open a volume from")]
    NoDevices,
    /// A device has no usable label.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The devices belong to more than one volume.
    #[error("{first} belongs to volume {first_volume}, and {second} to volume {second_volume}")]
    OtherVolume {
        /// One device.
        first: String,
        /// Its volume.
        first_volume: VolumeId,
        /// Another device.
        second: String,
        /// Its volume.
        second_volume: VolumeId,
    },
    /// Two devices claim to be one member.
    #[error(
        "{first} and {second} both carry the label of member {member}: one is a copy, or a second \
         path to the same device; take one away"
    )]
    SameMember {
        /// The member.
        member: MemberIndex,
        /// One device.
        first: String,
        /// The other.
        second: String,
    },
    /// A device has another size than its label says.
    #[error(
        "{device} has {actual} bytes, and its label says {labelled}: it was resized, cut short by \
         a partition or a loop device, or its content was copied from another device; \
         give it its size back, or attach the right one"
    )]
    Size {
        /// The device.
        device: String,
        /// What it has.
        actual: Bytes,
        /// What its label says.
        labelled: Bytes,
    },
    /// A device has another block size than its label says.
    #[error("{device} has logical blocks of {actual} bytes, and its label says {labelled}")]
    BlockSize {
        /// The device.
        device: String,
        /// What it has.
        actual: u32,
        /// What its label says.
        labelled: u32,
    },
    /// The volume was never whole.
    #[error(
        "the creation of volume {name} was cut off ({found} of {expected} members found, none of \
         them finished): it holds no data; destroy it and create it again"
    )]
    Unfinished {
        /// The volume.
        name: String,
        /// Members found.
        found: usize,
        /// Members that it was to have.
        expected: u16,
    },
    /// The volume is half destroyed.
    #[error("volume {name} is being destroyed ({device} says so): finish with destroy")]
    Destroying {
        /// The volume.
        name: String,
        /// Which device says so.
        device: String,
    },
    /// No replica is whole.
    #[error(
        "volume {name} has no whole metadata among the devices given: {}",
        list(replicas)
    )]
    NoMetadata {
        /// The volume.
        name: String,
        /// What is wrong with each replica found.
        replicas: Vec<String>,
    },
    /// A replica was written by a newer tierd.
    #[error(
        "the metadata on {device} has format {format}, and this tierd knows formats up to {}: use \
         the newer tierd that wrote it",
        crate::meta::FORMAT
    )]
    NewerFormat {
        /// The device that carries it.
        device: String,
        /// The format it names.
        format: u64,
    },
    /// Parts of the volume went on without each other.
    #[error(
        "volume {name} was split: parts of it were started without each other. {}. Start it with \
         only the members of one side, and wipe the labels of the other",
        list_ways(ways)
    )]
    Split {
        /// The volume.
        name: String,
        /// Which member went which way.
        ways: Vec<Way>,
    },
    /// The newest metadata is elsewhere.
    #[error(
        "{device} is in epoch {labelled} of volume {name}, and the newest whole metadata found is \
         of epoch {found}: attach the member that carries newer metadata"
    )]
    Behind {
        /// The volume.
        name: String,
        /// Which device shows that there is newer metadata.
        device: String,
        /// The epoch in its label.
        labelled: Epoch,
        /// The newest epoch whose metadata is whole.
        found: Epoch,
    },
    /// Two replicas claim the same revision with different content.
    #[error(
        "{first} and {second} hold different metadata of the same revision {revision}: neither is \
         believed; `tierctl dump` shows both"
    )]
    Differ {
        /// One device.
        first: String,
        /// The other.
        second: String,
        /// The revision.
        revision: u64,
    },
    /// A label does not fit what the metadata says of its member.
    #[error("the label of {device} and the volume's metadata disagree about its {what}")]
    LabelDisagrees {
        /// The device.
        device: String,
        /// About what.
        what: &'static str,
    },
    /// Members of the newest epoch are absent.
    #[error(
        "volume {name} lacks {}: attach what is missing, or start it with --degraded, which serves \
         errors for what only lies there",
        list_members(missing)
    )]
    Missing {
        /// The volume.
        name: String,
        /// Which.
        missing: Vec<MemberName>,
    },
    /// The newest whole generation is older than one that was acted on.
    #[error(
        "volume {name} acted on generation {marked} ({device} says so), and the newest whole \
         metadata found is generation {found}: to go on from it would serve old data; attach the \
         member with the newer metadata, or restore a dump of it"
    )]
    ActedOn {
        /// The volume.
        name: String,
        /// Which device carries the mark.
        device: String,
        /// The mark.
        marked: Generation,
        /// The newest whole generation.
        found: Generation,
    },
    /// No replica could be opened for writing.
    #[error(
        "no metadata replica of volume {name} can be written: {}",
        list(replicas)
    )]
    NotWritable {
        /// The volume.
        name: String,
        /// What is wrong with each.
        replicas: Vec<String>,
    },
    /// A new epoch could be written to no label.
    #[error("no label of volume {name} can be written: {}", list(labels))]
    NoLabelWritable {
        /// The volume.
        name: String,
        /// What is wrong with each.
        labels: Vec<String>,
    },
}

fn list(items: &[String]) -> String {
    items.join("; ")
}

fn list_members(members: &[MemberName]) -> String {
    let names = members.iter().map(|member| {
        format!(
            "member {} ({}, {} bytes, id {})",
            member.index, member.class, member.device_bytes, member.id
        )
    });
    names.collect::<Vec<_>>().join(", ")
}

fn list_ways(ways: &[Way]) -> String {
    let names = ways.iter().map(|way| {
        let side = if way.with_newest {
            "one side"
        } else {
            "the other side"
        };
        format!(
            "{} (member {}) is in epoch {}, on {side}",
            way.device, way.member, way.epoch
        )
    });
    names.collect::<Vec<_>>().join("; ")
}
