//! Who lives where: the engine's copy of the durable record's extents.
//!
//! Owns: [`Map`]. Invariants: the runs are ascending and disjoint, together cover every region of
//! the volume once, and no two neighbours could be one run. Changes only through [`Map::set`],
//! which the engine calls when a commit is durable and never before. May not: know of moves,
//! which stand beside the map until they are committed.

use std::collections::BTreeMap;

use crate::units::{MemberIndex, VolumeRegion};
use crate::volume::{Extent, Leg, Legs};

/// Which home, and which further legs, each region of the volume has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Map {
    /// By first region.
    runs: BTreeMap<u32, Run>,
    regions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    count: u32,
    legs: Legs,
}

/// Why a list of extents is no map.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    /// Regions that no extent covers, or that two cover.
    #[error(
        "the record's extent at region {found} should begin at region {expected}: \
         regions are missing or covered twice; run `tierctl check`"
    )]
    NotCovered {
        /// Where the next extent had to begin.
        expected: VolumeRegion,
        /// Where it begins.
        found: VolumeRegion,
    },
    /// An extent without regions or without legs.
    #[error("the record's extent at region {0} has no regions or no legs; run `tierctl check`")]
    Empty(VolumeRegion),
}

impl Map {
    /// The map that `extents` describe, for a volume of `regions` regions.
    pub fn new(regions: u32, extents: &[Extent]) -> Result<Self, MapError> {
        let mut runs: Vec<(u32, Run)> = Vec::new();
        let mut expected = 0_u32;
        for extent in extents {
            if extent.count == 0 || extent.legs.is_empty() {
                return Err(MapError::Empty(extent.first));
            }
            let end = extent.first.0.checked_add(extent.count);
            let (true, Some(end)) = (extent.first.0 == expected, end) else {
                return Err(MapError::NotCovered {
                    expected: VolumeRegion(expected),
                    found: extent.first,
                });
            };
            expected = end;
            match runs.last_mut() {
                Some((_, left)) if goes_on(&left.legs, left.count, &extent.legs) => {
                    left.count += extent.count;
                }
                _ => {
                    let legs = extent.legs.clone();
                    runs.push((
                        extent.first.0,
                        Run {
                            count: extent.count,
                            legs,
                        },
                    ));
                }
            }
        }
        if expected != regions {
            return Err(MapError::NotCovered {
                expected: VolumeRegion(expected),
                found: VolumeRegion(regions),
            });
        }
        // Collected, not inserted one by one: a tree made at once has full nodes.
        Ok(Self {
            runs: runs.into_iter().collect(),
            regions,
        })
    }

    /// Number of regions of the volume.
    #[must_use]
    pub fn regions(&self) -> u32 {
        self.regions
    }

    /// Number of runs: how fragmented the volume is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether the volume has no regions, which is so only before the start.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All extents in order, coalesced.
    pub fn iter(&self) -> impl Iterator<Item = Extent> + '_ {
        self.runs.iter().map(|(&first, run)| Extent {
            first: VolumeRegion(first),
            count: run.count,
            legs: run.legs.clone(),
        })
    }

    /// The parts of extents that lie within `count` regions from `first` on, in order.
    pub fn pieces(&self, first: VolumeRegion, count: u32) -> impl Iterator<Item = Extent> + '_ {
        let (begin, end) = (first.0, first.0.saturating_add(count).min(self.regions));
        let start = self
            .runs
            .range(..=begin)
            .next_back()
            .map_or(begin, |(&at, _)| at);
        self.runs
            .range(start..end.max(start))
            .filter_map(move |(&at, run)| {
                let from = at.max(begin);
                let to = (at + run.count).min(end);
                (from < to).then(|| Extent {
                    first: VolumeRegion(from),
                    count: to - from,
                    legs: run.legs.iter().map(|leg| leg.plus(from - at)).collect(),
                })
            })
    }

    /// Where the home of one region is. `None` beyond the volume's end.
    #[must_use]
    pub fn home(&self, region: VolumeRegion) -> Option<Leg> {
        let (&at, run) = self.runs.range(..=region.0).next_back()?;
        let offset = region.0 - at;
        if offset >= run.count {
            return None;
        }
        run.legs.first().map(|leg| leg.plus(offset))
    }

    /// Whether `leg` is the only copy of these `count` regions, without a gap.
    #[must_use]
    pub fn is_home(&self, first: VolumeRegion, count: u32, leg: Leg) -> bool {
        // Neighbours that could be one run are one run, so that a single piece must cover it all.
        let mut pieces = self.pieces(first, count);
        pieces.next().is_some_and(|piece| {
            piece.first == first && piece.count == count && piece.legs.as_slice() == [leg]
        })
    }

    /// Puts `extent` in place of whatever covered its regions. A run that it cuts keeps its
    /// uncovered parts. An extent without regions or beyond the volume's end changes nothing.
    pub fn set(&mut self, extent: &Extent) {
        let (first, end) = (extent.first.0, extent.end().0);
        if extent.count == 0 || end > self.regions {
            return;
        }
        self.cut(first);
        self.cut(end);
        let covered: Vec<u32> = self.runs.range(first..end).map(|(&at, _)| at).collect();
        for at in covered {
            self.runs.remove(&at);
        }
        self.runs.insert(
            first,
            Run {
                count: extent.count,
                legs: extent.legs.clone(),
            },
        );
        self.join(end);
        self.join(first);
    }

    /// Makes a border at `at`, if a run spans it.
    fn cut(&mut self, at: u32) {
        let Some((&start, run)) = self.runs.range_mut(..at).next_back() else {
            return;
        };
        let kept = at - start;
        if kept >= run.count {
            return;
        }
        let legs = run.legs.iter().map(|leg| leg.plus(kept)).collect();
        let tail = Run {
            count: run.count - kept,
            legs,
        };
        run.count = kept;
        self.runs.insert(at, tail);
    }

    /// Takes away the border at `at`, if the runs on both sides of it go on from one another.
    fn join(&mut self, at: u32) {
        let Some(right) = self.runs.get(&at) else {
            return;
        };
        let Some((&start, left)) = self.runs.range(..at).next_back() else {
            return;
        };
        if start + left.count != at || !goes_on(&left.legs, left.count, &right.legs) {
            return;
        }
        let count = left.count + right.count;
        self.runs.remove(&at);
        if let Some(left) = self.runs.get_mut(&start) {
            left.count = count;
        }
    }

    /// Says what is wrong with the runs, if something is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let mut expected = 0;
        for (&at, run) in &self.runs {
            if at != expected || run.count == 0 || run.legs.is_empty() {
                return Err(format!(
                    "the map has a gap, an overlap or an empty run at {at}"
                ));
            }
            expected = at + run.count;
        }
        if expected != self.regions {
            return Err(format!(
                "the map covers {expected} of {} regions",
                self.regions
            ));
        }
        Ok(())
    }

    /// The legs of all runs, for accounting: (member, first, count).
    pub(crate) fn legs(&self) -> impl Iterator<Item = (MemberIndex, u32, u32)> + '_ {
        self.runs.values().flat_map(|run| {
            run.legs
                .iter()
                .map(move |leg| (leg.member, leg.first.0, run.count))
        })
    }
}

/// Whether each of `right` begins where its counterpart in `left` ends.
fn goes_on(left: &Legs, count: u32, right: &Legs) -> bool {
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| left.plus(count) == *right)
}

#[cfg(test)]
mod tests;
