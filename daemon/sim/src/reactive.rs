//! The rival that reacts: a region goes to the fast tier at its n-th touch within a window, and
//! the one that was not touched for longest leaves it. With n = 1 that is LRU.
//!
//! *Timed*, its moves take time and load the devices as the engine's do, and as data lives in one
//! place, one that leaves is written back. *Ideal*, they are made at once, nobody waits for them,
//! and one that was not written leaves for nothing: no such system can be built.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tier_core::units::{MemberIndex, MemberRegion};
use tier_core::volume::Leg;

use crate::trace::Op;
use crate::world::{Driver, Order, Route, Seen, Touch};

/// Moves under way at a time, as many as the engine's.
const MOVES_MAX: usize = 8;

/// When a region is promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    /// At this touch,
    pub(crate) touches: usize,
    /// if all of them lie within this time.
    pub(crate) window_nanos: u64,
}

/// A region that is on the fast tier, or on its way to or from there.
#[derive(Clone, Copy, Debug)]
struct Resident {
    slot: u32,
    /// When it was touched last, for the order in which they leave.
    stamp: u64,
    is_dirty: bool,
    motion: Motion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    None,
    Arriving,
    Leaving,
}

pub(crate) struct Reactive {
    rule: Rule,
    is_timed: bool,
    region_bytes: u64,
    slow: MemberIndex,
    free: Vec<u32>,
    residents: BTreeMap<u32, Resident>,
    /// Those that may leave, by when they were touched last.
    order: BTreeSet<(u64, u32)>,
    recent: BTreeMap<u32, VecDeque<u64>>,
    wanted: VecDeque<u32>,
    moving: usize,
    stamp: u64,
}

impl Reactive {
    pub(crate) fn new(
        rule: Rule,
        is_timed: bool,
        fast_regions: u32,
        region_bytes: u64,
        slow: MemberIndex,
    ) -> Self {
        Self {
            rule,
            is_timed,
            region_bytes,
            slow,
            free: (0..fast_regions).rev().collect(),
            residents: BTreeMap::new(),
            order: BTreeSet::new(),
            recent: BTreeMap::new(),
            wanted: VecDeque::new(),
            moving: 0,
            stamp: 0,
        }
    }

    const fn on_slow(&self, region: u32) -> Leg {
        Leg {
            member: self.slow,
            first: MemberRegion(region),
        }
    }

    const fn on_fast(slot: u32) -> Leg {
        Leg {
            member: MemberIndex(0),
            first: MemberRegion(slot),
        }
    }

    /// Takes note of a touch of a slow region. True if it is to be promoted.
    fn note(&mut self, now: u64, region: u32) -> bool {
        let rule = self.rule;
        let recent = self.recent.entry(region).or_default();
        recent.push_back(now);
        while recent
            .front()
            .is_some_and(|at| now - at > rule.window_nanos || recent.len() > rule.touches)
        {
            recent.pop_front();
        }
        recent.len() >= rule.touches
    }

    /// The one that was not touched for longest, of those that may leave.
    fn victim(&self) -> Option<u32> {
        self.order.first().map(|&(_, region)| region)
    }

    fn promote_at_once(&mut self, region: u32, orders: &mut Vec<Order>) {
        if self.free.is_empty()
            && let Some(victim) = self.victim()
        {
            self.evict_at_once(victim, orders);
        }
        let Some(slot) = self.free.pop() else { return };
        let bytes = self.region_bytes;
        orders.push(Order::Charge {
            member: self.slow,
            op: Op::Read,
            bytes,
        });
        orders.push(Order::Charge {
            member: MemberIndex(0),
            op: Op::Write,
            bytes,
        });
        self.settle(region, slot, Motion::None);
    }

