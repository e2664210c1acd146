//! How long holds kept new I/O waiting: the whole distribution since the start.
//!
//! Owns: two histograms, from a microsecond to a minute with two significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::backend::Hold;

/// Longest hold that is told apart, in microseconds.
const HIGHEST_US: u64 = 60_000_000;

/// The distribution of the holds of a volume.
#[derive(Debug)]
pub(crate) struct HoldStats {
    total: Histogram<u64>,
    drain: Histogram<u64>,
    moves: u64,
    failed: u64,
}

impl HoldStats {
    /// No holds yet. `None` only if the fixed bounds were wrong, which the tests show they are not.
    pub(crate) fn new() -> Option<Self> {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST_US, 2).ok();
        Some(Self {
            total: histogram()?,
            drain: histogram()?,
            moves: 0,
            failed: 0,
        })
    }

    /// Takes note of a hold.
    pub(crate) fn note(&mut self, hold: &Hold) {
        self.total.saturating_record(micros(hold.total));
        self.drain.saturating_record(micros(hold.drain));
        self.moves += u64::from(hold.moves);
    }

    /// Takes note of a hold that was given up.
    pub(crate) fn note_failed(&mut self) {
        self.failed += 1;
    }

    /// The distribution in the words of the API.
    pub(crate) fn to_wire(&self) -> tier_wire::HoldStatistics {
        let seconds = |histogram: &Histogram<u64>, quantile: f64| {
            Duration::from_micros(histogram.value_at_quantile(quantile)).as_secs_f64()
        };
        tier_wire::HoldStatistics {
            count: self.total.len(),
            moves: self.moves,
            p50_seconds: seconds(&self.total, 0.5),
            p99_seconds: seconds(&self.total, 0.99),
            max_seconds: Duration::from_micros(self.total.max()).as_secs_f64(),
            drain_p99_seconds: seconds(&self.drain, 0.99),
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_from_what_was_noted() {
        let mut stats = HoldStats::new().unwrap();
        for ms in 1..=100 {
            let total = Duration::from_millis(ms);
            stats.note(&Hold {
                total,
                drain: total / 2,
                moves: 2,
            });
        }
        let wire = stats.to_wire();
        assert_eq!((wire.count, wire.moves), (100, 200));
        assert!((wire.p50_seconds - 0.050).abs() < 0.001, "{wire:?}");
        assert!((wire.max_seconds - 0.100).abs() < 0.002, "{wire:?}");
        assert!(wire.drain_p99_seconds < wire.p99_seconds);
    }
}
