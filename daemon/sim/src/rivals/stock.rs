//! What the fast tier holds, and the moves to and from it, for rivals.
//!
//! *Timed*, moves take time and load the devices as the engine's do, and as data lives in one
//! place, what leaves is written back. *Ideal*, they are made at once, nobody waits for them, and
//! what was not written leaves for nothing: no such system can be built.

use std::collections::{BTreeMap, VecDeque};

use tier_core::units::{MemberIndex, MemberRegion};
use tier_core::volume::Leg;

use super::{Asked, Chooser};
use crate::trace::Op;
use crate::world::{Driver, Order, Route, Seen, Touch};

/// Moves under way at a time, as many as the engine's.
const MOVES_MAX: usize = 8;

/// A region that is on the fast tier, or on its way to or from there.
#[derive(Clone, Copy, Debug)]
struct Resident {
    slot: u32,
    is_dirty: bool,
    motion: Motion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    None,
    Arriving,
    Leaving,
}

/// The fast tier, member 0, before the slow one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tiers {
    pub(crate) fast_regions: u32,
    pub(crate) region_bytes: u64,
    pub(crate) slow: MemberIndex,
}

/// The driver of a rival.
pub(crate) struct Stock {
    chooser: Box<dyn Chooser>,
    is_timed: bool,
    tiers: Tiers,
    free: Vec<u32>,
    residents: BTreeMap<u32, Resident>,
    wanted: VecDeque<u32>,
    moving: usize,
    leaving: usize,
}

impl Stock {
    pub(crate) fn new(chooser: Box<dyn Chooser>, is_timed: bool, tiers: Tiers) -> Self {
        Self {
            chooser,
            is_timed,
            free: (0..tiers.fast_regions).rev().collect(),
            tiers,
            residents: BTreeMap::new(),
            wanted: VecDeque::new(),
            moving: 0,
            leaving: 0,
        }
    }

    const fn on_slow(&self, region: u32) -> Leg {
        Leg {
            member: self.tiers.slow,
            first: MemberRegion(region),
        }
    }

    const fn on_fast(slot: u32) -> Leg {
        Leg {
            member: MemberIndex(0),
            first: MemberRegion(slot),
        }
    }

    fn settle(&mut self, region: u32, slot: u32, motion: Motion) {
        let resident = Resident {
            slot,
            is_dirty: false,
            motion,
        };
        self.residents.insert(region, resident);
        self.chooser.came(region);
    }

    fn charge(&self, member: MemberIndex, op: Op) -> Order {
        Order::Charge {
            member,
            op,
            bytes: self.tiers.region_bytes,
        }
    }

    fn bring(&mut self, region: u32, orders: &mut Vec<Order>) {
        if self.is_timed {
            self.wanted.push_back(region);
            self.begin(orders);
        } else {
            self.bring_at_once(region, orders);
        }
    }

    fn bring_at_once(&mut self, region: u32, orders: &mut Vec<Order>) {
        if self.free.is_empty()
            && let Some(victim) = self.chooser.leaves(&|_| false)
            && let Some(gone) = self.residents.remove(&victim)
        {
            self.free.push(gone.slot);
            if gone.is_dirty {
                orders.push(self.charge(self.tiers.slow, Op::Write));
            }
        }
        if let Some(slot) = self.free.pop() {
            orders.push(self.charge(self.tiers.slow, Op::Read));
            orders.push(self.charge(MemberIndex(0), Op::Write));
            self.settle(region, slot, Motion::None);
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
            } else if !self.begin_to_leave(orders) {
                return;
            }
        }
    }

    /// Lets one leave; as many at a time as are wanted. False if none does.
    fn begin_to_leave(&mut self, orders: &mut Vec<Order>) -> bool {
        if self.leaving >= self.wanted.len() {
            return false;
        }
        let residents = &self.residents;
        let is_moving = |region: u32| {
            residents
                .get(&region)
                .is_none_or(|one| one.motion != Motion::None)
        };
        let victim = self.chooser.leaves(&is_moving);
        let Some((victim, resident)) =
            victim.and_then(|victim| Some((victim, self.residents.get_mut(&victim)?)))
        else {
            return false;
        };
        resident.motion = Motion::Leaving;
        let slot = resident.slot;
        self.leaving += 1;
        self.copy(victim, Self::on_fast(slot), self.on_slow(victim), orders);
        true
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

impl Driver for Stock {
    fn route(&self, region: u32) -> Route {
        let slow = self.on_slow(region);
        let Some(resident) = self.residents.get(&region) else {
            return Route {
                home: slow,
                mirror: None,
            };
        };
        let fast = Self::on_fast(resident.slot);
        let (home, mirror) = match resident.motion {
            Motion::None => (fast, None),
            Motion::Arriving => (slow, Some(fast)),
            Motion::Leaving => (fast, Some(slow)),
        };
        Route { home, mirror }
    }

    fn touched(&mut self, now: u64, touch: Touch, orders: &mut Vec<Order>) {
        let region = touch.region;
        let asked = Asked {
            at_nanos: now,
            region,
            op: touch.op,
        };
        if let Some(resident) = self.residents.get_mut(&region) {
            resident.is_dirty |= touch.op == Op::Write;
            // One that is leaving is gone already for who decides.
            if resident.motion != Motion::Leaving {
                self.chooser.hit(asked);
            }
            return;
        }
        if self.wanted.contains(&region) || !self.chooser.wants(asked) {
            return;
        }
        self.bring(region, orders);
    }

    fn copied(&mut self, _: u64, id: u64, orders: &mut Vec<Order>) {
        self.moving -= 1;
        let region = u32::try_from(id).unwrap_or(u32::MAX);
        match self.residents.get_mut(&region) {
            Some(resident) if resident.motion == Motion::Leaving => {
                self.free.push(resident.slot);
                self.residents.remove(&region);
                self.leaving -= 1;
            }
            Some(resident) => resident.motion = Motion::None,
            None => {}
        }
        self.begin(orders);
    }

    fn woken(&mut self, now: u64, _: &mut Seen, orders: &mut Vec<Order>) -> Option<u64> {
        let period = self.chooser.period_nanos()?;
        // What was wanted an epoch ago and has not come is wanted no longer.
        self.wanted.clear();
        for region in self.chooser.turn(now) {
            if !self.residents.contains_key(&region) {
                self.bring(region, orders);
            }
        }
        Some(now + period)
    }
}

#[cfg(test)]
mod tests;
