//! Latency histograms: the buckets that the probe counts in, and quantiles over them.

use std::time::Duration;

use crate::record::{LATENCY_BUCKETS, LATENCY_SUB_BITS, LatenciesRecord};

const SUB_BUCKETS: usize = 1 << LATENCY_SUB_BITS;

/// Latencies in buckets of microseconds: exact to 8 µs, then eight buckets for each power of two,
/// so that a value is known to an eighth of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; LATENCY_BUCKETS],
        }
    }
}

impl Histogram {
    fn since(now: &[u64; LATENCY_BUCKETS], before: &[u64; LATENCY_BUCKETS]) -> Self {
        Self {
            counts: now
                .iter()
                .zip(before)
                .map(|(now, before)| now.wrapping_sub(*before))
                .collect(),
        }
    }

    /// Number of latencies in it.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The latency that a share `q` (0 to 1) of all are not above: the upper edge of the bucket
    /// where that falls, so at most an eighth too high. `None` while there are none.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among samples: positive, and no one takes 2^52 of them"
    )]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let total = self.count();
        let rank = ((q.clamp(0.0, 1.0) * total as f64).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(upper_edge_micros(bucket)))
    }

    /// Adds the latencies of another.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// Each bucket that is not empty: its upper edge (exclusive; the last bucket has no end) and
    /// its count.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(bucket, count)| (Duration::from_micros(upper_edge_micros(bucket)), *count))
    }
}

/// First microsecond beyond a bucket. Mirrors `latency_bucket` of the probe.
fn upper_edge_micros(bucket: usize) -> u64 {
    if bucket < SUB_BUCKETS {
        return bucket as u64 + 1;
    }
    let power = bucket / SUB_BUCKETS - 1;
    let sub = bucket % SUB_BUCKETS + SUB_BUCKETS;
    (sub as u64 + 1) << power
}

/// Latencies of a volume's sampled bios, from their submission to their end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeLatencies {
    /// Of reads.
    pub reads: Histogram,
    /// Of writes.
    pub writes: Histogram,
    /// Samples that were to be taken and were not.
    pub lost: u64,
}

impl VolumeLatencies {
    /// What came between two readings of the probe's sums.
    pub(crate) fn since(now: &LatenciesRecord, before: &LatenciesRecord) -> Self {
        Self {
            reads: Histogram::since(&now.reads, &before.reads),
            writes: Histogram::since(&now.writes, &before.writes),
            lost: now.lost.wrapping_sub(before.lost),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(counts: &[(usize, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(bucket, count) in counts {
            histogram.counts[bucket] = count;
        }
        histogram
    }

    #[test]
    fn edges_follow_on_each_other_and_are_within_an_eighth() {
        assert_eq!(upper_edge_micros(0), 1);
        assert_eq!(upper_edge_micros(7), 8);
        assert_eq!(upper_edge_micros(8), 9);
        assert_eq!(upper_edge_micros(15), 16);
        assert_eq!(upper_edge_micros(16), 18);
        for bucket in 1..LATENCY_BUCKETS {
            let (low, high) = (upper_edge_micros(bucket - 1), upper_edge_micros(bucket));
            assert!(
                high > low && (high - low) * 8 <= low.max(8),
                "{bucket}: {low}..{high}"
            );
        }
        // Four and a half minutes, as record.h says.
        assert_eq!(upper_edge_micros(LATENCY_BUCKETS - 1), 1 << 28);
    }

    #[test]
    fn quantiles_are_upper_edges_of_where_the_share_is_reached() {
        let histogram = of(&[(3, 98), (15, 1), (100, 1)]);
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(4)));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(4)));
        assert_eq!(histogram.quantile(0.98), Some(Duration::from_micros(4)));
        assert_eq!(histogram.quantile(0.99), Some(Duration::from_micros(16)));
        assert_eq!(
            histogram.quantile(1.0),
            Some(Duration::from_micros(13 << 11))
        );
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn merging_adds_and_a_difference_takes_away() {
        let mut sum = of(&[(3, 1)]);
        sum.merge(&of(&[(3, 2), (4, 1)]));
        assert_eq!(sum, of(&[(3, 3), (4, 1)]));

        let mut before = [0; LATENCY_BUCKETS];
        before[3] = 1;
        let mut now = before;
        now[3] = 4;
        now[9] = 2;
        assert_eq!(Histogram::since(&now, &before), of(&[(3, 3), (9, 2)]));
    }
}
