//! An open volume's metadata: the one that commits and marks.
//!
//! Owns: [`Store`]. Invariants:
//! - a commit is acknowledged only when it is durable on every live replica;
//! - a replica that failed a write is dropped by a transaction on the others, under a new epoch,
//!   before the commit is acknowledged (rule 10); when none is left there are no more commits;
//! - a change that would break the map is refused before anything is written;
//! - what the memory holds is what every live replica holds.
//!
//! **Marks.** [`Store::mark_acted_on`] writes to the label of every present member, and succeeds
//! when one of them took it. That is enough: a commit is acknowledged, and so can be acted on,
//! only when every live replica holds it; replicas without it are dropped under an epoch that the
//! metadata of the live ones records. A start that finds all members sees the mark. A degraded
//! start that lacks every label with the mark finds either a live replica, which holds the
//! generation, or only dropped ones: then it either sees a label of the later epoch and refuses,
//! or has before it nothing but devices that could not be written when they were dropped, and the
//! operator's word that the others are gone. No on-disk state can tell it more.

mod backend;

#[cfg(test)]
mod tests;

use tier_core::command::Commit;
use tier_core::units::{Bytes, Generation, MemberIndex};
use tier_core::volume::{Member, VolumeState};

use crate::label::{self, Label, LabelError, LabelState};
use crate::map::Map;
use crate::meta::{MetaError, Metadata, Replica, Revision, Update};
use crate::recover::examine;
use crate::steps::{Step, Steps};
use crate::storage::Disk;
use crate::violation::Violation;
use crate::words::{Epoch, Facts, MemberFacts, ReplicaState};

/// A present member, opened.
#[derive(Debug)]
pub(crate) struct OpenMember {
    pub(crate) disk: Disk,
    pub(crate) label: Label,
}

/// An open volume's labels and metadata.
#[derive(Debug)]
pub struct Store {
    pub(crate) members: Vec<OpenMember>,
    /// The live replicas. Empty in a store opened for reading, or when all have failed.
    pub(crate) replicas: Vec<Replica>,
    pub(crate) metadata: Metadata,
    pub(crate) acted_on: Generation,
    pub(crate) read_only: bool,
    pub(crate) steps: Steps,
}

/// A replica that was given up.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// The member that carries it.
    pub member: MemberIndex,
    /// What went wrong.
    pub error: String,
}

/// A label that could not be written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Unwritten {
    /// The member.
    pub member: MemberIndex,
    /// What went wrong.
    pub error: String,
}

/// A commit that is durable on every live replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The generation it became.
    pub generation: Generation,
    /// Replicas that failed and were dropped on the way. People should be told.
    pub dropped: Vec<Dropped>,
    /// Labels that could not be told of the new epoch. People should be told.
    pub unwritten: Vec<Unwritten>,
}

/// Why a commit was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// It would break the map. Nothing was written.
    #[error("the commit of generation {generation} was refused: {source}")]
    Refused {
        /// What it was to become.
        generation: Generation,
        /// What it would break.
        source: Violation,
    },
    /// The store was opened for reading.
    #[error("the volume's metadata was opened for reading only; nothing was written")]
    ReadOnly,
    /// No replica is left. No later commit can succeed.
    #[error(
        "no metadata replica can be written ({}); the volume serves on, but nothing can be moved{}",
        list(dropped),
        if *in_doubt { "; whether the last commit counts shows only at the next start" } else { "" }
    )]
    NoReplica {
        /// What went wrong with those that this commit found live.
        dropped: Vec<Dropped>,
        /// Whether a later start may find this commit whole on some replica. While that is so,
        /// both the state before and the state after must stay true: neither leg of a move that
        /// the commit names may fall behind.
        in_doubt: bool,
    },
}

impl CommitError {
    /// Whether later commits can succeed.
    #[must_use]
    pub const fn can_retry(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    /// Whether a later start may find the commit durable all the same.
    #[must_use]
    pub const fn in_doubt(&self) -> bool {
        matches!(self, Self::NoReplica { in_doubt: true, .. })
    }
}

fn list(dropped: &[Dropped]) -> String {
    if dropped.is_empty() {
        return "all were dropped before".to_owned();
    }
    dropped
        .iter()
        .map(|dropped| dropped.error.clone())
        .collect::<Vec<_>>()
        .join("; ")
}

/// A mark that is durable in at least one label; see the module for why one is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// The generation.
    pub generation: Generation,
    /// Labels that could not be written. People should be told.
    pub unwritten: Vec<Unwritten>,
}

