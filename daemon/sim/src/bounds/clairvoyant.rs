//! Who knows, at the beginning of each epoch, what the touches of that epoch and of the next few
//! will cost, and brings what is worth its move before it is touched.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::MoveCost;
use crate::future::{Future, Moment};
use crate::rivals::{Asked, Chooser};

/// Epochs that are looked at; each counts half of the one before.
const EPOCHS_AHEAD: u64 = 4;
const NEXT_COUNTS: f64 = 0.5;
/// Regions this near to one that was touched can be learned of.
const NEAR_REGIONS: u32 = 8;

/// Which regions may be brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// Any.
    All,
    /// Those that were touched before, or are within eight regions of one.
    Learnable,
}

pub(crate) struct Clairvoyant {
    future: Rc<Future>,
    cost: MoveCost,
    names: Names,
    period_nanos: u64,
    capacity: usize,
    held: BTreeSet<u32>,
    /// What the epochs ahead are worth, for those that are touched in them.
    worth: BTreeMap<u32, f64>,
    known: BTreeSet<u32>,
}

impl Clairvoyant {
    pub(crate) fn new(
        future: Rc<Future>,
        cost: MoveCost,
        names: Names,
        period_nanos: u64,
        capacity: u32,
    ) -> Self {
        Self {
            future,
            cost,
            names,
            period_nanos,
            capacity: capacity as usize,
            held: BTreeSet::new(),
            worth: BTreeMap::new(),
            known: BTreeSet::new(),
        }
    }

    /// The touches from `from` on and before `until`.
    fn moments(&self, from: u64, until: u64) -> &[Moment] {
        let moments = &self.future.moments;
        let first = moments.partition_point(|one| one.at_nanos < from);
        let end = moments.partition_point(|one| one.at_nanos < until);
        moments.get(first..end).unwrap_or(&[])
    }

    fn look_ahead(&self, now: u64) -> BTreeMap<u32, f64> {
        let mut worth: BTreeMap<u32, f64> = BTreeMap::new();
        let mut counts = 1.0;
        for epoch in 0..EPOCHS_AHEAD {
            let from = now + epoch * self.period_nanos;
            for moment in self.moments(from, from + self.period_nanos) {
                *worth.entry(moment.region).or_default() += moment.seconds * counts;
            }
            counts *= NEXT_COUNTS;
        }
        worth
    }

    fn worth(&self, region: u32) -> f64 {
        self.worth.get(&region).copied().unwrap_or(0.0)
    }

    fn may_name(&self, region: u32) -> bool {
        let near = region.saturating_sub(NEAR_REGIONS)..=region.saturating_add(NEAR_REGIONS);
        self.names == Names::All || self.known.range(near).next().is_some()
    }
}

impl Chooser for Clairvoyant {
    fn wants(&mut self, asked: Asked) -> bool {
        self.known.insert(asked.region);
        false
    }

    fn hit(&mut self, asked: Asked) {
        self.known.insert(asked.region);
    }

    fn came(&mut self, region: u32) {
        self.held.insert(region);
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let may_leave = self.held.iter().copied().filter(|&region| !stays(region));
        let least = may_leave.min_by(|&one, &other| {
            let order = self.worth(one).total_cmp(&self.worth(other));
            order.then(one.cmp(&other))
        })?;
        self.held.remove(&least);
        Some(least)
    }

    fn period_nanos(&self) -> Option<u64> {
        Some(self.period_nanos)
    }

    fn turn(&mut self, now: u64) -> Vec<u32> {
        self.worth = self.look_ahead(now);
        let MoveCost {
            to_come_seconds,
            to_leave_seconds,
        } = self.cost;
        let mut wanted: Vec<(f64, u32)> = self
            .worth
            .iter()
            .map(|(&region, &worth)| (worth, region))
            .filter(|&(worth, region)| {
                worth > to_come_seconds && !self.held.contains(&region) && self.may_name(region)
            })
            .collect();
        if wanted.is_empty() {
            return Vec::new();
        }
        wanted.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let mut least: Vec<f64> = self.held.iter().map(|&region| self.worth(region)).collect();
        least.sort_by(f64::total_cmp);
        let free = self.capacity.saturating_sub(self.held.len());
        let displaced = std::iter::repeat_n(None, free).chain(least.into_iter().map(Some));
        let pays = |&((worth, _), displaced): &((f64, u32), Option<f64>)| match displaced {
            None => true,
            Some(least) => worth - least > to_come_seconds + to_leave_seconds,
        };
        let coming = wanted.into_iter().zip(displaced).take_while(pays);
        coming.map(|((_, region), _)| region).collect()
    }
}
