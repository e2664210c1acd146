//! Which data regions of the members are free.
//!
//! Owns: [`Alloc`], an allocator of runs without gaps. Invariants: free runs are disjoint, no two
//! touch, both indices hold the same runs, and `free` is their sum. A region that is not free has
//! exactly one owner elsewhere: an extent, a live move's target, a retired home, or the list of
//! ranges that failed here. May not: decide which tier anything belongs on.

use std::collections::{BTreeMap, BTreeSet};

use crate::units::{MemberIndex, MemberRegion, Now};
use crate::volume::{Class, Leg, Member};

/// The free space of all members, by member index.
#[derive(Clone, Debug, Default)]
pub struct Alloc {
    spaces: Vec<Space>,
}

/// The free space of one member.
#[derive(Clone, Debug)]
pub struct Space {
    member: MemberIndex,
    class: Class,
    present: bool,
    regions: u32,
    free: u32,
    by_first: BTreeMap<u32, u32>,
    /// The same runs as (count, first): best fit is the first at or after (wanted, 0).
    by_count: BTreeSet<(u32, u32)>,
    failed: Vec<Failed>,
}

/// A range that failed as a target. It stays allocated, to nobody, until its time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    first: u32,
    count: u32,
    until: Now,
}

impl Space {
    /// Which member this is.
    #[must_use]
    pub fn member(&self) -> MemberIndex {
        self.member
    }

    /// Whether the member is there: only then is anything allocated on it.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Its class.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Regions it has.
    #[must_use]
    pub fn regions(&self) -> u32 {
        self.regions
    }

    /// Regions of it that are free.
    #[must_use]
    pub fn free(&self) -> u32 {
        self.free
    }

    /// Regions set aside because a copy to them failed.
    #[must_use]
    pub fn failed(&self) -> u32 {
        self.failed.iter().map(|range| range.count).sum()
    }

    fn insert(&mut self, first: u32, count: u32) {
        self.by_first.insert(first, count);
        self.by_count.insert((count, first));
    }

    fn remove(&mut self, first: u32, count: u32) {
        self.by_first.remove(&first);
        self.by_count.remove(&(count, first));
    }

    /// Takes these very regions; false, and nothing changed, if one of them is not free.
    fn take(&mut self, first: u32, count: u32) -> bool {
        let Some((&run_first, &run_count)) = self.by_first.range(..=first).next_back() else {
            return false;
        };
        let (Some(end), run_end) = (first.checked_add(count), run_first + run_count) else {
            return false;
        };
        if count == 0 || end > run_end {
            return false;
        }
        self.remove(run_first, run_count);
        if run_first < first {
            self.insert(run_first, first - run_first);
        }
        if end < run_end {
            self.insert(end, run_end - end);
        }
        self.free -= count;
        true
    }

    /// Gives these regions back; false, and nothing changed, if one of them is free already or
    /// beyond the member's end.
    fn release(&mut self, first: u32, count: u32) -> bool {
        let Some(end) = first.checked_add(count) else {
            return false;
        };
        if count == 0 || end > self.regions {
            return false;
        }
        let before = self
            .by_first
            .range(..end)
            .next_back()
            .map(|(&at, &count)| (at, count));
        if before.is_some_and(|(at, count)| at + count > first) {
            return false;
        }
        let after = self.by_first.get(&end).map(|&count| (end, count));
        let (mut joined_first, mut joined_end) = (first, end);
        if let Some((at, run)) = before.filter(|&(at, run)| at + run == first) {
            self.remove(at, run);
            joined_first = at;
        }
        if let Some((at, run)) = after {
            self.remove(at, run);
            joined_end = at + run;
        }
        self.insert(joined_first, joined_end - joined_first);
        self.free += count;
        true
    }
}

