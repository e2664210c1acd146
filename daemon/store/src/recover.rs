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
//! - A replica is believed only if every page fits its checksum and every record the others.
//! - A commit that no replica shows whole never was. One that a single replica shows whole is
//!   taken: it may have been acknowledged.
//!
//! May not write.

use std::sync::Arc;

use tier_core::units::{Bytes, Generation, MemberIndex};

use crate::area::{Area, AreaError};
use crate::label::{self, Label, LabelCopies, LabelError, LabelState};
use crate::meta::{self, MetaError, Metadata, Replica};
use crate::refusal::{MemberName, OpenError, Way};
use crate::storage::{Disk, Overlay};

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

    /// Refuses if a member of the newest epoch was not found.
    pub(crate) fn check_missing(&self) -> Result<(), OpenError> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let facts = &self.metadata.facts;
        let missing = facts.members.iter();
        let missing = missing.filter(|member| self.missing.contains(&member.index));
        Err(OpenError::Missing {
            name: facts.name.to_string(),
            missing: missing.map(MemberName::from).collect(),
        })
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
    let mut replica = Replica::open(label.index, area)?;
    replica.verify()?;
    replica.load()
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
    check_formats(&members)?;
    let newest = newest(&members, &name)?;
    check_line(&members, newest, &name)?;
    check_equals(&members, newest)?;
    check_facts(&members, newest)?;
    let mut choice = sort_members(&members, newest);
    if !tolerance.missing {
        choice.check_missing()?;
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

/// What a newer tierd wrote is no damage: it is newer than all that this one can judge, and must
/// not be rebuilt from it.
fn check_formats(members: &[Labelled<'_>]) -> Result<(), OpenError> {
    for (_, seen, _) in members {
        if let Some(Err(MetaError::Format { format, .. })) = seen.metadata
            && format > meta::FORMAT
        {
            let device = seen.device();
            return Err(OpenError::NewerFormat { device, format });
        }
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
