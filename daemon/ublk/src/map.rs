//! Where each byte of a volume is, at one moment.
//!
//! Owns: [`Snapshot`], which never changes. Invariant: its runs are in order and cover the volume.

use std::sync::Arc;

use crate::device::MEMBERS_MAX;
use crate::moving::Moving;

/// A place on a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which member, by its place in the list of the volume's.
    pub member: usize,
    /// Where it begins there, in bytes from the beginning of the device on.
    pub offset: u64,
}

impl Place {
    pub(crate) const fn plus(self, bytes: u64) -> Self {
        Self {
            member: self.member,
            offset: self.offset + bytes,
        }
    }
}

/// Where a run of bytes is.
#[derive(Clone, Debug)]
pub enum Home {
    /// At one place.
    One(Place),
    /// It moves.
    Moving(Arc<Moving>),
    /// On a member that is missing: whatever is asked of it fails.
    Missing,
}

/// Adjacent bytes with one home.
#[derive(Clone, Debug)]
pub struct Run {
    /// Where it begins in the volume, in bytes.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Where it is.
    pub home: Home,
}

/// Where everything is.
#[derive(Debug)]
pub struct Snapshot {
    runs: Vec<Run>,
    on: Members,
}

/// Some of a volume's members, of which there are [`MEMBERS_MAX`] at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Members(u32);

impl Members {
    fn with(self, member: usize) -> Self {
        Self(self.0 | Self::bit(member))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, member: usize) -> bool {
        self.0 & Self::bit(member) != 0
    }

    fn bit(member: usize) -> u32 {
        const { assert!(MEMBERS_MAX <= 32) };
        let shift = u32::try_from(member).unwrap_or(u32::MAX);
        1_u32.checked_shl(shift).unwrap_or(0)
    }
}

/// Why runs make no map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {at} of the volume should come next, and a run begins at {start} and ends at {end}")]
pub struct Gap {
    /// Where the runs so far end.
    pub at: u64,
    /// Where the next begins.
    pub start: u64,
    /// And where that ends.
    pub end: u64,
}

impl Snapshot {
    /// Of these runs, which must be in order, without gaps, and none of them empty.
    pub fn new(runs: Vec<Run>) -> Result<Self, Gap> {
        let mut at = 0;
        for &Run { start, end, .. } in &runs {
            if start != at || end <= start {
                return Err(Gap { at, start, end });
            }
            at = end;
        }
        let members = runs.iter().flat_map(|run| match &run.home {
            Home::One(place) => [Some(place.member), None],
            Home::Moving(moving) => [Some(moving.source.member), Some(moving.target.member)],
            Home::Missing => [None; 2],
        });
        Ok(Self {
            on: members.flatten().fold(Members::default(), Members::with),
            runs,
        })
    }

    /// The members that anything is on.
    #[must_use]
    pub const fn members(&self) -> Members {
        self.on
    }

    /// The length of the volume, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.end)
    }

    /// The run that holds a byte.
    #[must_use]
    pub fn run_at(&self, offset: u64) -> Option<&Run> {
        let at = self.runs.partition_point(|run| run.end <= offset);
        self.runs.get(at)
    }

    /// The moves under way.
    pub fn moves(&self) -> impl Iterator<Item = &Arc<Moving>> {
        self.runs.iter().filter_map(|run| match &run.home {
            Home::One(_) | Home::Missing => None,
            Home::Moving(moving) => Some(moving),
        })
    }
}

#[cfg(test)]
mod tests {
    use tier_core::units::MoveId;

    use super::*;

    fn run(start: u64, end: u64, offset: u64) -> Run {
        let place = Place { member: 0, offset };
        Run {
            start,
            end,
            home: Home::One(place),
        }
    }

    #[test]
    fn each_byte_is_in_one_run_and_none_is_behind_the_end() {
        let runs = vec![run(0, 10, 100), run(10, 11, 7), run(11, 40, 0)];
        let snapshot = Snapshot::new(runs).unwrap();
        assert_eq!(snapshot.bytes(), 40);
        for (offset, start) in [(0, 0), (9, 0), (10, 10), (11, 11), (39, 11)] {
            assert_eq!(snapshot.run_at(offset).unwrap().start, start, "{offset}");
        }
        assert!(snapshot.run_at(40).is_none());
    }

    #[test]
    fn it_is_known_on_which_members_anything_is() {
        let moved = Moving::new(
            MoveId(1),
            10..20,
            Place {
                member: 2,
                offset: 0,
            },
            Place {
                member: 4,
                offset: 0,
            },
        );
        let moving = Run {
            start: 10,
            end: 20,
            home: Home::Moving(Arc::new(moved)),
        };
        let snapshot = Snapshot::new(vec![run(0, 10, 0), moving]).unwrap();
        let on = |member: &usize| snapshot.members().has(*member);
        assert_eq!((0..40).filter(on).collect::<Vec<_>>(), [0, 2, 4]);
    }

    #[test]
    fn gaps_overlaps_and_empty_runs_make_no_map() {
        let gap = |runs| Snapshot::new(runs).unwrap_err().at;
        assert_eq!(gap(vec![run(1, 2, 0)]), 0);
        assert_eq!(gap(vec![run(0, 2, 0), run(3, 4, 0)]), 2);
        assert_eq!(gap(vec![run(0, 2, 0), run(1, 4, 0)]), 2);
        assert_eq!(gap(vec![run(0, 2, 0), run(2, 2, 0)]), 2);
    }
}
