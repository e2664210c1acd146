//! What answers to commands make known. Each changes facts; what follows from them is decided
//! afterwards, in one place ([`Migrate::drive`]).

use super::{Device, Migrate, Rest, StoreWork, Waits};
use crate::command::{Command, Stage};
use crate::event::{Kept, LegFault, MirrorState};
use crate::units::{Generation, MoveId, Now};

impl Migrate {
    fn after(now: Now, nanos: u64) -> Now {
        Now(now.0.saturating_add(nanos))
    }

    pub(crate) fn legs_added(&mut self, ids: &[MoveId]) {
        for id in ids {
            match self.live.get_mut(id) {
                Some(one) if one.waits == Waits::Add => {
                    one.waits = Waits::Nothing;
                    one.device = Device::Mirror;
                }
                _ => self.unexpected(*id, "a leg was added"),
            }
        }
    }

    pub(crate) fn add_legs_failed(&mut self, ids: &[MoveId], error: &str, now: Now) {
        for id in ids {
            match self.live.get_mut(id) {
                Some(one) if one.waits == Waits::Add => {
                    one.fail(&format!("its mirror could not be set up: {error}"));
                    self.end(*id, now);
                }
                _ => self.unexpected(*id, "adding a leg failed"),
            }
        }
    }

    pub(crate) fn copy_not_begun(&mut self, id: MoveId, may_copy: bool, error: &str) {
        match self.live.get_mut(&id) {
            Some(one) if one.waits == Waits::Add => {
                one.waits = Waits::Nothing;
                one.device = Device::Linear(Kept::Source);
                one.target_failed |= may_copy;
                one.fail(&format!("its copy could not be begun: {error}"));
            }
            _ => self.unexpected(id, "a copy did not begin"),
        }
    }

    /// A look at a mirror. One that comes late, for a move that is over or swapped, tells nothing.
    pub(crate) fn leg_state(&mut self, id: MoveId, state: MirrorState) {
        let Some(one) = self.live.get_mut(&id) else {
            return;
        };
        if matches!(one.device, Device::Linear(_)) {
            return;
        }
        let well = one.source_alive() && one.target_alive();
        let in_doubt = one.is_in_doubt();
        one.observe(state);
        #[cfg(any(test, feature = "canary"))]
        if self.mutation == Some(super::Mutation::ForwardIncomplete)
            && !one.source_alive()
            && one.target_alive()
        {
            one.was_complete = true;
            one.wish = Kept::Target;
        }
        if one.is_in_doubt() && !in_doubt {
            self.out.push(Command::Warn(format!(
                "move {id}: a leg failed, on member {} or {}, and the kernel forgot which: they are \
                 compared",
                one.source.member, one.target.member
            )));
        }
        if well && !(one.source_alive() && one.target_alive()) {
            let which = if one.source_alive() {
                Kept::Target
            } else {
                Kept::Source
            };
            self.out.push(Command::Warn(format!(
                "move {id}: {}; {} of {} chunks were in sync",
                one.says_failed(which),
                state.in_sync_chunks,
                state.total_chunks
            )));
        }
    }

    pub(crate) fn targets_flushed(&mut self, ids: &[MoveId]) {
        for id in ids {
            // A move that was turned back meanwhile no longer waits for its flush.
            if let Some(one) = self
                .live
                .get_mut(id)
                .filter(|one| one.waits == Waits::Flush)
            {
                one.waits = Waits::Nothing;
                one.flushed = true;
            }
        }
    }

    pub(crate) fn flush_failed(&mut self, ids: &[MoveId], error: &str, now: Now) {
        let retry_at = Self::after(now, self.limits.retry_nanos);
        for id in ids {
            let Some(one) = self
                .live
                .get_mut(id)
                .filter(|one| one.waits == Waits::Flush)
            else {
                continue;
            };
            one.waits = Waits::Nothing;
            #[cfg(any(test, feature = "canary"))]
            if self.mutation == Some(super::Mutation::FlushTwice) {
                continue;
            }
            // The only leg that has everything is flushed again and again.
            if one.stale == Some(Kept::Source) {
                one.retry_at = retry_at;
            }
            one.target_failed = true;
            one.fail(&format!(
                "its target on member {} could not be flushed: {error}",
                one.target.member
            ));
        }
    }

    pub(crate) fn marked(&mut self, generation: Generation) {
        self.marked = self.marked.max(generation);
        match self.store {
            Some(StoreWork::Mark(marking)) if marking == generation => self.store = None,
            _ => self.latch(format!(
                "generation {generation} was marked, but not by order"
            )),
        }
    }

    pub(crate) fn mark_failed(&mut self, generation: Generation, error: &str, now: Now) {
        match self.store {
            Some(StoreWork::Mark(marking)) if marking == generation => self.store = None,
            _ => {
                self.latch(format!(
                    "marking generation {generation} failed, but was not ordered"
                ));
                return;
            }
        }
        self.store_retry_at = Self::after(now, self.limits.retry_nanos);
        self.out.push(Command::Warn(format!(
            "generation {generation} could not be marked in the labels and is tried again: {error}"
        )));
    }

