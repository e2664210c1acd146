//! Who lives where: the extents in memory, and the rules that every commit must keep.
//!
//! Owns: [`Map`]. Invariants, checked when it is loaded and before every change:
//! - the extents cover every region of the volume exactly once;
//! - every leg and every retired run lies within its member;
//! - no region of a member is held twice, by legs or by retired runs;
//! - what leaves the extents is retired by the same commit, and is freed only by a later one.
//!
//! May not do I/O, and may not choose.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;
use tier_core::command::Commit;
use tier_core::units::{Generation, MemberIndex, MemberRegion, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs, Retired};

use crate::violation::Violation;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    count: u32,
    legs: Legs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RetiredRun {
    count: u32,
    since: Generation,
}

/// A run of one member's regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Run {
    member: MemberIndex,
    first: u32,
    count: u32,
}

impl Run {
    fn of(leg: Leg, count: u32) -> Self {
        Self {
            member: leg.member,
            first: leg.first.0,
            count,
        }
    }

    const fn end(self) -> u64 {
        self.first as u64 + self.count as u64
    }
}

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

/// The extents of a volume, by their first region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Map {
    regions: u32,
    /// Data regions of each member that exists.
    capacity: BTreeMap<MemberIndex, u32>,
    extents: BTreeMap<u32, Piece>,
    retired: BTreeMap<(MemberIndex, u32), RetiredRun>,
    /// Every run that a leg or a retired run holds, and its length.
    held: BTreeMap<(MemberIndex, u32), u32>,
}

impl Map {
    /// A map of these records, if they are whole.
    pub fn from_parts(
        regions: u32,
        capacity: impl IntoIterator<Item = (MemberIndex, u32)>,
        extents: impl IntoIterator<Item = Extent>,
        retired: impl IntoIterator<Item = Retired>,
    ) -> Result<Self, Violation> {
        let mut map = Self {
            regions,
            capacity: capacity.into_iter().collect(),
            extents: BTreeMap::new(),
            retired: BTreeMap::new(),
            held: BTreeMap::new(),
        };
        let mut next = 0;
        for extent in extents {
            map.check_extent(&extent)?;
            if extent.first.0 < next {
                return Err(Violation::Overlap(extent.first));
            }
            if extent.first.0 > next {
                return Err(Violation::Uncovered(VolumeRegion(next)));
            }
            next = extent.end().0;
            for &leg in &extent.legs {
                map.hold(Run::of(leg, extent.count))?;
            }
            map.extents.insert(
                extent.first.0,
                Piece {
                    count: extent.count,
                    legs: extent.legs,
                },
            );
        }
        if next < regions {
            return Err(Violation::Uncovered(VolumeRegion(next)));
        }
        for run in retired {
            map.check_run(Run::of(run.leg, run.count))?;
            map.hold(Run::of(run.leg, run.count))?;
            let value = RetiredRun {
                count: run.count,
                since: run.since,
            };
            map.retired.insert((run.leg.member, run.leg.first.0), value);
        }
        Ok(map)
    }

    /// Number of regions of the volume.
    #[must_use]
    pub const fn regions(&self) -> u32 {
        self.regions
    }

    /// Number of extents.
    #[must_use]
    pub fn len(&self) -> usize {
        self.extents.len()
    }

