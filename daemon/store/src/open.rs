//! Opening a volume that exists.
//!
//! Owns: [`Store::open`] and the [`Recovery`] it reports. Order of what it writes: replicas that
//! are whole and newest are opened (which repairs what a crash left in them); the others are
//! rewritten from the chosen metadata; then, if the set of members or replicas changes, one
//! transaction with a new epoch; labels last. A crash at any point leaves the newest metadata
//! whole on the replicas that had it.

use serde::Serialize;
use tier_core::units::{Generation, MemberIndex};

use crate::area::Area;
use crate::meta::{MetaError, Replica};
use crate::recover::{Choice, Seen, Tolerance, judge, survey};
use crate::refusal::OpenError;
use crate::steps::{Step, Steps};
use crate::storage::Disk;
use crate::store::{Dropped, OpenMember, Store, Unwritten, dropped};
use crate::words::{Epoch, Facts, ReplicaState};

/// How a volume is opened.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Write nothing. Absent members and marks that no replica reaches are reported, not refused.
    pub read_only: bool,
    /// Go on without members that are absent, under a new epoch. What only they hold is lost to
    /// the volume until they come back and are readmitted.
    pub degraded: bool,
    /// Take stale members of this volume's own line back. Safe for what the map still has on
    /// them: while they were away nothing could be written there.
    pub readmit: bool,
    /// Members whose labels cannot be read just now, but that are here: the kernel's claims on
    /// them say so, as the volume runs. For settling alone. Nothing is written to them, and no
    /// epoch counts them out; a replica on one is dropped like one that failed to write.
    pub unreadable: Vec<MemberIndex>,
    /// Told of each step.
    pub steps: Steps,
}

/// What a start found and did. People should see it whenever [`Recovery::is_clean`] is false.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The generation that was opened.
    pub generation: Generation,
    /// The epoch that is in force now.
    pub epoch: Option<Epoch>,
    /// Whether that epoch was begun by this start.
    pub epoch_is_new: bool,
    /// Replicas that were behind or damaged, and were rewritten from the newest.
    pub rebuilt: Vec<MemberIndex>,
    /// Replicas that could not be made good.
    pub dropped: Vec<Dropped>,
    /// Members that are absent.
    pub missing: Vec<MemberIndex>,
    /// Members that are here, but stayed behind when the others went on, and are not used.
    pub stale: Vec<MemberIndex>,
    /// Members that were stale and were taken back.
    pub readmitted: Vec<MemberIndex>,
    /// Labels that were torn or behind, and were written again.
    pub healed_labels: Vec<MemberIndex>,
    /// Labels that could not be written.
    pub unwritten_labels: Vec<Unwritten>,
}

impl Recovery {
    /// Whether there was nothing to mend and nothing is lacking.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.epoch_is_new
            && self.rebuilt.is_empty()
            && self.dropped.is_empty()
            && self.missing.is_empty()
            && self.stale.is_empty()
            && self.healed_labels.is_empty()
            && self.unwritten_labels.is_empty()
    }
}

impl Store {
    /// Opens the volume that `disks` are the members of.
    pub fn open(disks: &[Disk], options: &OpenOptions) -> Result<(Self, Recovery), OpenError> {
        let mut seen = survey(disks);
        let may_miss = options.degraded || options.read_only;
        let tolerance = Tolerance {
            missing: may_miss || !options.unreadable.is_empty(),
            acted_on: options.read_only,
        };
        if !options.unreadable.is_empty() {
            seen.retain(|seen| !seen.copies.is_unreadable());
        }
        let mut choice = judge(&seen, tolerance)?;
        choice
            .missing
            .retain(|member| !options.unreadable.contains(member));
        if !may_miss {
            choice.check_missing()?;
        }
        if options.read_only {
            return Ok(look_only(&seen, choice));
        }
        open_to_write(&seen, choice, options)
    }
}

fn look_only(seen: &[Seen], choice: Choice) -> (Store, Recovery) {
    let facts = &choice.metadata.facts;
    let recovery = Recovery {
        generation: choice.metadata.generation,
        epoch: facts.epoch(),
        epoch_is_new: false,
        rebuilt: Vec::new(),
        dropped: Vec::new(),
        missing: choice.absent(),
        stale: indices(seen, &choice.stale),
        readmitted: Vec::new(),
        healed_labels: Vec::new(),
        unwritten_labels: Vec::new(),
    };
    let store = Store {
        members: open_members(seen, &choice.present),
        replicas: Vec::new(),
        metadata: choice.metadata,
        acted_on: choice.acted_on,
        read_only: true,
        steps: Steps::none(),
    };
    (store, recovery)
}

fn open_to_write(
    seen: &[Seen],
    choice: Choice,
    options: &OpenOptions,
) -> Result<(Store, Recovery), OpenError> {
    let mut facts = choice.metadata.facts.clone();
    let mut used = choice.present.clone();
    let mut recovery = Recovery {
        generation: choice.metadata.generation,
        epoch: None,
        epoch_is_new: false,
        rebuilt: Vec::new(),
        dropped: Vec::new(),
        missing: choice.absent(),
        stale: indices(seen, &choice.stale),
        readmitted: Vec::new(),
        healed_labels: Vec::new(),
        unwritten_labels: Vec::new(),
    };
    if options.readmit {
        recovery.readmitted = std::mem::take(&mut recovery.stale);
        used.extend(&choice.stale);
        used.sort_unstable();
    }
    admit(&mut facts, &recovery);
    let name = facts.name.to_string();
    let mut store = Store {
        members: open_members(seen, &used),
        replicas: Vec::new(),
        metadata: choice.metadata,
        acted_on: choice.acted_on,
        read_only: false,
        steps: options.steps.clone(),
    };
    store.open_replicas(seen, &used, &mut facts, &mut recovery)?;
    if facts != store.metadata.facts {
        let lost = recovery.dropped.clone();
        recovery.dropped = store.drop_replicas(&mut facts, lost).map_err(|dropped| {
            let replicas = dropped.into_iter().map(|dropped| dropped.error).collect();
            OpenError::NotWritable {
                name: name.clone(),
                replicas,
            }
        })?;
        recovery.epoch_is_new = true;
    }
    recovery.epoch = store.metadata.facts.epoch();
    store.heal_labels(seen, &used, &mut recovery);
    if recovery.epoch_is_new && recovery.unwritten_labels.len() == store.members.len() {
        let labels = recovery
            .unwritten_labels
            .into_iter()
            .map(|label| label.error)
            .collect();
        return Err(OpenError::NoLabelWritable { name, labels });
    }
    Ok((store, recovery))
}

