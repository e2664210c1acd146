//! The words of tierd's control API: HTTP/1.1 with JSON over a UNIX socket.
//!
//! Owns: every request, reply and error that crosses the socket, and the paths they go to
//! ([`route`]). Invariants: units stand in the names of the fields (`_bytes`, `_seconds`); numbers
//! are finite, since JSON has no others; requests refuse fields they do not know, so that a misspelt
//! one changes nothing; replies may gain fields within a version, so readers pass over those they do
//! not know. What would break a reader gets a new [`VERSION`]. Holds no behaviour beyond checking its own words, and no types of the core:
//! the API stays still while the inside moves.

pub mod error;
pub mod explain;
pub mod heat;
pub mod models;
pub mod moves;
pub mod name;
pub mod route;
#[cfg(any(test, feature = "samples"))]
pub mod samples;
pub mod status;
pub mod volume;
pub mod wear;

#[cfg(test)]
mod tests;

pub use error::{ErrorBody, ErrorKind};
pub use explain::{
    Came, ExpertView, ExplainQuery, Explanation, ForecastClass, ForecastCounts, Offer, Verdict,
};
pub use heat::{ClassShare, HeatBucket, HeatMap, HeatQuery};
pub use models::{Model, ModelList, Network, Retrain, Rollback, Training, TrainingEnd};
pub use moves::{
    CancelMove, Cause, Move, MoveAccepted, MoveList, MoveRange, MoveRequest, MoveTarget,
    MovesQuery, Pause, PauseState, Place, Plan, PlannedMove, Priority, Reason, SetPriority, Stage,
    Trial,
};
pub use name::{NameError, VolumeName};
pub use status::{
    Budget, Expert, Foreground, Health, HoldStatistics, InsuranceAccount, MoveCounts, ProbeStatus,
    Replicas, Status, TierStatus,
};
pub use volume::{
    Backend, BackendNameError, Class, CreateVolume, DestroyVolume, Member, MemberList, MemberLoad,
    MemberState, NewMember, Overwrite, Profile, StartVolume, StopVolume, Volume, VolumeChange,
    VolumeList, VolumeRunState,
};
pub use wear::{MemberWear, Wear, WearMoney, WearRule};

/// The version in every path. It changes only when a reader of the one before would break.
pub const VERSION: &str = "v1";

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/tierd/tierd.sock";