/// Why a mark was not made.
#[derive(Debug, thiserror::Error)]
pub enum MarkError {
    /// The generation is not durable.
    #[error("generation {given} cannot be marked as acted on: {newest} is the newest durable one")]
    NotCommitted {
        /// What was given.
        given: Generation,
        /// The newest durable generation.
        newest: Generation,
    },
    /// The store was opened for reading.
    #[error("the volume's metadata was opened for reading only; nothing was marked")]
    ReadOnly,
    /// No label took it. The generation must not be acted on.
    #[error(
        "generation {generation} could be marked in no label: {}",
        list_unwritten(unwritten)
    )]
    NoLabel {
        /// The generation.
        generation: Generation,
        /// What went wrong with each.
        unwritten: Vec<Unwritten>,
    },
}

fn list_unwritten(unwritten: &[Unwritten]) -> String {
    unwritten
        .iter()
        .map(|label| label.error.clone())
        .collect::<Vec<_>>()
        .join("; ")
}

impl Store {
    /// The durable state, as the engine wants it.
    #[must_use]
    pub fn state(&self) -> VolumeState {
        let facts = &self.metadata.facts;
        let members = facts.members.iter().map(|member| Member {
            index: member.index,
            class: member.class,
            regions: member.regions,
            profile: member.profile,
            present: member.present,
        });
        VolumeState {
            region_size: facts.region_size,
            regions: facts.regions,
            block_bytes: Bytes(u64::from(facts.block_bytes)),
            members: members.collect(),
            extents: self.metadata.map.extents().collect(),
            retired: self.metadata.map.retired().collect(),
            generation: self.metadata.generation,
        }
    }

    /// Everything that the replicas hold.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// What rarely changes of the volume, its members included.
    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.metadata.facts
    }

    /// Who lives where.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.metadata.map
    }

    /// The newest durable generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.metadata.generation
    }

    /// The newest generation that is marked as acted on.
    #[must_use]
    pub fn acted_on(&self) -> Generation {
        self.acted_on
    }

    /// The members whose replicas take every commit.
    pub fn live_replicas(&self) -> impl Iterator<Item = MemberIndex> + '_ {
        self.replicas.iter().map(|replica| replica.member)
    }

    /// The label that this member is to have, whether or not it can be read or written; `None`
    /// if the volume has no such member.
    #[must_use]
    pub fn label_of(&self, index: MemberIndex) -> Option<Label> {
        label_of(&self.metadata.facts, index, self.acted_on)
    }

    /// Makes a new generation durable on every live replica.
    pub fn commit(&mut self, commit: &Commit) -> Result<Committed, CommitError> {
        if self.read_only {
            return Err(CommitError::ReadOnly);
        }
        let generation = commit.generation;
        let change = self
            .metadata
            .map
            .plan(self.metadata.generation, commit)
            .map_err(|source| CommitError::Refused { generation, source })?;
        let revision = Revision(self.metadata.revision.0 + 1);
        let update = Update {
            revision,
            generation,
            facts: None,
            change: Some(&change),
        };
        let dropped = self.write_replicas(&update).map_err(|dropped| {
            let in_doubt = self.in_doubt(&dropped, self.metadata.revision);
            CommitError::NoReplica { dropped, in_doubt }
        })?;
        self.metadata.map.apply(&change);
        self.metadata.generation = generation;
        self.metadata.revision = revision;
        if dropped.is_empty() {
            return Ok(Committed {
                generation,
                dropped,
                unwritten: Vec::new(),
            });
        }
        self.without(dropped)
    }

    /// Records without which replicas it goes on, after an update that the others took.
    fn without(&mut self, dropped: Vec<Dropped>) -> Result<Committed, CommitError> {
        let mut facts = self.metadata.facts.clone();
        let dropped =
            self.drop_replicas(&mut facts, dropped)
                .map_err(|dropped| CommitError::NoReplica {
                    dropped,
                    in_doubt: true,
                })?;
        let unwritten = self.write_labels();
        Ok(Committed {
            generation: self.metadata.generation,
            dropped,
            unwritten,
        })
    }

    /// Writes into every present member's label that `generation` is acted on. Must return before
    /// anything is done that makes an older generation wrong.
    pub fn mark_acted_on(&mut self, generation: Generation) -> Result<Marked, MarkError> {
        if self.read_only {
            return Err(MarkError::ReadOnly);
        }
        let newest = self.metadata.generation;
        if generation > newest {
            return Err(MarkError::NotCommitted {
                given: generation,
                newest,
            });
        }
        let before = self.acted_on;
        self.acted_on = before.max(generation);
        let unwritten = self.write_labels();
        if unwritten.len() == self.members.len() {
            self.acted_on = before;
            return Err(MarkError::NoLabel {
                generation,
                unwritten,
            });
        }
        Ok(Marked {
            generation,
            unwritten,
        })
    }

    /// Writes one transaction to each live replica in turn and takes those that fail out of the
    /// list. Fails if none took it.
    pub(crate) fn write_replicas(
        &mut self,
        update: &Update<'_>,
    ) -> Result<Vec<Dropped>, Vec<Dropped>> {
        let mut failed = Vec::new();
        let steps = &self.steps;
        self.replicas.retain(|replica| {
            let member = replica.member;
            steps.reached(Step::BeforeReplica { member });
            match replica.update(update) {
                Ok(()) => {
                    steps.reached(Step::AfterReplica { member });
                    true
                }
                Err(error) => {
                    replica.seal("the replica was dropped");
                    tracing::error!(%member, %error, "metadata replica failed and is dropped");
                    failed.push(dropped(member, &error));
                    false
                }
            }
        });
        if self.replicas.is_empty() {
            Err(failed)
        } else {
            Ok(failed)
        }
    }

    /// Records on the live replicas that `failed` are dropped, under a new epoch; `facts` carries
    /// other changes that are to go with it. Those that fail meanwhile are dropped as well.
    pub(crate) fn drop_replicas(
        &mut self,
        facts: &mut Facts,
        mut failed: Vec<Dropped>,
    ) -> Result<Vec<Dropped>, Vec<Dropped>> {
        let mut recorded = 0;
        loop {
            for dropped in failed.iter().skip(recorded) {
                let member = facts
                    .members
                    .iter_mut()
                    .find(|member| member.index == dropped.member);
                if let Some(member) = member {
                    member.replica = ReplicaState::Dropped;
                }
            }
            recorded = failed.len();
            facts.begin_epoch();
            let revision = Revision(self.metadata.revision.0 + 1);
            let generation = self.metadata.generation;
            let update = Update {
                revision,
                generation,
                facts: Some(facts),
                change: None,
            };
            match self.write_replicas(&update) {
                Ok(more) => {
                    self.metadata.facts.clone_from(facts);
                    self.metadata.revision = revision;
                    failed.extend(more);
                }
                Err(more) => {
                    failed.extend(more);
                    return Err(failed);
                }
            }
            if failed.len() == recorded {
                return Ok(failed);
            }
        }
    }

    /// Brings the label of every present member up to the metadata's epoch and the newest mark.
    /// What cannot be written is tried again with the next change.
    pub(crate) fn write_labels(&mut self) -> Vec<Unwritten> {
        self.write_labels_also(&[])
    }

    /// The same, and writes those of `torn` whatever they say.
    pub(crate) fn write_labels_also(&mut self, torn: &[MemberIndex]) -> Vec<Unwritten> {
        let mut unwritten = Vec::new();
        for member in &mut self.members {
            let index = member.label.index;
            let Some(mut label) = label_of(&self.metadata.facts, index, self.acted_on) else {
                continue;
            };
            label.sequence = member.label.sequence;
            if label == member.label && !torn.contains(&index) {
                continue;
            }
            match label::write(&*member.disk, &mut label, &self.steps) {
                Ok(()) => {
                    member.label = label;
                    self.steps.reached(Step::AfterLabel { member: index });
                }
                Err(error) => {
                    tracing::error!(member = %index, %error, "a label could not be written");
                    unwritten.push(note_unwritten(index, &error));
                }
            }
        }
        unwritten
    }

    /// Whether a transaction that failed everywhere may be found whole later. It may not if each
    /// replica it was sent to can be read and shows the state before it: a write that failed and
    /// is not on the device does not come back.
    fn in_doubt(&self, failed: &[Dropped], before: Revision) -> bool {
        failed.iter().any(|dropped| {
            let member = self
                .members
                .iter()
                .find(|member| member.label.index == dropped.member);
            let Some(member) = member else { return true };
            match examine(&member.disk, &member.label) {
                Ok(found) => found.revision > before,
                Err(_) => true,
            }
        })
    }
}