    /// Whether there is no extent, which a map of a volume never has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.extents.is_empty()
    }

    /// The extents in order.
    pub fn extents(&self) -> impl Iterator<Item = Extent> + '_ {
        self.extents
            .iter()
            .map(|(&first, piece)| piece.extent(first))
    }

    /// The retired runs, by member and region.
    pub fn retired(&self) -> impl Iterator<Item = Retired> + '_ {
        self.retired.iter().map(|(&(member, first), run)| Retired {
            leg: Leg {
                member,
                first: MemberRegion(first),
            },
            count: run.count,
            since: run.since,
        })
    }

    /// The extent that holds `region`.
    #[must_use]
    pub fn extent_at(&self, region: VolumeRegion) -> Option<Extent> {
        let (&first, piece) = self.extents.range(..=region.0).next_back()?;
        (region.0 < first + piece.count).then(|| piece.extent(first))
    }

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

    /// Carries out a change that [`Self::plan`] found on this very map.
    pub fn apply(&mut self, change: &Change) {
        for first in &change.removed {
            if let Some(piece) = self.extents.remove(&first.0) {
                for leg in &piece.legs {
                    self.held.remove(&(leg.member, leg.first.0));
                }
            }
        }
        for run in &change.freed {
            self.retired.remove(&(run.leg.member, run.leg.first.0));
            self.held.remove(&(run.leg.member, run.leg.first.0));
        }
        for extent in &change.added {
            let piece = Piece {
                count: extent.count,
                legs: extent.legs.clone(),
            };
            for leg in &piece.legs {
                self.held.insert((leg.member, leg.first.0), piece.count);
            }
            self.extents.insert(extent.first.0, piece);
        }
        for run in &change.retired {
            let value = RetiredRun {
                count: run.count,
                since: run.since,
            };
            self.retired
                .insert((run.leg.member, run.leg.first.0), value);
            self.held
                .insert((run.leg.member, run.leg.first.0), run.count);
        }
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

    fn check_extent(&self, extent: &Extent) -> Result<(), Violation> {
        let first = extent.first;
        let malformed = |why| Err(Violation::Malformed { first, why });
        if extent.count == 0 {
            return malformed("it has no regions");
        }
        if extent.legs.is_empty() {
            return malformed("it has no leg");
        }
        let end = u64::from(first.0) + u64::from(extent.count);
        if end > u64::from(self.regions) {
            return Err(Violation::OutOfVolume {
                first,
                end,
                regions: self.regions,
            });
        }
        for (at, leg) in extent.legs.iter().enumerate() {
            self.check_run(Run::of(*leg, extent.count))?;
            if extent
                .legs
                .iter()
                .take(at)
                .any(|other| other.member == leg.member)
            {
                return malformed("two of its legs lie on one member");
            }
        }
        Ok(())
    }

    fn check_run(&self, run: Run) -> Result<(), Violation> {
        let regions = self.capacity.get(&run.member).copied().unwrap_or(0);
        if run.count == 0 || run.end() > u64::from(regions) {
            return Err(Violation::OutOfMember {
                member: run.member,
                first: MemberRegion(run.first),
                end: run.end(),
                regions,
            });
        }
        Ok(())
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

    /// The keys of the held runs that overlap `run`.
    fn holders(&self, run: Run) -> SmallVec<[(MemberIndex, u32); 4]> {
        let mut keys = SmallVec::new();
        let before = self
            .held
            .range((run.member, 0)..(run.member, run.first))
            .next_back();
        if let Some((&key, &count)) = before
            && u64::from(key.1) + u64::from(count) > u64::from(run.first)
        {
            keys.push(key);
        }
        let end = u32::try_from(run.end()).unwrap_or(u32::MAX);
        keys.extend(
            self.held
                .range((run.member, run.first)..(run.member, end))
                .map(|(&key, _)| key),
        );
        keys
    }

    fn hold(&mut self, run: Run) -> Result<(), Violation> {
        if let Some(key) = self.holders(run).first() {
            let region = MemberRegion(run.first.max(key.1));
            return Err(Violation::HeldTwice {
                member: run.member,
                region,
            });
        }
        self.held.insert((run.member, run.first), run.count);
        Ok(())
    }
}

impl Piece {
    fn extent(&self, first: u32) -> Extent {
        Extent {
            first: VolumeRegion(first),
            count: self.count,
            legs: self.legs.clone(),
        }
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

fn runs_of(extents: impl Iterator<Item = Extent>) -> Vec<Run> {
    let runs = extents.flat_map(|extent| {
        let count = extent.count;
        extent.legs.into_iter().map(move |leg| Run::of(leg, count))
    });
    runs.collect()
}

/// The regions of `from` that are not in `less`, as sorted runs.
fn difference(from: &[Run], less: &[Run]) -> Vec<Run> {
    let mut less = less.to_vec();
    less.sort_unstable();
    let mut from = from.to_vec();
    from.sort_unstable();
    let mut out = Vec::new();
    for run in from {
        let mut at = u64::from(run.first);
        let begin = less.partition_point(|other| {
            other.member < run.member || (other.member == run.member && other.end() <= at)
        });
        for other in less.iter().skip(begin) {
            if other.member != run.member || u64::from(other.first) >= run.end() {
                break;
            }
            if u64::from(other.first) > at {
                push_run(&mut out, run.member, at, u64::from(other.first));
            }
            at = at.max(other.end());
        }
        if at < run.end() {
            push_run(&mut out, run.member, at, run.end());
        }
    }
    out
}

fn push_run(out: &mut Vec<Run>, member: MemberIndex, from: u64, to: u64) {
    if let (Ok(first), Ok(count)) = (u32::try_from(from), u32::try_from(to - from)) {
        out.push(Run {
            member,
            first,
            count,
        });
    }
}

#[cfg(test)]
mod tests;
