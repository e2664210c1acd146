//! How long requests took on a leg: counted in steps of a quarter of an octave.
//!
//! Owns: [`Latencies`], which is counted into by any number of threads without a lock,
//! [`is_too_slow`] and [`is_by_chance`]. Invariant: the median that is given is at most a quarter above the real one.

use std::sync::atomic::{AtomicU32, Ordering};

use tier_core::policy::TrialPolicy;

/// Bits of a number below its first that tell buckets of an octave apart.
const FINE_BITS: u32 = 2;
const FINE: u64 = 1 << FINE_BITS;
/// As many as microseconds in 32 bits need: over an hour.
const BUCKETS: usize = 128;

/// Counts of latencies.
#[derive(Debug)]
pub struct Latencies {
    counts: [AtomicU32; BUCKETS],
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU32::new(0) }; BUCKETS],
        }
    }
}

/// The bucket of a latency: those below 4 us have one each, each octave above has four.
fn bucket(micros: u64) -> usize {
    let index = if micros < FINE {
        micros
    } else {
        let octave = u64::from(micros.ilog2() - FINE_BITS);
        let fine = micros >> octave;
        octave * FINE + fine
    };
    usize::try_from(index).map_or(BUCKETS - 1, |index| index.min(BUCKETS - 1))
}

/// The largest latency of a bucket.
const fn most_micros(bucket: u64) -> u64 {
    if bucket < FINE {
        return bucket;
    }
    let octave = bucket / FINE - 1;
    let fine = bucket % FINE + FINE;
    ((fine + 1) << octave) - 1
}

impl Latencies {
    /// A request took so long.
    pub fn add(&self, micros: u64) {
        if let Some(count) = self.counts.get(bucket(micros)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many requests were counted, and their median in microseconds, rounded up to the end of its
    /// bucket.
    #[must_use]
    pub fn median(&self) -> (u64, u64) {
        let mut counts = [0; BUCKETS];
        for (count, now) in counts.iter_mut().zip(&self.counts) {
            *count = u64::from(now.load(Ordering::Relaxed));
        }
        let total: u64 = counts.iter().sum();
        let mut so_far = 0;
        for (bucket, count) in (0..).zip(counts) {
            so_far += count;
            if so_far * 2 >= total && total > 0 {
                return (total, most_micros(bucket));
            }
        }
        (total, 0)
    }
}

/// Whether a target with this median is slower than it may be, beside that of the source. Both in
/// microseconds.
#[must_use]
pub const fn is_too_slow(source: u64, target: u64, policy: &TrialPolicy) -> bool {
    let allowed = source.saturating_mul(policy.slower_percent_max as u64) / 100;
    target > allowed && target.saturating_sub(source) > policy.slower_micros_min as u64
}

/// Whether, of requests that were made on both legs, as many may have been slower on the target by
/// chance alone: less than two standard deviations above a half (sign test). What both legs had to
/// wait for at the same time, a busy machine, falls out of it.
#[must_use]
pub const fn is_by_chance(slower: u64, pairs: u64) -> bool {
    let above = (slower * 2).saturating_sub(pairs);
    above == 0 || above.saturating_mul(above) < pairs.saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_median_is_met_within_a_quarter(mut all in prop::collection::vec(0..4_000_000_000_u64, 1..60)) {
            let latencies = Latencies::default();
            for micros in &all {
                latencies.add(*micros);
            }
            all.sort_unstable();
            let median = all[(all.len() - 1) / 2];
            let (count, found) = latencies.median();
            prop_assert_eq!(count, all.len() as u64);
            prop_assert!(found >= median && found - median <= median / 4, "{} {}", found, median);
        }
    }

    #[test]
    fn buckets_follow_one_another_without_a_gap() {
        for at in 0..BUCKETS - 1 {
            let most = most_micros(at as u64);
            assert_eq!((bucket(most), bucket(most + 1)), (at, at + 1));
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn nothing_counted_has_no_median() {
        assert_eq!(Latencies::default().median(), (0, 0));
    }

    #[test]
    fn one_that_hangs_now_and_then_is_not_slow() {
        let latencies = Latencies::default();
        for micros in [200, 210, 5_000_000, 190, 9_000_000] {
            latencies.add(micros);
        }
        assert!(latencies.median().1 < 300);
    }

    #[test]
    fn of_few_requests_nearly_all_must_be_slower_and_of_many_most() {
        let least = |pairs| (0..=pairs).find(|slower| !is_by_chance(*slower, pairs));
        assert_eq!(
            [1, 3, 4, 8, 64].map(least),
            [None, None, Some(4), Some(7), Some(40)]
        );
        assert!(is_by_chance(0, 0));
    }

    #[test]
    fn slow_is_by_share_and_by_difference() {
        let policy = TrialPolicy::default();
        assert!(!is_too_slow(100, 1_100, &policy), "by a millisecond");
        assert!(is_too_slow(100, 1_101, &policy));
        assert!(!is_too_slow(10_000, 20_000, &policy), "twice");
        assert!(is_too_slow(10_000, 20_001, &policy));
    }
}