impl Alloc {
    /// All regions of all members, free.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let mut spaces: Vec<Space> = members
            .iter()
            .map(|member| {
                let mut space = Space {
                    member: member.index,
                    class: member.class,
                    present: member.present,
                    regions: member.regions,
                    free: member.regions,
                    by_first: BTreeMap::new(),
                    by_count: BTreeSet::new(),
                    failed: Vec::new(),
                };
                if member.regions > 0 {
                    space.insert(0, member.regions);
                }
                space
            })
            .collect();
        spaces.sort_by_key(|space| space.member);
        Self { spaces }
    }

    /// The members' spaces, by member index.
    #[must_use]
    pub fn spaces(&self) -> &[Space] {
        &self.spaces
    }

    /// One member's space.
    #[must_use]
    pub fn space(&self, member: MemberIndex) -> Option<&Space> {
        self.position(member).and_then(|at| self.spaces.get(at))
    }

    fn position(&self, member: MemberIndex) -> Option<usize> {
        self.spaces
            .binary_search_by_key(&member, |space| space.member)
            .ok()
    }

    fn space_mut(&mut self, member: MemberIndex) -> Option<&mut Space> {
        let at = self.position(member)?;
        self.spaces.get_mut(at)
    }

    /// The spaces of a tier's members that are there.
    pub(crate) fn tier(&self, class: Class) -> impl Iterator<Item = &Space> {
        let in_tier = move |space: &&Space| space.present && space.class == class;
        self.spaces.iter().filter(in_tier)
    }

    /// Free regions of a tier.
    #[must_use]
    pub fn free_in(&self, class: Class) -> u32 {
        self.tier(class).map(|space| space.free).sum()
    }

    /// Regions of a tier.
    #[must_use]
    pub fn regions_in(&self, class: Class) -> u32 {
        self.tier(class).map(|space| space.regions).sum()
    }

    /// Takes these very regions. False, and nothing changed, if one of them is not free.
    pub fn take(&mut self, leg: Leg, count: u32) -> bool {
        self.space_mut(leg.member)
            .is_some_and(|space| space.take(leg.first.0, count))
    }

    /// Takes up to `wanted` regions without a gap on a member: all of them from the smallest run
    /// that holds them, else the largest run there is. `None` if nothing is free.
    pub fn allocate(&mut self, member: MemberIndex, wanted: u32) -> Option<(Leg, u32)> {
        let space = self.space_mut(member).filter(|space| space.present)?;
        let best = space.by_count.range((wanted, 0)..).next();
        let &(run, first) = best.or_else(|| space.by_count.last())?;
        let count = run.min(wanted);
        space.take(first, count).then_some((
            Leg {
                member,
                first: MemberRegion(first),
            },
            count,
        ))
    }

    /// Gives regions back. False, and nothing changed, if one of them is free already.
    pub fn release(&mut self, leg: Leg, count: u32) -> bool {
        self.space_mut(leg.member)
            .is_some_and(|space| space.release(leg.first.0, count))
    }

    /// Keeps allocated regions from being chosen again before `until`: a copy to them failed.
    pub fn set_aside(&mut self, leg: Leg, count: u32, until: Now) {
        if let Some(space) = self.space_mut(leg.member) {
            space.failed.push(Failed {
                first: leg.first.0,
                count,
                until,
            });
        }
    }

    /// Releases the ranges that were set aside until `now` or earlier. False if one of them was
    /// free, which cannot be.
    pub fn forgive(&mut self, now: Now) -> bool {
        let mut sound = true;
        for space in &mut self.spaces {
            let (over, kept) = space.failed.iter().partition(|range| range.until <= now);
            space.failed = kept;
            let over: Vec<Failed> = over;
            for range in over {
                sound &= space.release(range.first, range.count);
            }
        }
        sound
    }

    /// Ranges set aside: (member, first, count).
    pub(crate) fn set_asides(&self) -> impl Iterator<Item = (MemberIndex, u32, u32)> + '_ {
        self.spaces.iter().flat_map(|space| {
            space
                .failed
                .iter()
                .map(|range| (space.member, range.first, range.count))
        })
    }

    /// Free ranges: (member, first, count).
    pub(crate) fn free_runs(&self) -> impl Iterator<Item = (MemberIndex, u32, u32)> + '_ {
        self.spaces.iter().flat_map(|space| {
            space
                .by_first
                .iter()
                .map(|(&first, &count)| (space.member, first, count))
        })
    }

    /// Says what is wrong with the indices, if something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        for space in &self.spaces {
            let sum: u64 = space.by_first.values().map(|&count| u64::from(count)).sum();
            let same = space.by_first.len() == space.by_count.len()
                && space
                    .by_first
                    .iter()
                    .all(|(&first, &count)| space.by_count.contains(&(count, first)));
            if sum != u64::from(space.free) || !same {
                return Err(format!(
                    "the allocator's indices of member {} differ",
                    space.member
                ));
            }
            let mut free_from = 0;
            for (&first, &count) in &space.by_first {
                if first < free_from || count == 0 {
                    return Err(format!(
                        "free runs of member {} touch at {first}",
                        space.member
                    ));
                }
                free_from = first + count + 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
