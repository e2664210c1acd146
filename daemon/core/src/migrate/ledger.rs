//! The engine's copy of the durable record, and how a commit changes it.
//!
//! Owns: what is retired and when it may be freed; the making of a commit, and what follows from
//! it when it is durable. Invariant: map, retired list and allocator change together, and only
//! here or at the start.

use super::{Migrate, StoreWork, Waits};
use crate::command::{Command, Commit};
use crate::event::Kept;
use crate::units::{Generation, MoveId, Now};
use crate::volume::{Extent, Legs, Retired};

/// What keeps a former home from being freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Nothing: the swap away from it was seen in the kernel's table.
    Open,
    /// This move, until it is folded.
    Move(MoveId),
    /// All moves that were adopted at start: which of them it belongs to is not known.
    Adopted,
}

/// A former home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Former {
    pub(crate) retired: Retired,
    pub(crate) gate: Gate,
    /// Whether it is to be set aside when it is freed.
    pub(crate) failed: bool,
}

/// A commit that has been ordered.
#[derive(Clone, Debug)]
pub(super) struct UnderWay {
    commit: Commit,
    moves: Vec<(MoveId, Kept)>,
}

impl Migrate {
    /// Orders a commit that makes these legs homes, and frees what may be freed.
    pub(super) fn order_commit(&mut self, moves: Vec<(MoveId, Kept)>) {
        let generation = self.generation.next();
        let mut commit = Commit {
            generation,
            set: Vec::new(),
            retire: Vec::new(),
            free: Vec::new(),
        };
        for &(id, kept) in &moves {
            let Some(one) = self.live.get_mut(&id) else {
                continue;
            };
            one.waits = Waits::Commit;
            let (home, given_up) = match kept {
                Kept::Target => (one.target, one.source),
                Kept::Source => (one.source, one.target),
            };
            let legs = Legs::from_slice(&[home]);
            commit.set.push(Extent {
                first: one.first,
                count: one.count,
                legs,
            });
            commit.retire.push(Retired {
                leg: given_up,
                count: one.count,
                since: generation,
            });
            // A home that is taken back leaves the retired list, as it is in use again.
            let taken_back = self.retired.iter().map(|former| former.retired);
            commit
                .free
                .extend(taken_back.filter(|former| former.leg == home));
        }
        commit.set.sort_by_key(|extent| extent.first);
        commit.free.extend(self.freeable());
        self.frees_due = None;
        self.out.push(Command::Commit(commit.clone()));
        self.store = Some(StoreWork::Commit(UnderWay { commit, moves }));
    }

    /// Former homes that the next commit may free.
    pub(super) fn freeable(&self) -> Vec<Retired> {
        #[cfg(any(test, feature = "canary"))]
        if self.breaks(super::Mutation::FreeTooEarly) {
            let goes_back = |former: &&Former| match former.gate {
                Gate::Move(id) => self.live[&id].wish == Kept::Source,
                Gate::Open | Gate::Adopted => false,
            };
            let all = self.retired.iter().filter(|former| !goes_back(former));
            return all.map(|former| former.retired).collect();
        }
        let open = self
            .retired
            .iter()
            .filter(|former| former.gate == Gate::Open);
        open.map(|former| former.retired).collect()
    }

    /// The commit under way is durable.
    pub(crate) fn committed(&mut self, generation: Generation, now: Now) {
        let under_way = match self.store.take() {
            Some(StoreWork::Commit(under_way)) if under_way.commit.generation == generation => {
                under_way
            }
            other => {
                self.store = other;
                self.latch(format!(
                    "generation {generation} was reported durable, but was not being committed"
                ));
                return;
            }
        };
        self.generation = generation;
        self.commit_failures = 0;
        for &(id, kept) in &under_way.moves {
            let Some(one) = self.live.get_mut(&id) else {
                continue;
            };
            one.waits = Waits::Nothing;
            one.home = kept;
            one.home_since = generation;
            let (leg, failed) = match kept {
                Kept::Target => (one.source, false),
                Kept::Source => (one.target, one.target_failed),
            };
            let retired = Retired {
                leg,
                count: one.count,
                since: generation,
            };
            self.retired.push(Former {
                retired,
                gate: Gate::Move(id),
                failed,
            });
        }
        for extent in &under_way.commit.set {
            self.map.set(extent);
        }
        for freed in &under_way.commit.free {
            let home_again = under_way
                .commit
                .set
                .iter()
                .any(|extent| extent.home() == Some(freed.leg));
            self.freed(*freed, home_again, now);
        }
    }

    fn freed(&mut self, freed: Retired, home_again: bool, now: Now) {
        let Some(at) = self
            .retired
            .iter()
            .position(|former| former.retired == freed)
        else {
            self.latch(format!(
                "a former home on member {} was freed twice",
                freed.leg.member
            ));
            return;
        };
        let former = self.retired.swap_remove(at);
        if home_again {
            return;
        }
        if former.failed {
            let until = Now(now.0.saturating_add(self.limits.failed_range_nanos));
            self.alloc.set_aside(freed.leg, freed.count, until);
        } else if !self.alloc.release(freed.leg, freed.count) {
            self.latch(format!(
                "a freed home on member {} was free already",
                freed.leg.member
            ));
        }
    }

    /// The commit under way failed.
    pub(crate) fn commit_failed(&mut self, can_retry: bool, error: &str, now: Now) {
        let Some(StoreWork::Commit(under_way)) = self.store.take() else {
            self.latch("a commit was reported failed, but none was under way".to_owned());
            return;
        };
        let after = if can_retry {
            Waits::Nothing
        } else {
            Waits::Forever
        };
        for (id, _) in under_way.moves {
            let Some(one) = self.live.get_mut(&id) else {
                continue;
            };
            one.waits = after;
            one.error = Some(format!("its commit failed: {error}"));
        }
        self.store_retry_at = Now(now.0.saturating_add(self.limits.retry_nanos));
        self.commit_failures += 1;
        if !can_retry {
            self.can_commit = false;
            self.out.push(Command::Warn(format!(
                "no metadata replica can be written ({error}): moves are wound back, the volume \
                 serves, nothing more is moved. Mend a member that holds a replica and start \
                 tierd again"
            )));
            self.wind_back("no metadata replica can be written");
        } else if self.commit_failures == 1 {
            self.out.push(Command::Warn(format!(
                "a commit failed and is tried again: {error}"
            )));
        } else if self.commit_failures == super::COMMIT_ATTEMPTS_MAX {
            self.wind_back(&format!("the metadata could not be committed: {error}"));
        }
    }
}
