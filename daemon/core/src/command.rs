//! What the engine orders: each command is carried out by the shell, and answered by an event.
//!
//! Owns: [`Command`] and its parts. Commands of one step are carried out in their order; a command
//! that fails does not stop those behind it, so the engine never emits two in one step of which
//! the second is safe only if the first succeeded.

use serde::{Deserialize, Serialize};

use crate::event::Kept;
use crate::forecast::{Drifted, Example, ExpertName, GroupHistory};
use crate::policy::TrialPolicy;
use crate::units::{Generation, MemberIndex, MoveId, RequestId, VolumeRegion};
use crate::volume::{Class, Extent, Leg, Retired};

/// Something the shell is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", content = "arguments", rename_all = "snake_case")]
pub enum Command {
    /// Begin mirroring these extents, with one hold of the volume for all. Answered by
    /// `Event::AddLegsFailed`; or by `Event::LegsAdded` or `Event::CopyNotBegun`, or both, for
    /// disjoint sets of moves.
    AddLegs(Vec<AddLeg>),
    /// Make what was copied to the targets of these moves durable: `fdatasync` on each target's
    /// block device, its result checked (rule 3). Answered by `Event::TargetsFlushed` or
    /// `Event::FlushFailed`, or both, for disjoint sets of moves.
    FlushTargets(Vec<FlushTarget>),
    /// Make a new generation durable on every live replica. At most one is under way. Answered by
    /// `Event::Committed` or `Event::CommitFailed`.
    Commit(Commit),
    /// Write into every label that this generation is acted on. Given before the swap, so that no
    /// start can fall back past it. Answered by `Event::Marked` or `Event::MarkFailed`.
    MarkActedOn(Generation),
    /// Make the move's device linear on one leg. With `require_complete`, only if the mirror is
    /// complete inside the hold. Answered by `Event::LegDropped`, `Event::DropRefused` or
    /// `Event::DropFailed`.
    DropLeg(DropLeg),
    /// Load the volume's table from these extents, so that the folded moves leave it, in one hold;
    /// remove their devices; read the kernel's table back. Answered by `Event::MapSet` or
    /// `Event::SetMapFailed`.
    SetMap {
        /// The moves that leave the table. Each one's device is linear already.
        fold: Vec<MoveId>,
    },
    /// From now on, have a move copy so many bytes in a second at most. Not answered.
    SetPace {
        /// Which.
        id: MoveId,
        /// 0: as many as it can.
        bytes_per_second: u64,
    },
    /// Report a region from the probe as soon as it has had this many touches in an interval;
    /// zero turns reporting off. Not answered.
    SetHotThreshold(u32),
    /// Forecast how often these groups of regions will be touched. Given only while
    /// `Event::Forecaster` says that somebody does; answered by `Event::Forecast`, or not at all.
    Forecast {
        /// The window in which it is asked, to answer with.
        window: u64,
        /// What was counted of them.
        groups: Vec<GroupHistory>,
    },
    /// Keep these for training. Not answered.
    Learn(Vec<Example>),
    /// The forecasts of the network have become worse; train it anew. Not answered.
    Retrain(Drifted),
    /// Tell people that a move has changed its stage, and why. Not answered.
    Report(MoveReport),
    /// Answer a person's request. Not answered.
    Reply {
        /// Whose.
        request: RequestId,
        /// What became of it.
        reply: Reply,
    },
    /// Something a person should see in the log. Not answered.
    Warn(String),
}

/// A leg to add: the beginning of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddLeg {
    /// The move's number.
    pub id: MoveId,
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The home.
    pub source: Leg,
    /// Where the copy goes.
    pub target: Leg,
    /// How the target is tried once the copy is complete, by backends that can; none: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<TrialPolicy>,
    /// Whether the target is of a faster class than the source, so that it fails its trial by
    /// being slower.
    #[serde(default)]
    pub promises_faster: bool,
}

/// A target to flush before the commit that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlushTarget {
    /// The move.
    pub id: MoveId,
    /// Its target leg.
    pub target: Leg,
}

/// A leg to drop: the end of a move, or its undoing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropLeg {
    /// The move.
    pub id: MoveId,
    /// Which leg stays.
    pub keep: Kept,
    /// Where that leg is. What was half done by an earlier try is finished only if it leads here.
    pub leg: Leg,
    /// Whether the mirror must be complete in the hold (a finish) or not (an undoing, where the
    /// record names the kept leg already).
    pub require_complete: bool,
}

