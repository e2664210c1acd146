//! What a start makes of the members it finds.
//!
//! Owns: [`survey`] (look at every label and, through overlays, at every replica; nothing is
//! written) and [`judge`] (choose the newest whole metadata, or refuse with the reason). Rules:
//! - Labels name epochs; the metadata holds the whole line of epochs and who belongs to the newest.
//!   A label or a replica with an epoch that is not on the newest metadata's line went another way:
//!   a split, and nothing is opened.
//! - The newest metadata is that of the highest epoch, and within it of the highest revision. The
//!   metadata of an epoch is durable before any label names it, so a label of a later epoch than
//!   every whole replica's means that the newest metadata is not among what was given.
//! - A member that the newest epoch counts as present is taken with any label of its line: its
//!   label was being written at a crash, or could not be. One that the epoch counts as absent is
//!   stale: a degraded start went on without it.
//! - A commit that no replica shows whole never was. One that a single replica shows whole is
//!   taken: it may have been acknowledged.
//!
//! May not write.

use std::sync::Arc;

use serde::Serialize;
use tier_core::units::{Bytes, Generation, MemberIndex};
use tier_core::volume::Class;

use crate::area::{Area, AreaError};
use crate::label::{self, Label, LabelCopies, LabelError, LabelState};
use crate::meta::{MetaError, Metadata, Replica};
use crate::storage::{Disk, Overlay};
use crate::words::{Epoch, EpochId, MemberFacts, MemberId, VolumeId};

/// What was found on one device.
#[derive(Debug)]
pub struct Seen {
    /// The device.
    pub disk: Disk,
    /// Both copies of its label.
    pub copies: LabelCopies,
    /// The metadata in its area; `None` where its label names no area.
    pub metadata: Option<Result<Metadata, MetaError>>,
}

impl Seen {
    /// How people call the device.
    #[must_use]
    pub fn device(&self) -> String {
        self.disk.name().to_owned()
    }

    /// Its label.
    pub fn label(&self) -> Result<&Label, LabelError> {
        self.copies.newest(self.disk.name())
    }

    fn whole(&self) -> Option<&Metadata> {
        self.metadata
            .as_ref()
            .and_then(|metadata| metadata.as_ref().ok())
    }
}

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
         a partition or a loop device, or its content was copied from another device"
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

/// What was chosen from a survey.
#[derive(Clone, Debug)]
pub struct Choice {
    /// The newest whole metadata.
    pub metadata: Metadata,
    /// Positions in the survey of the members that the newest epoch counts as present.
    pub present: Vec<usize>,
    /// Positions of members that went on no further while the others did.
    pub stale: Vec<usize>,
    /// Members of the newest epoch that were not found.
    pub missing: Vec<MemberIndex>,
    /// Members that an earlier degraded start went on without, not found now either.
    pub away: Vec<MemberIndex>,
    /// The newest mark in any label.
    pub acted_on: Generation,
}

impl Choice {
    /// Every member that was not found.
    #[must_use]
    pub fn absent(&self) -> Vec<MemberIndex> {
        self.missing.iter().chain(&self.away).copied().collect()
    }
}

/// What may be lacking for a choice to stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance {
    /// Members of the newest epoch may be absent.
    pub missing: bool,
    /// The newest whole generation may be older than a mark: for looking only, never to serve.
    pub acted_on: bool,
}

/// Looks at every device. Writes nothing.
#[must_use]
pub fn survey(disks: &[Disk]) -> Vec<Seen> {
    disks.iter().map(look).collect()
}

fn look(disk: &Disk) -> Seen {
    let copies = label::read(&**disk);
    let carrier = copies
        .newest(disk.name())
        .ok()
        .filter(|label| label.area.is_some());
    let metadata = carrier.map(|label| examine(disk, label));
    Seen {
        disk: Arc::clone(disk),
        copies,
        metadata,
    }
}

/// The metadata in the area of a labelled device, looked at through an overlay.
pub(crate) fn examine(disk: &Disk, label: &Label) -> Result<Metadata, MetaError> {
    let extent = label.area.ok_or_else(|| AreaError::Unformatted {
        device: disk.name().into(),
    })?;
    let overlay = Arc::new(Overlay::new(Arc::clone(disk)));
    let area = Area::open(overlay, extent, label.volume)?;
    Replica::open(label.index, area)?.load()
}

