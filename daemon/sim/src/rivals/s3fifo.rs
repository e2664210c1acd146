//! S3-FIFO: Yang, Zhang, Qiu, Yue and Rashmi, "FIFO Queues are All You Need for Cache Eviction",
//! SOSP 2023, algorithm 1. Every region comes at its first touch, into a small queue, from which it
//! leaves soon unless it is touched again.

use std::collections::{BTreeMap, VecDeque};

use super::order::Order;
use super::{Asked, Chooser};

/// Touches that are counted at most.
const COUNTED_MAX: u8 = 3;

pub(crate) struct S3Fifo {
    capacity: usize,
    small: VecDeque<u32>,
    main: VecDeque<u32>,
    ghost: Order,
    counted: BTreeMap<u32, u8>,
    /// The ones that are wanted and were ghosts: they come into the main queue.
    known: Order,
}

impl S3Fifo {
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            capacity: capacity as usize,
            small: VecDeque::new(),
            main: VecDeque::new(),
            ghost: Order::default(),
            counted: BTreeMap::new(),
            known: Order::default(),
        }
    }

    /// The small queue gets a tenth.
    fn small_max(&self) -> usize {
        (self.capacity / 10).max(1)
    }

    fn leaves_small(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        for _ in 0..self.small.len() {
            let region = self.small.pop_front()?;
            let touched = self.counted.get(&region).copied().unwrap_or(0);
            if touched > 1 {
                self.counted.insert(region, 0);
                self.main.push_back(region);
            } else if stays(region) {
                self.small.push_back(region);
            } else {
                self.counted.remove(&region);
                self.ghost.push(region);
                self.ghost
                    .trim(self.capacity.saturating_sub(self.small_max()));
                return Some(region);
            }
        }
        None
    }

    fn leaves_main(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let turns = self.main.len() * (usize::from(COUNTED_MAX) + 1);
        for _ in 0..turns {
            let region = self.main.pop_front()?;
            let touched = self.counted.get(&region).copied().unwrap_or(0);
            if touched > 0 {
                self.counted.insert(region, touched - 1);
                self.main.push_back(region);
            } else if stays(region) {
                self.main.push_back(region);
            } else {
                self.counted.remove(&region);
                return Some(region);
            }
        }
        None
    }
}

impl Chooser for S3Fifo {
    fn wants(&mut self, asked: Asked) -> bool {
        let region = asked.region;
        if self.ghost.remove(region) {
            self.known.push(region);
        }
        true
    }

    fn hit(&mut self, asked: Asked) {
        let region = asked.region;
        let touched = self.counted.entry(region).or_default();
        *touched = (*touched + 1).min(COUNTED_MAX);
    }

    fn came(&mut self, region: u32) {
        self.counted.insert(region, 0);
        if self.known.remove(region) {
            self.main.push_back(region);
        } else {
            self.small.push_back(region);
        }
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        if self.small.len() >= self.small_max() {
            let region = self.leaves_small(stays);
            if region.is_some() {
                return region;
            }
        }
        self.leaves_main(stays).or_else(|| self.leaves_small(stays))
    }
}