    fn evict_at_once(&mut self, victim: u32, orders: &mut Vec<Order>) {
        let Some(gone) = self.residents.remove(&victim) else {
            return;
        };
        self.order.remove(&(gone.stamp, victim));
        self.free.push(gone.slot);
        if gone.is_dirty {
            orders.push(Order::Charge {
                member: self.slow,
                op: Op::Write,
                bytes: self.region_bytes,
            });
        }
    }

    fn settle(&mut self, region: u32, slot: u32, motion: Motion) {
        self.stamp += 1;
        let resident = Resident {
            slot,
            stamp: self.stamp,
            is_dirty: false,
            motion,
        };
        self.residents.insert(region, resident);
        if motion == Motion::None {
            self.order.insert((resident.stamp, region));
        }
    }

    /// Begins what is wanted, as far as there is room, or begins to make room.
    fn begin(&mut self, orders: &mut Vec<Order>) {
        while self.moving < MOVES_MAX {
            let Some(&region) = self.wanted.front() else {
                return;
            };
            if let Some(slot) = self.free.pop() {
                self.wanted.pop_front();
                self.settle(region, slot, Motion::Arriving);
                self.copy(region, self.on_slow(region), Self::on_fast(slot), orders);
            } else if let Some(victim) = self.victim() {
                // As many leave at a time as are wanted.
                if self.leaving() >= self.wanted.len() {
                    return;
                }
                let Some(resident) = self.residents.get_mut(&victim) else {
                    return;
                };
                resident.motion = Motion::Leaving;
                let (stamp, slot) = (resident.stamp, resident.slot);
                self.order.remove(&(stamp, victim));
                self.copy(victim, Self::on_fast(slot), self.on_slow(victim), orders);
            } else {
                return;
            }
        }
    }

    fn leaving(&self) -> usize {
        let leaving = self.residents.values();
        leaving.filter(|one| one.motion == Motion::Leaving).count()
    }

    fn copy(&mut self, region: u32, from: Leg, to: Leg, orders: &mut Vec<Order>) {
        self.moving += 1;
        orders.push(Order::Copy {
            id: u64::from(region),
            from,
            to,
            regions: 1,
        });
    }
}

impl Driver for Reactive {
    fn route(&self, region: u32) -> Route {
        let slow = self.on_slow(region);
        match self.residents.get(&region) {
            None => Route {
                home: slow,
                mirror: None,
            },
            Some(resident) => {
                let fast = Self::on_fast(resident.slot);
                let (home, mirror) = match resident.motion {
                    Motion::None => (fast, None),
                    Motion::Arriving => (slow, Some(fast)),
                    Motion::Leaving => (fast, Some(slow)),
                };
                Route { home, mirror }
            }
        }
    }

    fn touched(&mut self, now: u64, touch: Touch, orders: &mut Vec<Order>) {
        let region = touch.region;
        if let Some(resident) = self.residents.get_mut(&region) {
            let before = resident.stamp;
            self.stamp += 1;
            resident.stamp = self.stamp;
            resident.is_dirty |= touch.op == Op::Write;
            if self.order.remove(&(before, region)) {
                self.order.insert((self.stamp, region));
            }
            return;
        }
        if !self.note(now, region) {
            return;
        }
        if !self.is_timed {
            self.promote_at_once(region, orders);
            return;
        }
        if !self.wanted.contains(&region) {
            self.wanted.push_back(region);
        }
        self.begin(orders);
    }

    fn copied(&mut self, _: u64, id: u64, orders: &mut Vec<Order>) {
        self.moving -= 1;
        let region = u32::try_from(id).unwrap_or(u32::MAX);
        if let Some(resident) = self.residents.get_mut(&region) {
            if resident.motion == Motion::Leaving {
                self.free.push(resident.slot);
                self.residents.remove(&region);
            } else {
                resident.motion = Motion::None;
                self.order.insert((resident.stamp, region));
            }
        }
        self.begin(orders);
    }

    fn woken(&mut self, _: u64, _: &mut Seen, _: &mut Vec<Order>) -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests;
