//! Frequency per epoch, as arrays tier by themselves: at the end of each epoch, the regions that
//! were touched most come, as far as that pays for the moves.

use std::collections::{BTreeMap, BTreeSet};

use super::{Asked, Chooser};

/// Touches that a promotion costs: reading a region takes a hard disk as long as two accesses.
const COST_TO_COME: f64 = 2.0;
/// Touches that it costs when another region has to leave for it.
const COST_TO_CHANGE: f64 = 4.0;
/// What is left of a region's count at the end of an epoch.
const KEPT: f64 = 0.5;
/// A count that is not worth keeping.
const FORGOTTEN: f64 = 0.1;

pub(crate) struct Epochs {
    period_nanos: u64,
    capacity: usize,
    counts: BTreeMap<u32, f64>,
    held: BTreeSet<u32>,
}

impl Epochs {
    pub(crate) fn new(period_nanos: u64, capacity: u32) -> Self {
        Self {
            period_nanos,
            capacity: capacity as usize,
            counts: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    fn count(&mut self, region: u32) {
        *self.counts.entry(region).or_default() += 1.0;
    }

    fn counted(&self, region: u32) -> f64 {
        self.counts.get(&region).copied().unwrap_or(0.0)
    }
}

impl Chooser for Epochs {
    fn wants(&mut self, asked: Asked) -> bool {
        self.count(asked.region);
        false
    }

    fn hit(&mut self, asked: Asked) {
        self.count(asked.region);
    }

    fn came(&mut self, region: u32) {
        self.held.insert(region);
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let may_leave = self.held.iter().copied().filter(|&region| !stays(region));
        let coldest = may_leave.min_by(|&one, &other| {
            let (a, b) = (self.counted(one), self.counted(other));
            a.total_cmp(&b).then(one.cmp(&other))
        })?;
        self.held.remove(&coldest);
        Some(coldest)
    }

    fn period_nanos(&self) -> Option<u64> {
        Some(self.period_nanos)
    }

    fn turn(&mut self, _: u64) -> Vec<u32> {
        let mut warm: Vec<(f64, u32)> = self
            .counts
            .iter()
            .filter(|(region, count)| !self.held.contains(region) && **count >= COST_TO_COME)
            .map(|(&region, &count)| (count, region))
            .collect();
        warm.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let mut cold: Vec<f64> = self
            .held
            .iter()
            .map(|&region| self.counted(region))
            .collect();
        cold.sort_by(f64::total_cmp);
        let free = self.capacity.saturating_sub(self.held.len());
        let mut cold = cold.into_iter();
        let mut coming = Vec::new();
        for (count, region) in warm {
            let pays = coming.len() < free
                || cold
                    .next()
                    .is_some_and(|coldest| count - coldest >= COST_TO_CHANGE);
            if !pays {
                break;
            }
            coming.push(region);
        }
        self.counts.retain(|_, count| {
            *count *= KEPT;
            *count >= FORGOTTEN
        });
        coming
    }
}
