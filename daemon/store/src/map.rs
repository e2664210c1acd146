//! Who lives where: the extents in memory, and the rules that they always keep.
//!
//! Owns: [`Map`], its loading and its changing; what a commit would change, and whether it may, is
//! `plan`'s. Invariants, checked when it is loaded and before every change:
//! - the extents cover every region of the volume exactly once;
//! - every leg and every retired run lies within its member;
//! - no region of a member is held twice, by legs or by retired runs;
//! - what leaves the extents is retired by the same commit, and is freed only by a later one.
//!
//! May not do I/O, and may not choose.

mod plan;
mod runs;

use std::collections::BTreeMap;

use smallvec::SmallVec;
use tier_core::units::{Generation, MemberIndex, MemberRegion, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs, Retired};

use crate::violation::Violation;
use runs::Run;

pub use plan::Change;

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

#[cfg(test)]
mod tests;
