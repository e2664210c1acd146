//! One move: what is known of it, and what comes next.
//!
//! Owns: [`Move`], a set of facts, and [`Move::next`], which derives the next step from them
//! alone. There is no stage to get out of step with the facts: an adopted move, an undone one and
//! a finishing one differ only in what is known. May not: change a fact; answers do that.

use crate::command::{MoveReport, Reason, Stage};
use crate::event::{Kept, LegFault, MirrorState, Priority};
use crate::units::{Generation, MoveId, Now, VolumeRegion};
use crate::volume::{Class, Leg};

/// What the kernel runs for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    /// Nothing yet.
    Absent,
    /// A mirror of both legs.
    Mirror,
    /// A linear device on one leg.
    Linear(Kept),
}

/// The answer that is awaited. While one is, no other command is given for the move, but for a
/// drop, which does not wait for a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    Nothing,
    Add,
    Flush,
    Commit,
    /// A commit whose outcome will not be known before the next start.
    Forever,
    Drop(Kept),
    Fold,
}

/// What is to be done next for a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Wait,
    Flush,
    /// Make this leg the home.
    Commit(Kept),
    Mark,
    Drop {
        keep: Kept,
        require_complete: bool,
    },
    Fold,
}

/// What a move's next step depends on besides the move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Around {
    pub(crate) now: Now,
    pub(crate) marked: Generation,
    pub(crate) can_commit: bool,
}

/// A move under way.
#[allow(
    clippy::struct_excessive_bools,
    reason = "independent facts, each told by its own event"
)]
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) id: MoveId,
    pub(crate) first: VolumeRegion,
    pub(crate) count: u32,
    pub(crate) source: Leg,
    pub(crate) target: Leg,
    pub(crate) from: Class,
    pub(crate) to: Class,
    pub(crate) reason: Reason,
    /// By which its pace is chosen.
    pub(crate) priority: Priority,
    pub(crate) since: Now,
    /// The leg that the newest durable generation names.
    pub(crate) home: Kept,
    /// The generation that made it the home, if that may have been during this move. It must be
    /// marked before the other leg is dropped.
    pub(crate) home_since: Generation,
    pub(crate) device: Device,
    pub(crate) waits: Waits,
    /// The leg that is to survive, as far as is known.
    pub(crate) wish: Kept,
    /// How the mirror stood last. A leg once dead stays dead.
    pub(crate) mirror: Option<MirrorState>,
    /// Whether the mirror was ever complete: from then on each leg has every acknowledged write,
    /// as one that a leg refused is parked.
    pub(crate) was_complete: bool,
    /// The leg that lacks acknowledged writes, where the kernel does not say so.
    pub(crate) stale: Option<Kept>,
    pub(crate) flushed: bool,
    /// Whether the target is to be set aside when the move is over.
    pub(crate) target_failed: bool,
    /// Whether it was found in the kernel's tables at start.
    pub(crate) adopted: bool,
    pub(crate) error: Option<String>,
    pub(crate) retry_at: Now,
    /// The stage that people were told last.
    pub(crate) reported: Stage,
}

impl Move {
    /// The next step, from the facts.
    pub(crate) fn next(&self, around: Around) -> Step {
        let free = match self.waits {
            Waits::Nothing => around.now >= self.retry_at,
            // A dead leg is answered at once; the flush's own answer no longer matters then.
            Waits::Flush => self.keeps() == Kept::Source,
            _ => false,
        };
        match self.device {
            _ if !free => Step::Wait,
            Device::Absent => Step::Wait,
            Device::Linear(_) => Step::Fold,
            Device::Mirror => self.next_of_mirror(around),
        }
    }

    fn next_of_mirror(&self, around: Around) -> Step {
        let keep = self.keeps();
        if self.home != keep {
            let ready = match keep {
                Kept::Target if !self.was_complete || self.is_on_trial() => return Step::Wait,
                Kept::Target if !self.flushed => return Step::Flush,
                Kept::Target | Kept::Source => around.can_commit,
            };
            return if ready {
                Step::Commit(keep)
            } else {
                Step::Wait
            };
        }
        if self.home_since > around.marked {
            return Step::Mark;
        }
        let require_complete = keep == Kept::Target && self.source_alive() && !self.is_in_doubt();
        Step::Drop {
            keep,
            require_complete,
        }
    }

