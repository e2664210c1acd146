//! Mending what can be mended without loss: torn label copies and replicas that are damaged,
//! behind or dropped.
//!
//! Owns: [`repair`]. It does nothing that a start would not do by itself; it is there for a volume
//! that nobody wants to start yet, and it can show beforehand what it would do. What a start
//! refuses, it refuses.

use serde::Serialize;

use crate::open::{OpenOptions, Recovery};
use crate::recover::{Seen, Tolerance, judge, survey};
use crate::refusal::OpenError;
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

fn replica_fault(seen: &Seen, newest: &crate::meta::Metadata) -> Option<String> {
    match seen.metadata.as_ref()? {
        Ok(found) if found == newest => None,
        Ok(found) => Some(format!("revision {} is not the newest", found.revision.0)),
        Err(error) => Some(error.to_string()),
    }
}

fn label_fault(seen: &Seen, wanted: Option<crate::label::Label>) -> Option<String> {
    if !seen.copies.agree() {
        let copies: Vec<String> = seen
            .copies
            .copies
            .iter()
            .map(crate::label::LabelCopy::describe)
            .collect();
        return Some(copies.join("; "));
    }
    let label = seen.label().ok()?;
    let wanted = crate::label::Label {
        sequence: label.sequence,
        ..wanted?
    };
    (*label != wanted).then(|| "it is behind the metadata".to_owned())
}

#[cfg(test)]
mod tests;
