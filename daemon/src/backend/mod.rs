//! How data is mapped and moved: five verbs that every backend has, and a pace where it has one.
//!
//! Owns: the [`Backend`] trait and its words. A backend obeys; it decides nothing. It never reads
//! metadata: what it knows of a volume comes from the kernel's own tables ([`Backend::read_back`])
//! and from what it is told. Each verb either does all of what it was asked or leaves the kernel
//! as it was, and says so in its error.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{AdoptedMove, Kept, MirrorState};
use tier_core::units::MoveId;
use tier_core::volume::{Extent, Leg};

pub mod dm;
pub mod error;
#[cfg(any(test, feature = "testing"))]
pub mod fake;
pub mod layout;
pub(crate) mod link;
pub mod settle;
pub mod ublk;

pub use error::BackendError;
pub use layout::{Layout, MemberDevice, NameError, VolumeName};

/// One hold: how long new I/O was kept waiting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// From the suspend call to the return of the resume call.
    pub total: Duration,
    /// Of that, the suspend call: waiting for I/O in flight.
    pub drain: Duration,
    /// Moves that shared it.
    pub moves: u32,
}

/// What the kernel holds of a volume.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelMap {
    /// Runs that are linear on a member, in order and coalesced. Runs behind a move's device are
    /// absent here and stand in `moves`.
    pub direct: Vec<Extent>,
    /// Runs behind a move's device, in order.
    pub moves: Vec<AdoptedMove>,
}

/// How `add_legs` went.
#[derive(Debug, Default)]
pub struct Added {
    /// The hold of the volume, which all moves shared.
    pub hold: Hold,
    /// For each move, in the order of the request, the hold of its own device in which its copy
    /// began; or why it did not begin. Such a move's device is linear on the source.
    pub copies: Vec<(MoveId, Result<Hold, BackendError>)>,
}

/// How `drop_leg` went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropOutcome {
    /// The device is linear on the kept leg, and nothing writes to the other one any more.
    Dropped(Hold),
    /// The mirror was not complete, outside the hold or in it; it runs on unchanged.
    Refused(MirrorState),
}

/// What a move's device does now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LegState {
    /// It mirrors.
    Mirror(MirrorState),
    /// It is linear already.
    Linear,
}

/// The five verbs. Calls block; they are made from the one locked thread that holds.
pub trait Backend: Send {
    /// Reads the kernel's tables of the running volume.
    fn read_back(&mut self) -> Result<KernelMap, BackendError>;

    /// From now on, has a move copy so many bytes in a second at most; 0: as many as it can. The
    /// kernel's own mirrors have no pace each.
    fn set_pace(&mut self, id: MoveId, _bytes_per_second: u64) -> Result<(), BackendError> {
        Err(BackendError::NoPace(id))
    }

    /// Puts each of these runs behind a device of its own, all in one hold of the volume; then has
    /// each of these devices mirror, in a hold of that device alone. An error means that nothing
    /// of it is in the volume's table.
    fn add_legs(&mut self, adds: &[AddLeg]) -> Result<Added, BackendError>;

    /// How a move's device stands.
    fn leg_state(&mut self, id: MoveId) -> Result<LegState, BackendError>;

    /// Makes a move's device linear on one leg, in a hold of that device alone; if that leg is not
    /// where it was said to be, nothing changes. A backend that needs
    /// no hold may have begun it when it says that it took too long: it is then finished by being
    /// asked again, for the same leg alone.
    fn drop_leg(&mut self, drop: DropLeg) -> Result<DropOutcome, BackendError>;

    /// Takes these moves, each linear already, out of the volume's table in one hold, and removes
    /// their devices. Each run ends on the leg its device was linear on.
    fn set_map(&mut self, fold: &[MoveId]) -> Result<Hold, BackendError>;
}

/// Sees that the leg to keep is where it is said to be.
pub(crate) fn check_kept(drop: &DropLeg, source: Leg, target: Leg) -> Result<(), BackendError> {
    let found = match drop.keep {
        Kept::Source => source,
        Kept::Target => target,
    };
    if found == drop.leg {
        return Ok(());
    }
    let (id, wanted) = (drop.id, drop.leg);
    Err(BackendError::OtherLeg { id, found, wanted })
}
