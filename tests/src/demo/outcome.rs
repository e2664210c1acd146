//! What was seen: figures of a finished job, as the guest hands them to the host.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tier_wire::{Class, Explanation, HoldStatistics, Move, ProbeStatus};

/// Latencies of one kind of access.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Accesses.
    pub count: u64,
    /// Mean.
    pub mean_seconds: f64,
    /// Median.
    pub p50_seconds: f64,
    /// 99th percentile.
    pub p99_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
}

impl Latency {
    /// Of these, all of them.
    #[must_use]
    pub fn of(took: &[Duration]) -> Self {
        let mut seconds: Vec<f64> = took.iter().map(Duration::as_secs_f64).collect();
        seconds.sort_by(f64::total_cmp);
        let at = |percent: usize| {
            let rank = (seconds.len() * percent).div_ceil(100).saturating_sub(1);
            seconds.get(rank).copied().unwrap_or(0.0)
        };
        let count = seconds.len() as u64;
        #[allow(clippy::cast_precision_loss, reason = "a mean needs no 53 bits")]
        let mean_seconds = seconds.iter().sum::<f64>() / count.max(1) as f64;
        Self {
            count,
            mean_seconds,
            p50_seconds: at(50),
            p99_seconds: at(99),
            max_seconds: at(100),
        }
    }
}

/// One measured phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// How long it was.
    pub seconds: f64,
    /// Reads of 4 KiB.
    pub reads: Latency,
    /// Writes of 4 KiB.
    pub writes: Latency,
    /// Share of reads by class, as the kernel counted on the members.
    pub served: BTreeMap<Class, f64>,
}

impl Measured {
    /// Reads and writes per second.
    #[must_use]
    pub fn iops(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a rate needs no 53 bits")]
        let all = (self.reads.count + self.writes.count) as f64;
        all / self.seconds
    }

    /// Share of reads that a class served.
    #[must_use]
    pub fn share(&self, class: Class) -> f64 {
        self.served.get(&class).copied().unwrap_or(0.0)
    }
}

/// All that was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Kernel that it ran on.
    pub kernel: String,
    /// How I/O was counted.
    pub probe: ProbeStatus,
    /// Files on the volume.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Bytes of these that were hot.
    pub hot_bytes: u64,
    /// With the policy paused.
    pub before: Measured,
    /// With the policy at work, once the hot data had moved.
    pub after: Measured,
    /// How long the hot data took to move; `None` if they had not when patience ended.
    pub moved_in_seconds: Option<f64>,
    /// Moves that ended, newest first.
    pub moves: Vec<Move>,
    /// What came of the oldest promotion to the fastest tier, if there was one.
    pub explained: Option<Explanation>,
    /// How long I/O was held for them.
    pub holds: HoldStatistics,
    /// The map of heat, drawn, before and after.
    pub heat: [String; 2],
    /// Writes to the ledger.
    pub ledger_writes: u64,
    /// What was found wrong with files or file system at the end, one sentence each.
    pub complaints: Vec<String>,
    /// How long all of it took.
    pub seconds: f64,
}

impl Outcome {
    /// Whether all went as it had to: every file is what it was, and the hot data have moved.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.complaints.is_empty() && self.moved_in_seconds.is_some()
    }
}
