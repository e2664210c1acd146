//! Belady's rule, request by request: what is touched again last leaves. With bypass and a cost
//! gate: a region comes only if what its touches cost until the other one is wanted again is more
//! than the moves.
//!
//! L. A. Belady, "A study of replacement algorithms for a virtual-storage computer", IBM Systems
//! Journal 5(2), 1966; with bypass: Michaud, "Some mathematical facts about optimal cache
//! replacement", ACM TACO 13(4), 2016.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::MoveCost;
use crate::future::Future;
use crate::rivals::{Asked, Chooser};
use crate::trace::Op;

pub(crate) struct Belady {
    future: Rc<Future>,
    cost: MoveCost,
    capacity: usize,
    now: u64,
    /// What is held, by the time of its next touch.
    by_next: BTreeSet<(u64, u32)>,
    next: BTreeMap<u32, u64>,
    written: BTreeSet<u32>,
}

impl Belady {
    pub(crate) fn new(future: Rc<Future>, cost: MoveCost, capacity: u32) -> Self {
        Self {
            future,
            cost,
            capacity: capacity as usize,
            now: 0,
            by_next: BTreeSet::new(),
            next: BTreeMap::new(),
            written: BTreeSet::new(),
        }
    }

    fn hold(&mut self, region: u32) {
        self.forget(region);
        let next = self.future.next(region, self.now).unwrap_or(u64::MAX);
        self.by_next.insert((next, region));
        self.next.insert(region, next);
    }

    fn forget(&mut self, region: u32) {
        if let Some(next) = self.next.remove(&region) {
            self.by_next.remove(&(next, region));
        }
    }

    /// What it costs to let one leave: to write it back, and to bring it again if it is wanted.
    fn to_change(&self, (next, region): (u64, u32)) -> f64 {
        let mut seconds = 0.0;
        if self.written.contains(&region) {
            seconds += self.cost.to_leave_seconds;
        }
        if next < u64::MAX {
            seconds += self.cost.to_come_seconds;
        }
        seconds
    }
}

impl Chooser for Belady {
    fn wants(&mut self, asked: Asked) -> bool {
        self.now = asked.at_nanos;
        let (until, to_change) = match self.by_next.last().copied() {
            Some(last) if self.next.len() >= self.capacity => (last.0, self.to_change(last)),
            _ => (u64::MAX, 0.0),
        };
        let seconds = self.future.seconds(asked.region, self.now, until);
        seconds > self.cost.to_come_seconds + to_change
    }

    fn hit(&mut self, asked: Asked) {
        self.now = asked.at_nanos;
        if asked.op == Op::Write {
            self.written.insert(asked.region);
        }
        self.hold(asked.region);
    }

    fn came(&mut self, region: u32) {
        self.written.remove(&region);
        self.hold(region);
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let gone = self.by_next.iter().rev().map(|&(_, region)| region);
        let gone = gone.into_iter().find(|&region| !stays(region))?;
        self.forget(gone);
        Some(gone)
    }
}
