//! Mending what can be mended without loss: torn label copies and replicas that are damaged,
//! behind or dropped.
//!
//! Owns: [`repair`] and [`relabel`]. The first does nothing that a start would not do by itself; it
//! is there for a volume that nobody wants to start yet, and it can show beforehand what it would
//! do. What a start refuses, it refuses. The second is for a member that lost both copies of its
//! label, and needs a person to say which member the device is.

use serde::Serialize;
use tier_core::units::{Bytes, MemberIndex};

use crate::label::{self, Label, LabelCopy, LabelError};
use crate::meta::Metadata;
use crate::open::{OpenOptions, Recovery};
use crate::recover::{Seen, Tolerance, judge, survey};
use crate::refusal::OpenError;
use crate::steps::Steps;
use crate::storage::Disk;
use crate::store::{Store, label_of};

/// One thing to mend.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Both copies of a label are written again.
    RewriteLabel {
        /// The device.
        device: String,
        /// What is wrong with it.
        why: String,
    },
    /// A replica is written again from the newest metadata.
    RebuildReplica {
        /// The device.
        device: String,
        /// What is wrong with it.
        why: String,
    },
}

/// What was, or would be, mended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What there was to do.
    pub actions: Vec<Action>,
    /// How it went; `None` in a dry run, or when there was nothing to do.
    pub recovery: Option<Recovery>,
}

/// Mends the volume that `disks` are the members of. With `dry_run`, only says what it would do.
pub fn repair(disks: &[Disk], dry_run: bool) -> Result<Repair, OpenError> {
    let seen = survey(disks);
    let choice = judge(&seen, Tolerance::default())?;
    let mut actions = Vec::new();
    for seen in choice.present.iter().filter_map(|&at| seen.get(at)) {
        if let Some(why) = replica_fault(seen, &choice.metadata) {
            actions.push(Action::RebuildReplica {
                device: seen.device(),
                why,
            });
        }
        let wanted = seen
            .label()
            .ok()
            .and_then(|label| label_of(&choice.metadata.facts, label.index, choice.acted_on));
        if let Some(why) = label_fault(seen, wanted) {
            actions.push(Action::RewriteLabel {
                device: seen.device(),
                why,
            });
        }
    }
    let recovery = if dry_run || actions.is_empty() {
        None
    } else {
        Some(Store::open(disks, &OpenOptions::default())?.1)
    };
    Ok(Repair { actions, recovery })
}

/// Why a device was not labelled again. Nothing was written, unless it is [`RelabelError::Label`].
#[derive(Debug, thiserror::Error)]
pub enum RelabelError {
    /// The other members do not make a volume.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The device has a whole label.
    #[error("{device} carries a whole label of volume {name}, member {member}; it needs no other")]
    Labelled {
        /// The device.
        device: String,
        /// The volume that its label names.
        name: String,
        /// The member that it names.
        member: MemberIndex,
    },
    /// The volume lacks no such member.
    #[error("volume {name} lacks no member {member}")]
    NotMissing {
        /// The volume.
        name: String,
        /// The member asked for.
        member: MemberIndex,
    },
    /// The device cannot be that member.
    #[error(
        "{device} has {actual_bytes} bytes in blocks of {actual_block}, and member {member} has \
         {wanted_bytes} in blocks of {wanted_block}"
    )]
    OtherDevice {
        /// The device.
        device: String,
        /// The member asked for.
        member: MemberIndex,
        /// The device's size.
        actual_bytes: u64,
        /// Its block size.
        actual_block: u32,
        /// The member's size.
        wanted_bytes: Bytes,
        /// The member's block size.
        wanted_block: u32,
    },
    /// The label could not be written.
    #[error(transparent)]
    Label(#[from] LabelError),
}

/// Writes the label of the missing `member` onto `device`, which lost it; `others` are the members
/// that still carry theirs. Nothing on a device without a label proves which member it was: its
/// size and block size are compared, and the rest is the operator's word. The label written is
/// that of the newest epoch, so the member is taken at the next start.
pub fn relabel(
    others: &[Disk],
    device: &Disk,
    member: MemberIndex,
    dry_run: bool,
) -> Result<(), RelabelError> {
    let seen = survey(others);
    let tolerance = Tolerance {
        missing: true,
        acted_on: false,
    };
    let choice = judge(&seen, tolerance)?;
    if let Ok(label) = label::read(&**device).newest(device.name()) {
        let (device, name) = (device.name().to_owned(), label.name.to_string());
        return Err(RelabelError::Labelled {
            device,
            name,
            member: label.index,
        });
    }
    let facts = &choice.metadata.facts;
    let wanted = facts
        .member(member)
        .filter(|_| choice.missing.contains(&member));
    let wanted = wanted.zip(label_of(facts, member, choice.acted_on));
    let Some((wanted, mut label)) = wanted else {
        return Err(RelabelError::NotMissing {
            name: facts.name.to_string(),
            member,
        });
    };
    let (actual_bytes, actual_block) = (device.device_bytes(), device.block_bytes());
    if Bytes(actual_bytes) != wanted.device_bytes || actual_block != wanted.block_bytes {
        return Err(RelabelError::OtherDevice {
            device: device.name().to_owned(),
            member,
            actual_bytes,
            actual_block,
            wanted_bytes: wanted.device_bytes,
            wanted_block: wanted.block_bytes,
        });
    }
    if !dry_run {
        label::write(&**device, &mut label, &Steps::none())?;
    }
    Ok(())
}

fn replica_fault(seen: &Seen, newest: &Metadata) -> Option<String> {
    match seen.metadata.as_ref()? {
        Ok(found) if found == newest => None,
        Ok(found) => Some(format!("revision {} is not the newest", found.revision.0)),
        Err(error) => Some(error.to_string()),
    }
}

fn label_fault(seen: &Seen, wanted: Option<Label>) -> Option<String> {
    if !seen.copies.agree() {
        let copies: Vec<String> = seen.copies.copies.iter().map(LabelCopy::describe).collect();
        return Some(copies.join("; "));
    }
    let label = seen.label().ok()?;
    let wanted = Label {
        sequence: label.sequence,
        ..wanted?
    };
    (*label != wanted).then(|| "it is behind the metadata".to_owned())
}

#[cfg(test)]
mod tests;
