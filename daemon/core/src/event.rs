//! What the engine is told: facts, each already true when it arrives.
//!
//! Owns: [`Event`] and its parts. An event carries everything the engine may use (it has no clock
//! and asks nothing), and serialises, so that a recording replays to the same commands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::forecast::GroupForecast;
use crate::memory::Memory;
use crate::units::{Bytes, Generation, MemberIndex, Micros, MoveId, RequestId, VolumeRegion};
use crate::volume::{Class, Leg, VolumeState};

/// Something that has happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// First of all: what the store and the kernel hold. Moves that the kernel still runs are
    /// adopted as they are.
    Started {
        /// The durable state.
        state: VolumeState,
        /// Live moves found in the kernel's tables, by id.
        adopted: Vec<AdoptedMove>,
    },
    /// Time has passed; the policy may plan.
    Tick,
    /// Counts of one finished interval.
    Samples(Samples),
    /// A region crossed the threshold within an interval.
    Hot(HotRegion),
    /// The load of the members and of the machine.
    Resources(Resources),
    /// What was learned of the volume's use before the daemon started; before any samples.
    Remembered(Box<Memory>),
    /// Whether somebody outside forecasts what groups of regions will be used.
    Forecaster {
        /// Whether `Command::Forecast` will be answered.
        ready: bool,
    },
    /// `Command::Forecast` is done.
    Forecast {
        /// The window in which it was asked.
        window: u64,
        /// What is forecast of each group.
        groups: Vec<GroupForecast>,
    },
    /// A person asks for a move.
    MoveRequested {
        /// To answer with.
        request: RequestId,
        /// First region of the range.
        first: VolumeRegion,
        /// Number of regions; at least one.
        count: u32,
        /// Where to.
        target: Target,
        /// How fast.
        #[serde(default)]
        priority: Priority,
    },
    /// A person changes how fast a move is made that has not ended.
    PriorityRequested {
        /// To answer with.
        request: RequestId,
        /// Which.
        id: MoveId,
        /// How fast.
        priority: Priority,
    },
    /// A person takes a move back.
    CancelRequested {
        /// To answer with.
        request: RequestId,
        /// Which.
        id: MoveId,
    },
    /// A person stops (true) or restarts (false) moves that the policy begins.
    PauseRequested {
        /// To answer with.
        request: RequestId,
        /// Whether the policy is to begin no more moves.
        paused: bool,
    },
    /// `Command::AddLegs` is done: each is mirrored and copying.
    LegsAdded {
        /// Which moves.
        ids: Vec<MoveId>,
    },
    /// `Command::AddLegs` failed as a whole; nothing of it is in the kernel's tables.
    AddLegsFailed {
        /// Which moves.
        ids: Vec<MoveId>,
        /// Why, for people.
        error: String,
    },
    /// One move of `Command::AddLegs` did not begin to copy: its device is in the volume's table,
    /// linear on the source.
    CopyNotBegun {
        /// Which move.
        id: MoveId,
        /// Whether its mirror may be copying all the same, unreachable: the target must not be
        /// used then.
        may_copy: bool,
        /// Why, for people.
        error: String,
    },
    /// How a live mirror stands (a device event, or the regular look).
    LegState {
        /// Which move.
        id: MoveId,
        /// How it stands.
        state: MirrorState,
    },
    /// `Command::FlushTargets` is done.
    TargetsFlushed {
        /// Which moves.
        ids: Vec<MoveId>,
    },
    /// A target's flush failed: what was copied there may not be durable.
    FlushFailed {
        /// Which moves have their target on that member.
        ids: Vec<MoveId>,
        /// Why, for people.
        error: String,
    },
    /// `Command::Commit` is durable on every live replica.
    Committed {
        /// The generation it became.
        generation: Generation,
    },
    /// `Command::Commit` is durable nowhere and will not become so; or no replica is left.
    CommitFailed {
        /// Whether later commits can succeed (false: no replica is left).
        can_retry: bool,
        /// Why, for people.
        error: String,
    },
    /// `Command::MarkActedOn` is durable in the labels.
    Marked {
        /// Which generation.
        generation: Generation,
    },
    /// The mark could not be made durable.
    MarkFailed {
        /// Which generation.
        generation: Generation,
        /// Why, for people.
        error: String,
    },
    /// `Command::DropLeg` is done: the move's device is linear on the leg that was to be kept.
    LegDropped {
        /// Which move.
        id: MoveId,
        /// Which leg serves now.
        kept: Kept,
    },
    /// `Command::DropLeg` found the mirror unfit in its hold and resumed it unchanged.
    DropRefused {
        /// Which move.
        id: MoveId,
        /// How the mirror stood in the hold.
        state: MirrorState,
    },
    /// `Command::DropLeg` failed; what the kernel holds is unchanged.
    DropFailed {
        /// Which move.
        id: MoveId,
        /// Why, for people.
        error: String,
    },
    /// `Command::SetMap` is done: these moves have left the kernel's tables, as read back from it.
    MapSet {
        /// Which moves.
        folded: Vec<MoveId>,
    },
    /// `Command::SetMap` failed; the kernel's table is unchanged.
    SetMapFailed {
        /// Why, for people.
        error: String,
    },
}

