//! A queue of levels, as dm-cache's smq has it: what is touched rises, and changes places with what
//! was touched longest ago on the level to which it rises.

use std::collections::{BTreeMap, VecDeque};

/// The queue. The oldest of a level stands at its front.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    queues: Vec<VecDeque<u32>>,
    at: BTreeMap<u32, usize>,
    /// The highest levels, and how many entries they share.
    top: usize,
    in_top: usize,
}

impl Levels {
    pub(super) fn new(levels: usize, top_levels: usize, in_top: usize) -> Self {
        Self {
            queues: vec![VecDeque::new(); levels],
            at: BTreeMap::new(),
            top: top_levels,
            in_top,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.at.len()
    }

    pub(super) fn level(&self, entry: u32) -> Option<usize> {
        self.at.get(&entry).copied()
    }

    pub(super) fn push(&mut self, entry: u32, level: usize) {
        if let Some(queue) = self.queues.get_mut(level) {
            queue.push_back(entry);
            self.at.insert(entry, level);
        }
    }

    pub(super) fn remove(&mut self, entry: u32) {
        let Some(level) = self.at.remove(&entry) else {
            return;
        };
        if let Some(queue) = self.queues.get_mut(level) {
            queue.retain(|&other| other != entry);
        }
    }

    /// All entries, from the oldest of the lowest level on.
    pub(super) fn lowest(&self) -> impl Iterator<Item = u32> + '_ {
        self.queues.iter().flatten().copied()
    }

    /// Takes the oldest of the lowest level out.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let lowest = self.lowest().next()?;
        self.remove(lowest);
        Some(lowest)
    }

    /// Lets an entry rise, and makes it the youngest of its level. Gives its level.
    pub(super) fn touch(&mut self, entry: u32, rise: usize) -> usize {
        let Some(level) = self.level(entry) else {
            return 0;
        };
        self.remove(entry);
        let risen = (level + rise).min(self.queues.len().saturating_sub(1));
        if risen > level
            && let Some(other) = self.queues.get_mut(risen).and_then(VecDeque::pop_front)
        {
            self.push(other, level);
        }
        self.push(entry, risen);
        risen
    }

    /// How many entries each level is to have: as many as the others, but few in the top ones.
    fn targets(&self) -> Vec<usize> {
        let count = self.queues.len();
        let top = self.top.min(count);
        let in_top = self.in_top.min(self.len());
        let below = even(self.len() - in_top, count - top);
        below.chain(even(in_top, top)).collect()
    }

    /// Spreads the entries evenly over the levels, in their order.
    pub(super) fn spread(&mut self) {
        let targets = self.targets();
        let mut order: VecDeque<u32> = self.lowest().collect();
        for (level, (queue, target)) in self.queues.iter_mut().zip(targets).enumerate() {
            queue.clear();
            queue.extend(order.drain(..target.min(order.len())));
            for entry in queue.iter() {
                self.at.insert(*entry, level);
            }
        }
    }
}

/// A number in so many parts that differ by one at most, the larger ones first.
fn even(number: usize, parts: usize) -> impl Iterator<Item = usize> {
    let each = number.checked_div(parts).unwrap_or(0);
    let rest = number.checked_rem(parts).unwrap_or(0);
    (0..parts).map(move |part| each + usize::from(part < rest))
}