/// One durable change of the metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The generation this becomes: the newest durable one plus one.
    pub generation: Generation,
    /// Extents that replace whatever covered their regions; ascending, disjoint. An extent that
    /// is cut by one of these keeps its uncovered parts.
    pub set: Vec<Extent>,
    /// Former homes given up by this commit.
    pub retire: Vec<Retired>,
    /// Former homes that this commit frees.
    pub free: Vec<Retired>,
}

/// Stage of a move, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Chosen, and waiting for room, budget or a turn.
    Pending,
    /// The mirror copies.
    Copying,
    /// The copy is complete; the target is being flushed, committed, marked.
    Committing,
    /// The new home is durable; the old leg is being dropped.
    Swapping,
    /// Done.
    Done,
    /// Wound back to the old home.
    Undone,
    /// Given up, with the old home in place.
    Failed,
}

/// Why a move was chosen: machine-readable, and enough to explain it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Reason {
    /// A person asked.
    ByHand {
        /// With which request.
        request: RequestId,
    },
    /// Enough use of the region is expected.
    Promotion {
        /// Who expects it.
        expert: ExpertName,
        /// Touches that are expected while it stays.
        touches: u32,
        /// How likely it was, by what came of such forecasts, that as many come as pay for the
        /// move, to the region for whose sake it is made.
        confidence: f64,
        /// Foreground seconds the move is expected to save.
        benefit_seconds: f64,
        /// Seconds it is expected to cost, at the prices of the moment.
        cost_seconds: f64,
        /// Seconds from then until they begin to come, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        due_in_seconds: Option<f64>,
    },
    /// Room was needed for a warmer region, or the headroom of the tier.
    Demotion {
        /// Touches that were expected of it.
        heat: f64,
        /// The move that needs the room, if one does.
        room_for: Option<MoveId>,
    },
    /// What is written to it wears the flash that it was on more than it was worth to have it there.
    Worn {
        /// What writing there cost, in foreground seconds per GiB.
        seconds_per_gib: f64,
    },
    /// It was found in the kernel's tables at start.
    Adopted,
}

/// A move that people should know about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveReport {
    /// The move.
    pub id: MoveId,
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The home when it began.
    pub source: Leg,
    /// Where it goes.
    pub target: Leg,
    /// Class of the source's member.
    pub from: Class,
    /// Class of the target's member.
    pub to: Class,
    /// Where it stands.
    pub stage: Stage,
    /// Why it was chosen.
    pub reason: Reason,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// These moves were begun or are pending. Empty: all of the range is there already.
    Moves(Vec<MoveId>),
    /// Done.
    Done,
    /// Refused; nothing was changed.
    Refused(Refusal),
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Regions beyond the end of the volume.
    #[error("regions {first} to {last} are not all in the volume, which has {regions}")]
    OutOfRange {
        /// First region asked for.
        first: VolumeRegion,
        /// Last region asked for.
        last: VolumeRegion,
        /// Regions of the volume.
        regions: u32,
    },
    /// No member of that index or class.
    #[error("the volume has no member {0}; `tierctl member list` shows those it has")]
    NoSuchTarget(String),
    /// Not enough free regions.
    #[error(
        "{wanted} regions are wanted on {target}, which has {free} free; demote something first"
    )]
    NoRoom {
        /// Where to.
        target: String,
        /// Regions that need room there.
        wanted: u32,
        /// Regions free there.
        free: u32,
    },
    /// Part of the range is being moved already.
    #[error("region {region} is being moved by move {id}; wait for it or cancel it")]
    Busy {
        /// Which region.
        region: VolumeRegion,
        /// By which move.
        id: MoveId,
    },
    /// No move of that number is under way.
    #[error("no move {0} is under way; `tierctl moves` lists those that are")]
    NoSuchMove(MoveId),
    /// The move's new home is committed; it can no longer be taken back.
    #[error("move {0} has its new home committed and can no longer be taken back")]
    TooLate(MoveId),
    /// Part of the range is kept on several members at once.
    #[error("region {region} is kept on several members at once; such a range cannot be moved")]
    Mirrored {
        /// Which region.
        region: VolumeRegion,
    },
    /// Part of the range is on a member that is missing.
    #[error(
        "region {region} is on member {member}, which is missing; attach it, then stop the volume \
         and start it again"
    )]
    Missing {
        /// Which region.
        region: VolumeRegion,
        /// Which member.
        member: MemberIndex,
    },
    /// An invariant was found violated, so that nothing more is begun.
    #[error("an invariant was found violated ({0}); the volume serves, but nothing more is moved")]
    Latched(String),
    /// The metadata can no longer be written.
    #[error("no metadata replica can be written; the volume serves, but nothing can be moved")]
    NoReplica,
}
