//! Runs of a member's regions, and what is left of some when others are taken away.

use tier_core::units::MemberIndex;
use tier_core::volume::{Extent, Leg};

/// A run of one member's regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) member: MemberIndex,
    pub(super) first: u32,
    pub(super) count: u32,
}

impl Run {
    pub(super) fn of(leg: Leg, count: u32) -> Self {
        Self {
            member: leg.member,
            first: leg.first.0,
            count,
        }
    }

    pub(super) const fn end(self) -> u64 {
        self.first as u64 + self.count as u64
    }
}

/// The runs that the legs of `extents` hold, in their order.
pub(super) fn runs_of(extents: impl Iterator<Item = Extent>) -> Vec<Run> {
    let runs = extents.flat_map(|extent| {
        let count = extent.count;
        extent.legs.into_iter().map(move |leg| Run::of(leg, count))
    });
    runs.collect()
}

/// The regions of `from` that are not in `less`, as sorted runs.
pub(super) fn difference(from: &[Run], less: &[Run]) -> Vec<Run> {
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
