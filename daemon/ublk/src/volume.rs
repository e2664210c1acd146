//! A volume that is served: its members, and where everything is now.
//!
//! Owns: [`Volume`]. Invariant: whoever serves a request keeps the snapshot that it began with until
//! it has ended, so that a [`Change`] is over when nobody has the old one any more: from then on, no
//! request under way goes by what was before.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::map::Snapshot;
use crate::members::Member;

/// What is served.
#[derive(Debug)]
pub struct Volume {
    members: Vec<Member>,
    now: ArcSwap<Snapshot>,
}

/// An exchange of snapshots.
#[derive(Clone, Debug)]
pub struct Change {
    before: std::sync::Weak<Snapshot>,
}

impl Change {
    /// Whether no request goes by the old one any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.before.strong_count() == 0
    }
}

impl Volume {
    /// Of these members, whose places in the list the snapshot's places name.
    #[must_use]
    pub fn new(members: Vec<Member>, snapshot: Snapshot) -> Self {
        Self {
            members,
            now: ArcSwap::from_pointee(snapshot),
        }
    }

    /// Its members.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Where everything is now. Who holds it holds up changes.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.now.load_full()
    }

    /// Looks for moves whose targets leave requests unanswered, which are not asked any more from then on.
    /// Who waits for an answer cannot look, so that somebody else has to, every now and then.
    pub fn look_at_targets(&self) {
        for moving in self.snapshot().moves() {
            if let Some(target) = self.members.get(moving.target.member) {
                moving.trial.look_at(&target.asked);
            }
        }
    }

    /// From now on, everything is there.
    pub fn replace(&self, snapshot: Snapshot) -> Change {
        let before = self.now.swap(Arc::new(snapshot));
        Change {
            before: Arc::downgrade(&before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::{Home, Place, Run};

    fn snapshot(offset: u64) -> Snapshot {
        let home = Home::One(Place { member: 0, offset });
        let run = Run {
            start: 0,
            end: 4096,
            home,
        };
        Snapshot::new(vec![run]).unwrap()
    }

    #[test]
    fn a_change_is_over_when_nobody_goes_by_what_was_before() {
        let volume = Volume::new(Vec::new(), snapshot(0));
        let request = volume.snapshot();
        let change = volume.replace(snapshot(1));
        assert!(!change.is_over());
        let later = volume.snapshot();
        drop(request);
        assert!(change.is_over());
        let next = volume.replace(snapshot(2));
        assert!(!next.is_over());
        drop(later);
        assert!(next.is_over());
    }
}
