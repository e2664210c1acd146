//! From what is known to what is ordered: one pass over the live moves.
//!
//! Owns: the order in which things are asked for, and what is batched. Drops come first, as
//! parked writes wait for them; then the store, then flushes, then the volume's own table.

use super::heads::Heads;
use super::moving::{Around, Step};
use super::{Migrate, StoreWork, Waits};
use crate::command::{AddLeg, Command, DropLeg, FlushTarget, Stage};
use crate::event::Kept;
use crate::policy::TrialPolicy;
use crate::units::{MoveId, Now};

/// How long former homes may wait for a commit that is made anyway: 5 s.
const FREES_WAIT_NANOS: u64 = 5_000_000_000;

/// What the live moves ask for.
#[derive(Default)]
struct Wanted {
    drops: Vec<DropLeg>,
    commits: Vec<(MoveId, Kept)>,
    mark: bool,
    flushes: Vec<FlushTarget>,
    folds: Vec<MoveId>,
}

impl Migrate {
    /// Orders whatever can be ordered now. `tick` tells that nothing else is happening, so that
    /// work which only tidies up is done too; so it is while a move waits for room.
    pub(crate) fn drive(&mut self, now: Now, mirrors_max: u32, tick: bool) {
        let idle = tick || self.waits_for_room;
        let wanted = self.wanted(now);
        for drop in wanted.drops {
            if let Some(one) = self.live.get_mut(&drop.id) {
                one.waits = Waits::Drop(drop.keep);
                self.out.push(Command::DropLeg(drop));
            }
        }
        self.drive_store(now, wanted.commits, wanted.mark, idle);
        self.drive_flushes(wanted.flushes);
        self.drive_table(now, wanted.folds, mirrors_max, idle);
        self.report_stages();
    }

    fn wanted(&self, now: Now) -> Wanted {
        let around = Around {
            now,
            marked: self.marked,
            can_commit: self.can_commit,
        };
        let mut wanted = Wanted::default();
        for one in self.live.values() {
            let step = one.next(around);
            #[cfg(any(test, feature = "canary"))]
            let step = self.mutated(one, step);
            match step {
                Step::Wait => {}
                Step::Flush => {
                    wanted.flushes.push(FlushTarget {
                        id: one.id,
                        target: one.target,
                    });
                }
                Step::Commit(kept) => wanted.commits.push((one.id, kept)),
                Step::Mark => wanted.mark = true,
                Step::Drop {
                    keep,
                    require_complete,
                } => {
                    wanted.drops.push(DropLeg {
                        id: one.id,
                        keep,
                        leg: match keep {
                            Kept::Source => one.source,
                            Kept::Target => one.target,
                        },
                        require_complete,
                    });
                }
                Step::Fold => wanted.folds.push(one.id),
            }
        }
        wanted
    }

    fn drive_store(&mut self, now: Now, commits: Vec<(MoveId, Kept)>, mark: bool, idle: bool) {
        if self.store.is_some() || now < self.store_retry_at {
            return;
        }
        // A home that is taken back has parked writes waiting for it; a mark has a swap waiting.
        let taking_back = commits.iter().any(|&(_, kept)| kept == Kept::Source);
        if mark && !taking_back {
            self.out.push(Command::MarkActedOn(self.generation));
            self.store = Some(StoreWork::Mark(self.generation));
        } else if !commits.is_empty() {
            self.order_commit(commits);
        } else if idle && self.may_begin() && self.frees_are_due(now) {
            self.order_commit(Vec::new());
        }
    }

    /// Whether former homes are to be freed by a commit of their own. While moves are under way
    /// their commits free what is left by then, and each commit less is a seek or more on members
    /// that copy. But who asks for room must not wait for long.
    fn frees_are_due(&mut self, now: Now) -> bool {
        if self.freeable().is_empty() {
            return false;
        }
        let due = *self
            .frees_due
            .get_or_insert(Now(now.0.saturating_add(FREES_WAIT_NANOS)));
        now >= due || self.live.is_empty() || self.waits_for_room
    }

