//! Why a verb failed: a kind to branch on, and for people the device, the errno and the mend.
//!
//! Invariant: every variant but [`BackendError::Stuck`] and [`BackendError::StillCopies`] means that
//! the kernel is as it was.

use std::io;
use std::time::Duration;

use tier_core::event::MirrorState;
use tier_core::units::{MoveId, VolumeRegion};
use tier_core::volume::Leg;

/// Why a verb failed.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Device-mapper itself cannot be had.
    #[error(
        "device-mapper cannot be used ({source}); load it with `modprobe dm_mod dm_mirror`, and run as root"
    )]
    Unavailable {
        /// Why.
        source: io::Error,
    },
    /// The kernel refused a call.
    #[error("cannot {what} {device}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// On which device.
        device: String,
        /// Why.
        source: io::Error,
    },
    /// I/O in flight did not end in time, so the hold was given up.
    #[error(
        "I/O in flight on {device} did not end within {limit:?}, so it was not held; \
         a member is slow or hangs: try again later"
    )]
    HoldTimedOut {
        /// The device that was to be held.
        device: String,
        /// How long was waited.
        limit: Duration,
    },
    /// A live mirror has lost a leg. Its writes are parked, and a hold of the volume would wait
    /// for them.
    #[error("move {id} has lost a leg ({state:?}); drop that leg before anything else is moved")]
    UnhealthyMove {
        /// Which.
        id: MoveId,
        /// How it stands.
        state: MirrorState,
    },
    /// The volume is open.
    #[error("{device} is in use; unmount what is on it, or stop what has it open")]
    InUse {
        /// Which device.
        device: String,
    },
    /// The volume does not run.
    #[error("{device} does not run; start the volume first")]
    NotRunning {
        /// Its device.
        device: String,
    },
    /// There is no such move in the kernel's tables.
    #[error("no device of move {0} is in the volume's table")]
    NoSuchMove(MoveId),
    /// What copies has no pace that could be set for one move.
    #[error("the kernel's mirrors have no pace of their own each, so move {0} cannot be given one")]
    NoPace(MoveId),
    /// The request contradicts what the kernel holds, or itself.
    #[error("cannot do that to regions {first} to {last}: {why}")]
    Contradiction {
        /// First region it is about.
        first: VolumeRegion,
        /// Last region it is about.
        last: VolumeRegion,
        /// What is wrong with it.
        why: String,
    },
    /// The move's device is linear on a leg already; `read_back` says on which.
    #[error("move {0} is linear on one leg already")]
    AlreadyLinear(MoveId),
    /// The leg to keep is elsewhere than said: who asked knows another move by this number.
    #[error(
        "the leg of move {id} that was to be kept is on member {} from region {}, not on member {} \
         from region {}",
        .found.member, .found.first, .wanted.member, .wanted.first
    )]
    OtherLeg {
        /// Which move.
        id: MoveId,
        /// Where the leg is.
        found: Leg,
        /// Where it was said to be.
        wanted: Leg,
    },
    /// The move's device still mirrors.
    #[error("move {0} still mirrors; drop one of its legs first")]
    StillMirrors(MoveId),
    /// A leg failed and the kernel forgot which, and it could not be found out: the mirror runs on.
    #[error(
        "a leg of move {0} failed and the kernel forgot which; writes went on while the legs were \
         compared, and none of them is dropped before that is known"
    )]
    InDoubt(MoveId),
    /// A device could not be read.
    #[error(transparent)]
    Block(#[from] tier_sys::block::BlockError),
    /// The leg was dropped, but the mirror could not be taken down and may still copy to it: that
    /// leg must not be used for anything else.
    #[error("move {id} has dropped its leg, but its mirror may still copy to it: {source}")]
    StillCopies {
        /// Which.
        id: MoveId,
        /// Why.
        source: Box<BackendError>,
    },
    /// The kernel holds something that tierd did not make, or not so.
    #[error("{device} holds something that tierd did not make, at sector {sector}: {why}")]
    Foreign {
        /// Which device.
        device: String,
        /// At which sector of it.
        sector: u64,
        /// What is wrong.
        why: String,
    },
    /// The kernel's table and what was asked for (or recorded) differ.
    #[error(
        "{device} is mapped otherwise than recorded, from sector {sector} on: {found}, not {wanted}"
    )]
    Mismatch {
        /// Which device.
        device: String,
        /// First sector that differs.
        sector: u64,
        /// What the kernel has there.
        found: String,
        /// What should be there.
        wanted: String,
    },
    /// The layout itself makes no sense.
    #[error("the volume's layout makes no sense: {0}")]
    Layout(String),
    /// Something failed, and so did winding it back: the kernel is not as it was.
    #[error(
        "{first}; and then winding back failed: cannot {what} {device}: {source}. Run `tierd settle`"
    )]
    Stuck {
        /// What failed first.
        first: Box<BackendError>,
        /// What was to be wound back.
        what: &'static str,
        /// On which device.
        device: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl BackendError {
    /// The kernel's error number, if it refused a call.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Unavailable { source }
            | Self::Kernel { source, .. }
            | Self::Stuck { source, .. } => source.raw_os_error(),
            Self::StillCopies { source, .. } => source.errno(),
            Self::Block(source) => source.errno(),
            _ => None,
        }
    }

    /// Whether the same call may succeed later without anyone mending anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::HoldTimedOut { .. } | Self::InDoubt(_))
    }
}
