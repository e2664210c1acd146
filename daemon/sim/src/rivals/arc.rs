//! ARC: Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, figure
//! 4. Every region comes at its first touch; which of two lists a region leaves from follows from
//! which of two ghosts was asked for more.

use super::order::Order;
use super::{Asked, Chooser};

/// The lists, by their names in the paper.
pub(crate) struct Arc {
    /// Regions of the fast tier (c).
    capacity: usize,
    /// How many of them should have been touched once only (p).
    once_wanted: usize,
    /// On the fast tier, touched once (T1) or more often (T2) of late.
    once: Order,
    often: Order,
    /// Gone from there (B1, B2).
    ghost_once: Order,
    ghost_often: Order,
    /// The ones that are wanted and were ghosts: they come as touched often.
    known: Order,
    /// Whether the last one that was wanted was in B2.
    asked_often: bool,
}

impl Arc {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            capacity: capacity as usize,
            once_wanted: 0,
            once: Order::default(),
            often: Order::default(),
            ghost_once: Order::default(),
            ghost_often: Order::default(),
            known: Order::default(),
            asked_often: false,
        }
    }

    fn is_once_to_leave(&self) -> bool {
        let once = self.once.len();
        once > 0 && (once > self.once_wanted || (self.asked_often && once == self.once_wanted))
    }
}

impl Chooser for Arc {
    fn wants(&mut self, asked: Asked) -> bool {
        let region = asked.region;
        let (once, often) = (self.ghost_once.len(), self.ghost_often.len());
        self.asked_often = self.ghost_often.contains(region);
        if self.ghost_once.remove(region) {
            let step = (often / once.max(1)).max(1);
            self.once_wanted = (self.once_wanted + step).min(self.capacity);
            self.known.push(region);
        } else if self.ghost_often.remove(region) {
            let step = (once / often.max(1)).max(1);
            self.once_wanted = self.once_wanted.saturating_sub(step);
            self.known.push(region);
        } else {
            // |T1| + |B1| is at most c, and all four lists at most 2c.
            let room = self.capacity.saturating_sub(self.once.len());
            self.ghost_once.trim(room);
            let held = self.once.len() + self.often.len() + self.ghost_once.len();
            self.ghost_often
                .trim((2 * self.capacity).saturating_sub(held));
        }
        true
    }

    fn hit(&mut self, asked: Asked) {
        let region = asked.region;
        self.once.remove(region);
        self.often.push(region);
    }

    fn came(&mut self, region: u32) {
        if self.known.remove(region) {
            self.often.push(region);
        } else {
            self.once.push(region);
        }
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let may_leave = |list: &Order| list.oldest().find(|&region| !stays(region));
        let (once, often) = (may_leave(&self.once), may_leave(&self.often));
        let region = if self.is_once_to_leave() {
            once.or(often)
        } else {
            often.or(once)
        }?;
        if self.once.remove(region) {
            self.ghost_once.push(region);
        } else {
            self.often.remove(region);
            self.ghost_often.push(region);
        }
        Some(region)
    }
}
