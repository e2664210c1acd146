//! Moves: planned, asked for, under way and past; and the pausing of the policy.
//!
//! Owns: the requests and replies of `plan`, `moves`, `cancel`, `pause` and `resume`.

use serde::{Deserialize, Serialize};

use crate::name::VolumeName;
use crate::volume::Class;

/// What the policy would move now. Nothing is begun by asking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The volume.
    pub volume: VolumeName,
    /// Whether the policy is paused, so that none of this would begin by itself.
    pub paused: bool,
    /// The moves in the order in which they would begin.
    pub moves: Vec<PlannedMove>,
    /// Bytes that they copy together.
    pub bytes: u64,
    /// Seconds that they take together at the present budget.
    pub seconds: f64,
}

/// A move that would be made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// First region of the volume.
    pub first: u32,
    /// Number of regions.
    pub count: u32,
    /// Where they live.
    pub from: Place,
    /// Where they would live.
    pub to: Place,
    /// Bytes to copy.
    pub bytes: u64,
    /// Seconds that it takes at the present budget.
    pub seconds: f64,
    /// Why.
    pub reason: Reason,
}

/// A member, as a place where data live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The member's index.
    pub member: u16,
    /// Its class.
    pub class: Class,
}

/// Why a move is made: machine-readable, and as a sentence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The rule and its figures.
    #[serde(flatten)]
    pub cause: Cause,
    /// The same for people.
    pub text: String,
}

/// The rule behind a move, and the figures it was decided on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Cause {
    /// A person asked.
    ByHand,
    /// Enough use is expected.
    Promotion {
        /// Who expects it.
        #[serde(default)]
        expert: String,
        /// Touches that are expected while it stays.
        touches: u32,
        /// How likely it was that as many come as pay for the move, 0 to 1.
        confidence: f64,
        /// Foreground seconds that the move is expected to save.
        benefit_seconds: f64,
        /// Foreground seconds that it is expected to cost.
        cost_seconds: f64,
    },
    /// Room was needed for something warmer, or for the headroom of the tier.
    Demotion {
        /// Touches that were expected.
        heat: f64,
        /// The move that needs the room, if one does.
        room_for: Option<u64>,
    },
    /// What is written to it wore the flash that it was on more than it was worth to have it there.
    Worn {
        /// What writing there cost, in foreground seconds per GiB.
        seconds_per_gib: f64,
    },
    /// Found in the kernel's tables when the daemon started.
    Adopted,
}

/// Asks for a move by hand. Answered by [`MoveAccepted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoveRequest {
    /// What to move.
    pub range: MoveRange,
    /// Where to.
    pub to: MoveTarget,
    /// How fast. Only volumes on ublk know any but the normal one.
    #[serde(default, skip_serializing_if = "Priority::is_normal")]
    pub priority: Priority,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Part of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum MoveRange {
    /// These regions.
    Regions {
        /// The first.
        first: u32,
        /// How many; at least one.
        count: u32,
    },
    /// Every region that these bytes touch.
    Bytes {
        /// Offset in the volume.
        offset: u64,
        /// Length; at least one.
        length: u64,
    },
    /// The whole volume.
    All,
}

/// Where a move is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveTarget {
    /// Any member of this class with room.
    Class(Class),
    /// The member with this index.
    Member(u16),
}

/// What became of a [`MoveRequest`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveAccepted {
    /// Whether nothing was begun, because only that was asked.
    pub dry_run: bool,
    /// The moves that were begun or are pending. Empty: all of it is there already, or a dry run.
    pub moves: Vec<u64>,
    /// Regions that have to move; those that are there already are left out.
    pub regions: u32,
    /// Bytes to copy.
    pub bytes: u64,
    /// Seconds that it takes at the present budget.
    pub seconds: f64,
}

/// Query of the list of moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MovesQuery {
    /// Most past moves to tell, newest first; 0 for none.
    #[serde(default)]
    pub history: u32,
}

impl MovesQuery {
    /// Most past moves in one reply.
    pub const HISTORY_MAX: u32 = 10_000;
}

/// Moves of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MoveList {
    /// The volume.
    pub volume: VolumeName,
    /// Copying, committing or swapping, by id.
    pub live: Vec<Move>,
    /// Waiting, in the order in which they would begin.
    pub pending: Vec<Move>,
    /// Ended, newest first; as many as were asked for and are remembered.
    pub history: Vec<Move>,
}

/// A move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Move {
    /// Its number.
    pub id: u64,
    /// First region of the volume.
    pub first: u32,
    /// Number of regions.
    pub count: u32,
    /// Bytes of these.
    pub bytes: u64,
    /// Where they lived when it began.
    pub from: Place,
    /// Where it goes.
    pub to: Place,
    /// Where it stands.
    pub stage: Stage,
    /// What is done with its new home while both are written and all is copied; absent while it is
    /// copied, and on device-mapper, where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
    /// How fast it goes; absent once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Share of the copy that is done, 0 to 1.
    pub progress: f64,
    /// Seconds until it is done, while that can be told.
    pub eta_seconds: Option<f64>,
    /// Seconds since it was chosen.
    pub age_seconds: f64,
    /// Seconds since it ended, if it did.
    pub ended_seconds_ago: Option<f64>,
    /// Why it was chosen.
    pub reason: Reason,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

/// Where a move stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Chosen, and waiting for room, budget or a turn.
    Pending,
    /// Both homes are written while the copy runs.
    Copying,
    /// The copy is complete; the new home is being made durable.
    Committing,
    /// The new home is durable; the old one is being dropped.
    Swapping,
    /// Done.
    Done,
    /// Wound back to the old home.
    Undone,
    /// Given up, with the old home in place.
    Failed,
}

impl Stage {
    /// The name by which people call this stage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Copying => "copying",
            Self::Committing => "committing",
            Self::Swapping => "swapping",
            Self::Done => "done",
            Self::Undone => "undone",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to the move.
    #[must_use]
    pub const fn is_ended(self) -> bool {
        matches!(self, Self::Done | Self::Undone | Self::Failed)
    }
}

/// What is done with a new home before the old one is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Trial {
    /// What was copied, or written since, is read back and compared.
    ReadingBack {
        /// How much of it was, in percent.
        percent: u8,
    },
    /// A part of the reads goes to it.
    ShadowingReads {
        /// How many of a hundred.
        percent: u8,
    },
    /// A part of the writes goes to it first.
    RedirectingWrites {
        /// How many of a hundred.
        percent: u8,
    },
}

/// How fast a move copies, and reads back what it copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// At `low_bytes_per_second` of `[policy.trial]`.
    Low,
    /// At `copy_bytes_per_second` of `[policy.trial]`, as moves of the policy.
    #[default]
    Normal,
    /// As fast as it can.
    High,
}

impl Priority {
    /// All of them, the slowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// Whether it is that of moves of the policy.
    #[must_use]
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub const fn is_normal(&self) -> bool {
        matches!(self, Self::Normal)
    }

    /// The name by which people call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
        }
    }
}

/// Changes how fast a move goes that has not ended. Answered by the [`Move`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetPriority {
    /// How fast from now on.
    pub priority: Priority,
}

/// Takes a move back, which leaves its data where they were. Refused once its new home is
/// committed. Answered by the [`Move`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelMove {
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Stops the policy from beginning moves, or lets it begin them again. Moves under way go on, and
/// moves by hand are taken as before. Answered by [`PauseState`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pause {}

/// Whether the policy is paused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseState {
    /// The volume.
    pub volume: VolumeName,
    /// Whether the policy begins no moves.
    pub paused: bool,
}