/// Chooses what to open.
pub fn judge(seen: &[Seen], tolerance: Tolerance) -> Result<Choice, OpenError> {
    let members = labelled(seen)?;
    let Some(&(_, first, label)) = members.first() else {
        return Err(OpenError::NoDevices);
    };
    check_same_volume(&members, first, label)?;
    check_devices(&members)?;
    check_states(&members, label)?;
    let name = label.name.to_string();
    let newest = newest(&members, &name)?;
    check_line(&members, newest, &name)?;
    check_equals(&members, newest)?;
    check_facts(&members, newest)?;
    let mut choice = sort_members(&members, newest);
    if !choice.missing.is_empty() && !tolerance.missing {
        let missing = newest.facts.members.iter();
        let missing = missing.filter(|member| choice.missing.contains(&member.index));
        return Err(OpenError::Missing {
            name,
            missing: missing.map(MemberName::from).collect(),
        });
    }
    if let Some((_, seen, label)) = members.iter().max_by_key(|(_, _, label)| label.acted_on) {
        choice.acted_on = label.acted_on;
        if label.acted_on > newest.generation && !tolerance.acted_on {
            return Err(OpenError::ActedOn {
                name,
                device: seen.device(),
                marked: label.acted_on,
                found: newest.generation,
            });
        }
    }
    Ok(choice)
}

type Labelled<'a> = (usize, &'a Seen, &'a Label);

fn labelled(seen: &[Seen]) -> Result<Vec<Labelled<'_>>, OpenError> {
    seen.iter()
        .enumerate()
        .map(|(at, seen)| Ok((at, seen, seen.label()?)))
        .collect()
}

fn check_same_volume(
    members: &[Labelled<'_>],
    first: &Seen,
    label: &Label,
) -> Result<(), OpenError> {
    for (_, seen, other) in members {
        if other.volume != label.volume {
            return Err(OpenError::OtherVolume {
                first: first.device(),
                first_volume: label.volume,
                second: seen.device(),
                second_volume: other.volume,
            });
        }
    }
    for (at, (_, first, label)) in members.iter().enumerate() {
        let twin = members
            .iter()
            .skip(at + 1)
            .find(|(_, _, other)| other.member == label.member || other.index == label.index);
        if let Some((_, second, _)) = twin {
            return Err(OpenError::SameMember {
                member: label.index,
                first: first.device(),
                second: second.device(),
            });
        }
    }
    Ok(())
}

fn check_devices(members: &[Labelled<'_>]) -> Result<(), OpenError> {
    for (_, seen, label) in members {
        let actual = Bytes(seen.disk.device_bytes());
        if actual != label.device_bytes {
            let labelled = label.device_bytes;
            return Err(OpenError::Size {
                device: seen.device(),
                actual,
                labelled,
            });
        }
        let actual = seen.disk.block_bytes();
        if actual != label.block_bytes {
            let labelled = label.block_bytes;
            return Err(OpenError::BlockSize {
                device: seen.device(),
                actual,
                labelled,
            });
        }
    }
    Ok(())
}

fn check_states(members: &[Labelled<'_>], first: &Label) -> Result<(), OpenError> {
    let name = first.name.to_string();
    let destroying = members
        .iter()
        .find(|(_, _, label)| label.state == LabelState::Destroying);
    if let Some((_, seen, _)) = destroying {
        return Err(OpenError::Destroying {
            name,
            device: seen.device(),
        });
    }
    if members
        .iter()
        .all(|(_, _, label)| label.state == LabelState::Creating)
    {
        let (found, expected) = (members.len(), first.member_count);
        return Err(OpenError::Unfinished {
            name,
            found,
            expected,
        });
    }
    Ok(())
}

/// Where metadata stands in the volume's history.
fn age(metadata: &Metadata) -> (u64, u64) {
    (
        metadata.facts.epoch().map_or(0, |epoch| epoch.number),
        metadata.revision.0,
    )
}

fn newest<'a>(members: &[Labelled<'a>], name: &str) -> Result<&'a Metadata, OpenError> {
    let whole = members.iter().filter_map(|(_, seen, _)| seen.whole());
    whole.max_by_key(|metadata| age(metadata)).ok_or_else(|| {
        let replicas = members
            .iter()
            .filter_map(|(_, seen, _)| match &seen.metadata {
                Some(Err(error)) => Some(error.to_string()),
                _ => None,
            });
        OpenError::NoMetadata {
            name: name.to_owned(),
            replicas: replicas.collect(),
        }
    })
}

