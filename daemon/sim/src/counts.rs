//! What the probe would count of a trace.
//!
//! Owns: which touches are sequential, and how a touch enters a region's counts. May not: say what
//! counts are worth.

use std::collections::VecDeque;

use tier_core::event::RegionCount;
use tier_core::units::{Micros, VolumeRegion};

use crate::trace::{Op, Trace};
use crate::world::{Touch, parts};

/// Ends of requests that are remembered, to tell sequential ones, and for how long: as the probe.
const RECENT_ENDS: usize = 256;
const RECENT_NANOS: u64 = 10_000_000;

/// When and where requests ended lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ends {
    recent: VecDeque<(u64, u64)>,
}

impl Ends {
    /// Whether a touch goes on where another ended; remembers the end of its request.
    pub(crate) fn is_sequential(&mut self, now_nanos: u64, touch: &Touch) -> bool {
        // A later part goes on from the region before.
        !touch.is_first || self.follows(now_nanos, touch.request_start, touch.request_end)
    }

    /// Whether a request goes on where the last one ended, or where one did just now; remembers
    /// its own end.
    fn follows(&mut self, now: u64, start: u64, end: u64) -> bool {
        let last = self.recent.back().map(|(_, last)| *last);
        let recent = self.recent.iter().rev();
        let follows = last == Some(start)
            || recent
                .take_while(|(at, _)| now - at <= RECENT_NANOS)
                .any(|(_, end)| *end == start);
        if self.recent.len() == RECENT_ENDS {
            self.recent.pop_front();
        }
        self.recent.push_back((now, end));
        follows
    }
}

/// Counts a touch.
pub(crate) fn add(count: &mut RegionCount, touch: &Touch, sequential: bool) {
    match touch.op {
        Op::Read => {
            count.reads += 1;
            count.read_bytes.0 += touch.length;
        }
        Op::Write => {
            count.writes += 1;
            count.written_bytes.0 += touch.length;
        }
    }
    count.sequential += u32::from(sequential);
}

/// Shows each touch of a region in a trace as the probe would count it, in the order of time: when
/// it came, and the counts of an interval in which nothing else touched the region. Counts of
/// longer intervals are their sums.
pub fn each_touch(trace: &Trace, region_bytes: u64, mut show: impl FnMut(Micros, &RegionCount)) {
    let mut ends = Ends::default();
    for request in &trace.requests {
        let now = request.at.0.saturating_mul(1000);
        for touch in parts(request, region_bytes) {
            let mut count = RegionCount {
                region: VolumeRegion(touch.region),
                ..RegionCount::default()
            };
            let sequential = ends.is_sequential(now, &touch);
            add(&mut count, &touch, sequential);
            show(request.at, &count);
        }
    }
}
