//! What came of a run: over the whole trace, and over its second half.

use hdrhistogram::Histogram;
use serde::Serialize;
use tier_core::units::{MemberIndex, Micros};

use crate::trace::{Op, Request};
use crate::world::MemberSpec;

/// Longer latencies are counted as this: three hours.
const LONGEST_NANOS: u64 = 10_800_000_000_000;

/// What is counted over a part of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Part {
    /// Seconds that the slowest members worked, moves included, as a share of what they would
    /// have worked with everything on them.
    pub slow_time: f64,
    /// The same in seconds.
    pub slow_seconds: f64,
    /// Latency of requests.
    pub mean_us: f64,
    /// Half of them took no longer.
    pub p50_us: f64,
    /// 99 of 100.
    pub p99_us: f64,
    /// 999 of 1000.
    pub p999_us: f64,
    /// Share of the requests whose first part the fastest members served.
    pub fast_requests: f64,
    /// Share of the bytes that they served.
    pub fast_bytes: f64,
    /// Bytes that moves copied.
    pub moved_bytes: u64,
    /// Bytes written to the fastest members, by requests and by moves.
    pub fast_written_bytes: u64,
}

/// What came of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Over all of it.
    pub whole: Part,
    /// Over its second half by time.
    pub second_half: Part,
}

impl Outcome {
    /// Fills the shares in of what `all_slow` came to.
    pub(crate) fn compare(&mut self, all_slow: &Self) {
        let share = |part: &mut Part, of: &Part| {
            part.slow_time = if of.slow_seconds > 0.0 {
                part.slow_seconds / of.slow_seconds
            } else {
                // Nothing was asked for, so that nothing could be saved.
                1.0
            };
        };
        share(&mut self.whole, &all_slow.whole);
        share(&mut self.second_half, &all_slow.second_half);
    }
}

/// Sums of a part.
#[derive(Debug)]
struct Sums {
    slow_nanos: u64,
    latencies: Histogram<u64>,
    latency_nanos: u128,
    requests: u64,
    fast_requests: u64,
    bytes: u64,
    fast_bytes: u64,
    moved_bytes: u64,
    fast_written_bytes: u64,
}

impl Sums {
    fn new() -> Self {
        Self {
            slow_nanos: 0,
            latencies: Histogram::new_with_bounds(1, LONGEST_NANOS, 3)
                .unwrap_or_else(|_| unreachable!("the bounds make sense")),
            latency_nanos: 0,
            requests: 0,
            fast_requests: 0,
            bytes: 0,
            fast_bytes: 0,
            moved_bytes: 0,
            fast_written_bytes: 0,
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "figures for people")]
    fn part(&self) -> Part {
        let us = |quantile: f64| self.latencies.value_at_quantile(quantile) as f64 / 1e3;
        let share = |part: u64, of: u64| part as f64 / (of.max(1)) as f64;
        Part {
            slow_time: f64::NAN,
            slow_seconds: self.slow_nanos as f64 / 1e9,
            mean_us: self.latency_nanos as f64 / self.requests.max(1) as f64 / 1e3,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            fast_requests: share(self.fast_requests, self.requests),
            fast_bytes: share(self.fast_bytes, self.bytes),
            moved_bytes: self.moved_bytes,
            fast_written_bytes: self.fast_written_bytes,
        }
    }
}

/// Counts while a run goes on.
#[derive(Debug)]
pub(crate) struct Tally {
    is_slow: Vec<bool>,
    is_fast: Vec<bool>,
    half: Micros,
    first_half: Sums,
    second_half: Sums,
}

impl Tally {
    pub(crate) fn new(members: &[MemberSpec], span: Micros) -> Self {
        let classes = || members.iter().map(|member| member.class);
        let (fastest, slowest) = (classes().min(), classes().max());
        Self {
            is_slow: classes().map(|class| Some(class) == slowest).collect(),
            is_fast: classes()
                .map(|class| Some(class) == fastest && fastest != slowest)
                .collect(),
            half: Micros(span.0 / 2),
            first_half: Sums::new(),
            second_half: Sums::new(),
        }
    }

    fn at(&mut self, at: Micros) -> &mut Sums {
        if at < self.half {
            &mut self.first_half
        } else {
            &mut self.second_half
        }
    }

    fn is(of: &[bool], member: MemberIndex) -> bool {
        of.get(usize::from(member.0)).copied().unwrap_or(false)
    }

    /// A member worked.
    pub(crate) fn worked(&mut self, at: Micros, member: MemberIndex, busy_nanos: u64) {
        if Self::is(&self.is_slow, member) {
            self.at(at).slow_nanos += busy_nanos;
        }
    }

    /// A move brings so much to a member.
    pub(crate) fn moved(&mut self, at: Micros, to: MemberIndex, bytes: u64) {
        let is_fast = Self::is(&self.is_fast, to);
        let sums = self.at(at);
        sums.moved_bytes += bytes;
        if is_fast {
            sums.fast_written_bytes += bytes;
        }
    }

    /// A member served a part of a request.
    pub(crate) fn served(&mut self, request: &Request, member: MemberIndex, bytes: u64) {
        let is_fast = Self::is(&self.is_fast, member);
        let sums = self.at(request.at);
        sums.bytes += bytes;
        if is_fast {
            sums.fast_bytes += bytes;
            if request.op == Op::Write {
                sums.fast_written_bytes += bytes;
            }
        }
    }

    /// A request was served; the share of the fast members goes by its first part.
    pub(crate) fn ended(&mut self, request: &Request, latency_nanos: u64, first: MemberIndex) {
        let is_fast = Self::is(&self.is_fast, first);
        let sums = self.at(request.at);
        sums.requests += 1;
        sums.fast_requests += u64::from(is_fast);
        sums.latency_nanos += u128::from(latency_nanos);
        sums.latencies.saturating_record(latency_nanos.max(1));
    }

    pub(crate) fn finish(self) -> Outcome {
        let second_half = self.second_half.part();
        let mut all = self.first_half;
        let second = self.second_half;
        all.slow_nanos += second.slow_nanos;
        all.latencies += second.latencies;
        all.latency_nanos += second.latency_nanos;
        all.requests += second.requests;
        all.fast_requests += second.fast_requests;
        all.bytes += second.bytes;
        all.fast_bytes += second.fast_bytes;
        all.moved_bytes += second.moved_bytes;
        all.fast_written_bytes += second.fast_written_bytes;
        Outcome {
            whole: all.part(),
            second_half,
        }
    }
}
