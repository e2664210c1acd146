//! Promotion at the n-th touch within a window; what was not touched for longest leaves. With one
//! touch that is LRU.

use std::collections::{BTreeMap, VecDeque};

use super::order::Order;
use super::{Asked, Chooser};

/// When a region is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// At this touch,
    pub(crate) touches: usize,
    /// if all of them lie within this time.
    pub(crate) window_nanos: u64,
}

/// The rule, and what it has to remember.
pub(crate) struct Touches {
    rule: Rule,
    recent: BTreeMap<u32, VecDeque<u64>>,
    order: Order,
}

impl Touches {
    pub(crate) fn new(rule: Rule) -> Self {
        Self {
            rule,
            recent: BTreeMap::new(),
            order: Order::default(),
        }
    }
}

impl Chooser for Touches {
    fn wants(&mut self, asked: Asked) -> bool {
        let now = asked.at_nanos;
        let rule = self.rule;
        let recent = self.recent.entry(asked.region).or_default();
        recent.push_back(now);
        while recent
            .front()
            .is_some_and(|at| now - at > rule.window_nanos || recent.len() > rule.touches)
        {
            recent.pop_front();
        }
        recent.len() >= rule.touches
    }

    fn hit(&mut self, asked: Asked) {
        self.order.push(asked.region);
    }

    fn came(&mut self, region: u32) {
        self.order.push(region);
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let region = self.order.oldest().find(|&region| !stays(region))?;
        self.order.remove(region);
        Some(region)
    }
}