/// A move that the kernel was running when the daemon started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AdoptedMove {
    /// Its id, from its device's name.
    pub id: MoveId,
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The leg that was the home when the move began.
    pub source: Leg,
    /// The leg being written. Equal to `source` where the device no longer names the other leg.
    pub target: Leg,
    /// Mirror, or already linear on one leg.
    pub stage: AdoptedStage,
}

/// What an adopted move's device does.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptedStage {
    /// It mirrors.
    Mirror(MirrorState),
    /// It is linear on this leg, not yet folded into the volume's table.
    Linear(Leg),
}

/// How a mirror stands, from the kernel's status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MirrorState {
    /// Chunks in sync.
    pub in_sync_chunks: u64,
    /// Chunks in all.
    pub total_chunks: u64,
    /// Whether the source leg has shown no error.
    pub source_alive: bool,
    /// Whether the target leg has shown no error.
    pub target_alive: bool,
    /// What a leg that is not alive failed at, where that is known; of the source if neither is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<LegFault>,
    /// How far the target's trial is; none where there is none, or it has passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

/// How far a move's target is tried, with both legs written, before its source may be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trial {
    /// It has yet to begin: the copy is under way.
    Ahead,
    /// So many percent of what is to be read back are: all that was copied before anything else is
    /// tried, or what has been written since, after all else.
    ReadsBack(u8),
    /// So many percent of the reads go to the target.
    Reads(u8),
    /// So many percent of the writes go to the target first.
    Writes(u8),
}

/// What a mirror's leg failed at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LegFault {
    /// A write to it.
    Write,
    /// The copy from it or to it.
    Copy,
    /// A read of it.
    Read,
    /// A flush of it.
    Flush,
    /// Its trial: it held something else than the source did.
    Differs {
        /// First byte of the volume that differed.
        at: Bytes,
    },
    /// Its trial: it was slower than is allowed.
    Slow {
        /// Median of what the source took.
        source: Micros,
        /// Median of what the target took.
        target: Micros,
    },
    /// Its trial: it left requests unanswered for longer than it may.
    Unanswered {
        /// For how long.
        waited: Micros,
    },
    /// The kernel no longer says, and names neither leg. It forgets all errors when it finds every
    /// chunk in sync (`reset_ms_flags` in drivers/md/dm-raid1.c): when a copy is complete, and
    /// after each flush that failed on a complete mirror.
    Forgotten,
}

impl fmt::Display for LegFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "a write to it failed",
            Self::Copy => "the copy failed on it",
            Self::Read => "a read of it failed",
            Self::Flush => "a flush of it failed",
            Self::Differs { at } => {
                return write!(f, "it held something else than the source at byte {at}");
            }
            Self::Slow { source, target } => {
                return write!(
                    f,
                    "requests took {target} us there, and {source} us on the source (medians)"
                );
            }
            Self::Unanswered { waited } => {
                return write!(f, "it left requests unanswered for {waited} us");
            }
            Self::Forgotten => "the kernel forgot at what",
        })
    }
}

