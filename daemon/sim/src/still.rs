//! Drivers that move nothing: everything on one tier, and what was best in hindsight.

use std::collections::BTreeMap;

use tier_core::units::{MemberIndex, MemberRegion};
use tier_core::volume::Leg;

use crate::trace::Trace;
use crate::world::{Driver, Order, Route, Seen, Touch};

/// Each region where it was put.
pub(crate) struct Still {
    /// Regions on the fast member, and where on it.
    fast: BTreeMap<u32, u32>,
    everything: MemberIndex,
}

impl Still {
    /// Everything on this member.
    pub(crate) fn all_on(member: MemberIndex) -> Self {
        Self {
            fast: BTreeMap::new(),
            everything: member,
        }
    }

    /// On the fast member the regions for which the trace asks most often, as many as fit.
    pub(crate) fn best(
        trace: &Trace,
        region_bytes: u64,
        fast_regions: u32,
        slow: MemberIndex,
    ) -> Self {
        let mut touches: BTreeMap<u32, u64> = BTreeMap::new();
        for request in &trace.requests {
            let last = (request.offset.0 + request.length.0 - 1) / region_bytes;
            for region in request.offset.0 / region_bytes..=last {
                let region = u32::try_from(region).unwrap_or(u32::MAX);
                *touches.entry(region).or_default() += 1;
            }
        }
        let mut order: Vec<(u64, u32)> = touches
            .into_iter()
            .map(|(region, count)| (count, region))
            .collect();
        order.sort_unstable_by_key(|&(count, region)| (std::cmp::Reverse(count), region));
        let fast = order.iter().take(fast_regions as usize);
        Self {
            fast: fast
                .zip(0..)
                .map(|(&(_, region), at)| (region, at))
                .collect(),
            everything: slow,
        }
    }
}

impl Driver for Still {
    fn route(&self, region: u32) -> Route {
        let (member, first) = match self.fast.get(&region) {
            Some(&at) => (MemberIndex(0), at),
            None => (self.everything, region),
        };
        Route {
            home: Leg {
                member,
                first: MemberRegion(first),
            },
            mirror: None,
        }
    }

    fn touched(&mut self, _: u64, _: Touch, _: &mut Vec<Order>) {}

    fn copied(&mut self, _: u64, _: u64, _: &mut Vec<Order>) {}

    fn woken(&mut self, _: u64, _: &mut Seen, _: &mut Vec<Order>) -> Option<u64> {
        None
    }
}