    pub(crate) fn leg_dropped(&mut self, id: MoveId, kept: Kept) {
        let Some(one) = self.live.get_mut(&id) else {
            self.unexpected(id, "a leg was dropped");
            return;
        };
        let ordered = one.waits == Waits::Drop(kept);
        one.waits = Waits::Nothing;
        one.device = Device::Linear(kept);
        if !ordered || one.home != kept {
            self.latch(format!(
                "move {id} was swapped to a leg that was not ordered"
            ));
        }
    }

    pub(crate) fn drop_refused(&mut self, id: MoveId, state: MirrorState, now: Now) {
        self.drop_failed_with(id, now, "the mirror was not complete in the hold");
        // Who compared the legs names one, and what a letter said before no longer counts.
        let compared = state.fault == Some(LegFault::Forgotten);
        if let Some(one) = self.live.get_mut(&id).filter(|_| compared) {
            one.stale = match (state.source_alive, state.target_alive) {
                (false, true) => Some(Kept::Source),
                (true, false) => Some(Kept::Target),
                _ => one.stale,
            };
            // Only legs that were in sync are compared.
            one.was_complete |= one.stale == Some(Kept::Source);
        }
        self.leg_state(id, state);
        // A leg that failed is answered at once; only a mirror that shows nothing wrong waits.
        if let Some(one) = self.live.get_mut(&id).filter(|_| !state.is_complete()) {
            one.retry_at = now;
        }
    }

    pub(crate) fn drop_failed(&mut self, id: MoveId, error: &str, now: Now) {
        self.drop_failed_with(id, now, error);
    }

    fn drop_failed_with(&mut self, id: MoveId, now: Now, error: &str) {
        let retry_at = Self::after(now, self.limits.retry_nanos);
        match self.live.get_mut(&id) {
            Some(one) if matches!(one.waits, Waits::Drop(_)) => {
                one.waits = Waits::Nothing;
                one.retry_at = retry_at;
                self.out.push(Command::Warn(format!(
                    "move {id}: its leg could not be dropped and is tried again: {error}"
                )));
            }
            _ => self.unexpected(id, "dropping a leg failed"),
        }
    }

    pub(crate) fn map_set(&mut self, folded: &[MoveId], now: Now) {
        for id in folded {
            match self.live.get(id) {
                Some(one) if one.waits == Waits::Fold => self.end(*id, now),
                _ => self.unexpected(*id, "a move was folded"),
            }
        }
    }

    pub(crate) fn set_map_failed(&mut self, error: &str, now: Now) {
        for one in self
            .live
            .values_mut()
            .filter(|one| one.waits == Waits::Fold)
        {
            one.waits = Waits::Nothing;
        }
        self.fold_retry_at = Self::after(now, self.limits.retry_nanos);
        self.out.push(Command::Warn(format!(
            "the volume's table could not be set and is tried again: {error}"
        )));
    }

    /// A move has left the kernel's tables: its legs go back to where they belong.
    fn end(&mut self, id: MoveId, now: Now) {
        let Some(one) = self.live.remove(&id) else {
            return;
        };
        self.claims.remove(&one.first.0);
        for former in &mut self.retired {
            if former.gate == super::Gate::Move(id) {
                former.gate = super::Gate::Open;
            }
        }
        let target_retired = self
            .retired
            .iter()
            .any(|former| former.retired.leg == one.target);
        if one.home == Kept::Source && one.target != one.source && !target_retired {
            if one.target_failed {
                let until = Self::after(now, self.limits.failed_range_nanos);
                self.alloc.set_aside(one.target, one.count, until);
            } else if !self.alloc.release(one.target, one.count) {
                self.latch(format!("the target of move {id} was free while it copied"));
            }
        }
        if !self.live.values().any(|one| one.adopted) {
            for former in self
                .retired
                .iter_mut()
                .filter(|one| one.gate == super::Gate::Adopted)
            {
                former.gate = super::Gate::Open;
            }
        }
        let stage = match (one.home, &one.error) {
            (Kept::Target, _) => Stage::Done,
            (Kept::Source, None) => Stage::Undone,
            (Kept::Source, Some(_)) => Stage::Failed,
        };
        if stage == Stage::Failed {
            let until = Self::after(now, self.limits.rest_nanos);
            self.rests.push(Rest {
                first: one.first.0,
                count: one.count,
                until,
            });
        }
        self.out.push(Command::Report(one.report(stage)));
        self.note_end(&one, stage);
    }

    /// Lets ranges and extents that failed be chosen again when their time is over.
    pub(crate) fn forgive(&mut self, now: Now) {
        self.rests.retain(|rest| rest.until > now);
        if !self.alloc.forgive(now) {
            self.latch("a range that was set aside was free".to_owned());
        }
    }

    fn unexpected(&mut self, id: MoveId, what: &str) {
        self.latch(format!("{what} of move {id}, which did not wait for that"));
    }
}