impl MirrorState {
    /// Whether every chunk is in sync, the target has passed its trial and no leg has failed: the
    /// check of rule 3.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        self.is_well() && self.in_sync_chunks == self.total_chunks && self.trial.is_none()
    }

    /// Whether the target is still being tried. What is copied is tried only beside a source that is
    /// well: without one, there is nothing to go back to.
    #[must_use]
    pub const fn is_on_trial(self) -> bool {
        self.trial.is_some() && self.source_alive
    }

    /// Whether no leg has failed.
    #[must_use]
    pub const fn is_well(self) -> bool {
        self.source_alive && self.target_alive && !self.is_in_doubt()
    }

    /// Whether a leg has failed and the kernel no longer says which. Writes may have reached one leg
    /// only since then; in chunks that are not in sync, that is the source.
    #[must_use]
    pub const fn is_in_doubt(self) -> bool {
        self.source_alive && self.target_alive && matches!(self.fault, Some(LegFault::Forgotten))
    }
}

/// Which leg of a move is kept when the other is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// The old home: the move is wound back.
    Source,
    /// The new home: the move is finished.
    Target,
}

/// Where a move by hand is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Any member of this class with room.
    Class(Class),
    /// This member.
    Member(MemberIndex),
}

/// How fast a move copies, and reads back, by backends that can choose: one of the policy's paces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// At `low_bytes_per_second`.
    Low,
    /// At `copy_bytes_per_second`.
    #[default]
    Normal,
    /// As fast as it can.
    High,
}

/// Counts of one interval. Hints only: nothing about correctness may rest on them (rule 8).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Length of the interval.
    pub interval: Micros,
    /// Regions that were touched, in ascending order.
    pub regions: Vec<RegionCount>,
    /// Bios that the probe could not count.
    pub lost: u64,
}

/// What was counted on one region in one interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionCount {
    /// Which region.
    pub region: VolumeRegion,
    /// Read bios that touched it.
    pub reads: u32,
    /// Write bios that touched it.
    pub writes: u32,
    /// Bytes read from it.
    pub read_bytes: Bytes,
    /// Bytes written to it.
    pub written_bytes: Bytes,
    /// Of `reads` and `writes`, those that went on where the last bio on the volume ended, or one just before.
    pub sequential: u32,
}

/// A region that crossed the engine's threshold within the running interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HotRegion {
    /// Which region.
    pub region: VolumeRegion,
    /// Touches in this interval so far.
    pub touches: u32,
    /// Of these, writes.
    pub writes: u32,
    /// Of these, those that went on where the last bio on the volume ended, or one just before.
    #[serde(default)]
    pub sequential: u32,
}

/// Load of the members and of the machine over the last monitoring interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// By member index, ascending.
    pub members: Vec<MemberLoad>,
    /// Median latency of the volume's sampled bios, if any completed.
    pub foreground_p50: Option<Micros>,
    /// 99th percentile of the same.
    pub foreground_p99: Option<Micros>,
    /// Busy share of all CPUs, 0 to 1.
    pub cpu_busy: f64,
    /// Share of time in which some task waited for I/O (`/proc/pressure/io`, some, 10 s), 0 to 1.
    pub io_pressure: f64,
    /// Share of time in which some task waited for memory, 0 to 1.
    pub memory_pressure: f64,
    /// Memory that can be had without swapping.
    pub memory_available: Bytes,
    /// Bytes per second over all network interfaces but loopback, both directions.
    pub network_bytes_per_second: f64,
}

/// Load of one member over the last monitoring interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberLoad {
    /// Which member.
    pub member: MemberIndex,
    /// Share of time in which it had a request in flight, 0 to 1.
    pub busy: f64,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// Mean latency of its reads, queueing included, if it served any.
    pub read_latency: Option<Micros>,
    /// Mean latency of its writes, queueing included, if it served any.
    pub write_latency: Option<Micros>,
    /// Bytes written to it by anybody, moves included.
    #[serde(default)]
    pub written_bytes: Bytes,
}
