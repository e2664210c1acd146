//! What a commit changes, and whether it may: found before anything is written.
//!
//! Owns: [`Change`] and the rules of one commit: it follows the newest generation, what it takes
//! from extents it retires, what it frees an earlier one retired, and it gives no region twice.
//! May not change the map: a commit that breaks a rule leaves nothing behind.

use std::collections::BTreeSet;

use tier_core::command::Commit;
use tier_core::units::{Generation, MemberRegion, VolumeRegion};
use tier_core::volume::{Extent, Leg, Retired};

use super::runs::{Run, difference, runs_of};
use super::{Map, RetiredRun};
use crate::violation::Violation;

/// The records that a commit removes and adds, found before anything is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Extents that disappear, by their first region.
    pub removed: Vec<VolumeRegion>,
    /// Extents that appear.
    pub added: Vec<Extent>,
    /// Retired runs that are freed.
    pub freed: Vec<Retired>,
    /// Runs that are retired.
    pub retired: Vec<Retired>,
}

impl Map {
    /// What `commit` changes, if every invariant holds after it. Changes nothing.
    pub fn plan(&self, newest: Generation, commit: &Commit) -> Result<Change, Violation> {
        if commit.generation != newest.next() {
            let (given, expected) = (commit.generation, newest.next());
            return Err(Violation::Generation { given, expected });
        }
        let mut change = self.cut_and_set(&commit.set)?;
        self.check_freed(&commit.free)?;
        change.freed.clone_from(&commit.free);
        for run in &commit.retire {
            self.check_run(Run::of(run.leg, run.count))?;
            if run.since != commit.generation {
                let (since, generation) = (run.since, commit.generation);
                return Err(Violation::RetiredSince { since, generation });
            }
        }
        change.retired.clone_from(&commit.retire);
        self.check_given_up(&change)?;
        self.check_held(&change)?;
        Ok(change)
    }

    /// Replaces whatever covers the regions of `set`; a cut extent keeps its uncovered parts.
    fn cut_and_set(&self, set: &[Extent]) -> Result<Change, Violation> {
        let mut change = Change::default();
        let mut next = 0;
        // The part behind the last cut, which the next extent of the set may cut again.
        let mut rest: Option<Extent> = None;
        for extent in set {
            self.check_extent(extent)?;
            if extent.first.0 < next {
                return Err(Violation::Overlap(extent.first));
            }
            next = extent.end().0;
            let mut touched: Vec<Extent> = Vec::new();
            if let Some(left) = rest.take() {
                if left.end() > extent.first {
                    touched.push(left);
                } else {
                    change.added.push(left);
                }
            }
            let from = touched.last().map_or(extent.first, Extent::end);
            for whole in self.overlapping(from, extent.end()) {
                change.removed.push(whole.first);
                touched.push(whole);
            }
            for old in touched {
                if old.first < extent.first {
                    change.added.push(part(&old, old.first, extent.first));
                }
                if old.end() > extent.end() {
                    rest = Some(part(&old, extent.end(), old.end()));
                }
            }
            change.added.push(extent.clone());
        }
        change.added.extend(rest);
        Ok(change)
    }

    /// The extents that touch any region of `from..to`, in order.
    fn overlapping(&self, from: VolumeRegion, to: VolumeRegion) -> Vec<Extent> {
        if from >= to {
            return Vec::new();
        }
        let begin = self.extent_at(from).map_or(from.0, |extent| extent.first.0);
        self.extents
            .range(begin..to.0)
            .map(|(&first, piece)| piece.extent(first))
            .collect()
    }

    fn check_freed(&self, free: &[Retired]) -> Result<(), Violation> {
        let mut seen = Vec::with_capacity(free.len());
        for run in free {
            let key = (run.leg.member, run.leg.first.0);
            let known = self.retired.get(&key);
            if known
                != Some(&RetiredRun {
                    count: run.count,
                    since: run.since,
                })
                || seen.contains(&key)
            {
                return Err(Violation::NotRetiredYet {
                    member: run.leg.member,
                    first: run.leg.first,
                    count: run.count,
                    since: run.since,
                });
            }
            seen.push(key);
        }
        Ok(())
    }

    /// What the extents give up is exactly what is retired: less would free a home before its
    /// swap was seen, more would hold regions that nobody gave up.
    fn check_given_up(&self, change: &Change) -> Result<(), Violation> {
        let before = change.removed.iter().filter_map(|first| {
            self.extents
                .get(&first.0)
                .map(|piece| piece.extent(first.0))
        });
        let before = runs_of(before);
        let after = runs_of(change.added.iter().cloned());
        let retired: Vec<Run> = change
            .retired
            .iter()
            .map(|run| Run::of(run.leg, run.count))
            .collect();
        let given_up = difference(&before, &after);
        if let Some(run) = difference(&given_up, &retired).first() {
            let (member, region) = (run.member, MemberRegion(run.first));
            return Err(Violation::NotRetired { member, region });
        }
        if let Some(run) = difference(&retired, &given_up).first() {
            let (member, region) = (run.member, MemberRegion(run.first));
            return Err(Violation::NotGivenUp { member, region });
        }
        Ok(())
    }

    /// No region of a member is held twice once the change is made.
    fn check_held(&self, change: &Change) -> Result<(), Violation> {
        let mut released = BTreeSet::new();
        for first in &change.removed {
            if let Some(piece) = self.extents.get(&first.0) {
                for leg in &piece.legs {
                    released.insert((leg.member, leg.first.0));
                }
            }
        }
        for run in &change.freed {
            released.insert((run.leg.member, run.leg.first.0));
        }
        let mut taken = runs_of(change.added.iter().cloned());
        taken.extend(change.retired.iter().map(|run| Run::of(run.leg, run.count)));
        taken.sort_unstable();
        for pair in taken.windows(2) {
            if let [left, right] = pair
                && left.member == right.member
                && u64::from(right.first) < left.end()
            {
                let (member, region) = (right.member, MemberRegion(right.first));
                return Err(Violation::HeldTwice { member, region });
            }
        }
        for run in taken {
            for key in self.holders(run) {
                if !released.contains(&key) {
                    let region = MemberRegion(run.first.max(key.1));
                    return Err(Violation::HeldTwice {
                        member: run.member,
                        region,
                    });
                }
            }
        }
        Ok(())
    }
}

/// The part `from..to` of `extent`, its legs moved along.
fn part(extent: &Extent, from: VolumeRegion, to: VolumeRegion) -> Extent {
    let skipped = from.0 - extent.first.0;
    let legs = extent
        .legs
        .iter()
        .map(|leg| Leg {
            member: leg.member,
            first: MemberRegion(leg.first.0 + skipped),
        })
        .collect();
    Extent {
        first: from,
        count: to.0 - from.0,
        legs,
    }
}
