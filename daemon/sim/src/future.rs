//! What a trace will ask for: known to nobody but the bounds.

use std::collections::BTreeMap;

use crate::device::Device;
use crate::trace::Trace;
use crate::world::MemberSpec;

/// A touch to come.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Touch {
    at_nanos: u64,
    /// What the slow member works for this one and for all before it on the region, in seconds.
    seconds: f64,
}

/// A touch, in the order of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    pub(crate) at_nanos: u64,
    pub(crate) region: u32,
    pub(crate) seconds: f64,
}

/// All touches of a trace, and what each costs the slow member.
#[derive(Clone, Debug, Default)]
pub(crate) struct Future {
    regions: BTreeMap<u32, Vec<Touch>>,
    pub(crate) moments: Vec<Moment>,
}

impl Future {
    /// Of a trace, with everything on `slow`.
    pub(crate) fn of(trace: &Trace, region_bytes: u64, slow: &MemberSpec) -> Self {
        let mut device = Device::new(slow.class, slow.profile);
        let mut future = Self::default();
        for request in &trace.requests {
            let now = request.at.0.saturating_mul(1000);
            let (mut at, end) = (request.offset.0, request.offset.0 + request.length.0);
            while at < end {
                let region = at / region_bytes;
                let length = end.min((region + 1) * region_bytes) - at;
                let busy_nanos = device.serve(now, request.op, at, length).busy_nanos;
                future.push(now, u32::try_from(region).unwrap_or(u32::MAX), busy_nanos);
                at += length;
            }
        }
        future
    }

    fn push(&mut self, at_nanos: u64, region: u32, busy_nanos: u64) {
        #[allow(clippy::cast_precision_loss, reason = "a request takes no years")]
        let seconds = busy_nanos as f64 / 1e9;
        self.moments.push(Moment {
            at_nanos,
            region,
            seconds,
        });
        let touches = self.regions.entry(region).or_default();
        let before = touches.last().map_or(0.0, |touch| touch.seconds);
        touches.push(Touch {
            at_nanos,
            seconds: before + seconds,
        });
    }

    fn of_region(&self, region: u32) -> &[Touch] {
        self.regions.get(&region).map_or(&[], Vec::as_slice)
    }

    /// When a region is touched next after `now`; `None` if it is not.
    pub(crate) fn next(&self, region: u32, now: u64) -> Option<u64> {
        let touches = self.of_region(region);
        let at = touches.partition_point(|touch| touch.at_nanos <= now);
        touches.get(at).map(|touch| touch.at_nanos)
    }

    /// Seconds that the slow member works for a region after `from` and before `until`.
    pub(crate) fn seconds(&self, region: u32, from: u64, until: u64) -> f64 {
        let touches = self.of_region(region);
        let sum = |end: usize| end.checked_sub(1).and_then(|last| touches.get(last));
        let upto = |end: usize| sum(end).map_or(0.0, |touch| touch.seconds);
        let first = touches.partition_point(|touch| touch.at_nanos <= from);
        let last = touches.partition_point(|touch| touch.at_nanos < until);
        (upto(last) - upto(first)).max(0.0)
    }
}
