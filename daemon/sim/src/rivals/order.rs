//! Regions in the order of their last use.

use std::collections::BTreeMap;

/// A list that knows its least and its most recent member.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    by_stamp: BTreeMap<u64, u32>,
    stamps: BTreeMap<u32, u64>,
    next: u64,
}

impl Order {
    pub(super) fn len(&self) -> usize {
        self.stamps.len()
    }

    pub(super) fn contains(&self, region: u32) -> bool {
        self.stamps.contains_key(&region)
    }

    /// Makes it the most recent one.
    pub(super) fn push(&mut self, region: u32) {
        self.remove(region);
        self.next += 1;
        self.by_stamp.insert(self.next, region);
        self.stamps.insert(region, self.next);
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, region: u32) -> bool {
        let stamp = self.stamps.remove(&region);
        stamp.is_some_and(|stamp| self.by_stamp.remove(&stamp).is_some())
    }

    /// From the least recent one on.
    pub(super) fn oldest(&self) -> impl Iterator<Item = u32> + '_ {
        self.by_stamp.values().copied()
    }

    /// Takes the least recent one out.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let (_, region) = self.by_stamp.pop_first()?;
        self.stamps.remove(&region);
        Some(region)
    }

    /// Forgets the least recent ones beyond `most`.
    pub(super) fn trim(&mut self, most: usize) {
        while self.len() > most {
            self.pop();
        }
    }
}