/// The label that a member is to have.
pub(crate) fn label_of(facts: &Facts, index: MemberIndex, acted_on: Generation) -> Option<Label> {
    let member: &MemberFacts = facts.member(index)?;
    let epoch: Epoch = facts.epoch()?;
    Some(Label {
        sequence: 0,
        state: LabelState::Whole,
        volume: facts.volume,
        name: facts.name.clone(),
        member_count: u16::try_from(facts.members.len()).unwrap_or(u16::MAX),
        member: member.id,
        index,
        class: member.class,
        device_bytes: member.device_bytes,
        block_bytes: member.block_bytes,
        region_size: facts.region_size,
        data_start: member.data_start,
        data_regions: member.regions,
        area: member.area,
        volume_block_bytes: facts.block_bytes,
        volume_regions: facts.regions,
        backend: facts.backend,
        epoch,
        parent: facts.parent().map(|parent| parent.id),
        acted_on,
    })
}

/// Turns a label's error into a note on its member.
fn note_unwritten(member: MemberIndex, error: &LabelError) -> Unwritten {
    Unwritten {
        member,
        error: error.to_string(),
    }
}

/// Turns a replica's error into a note on its member.
pub(crate) fn dropped(member: MemberIndex, error: &MetaError) -> Dropped {
    Dropped {
        member,
        error: error.to_string(),
    }
}