/// Every label and every replica is on the newest metadata's line of epochs, and none is ahead.
fn check_line(members: &[Labelled<'_>], newest: &Metadata, name: &str) -> Result<(), OpenError> {
    let Some(found) = newest.facts.epoch() else {
        return Err(OpenError::NoMetadata {
            name: name.to_owned(),
            replicas: Vec::new(),
        });
    };
    let follows = |label: &Label| {
        label.epoch.number > found.number
            && (label.epoch.number > found.number + 1 || label.parent == Some(found.id))
    };
    let with_newest = |seen: &Seen, label: &Label| {
        let replica = seen.whole().is_none_or(|metadata| {
            metadata
                .facts
                .epochs
                .iter()
                .all(|epoch| newest.facts.on_this_line(*epoch))
        });
        replica && (newest.facts.on_this_line(label.epoch) || follows(label))
    };
    if members
        .iter()
        .any(|(_, seen, label)| !with_newest(seen, label))
    {
        let ways = members.iter().map(|(_, seen, label)| Way {
            device: seen.device(),
            member: label.index,
            epoch: label.epoch,
            parent: label.parent,
            with_newest: with_newest(seen, label),
        });
        return Err(OpenError::Split {
            name: name.to_owned(),
            ways: ways.collect(),
        });
    }
    if let Some((_, seen, label)) = members.iter().find(|(_, _, label)| follows(label)) {
        return Err(OpenError::Behind {
            name: name.to_owned(),
            device: seen.device(),
            labelled: label.epoch,
            found,
        });
    }
    Ok(())
}

/// Replicas of the same age hold the same.
fn check_equals(members: &[Labelled<'_>], newest: &Metadata) -> Result<(), OpenError> {
    let mut same = members
        .iter()
        .filter_map(|(_, seen, _)| seen.whole().map(|metadata| (seen, metadata)))
        .filter(|(_, metadata)| age(metadata) == age(newest));
    let Some((first, reference)) = same.next() else {
        return Ok(());
    };
    match same.find(|(_, metadata)| *metadata != reference) {
        None => Ok(()),
        Some((second, _)) => Err(OpenError::Differ {
            first: first.device(),
            second: second.device(),
            revision: newest.revision.0,
        }),
    }
}

/// Labels say of their members what the metadata says.
fn check_facts(members: &[Labelled<'_>], newest: &Metadata) -> Result<(), OpenError> {
    for (_, seen, label) in members {
        let facts = newest
            .facts
            .members
            .iter()
            .find(|member| member.id == label.member);
        let what = match facts {
            None => Some("membership: the volume has no member of its id"),
            Some(facts) if facts.index != label.index => Some("index"),
            Some(facts) if facts.device_bytes != label.device_bytes => Some("size"),
            Some(facts) if facts.data_start != label.data_start => Some("data start"),
            Some(facts) if facts.regions != label.data_regions => Some("number of data regions"),
            Some(facts) if facts.area != label.area => Some("metadata area"),
            Some(_) if newest.facts.region_size != label.region_size => Some("region size"),
            Some(_) => None,
        };
        if let Some(what) = what {
            return Err(OpenError::LabelDisagrees {
                device: seen.device(),
                what,
            });
        }
    }
    Ok(())
}

fn sort_members(members: &[Labelled<'_>], newest: &Metadata) -> Choice {
    let mut choice = Choice {
        metadata: newest.clone(),
        present: Vec::new(),
        stale: Vec::new(),
        missing: Vec::new(),
        away: Vec::new(),
        acted_on: Generation(0),
    };
    for facts in &newest.facts.members {
        let found = members
            .iter()
            .find(|(_, _, label)| label.member == facts.id);
        match (found, facts.present) {
            (Some((at, ..)), true) => choice.present.push(*at),
            (Some((at, ..)), false) => choice.stale.push(*at),
            (None, true) => choice.missing.push(facts.index),
            (None, false) => choice.away.push(facts.index),
        }
    }
    choice
}

#[cfg(test)]
mod tests;
