//! What the job tells while it runs: one picture of the moment, written whole each time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tier_wire::{Class, MoveCounts, TierStatus};

use super::outcome::Latency;

/// The stages of the job, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// A machine with the right kernel comes up.
    #[default]
    Boot,
    /// The volume and its file system are made.
    Volume,
    /// Real files are copied there.
    Fill,
    /// The load runs; nothing may move.
    Before,
    /// The policy may move what it wants.
    Moving,
    /// The same load is measured again.
    After,
    /// Stopped, started, checked, every file read again.
    Verify,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Boot,
        Self::Volume,
        Self::Fill,
        Self::Before,
        Self::Moving,
        Self::After,
        Self::Verify,
    ];

    /// What people read.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Boot => "find a kernel",
            Self::Volume => "create the volume and its file system",
            Self::Fill => "copy real files",
            Self::Before => "measure, policy paused",
            Self::Moving => "policy at work",
            Self::After => "measure again",
            Self::Verify => "stop, start, check, verify every file",
        }
    }
}

/// The moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Which stage.
    pub stage: Stage,
    /// What it is at, for people.
    pub detail: String,
    /// Reads of the last turn, while the load runs.
    pub reads: Option<Latency>,
    /// How long that turn was.
    pub seconds: f64,
    /// Share of these by class, as the kernel counted on the members.
    pub served: BTreeMap<Class, f64>,
    /// Tiers, as tierd tells.
    pub tiers: Vec<TierStatus>,
    /// Moves by how they stand.
    pub moves: MoveCounts,
    /// Moves under way, one line each.
    pub moving: Vec<String>,
    /// The map of heat, drawn.
    pub heat: String,
}
