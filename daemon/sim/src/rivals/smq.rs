//! Stochastic multiqueue, the policy of dm-cache, as `drivers/md/dm-cache-policy-smq.c` and
//! `Documentation/admin-guide/device-mapper/cache-policies.rst` describe it.
//!
//! Three queues of 64 levels, in which what is touched rises and is set against what was touched
//! less: a hotspot queue of all blocks that come by, which says what is worth promoting, and the
//! blocks that are on the fast tier. Here, as everywhere in the simulator, data lives in one place,
//! so that there is one queue of what is held and not one for clean and one for dirty blocks.

use std::collections::BTreeSet;

use super::levels::Levels;
use super::{Asked, Chooser};
use crate::trace::Op;

const LEVELS: usize = 64;
/// The hotspot queue has this many levels with few blocks, so that the threshold is fine there.
const TOP_LEVELS: usize = 8;
const SECOND_NANOS: u64 = 1_000_000_000;
/// Every so often the blocks are spread over the levels again.
const HOTSPOT_PERIOD_NANOS: u64 = SECOND_NANOS;
const HELD_PERIOD_NANOS: u64 = 60 * SECOND_NANOS;
/// A promotion of a write asks for so many levels more.
const WRITE_LEVELS: usize = 2;
/// How far down the hotspot queue promotions reach, by how many sixteenths of the touches the top
/// levels of what is held served: much where that goes neither badly nor well.
const PROMOTED_LEVELS: [usize; 17] = [1, 1, 1, 2, 4, 6, 7, 8, 7, 6, 4, 4, 3, 3, 2, 2, 1];

/// Touches of the top quarter of a queue, and others.
#[derive(Clone, Copy, Debug, Default)]
struct Stats {
    hits: u64,
    misses: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Performance {
    Poor,
    Fair,
    Well,
}

impl Stats {
    fn count(&mut self, level: Option<usize>) {
        if level.is_some_and(|level| level >= LEVELS * 3 / 4) {
            self.hits += 1;
        } else {
            self.misses += 1;
        }
    }

    fn of(self, parts: u64) -> u64 {
        (self.hits * parts)
            .checked_div(self.hits + self.misses)
            .unwrap_or(0)
    }

    fn performance(self) -> Performance {
        match self.of(256) {
            0..16 => Performance::Poor,
            16..32 => Performance::Fair,
            _ => Performance::Well,
        }
    }
}

pub(crate) struct Smq {
    capacity: usize,
    hotspots_max: usize,
    regions_per_hotspot: u32,
    hotspots: Levels,
    held: Levels,
    /// Those that rose in this period already.
    hotspots_hit: BTreeSet<u32>,
    held_hit: BTreeSet<u32>,
    hotspot_stats: Stats,
    held_stats: Stats,
    level_jump: usize,
    promote_level: usize,
    next_tick: u64,
    next_hotspot: u64,
    next_held: u64,
}

impl Smq {
    /// For a fast tier of so many regions before a device of so many.
    pub(crate) fn new(capacity: u32, regions: u32) -> Self {
        let hotspots_max = (capacity / 4).max(1024);
        let mut regions_per_hotspot = 16;
        while regions_per_hotspot > 1
            && u64::from(regions_per_hotspot) * u64::from(hotspots_max) > u64::from(regions)
        {
            regions_per_hotspot /= 2;
        }
        let in_top =
            (hotspots_max as usize / LEVELS).min((capacity / regions_per_hotspot) as usize);
        Self {
            capacity: capacity as usize,
            hotspots_max: hotspots_max as usize,
            regions_per_hotspot,
            hotspots: Levels::new(LEVELS, TOP_LEVELS, in_top),
            held: Levels::new(LEVELS, 0, 0),
            hotspots_hit: BTreeSet::new(),
            held_hit: BTreeSet::new(),
            hotspot_stats: Stats::default(),
            held_stats: Stats::default(),
            level_jump: 1,
            promote_level: LEVELS / 2,
            next_tick: 0,
            next_hotspot: 0,
            next_held: 0,
        }
    }

    fn is_full(&self) -> bool {
        self.held.len() >= self.capacity
    }

    /// What the kernel does once a second, at the first touch after it.
    fn tick(&mut self, now: u64) {
        if now < self.next_tick {
            return;
        }
        self.next_tick = now + SECOND_NANOS;
        self.hotspots_hit.clear();
        self.set_promote_level();
        if now >= self.next_hotspot {
            self.next_hotspot = now + HOTSPOT_PERIOD_NANOS;
            self.level_jump = match self.hotspot_stats.performance() {
                Performance::Poor => 4,
                Performance::Fair => 2,
                Performance::Well => 1,
            };
            self.hotspots.spread();
            self.hotspot_stats = Stats::default();
        }
        if now >= self.next_held {
            self.next_held = now + HELD_PERIOD_NANOS;
            self.held_hit.clear();
            self.held.spread();
            self.held_stats = Stats::default();
        }
    }

    fn set_promote_level(&mut self) {
        let sixteenths = usize::try_from(self.held_stats.of(16)).unwrap_or(0);
        let wanted = if self.is_full() {
            PROMOTED_LEVELS.get(sixteenths).copied().unwrap_or(1)
        } else {
            LEVELS / 2
        };
        let reach = match self.hotspot_stats.performance() {
            Performance::Poor => wanted / 4,
            Performance::Fair => wanted / 2,
            Performance::Well => wanted,
        };
        self.promote_level = LEVELS - reach;
    }

    /// Counts a touch of a hotspot. Gives its level.
    fn hotspot(&mut self, region: u32) -> usize {
        let spot = region / self.regions_per_hotspot;
        let level = self.hotspots.level(spot);
        self.hotspot_stats.count(level);
        if level.is_some() {
            let rise = if self.hotspots_hit.insert(spot) {
                self.level_jump
            } else {
                0
            };
            self.hotspots.touch(spot, rise)
        } else {
            if self.hotspots.len() >= self.hotspots_max
                && let Some(gone) = self.hotspots.pop()
            {
                self.hotspots_hit.remove(&gone);
            }
            self.hotspots.push(spot, 0);
            0
        }
    }
}

impl Chooser for Smq {
    fn wants(&mut self, asked: Asked) -> bool {
        self.tick(asked.at_nanos);
        let level = self.hotspot(asked.region);
        self.held_stats.count(None);
        let wanted = match asked.op {
            Op::Read => self.promote_level,
            Op::Write => self.promote_level + WRITE_LEVELS,
        };
        level >= wanted
    }

    fn hit(&mut self, asked: Asked) {
        self.tick(asked.at_nanos);
        self.hotspot(asked.region);
        self.held_stats.count(self.held.level(asked.region));
        if self.held.level(asked.region).is_some() && self.held_hit.insert(asked.region) {
            self.held.touch(asked.region, 1);
        }
    }

    fn came(&mut self, region: u32) {
        self.held.push(region, 0);
    }

    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32> {
        let gone = self.held.lowest().find(|&region| !stays(region))?;
        self.held.remove(gone);
        self.held_hit.remove(&gone);
        Some(gone)
    }
}