    fn drive_flushes(&mut self, flushes: Vec<FlushTarget>) {
        for flush in &flushes {
            if let Some(one) = self.live.get_mut(&flush.id) {
                one.waits = Waits::Flush;
            }
        }
        if !flushes.is_empty() {
            self.out.push(Command::FlushTargets(flushes));
        }
    }

    /// Loads the volume's table: folds, else adds. One at a time, each with all that is ready, as
    /// each costs a hold of the whole volume.
    fn drive_table(&mut self, now: Now, folds: Vec<MoveId>, mirrors_max: u32, idle: bool) {
        let table_busy = |one: &super::Move| matches!(one.waits, Waits::Add | Waits::Fold);
        if self.live.values().any(table_busy) {
            return;
        }
        let more_soon = self
            .live
            .values()
            .any(|one| matches!(one.waits, Waits::Drop(_)));
        if !folds.is_empty() && now >= self.fold_retry_at && (idle || !more_soon) {
            for id in &folds {
                if let Some(one) = self.live.get_mut(id) {
                    one.waits = Waits::Fold;
                }
            }
            self.out.push(Command::SetMap { fold: folds });
            return;
        }
        let room = mirrors_max
            .min(self.limits.mirrors)
            .saturating_sub(self.mirrors());
        if room > 0 && self.may_begin() {
            self.add_legs(room);
        }
    }

    fn add_legs(&mut self, room: u32) {
        let next = self.next_to_copy(room);
        let mut adds = Vec::with_capacity(next.len());
        for id in next {
            let Some(mut one) = self.pending.remove(&id) else {
                continue;
            };
            one.waits = Waits::Add;
            adds.push(AddLeg {
                id,
                first: one.first,
                count: one.count,
                source: one.source,
                target: one.target,
                trial: Some(TrialPolicy {
                    copy_bytes_per_second: self.limits.trial.pace(one.priority),
                    ..self.limits.trial
                }),
                promises_faster: one.to < one.from,
            });
            self.live.insert(id, one);
        }
        if !adds.is_empty() {
            self.out.push(Command::AddLegs(adds));
        }
    }

    /// The oldest pending moves that may begin beside those that are copying.
    fn next_to_copy(&self, room: u32) -> Vec<MoveId> {
        let bytes = |one: &super::Move| self.region_size.bytes_of(one.count).0;
        let mut heads = Heads::of(self.live.values().map(|one| (one, bytes(one))));
        self.pending
            .values()
            .filter(|one| heads.admit(one, bytes(one)))
            .take(room as usize)
            .map(|one| one.id)
            .collect()
    }

    fn report_stages(&mut self) {
        for one in self.live.values_mut() {
            let stage = one.stage();
            if stage != one.reported && stage != Stage::Pending {
                one.reported = stage;
                self.out.push(Command::Report(one.report(stage)));
            }
        }
    }

    #[cfg(any(test, feature = "canary"))]
    fn mutated(&self, one: &super::Move, step: Step) -> Step {
        use super::Mutation as M;
        let to_target = Step::Drop {
            keep: Kept::Target,
            require_complete: one.source_alive(),
        };
        match (self.mutation, step) {
            (Some(M::SwapBeforeCommit), Step::Flush | Step::Commit(Kept::Target)) => to_target,
            (Some(M::CommitBeforeFlush), Step::Flush) => Step::Commit(Kept::Target),
            (Some(M::SkipMark), Step::Mark) if one.home == Kept::Target => to_target,
            (Some(M::BackWithoutCommit), Step::Commit(Kept::Source)) => Step::Drop {
                keep: Kept::Source,
                require_complete: false,
            },
            (Some(M::IgnoreDeadLeg), Step::Drop { .. } | Step::Commit(_))
                if !one.target_alive() =>
            {
                Step::Wait
            }
            _ => step,
        }
    }
}