/// Writes into `facts` who is absent and who is back.
fn admit(facts: &mut Facts, recovery: &Recovery) {
    for member in &mut facts.members {
        if recovery.missing.contains(&member.index) && member.present {
            member.present = false;
            if member.replica == ReplicaState::Live {
                member.replica = ReplicaState::Dropped;
            }
        }
        if recovery.readmitted.contains(&member.index) {
            member.present = true;
        }
    }
}

impl Store {
    /// Opens the replicas that are the newest, and rewrites the others from it. Leaves in `facts`
    /// what each is good for.
    fn open_replicas(
        &mut self,
        seen: &[Seen],
        used: &[usize],
        facts: &mut Facts,
        recovery: &mut Recovery,
    ) -> Result<(), OpenError> {
        let carriers: Vec<&Seen> = used
            .iter()
            .filter_map(|&at| seen.get(at))
            .filter(|seen| seen.metadata.is_some())
            .collect();
        let is_newest =
            |seen: &&Seen| matches!(&seen.metadata, Some(Ok(found)) if *found == self.metadata);
        let (newest, others): (Vec<&Seen>, Vec<&Seen>) = carriers.into_iter().partition(is_newest);
        let mut failed = Vec::new();
        for (list, rebuild) in [(newest, false), (others, true)] {
            for seen in list {
                let Ok(label) = seen.label() else { continue };
                let member = label.index;
                match self.open_replica(seen, member, rebuild) {
                    Ok(replica) => {
                        self.replicas.push(replica);
                        if rebuild {
                            recovery.rebuilt.push(member);
                        }
                    }
                    Err(error) => failed.push(dropped(member, &error)),
                }
            }
        }
        if self.replicas.is_empty() {
            let replicas = failed.into_iter().map(|dropped| dropped.error).collect();
            return Err(OpenError::NotWritable {
                name: facts.name.to_string(),
                replicas,
            });
        }
        self.replicas.sort_by_key(|replica| replica.member);
        for member in facts
            .members
            .iter_mut()
            .filter(|member| member.area.is_some())
        {
            let live = self
                .replicas
                .iter()
                .any(|replica| replica.member == member.index);
            member.replica = if live {
                ReplicaState::Live
            } else {
                ReplicaState::Dropped
            };
        }
        recovery.dropped = failed;
        Ok(())
    }

    fn open_replica(
        &self,
        seen: &Seen,
        member: MemberIndex,
        rebuild: bool,
    ) -> Result<Replica, MetaError> {
        let facts = &self.metadata.facts;
        let area = facts.member(member).and_then(|member| member.area);
        let extent = area.ok_or_else(|| crate::area::AreaError::Unformatted {
            device: seen.device(),
        })?;
        if !rebuild {
            return Replica::open(member, Area::open(seen.disk.clone(), extent, facts.volume)?);
        }
        self.steps.reached(Step::BeforeReplica { member });
        let area = Area::format(seen.disk.clone(), extent, facts.volume)?;
        let replica = Replica::open(member, area)?;
        replica.write_all(&self.metadata)?;
        self.steps.reached(Step::AfterReplica { member });
        Ok(replica)
    }

    /// Brings every label up to date and mends torn copies.
    fn heal_labels(&mut self, seen: &[Seen], used: &[usize], recovery: &mut Recovery) {
        let torn: Vec<MemberIndex> = used
            .iter()
            .filter_map(|&at| seen.get(at))
            .filter(|seen| !seen.copies.agree())
            .filter_map(|seen| seen.label().ok().map(|label| label.index))
            .collect();
        let before: Vec<(MemberIndex, u64)> = self
            .members
            .iter()
            .map(|member| (member.label.index, member.label.sequence))
            .collect();
        recovery.unwritten_labels = self.write_labels_also(&torn);
        for (index, sequence) in before {
            let now = self
                .members
                .iter()
                .find(|member| member.label.index == index);
            if now.is_some_and(|member| member.label.sequence > sequence) {
                recovery.healed_labels.push(index);
            }
        }
    }
}

fn open_members(seen: &[Seen], used: &[usize]) -> Vec<OpenMember> {
    let members = used
        .iter()
        .filter_map(|&at| seen.get(at))
        .filter_map(|seen| {
            let label = seen.label().ok()?.clone();
            Some(OpenMember {
                disk: seen.disk.clone(),
                label,
            })
        });
    members.collect()
}

fn indices(seen: &[Seen], at: &[usize]) -> Vec<MemberIndex> {
    let labels = at
        .iter()
        .filter_map(|&at| seen.get(at))
        .filter_map(|seen| seen.label().ok());
    labels.map(|label| label.index).collect()
}

#[cfg(test)]
mod tests;