    /// The leg that is to survive, from the health of both.
    pub(crate) fn keeps(&self) -> Kept {
        match self.stale {
            Some(Kept::Source) => return Kept::Target,
            Some(Kept::Target) => return Kept::Source,
            None => {}
        }
        if self.wish == Kept::Source {
            return Kept::Source;
        }
        // Who drops a leg compares them.
        if self.is_in_doubt() {
            return self.home;
        }
        match (self.source_alive(), self.target_alive()) {
            (true, true) => Kept::Target,
            (false, true) if self.was_complete => Kept::Target,
            (true, false) | (false, true) => Kept::Source,
            (false, false) => self.home,
        }
    }

    pub(crate) fn source_alive(&self) -> bool {
        self.mirror.is_none_or(|state| state.source_alive)
    }

    pub(crate) fn target_alive(&self) -> bool {
        self.mirror.is_none_or(|state| state.target_alive)
    }

    /// Whether the target is still being tried, so that it must not be committed yet.
    pub(crate) fn is_on_trial(&self) -> bool {
        self.mirror.is_some_and(MirrorState::is_on_trial)
    }

    /// Whether one leg failed and nobody knows which.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.stale.is_none() && self.mirror.is_some_and(MirrorState::is_in_doubt)
    }

    /// Takes in how the mirror stands.
    pub(crate) fn observe(&mut self, mut state: MirrorState) {
        state.source_alive &= self.source_alive();
        state.target_alive &= self.target_alive();
        self.mirror = Some(state);
        let in_sync = state.in_sync_chunks == state.total_chunks && state.total_chunks > 0;
        self.was_complete |= in_sync && state.target_alive;
        if !state.target_alive && state.source_alive {
            // Where a target is slow, its other ranges are so too: this one is not worse.
            let is_slow =
                |fault| matches!(fault, LegFault::Slow { .. } | LegFault::Unanswered { .. });
            self.target_failed |= !state.fault.is_some_and(is_slow);
            self.fail(&self.says_failed(Kept::Target));
        } else if !state.source_alive && state.target_alive && !self.was_complete {
            let text = self.says_failed(Kept::Source);
            self.fail(&format!("{text}, before the copy was complete"));
        } else if !state.source_alive && !state.target_alive {
            // Which leg is kept is the record's to say; people are told in any case.
            let text = self.says_failed(Kept::Source);
            self.error
                .get_or_insert(format!("{text}, and its target failed too"));
        } else if state.is_in_doubt() && in_sync {
            self.error
                .get_or_insert("one of its legs failed, and the kernel forgot which".to_owned());
        } else if state.is_in_doubt() {
            self.fail("one of its legs failed when its copy ended, and the kernel forgot which");
        } else if state.source_alive && state.target_alive && self.was_complete && !in_sync {
            // Nobody reports an error, and yet chunks are behind: the kernel copies from the
            // source again, so that the target is not to be believed.
            self.fail("the mirror fell out of sync");
        }
    }

    /// How people are told that a leg failed: which, where, and at what.
    pub(crate) fn says_failed(&self, which: Kept) -> String {
        let (name, leg) = match which {
            Kept::Source => ("source", self.source),
            Kept::Target => ("target", self.target),
        };
        let fault = self.mirror.and_then(|state| state.fault);
        let failed = match fault {
            Some(LegFault::Slow { .. }) => "is too slow",
            _ => "failed",
        };
        let fault = fault.map_or_else(String::new, |fault| format!(": {fault}"));
        format!(
            "its {name} {failed}, on member {} from region {} on{fault}",
            leg.member, leg.first
        )
    }

    /// Turns the move back, for a reason that people are told.
    pub(crate) fn fail(&mut self, error: &str) {
        self.wish = Kept::Source;
        self.error.get_or_insert_with(|| error.to_owned());
    }

    /// Where the move stands, as people see it.
    pub(crate) fn stage(&self) -> Stage {
        match (self.device, self.waits) {
            (Device::Absent, Waits::Nothing) => Stage::Pending,
            _ if self.home == Kept::Target => Stage::Swapping,
            (_, Waits::Flush | Waits::Commit | Waits::Forever) => Stage::Committing,
            _ if self.flushed => Stage::Committing,
            _ => Stage::Copying,
        }
    }

    pub(crate) fn report(&self, stage: Stage) -> MoveReport {
        MoveReport {
            id: self.id,
            first: self.first,
            count: self.count,
            source: self.source,
            target: self.target,
            from: self.from,
            to: self.to,
            stage,
            reason: self.reason.clone(),
            error: self.error.clone(),
        }
    }
}

#[cfg(test)]
mod tests;
