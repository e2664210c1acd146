//! How the daemon and a volume are doing.
//!
//! Owns: the replies of `/v1/health` and `/v1/volumes/{name}/status`.

use serde::{Deserialize, Serialize};

use crate::explain::ForecastCounts;
use crate::name::VolumeName;
use crate::volume::{Class, VolumeRunState};
use crate::wear::Wear;

/// The daemon itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Version of the daemon.
    pub version: String,
    /// Version of this API, [`crate::VERSION`].
    pub api: String,
    /// Its process.
    pub pid: u32,
    /// Seconds since it started.
    pub uptime_seconds: f64,
    /// Volumes that it knows.
    pub volumes: u32,
    /// What is wrong, one sentence each; empty while all is well.
    pub problems: Vec<String>,
}

/// How a volume is doing. Counts are since the daemon started unless a field says otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The volume.
    pub volume: VolumeName,
    /// Whether it runs.
    pub state: VolumeRunState,
    /// Path of its block device, if it runs.
    pub device: Option<String>,
    /// Bytes that it shows.
    pub size_bytes: u64,
    /// Whether moves that the policy begins are stopped.
    pub paused: bool,
    /// Its tiers from fast to slow.
    pub tiers: Vec<TierStatus>,
    /// Latency that its users see, if it is sampled.
    pub foreground: Option<Foreground>,
    /// How its I/O is counted.
    pub probe: ProbeStatus,
    /// Number of its moves by stage.
    pub moves: MoveCounts,
    /// Who forecasts what will be used, and how well.
    #[serde(default)]
    pub experts: Vec<Expert>,
    /// What moves are paid from.
    pub account: InsuranceAccount,
    /// How fast moves may copy.
    pub budget: Budget,
    /// What writing to flash costs, and how much of its budget is used.
    #[serde(default)]
    pub wear: Wear,
    /// How long its I/O was held for swaps.
    pub holds: HoldStatistics,
    /// Replicas of its metadata.
    pub replicas: Replicas,
    /// What is wrong, one sentence each; empty while all is well.
    pub problems: Vec<String>,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierStatus {
    /// The class of its members.
    pub class: Class,
    /// Number of its members.
    pub members: u32,
    /// Bytes that can hold the volume's data.
    pub capacity_bytes: u64,
    /// Bytes of these that are allotted.
    pub used_bytes: u64,
    /// Bytes of these that are not.
    pub free_bytes: u64,
    /// Free bytes that the policy leaves alone; a move by hand may use them.
    pub headroom_bytes: u64,
    /// Share of the volume's reads that it served over the last sampling intervals, 0 to 1; absent
    /// while nothing was read.
    pub read_share: Option<f64>,
    /// The same of writes.
    pub write_share: Option<f64>,
    /// Its regions by what their expected use would be worth. Of a volume of more than 65,536
    /// regions so many are looked at, evenly spread, and stand for all.
    #[serde(default)]
    pub forecast: ForecastCounts,
}

/// Latency of the volume's sampled I/O over the last monitoring interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Foreground {
    /// Median.
    pub p50_seconds: f64,
    /// 99th percentile.
    pub p99_seconds: f64,
    /// The 99th percentile above which moves are slowed.
    pub target_seconds: f64,
}

/// How a volume's I/O is counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ProbeStatus {
    /// By the eBPF probe.
    On {
        /// Events counted.
        counted: u64,
        /// Events that it could not count.
        lost: u64,
        /// Events passed over on purpose (sampling).
        skipped: u64,
        /// Memory of its maps.
        memory_bytes: u64,
    },
    /// The probe could not run; counted in a coarser way.
    Fallback {
        /// What counts instead.
        source: String,
        /// Why the probe could not run: the kernel feature that is missing.
        reason: String,
    },
    /// Not counted.
    Off {
        /// Why.
        reason: String,
    },
}

/// Number of moves by how they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveCounts {
    /// Copying, committing or swapping.
    pub live: u64,
    /// Waiting for room, budget or a turn.
    pub pending: u64,
    /// Done.
    pub done: u64,
    /// Wound back.
    pub undone: u64,
    /// Given up.
    pub failed: u64,
    /// Bytes of those done.
    pub done_bytes: u64,
}

/// Who forecasts what will be used. What each would have done is followed in the shadow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expert {
    /// Its name.
    pub name: String,
    /// Whether moves go by it now.
    pub is_believed: bool,
    /// Foreground seconds that it would have saved more lately, moves paid, than the reactive one.
    pub lead_seconds: f64,
}

/// The account that moves are paid from, in expected foreground seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct InsuranceAccount {
    /// What is left. At zero, only free moves are made.
    pub balance_seconds: f64,
    /// Earned from the share of the baseline's device time.
    pub earned_seconds: f64,
    /// Earned from savings that came true.
    pub saved_seconds: f64,
    /// Spent on moves.
    pub spent_seconds: f64,
}

/// How fast moves may copy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Most bytes per second that the administrator allows; absent if nothing was set.
    pub limit_bytes_per_second: Option<u64>,
    /// What is allowed now, after slowing for foreground latency.
    pub allowed_bytes_per_second: u64,
    /// What was copied over the last monitoring interval.
    pub used_bytes_per_second: u64,
}

/// Holds: how long new I/O was kept waiting while tables were swapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HoldStatistics {
    /// Number of holds.
    pub count: u64,
    /// Moves that shared them.
    pub moves: u64,
    /// Median length.
    pub p50_seconds: f64,
    /// 99th percentile.
    pub p99_seconds: f64,
    /// The longest.
    pub max_seconds: f64,
    /// 99th percentile of the part spent waiting for I/O in flight.
    pub drain_p99_seconds: f64,
}

/// Replicas of a volume's metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// Those that can be written.
    pub live: u32,
    /// Those that there should be.
    pub wanted: u32,
}
