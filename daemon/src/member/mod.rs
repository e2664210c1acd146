//! What a device is, and whether a volume may have it.
//!
//! Owns: looking at a device that someone wants to give ([`probe`]), and refusing it for a reason
//! that names the mend ([`check`], [`check_together`]). Reads only. Whether the device carries a
//! label of tierd's own is the store's to say.
//!
//! What is seen here may change a moment later; what keeps others out is the claim that the
//! volume's activation takes.

use std::path::PathBuf;

use tier_core::units::Bytes;
use tier_core::volume::Class;
use tier_sys::block::{BlockError, DeviceNumber};

pub mod check;
pub mod erase;
pub mod signature;
pub mod sysfs;
pub mod users;

mod probe;

pub use check::{Force, Requirements, check, check_together};
pub use probe::probe;
pub use signature::Signature;
pub use users::Use;

/// What is known of a device.
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, none a state"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// As it was given.
    pub path: PathBuf,
    /// Its number.
    pub number: DeviceNumber,
    /// The kernel's name, such as `nvme0n1p2`.
    pub name: String,
    /// For a partition, the disk it is on; for anything else the device itself.
    pub disk: DeviceNumber,
    /// Its size.
    pub size: Bytes,
    /// The unit in which it is read and written.
    pub logical_block: Bytes,
    /// The unit that it writes in one piece.
    pub physical_block: Bytes,
    /// Whether it is read-only.
    pub read_only: bool,
    /// Whether its platters turn, as far as the kernel knows.
    pub rotational: bool,
    /// Whether it takes discards.
    pub discard: bool,
    /// Whether it has a volatile cache, which a power cut empties and a flush writes.
    pub volatile_cache: bool,
    /// Whether it takes writes that go past that cache (FUA).
    pub fua: bool,
    /// What kind it seems to be; an administrator may say otherwise.
    pub class: Class,
    /// Who has it in use; nobody if empty.
    pub used_by: Vec<Use>,
    /// Whether the kernel refuses to hand it to one holder alone (`O_EXCL`).
    pub busy: bool,
    /// What is on it, as blkid knows it.
    pub signature: Option<Signature>,
}

/// Why a device cannot be looked at, or be a member.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// It cannot be opened or asked.
    #[error(transparent)]
    Device(#[from] BlockError),
    /// It is a file, not a device.
    #[error("{} is not a block device; make it one with `losetup`, or give another", path.display())]
    NotBlockDevice {
        /// What was given.
        path: PathBuf,
    },
    /// What the kernel knows of it cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    System {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The tool that knows signatures is missing.
    #[error("cannot run `blkid`, which tells what is on a device ({source}); install util-linux")]
    NoBlkid {
        /// Why.
        source: std::io::Error,
    },
    /// The tool that knows signatures failed.
    #[error("`blkid -p` failed on {} ({status}): {message}", path.display())]
    Blkid {
        /// On which device.
        path: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        message: String,
    },
    /// The tool that erases signatures is missing.
    #[error("cannot run `wipefs`, which erases what is on a device ({source}); install util-linux")]
    NoWipefs {
        /// Why.
        source: std::io::Error,
    },
    /// The tool that erases signatures failed.
    #[error("`wipefs --all` failed on {} ({status}): {message}", path.display())]
    Wipefs {
        /// On which device.
        path: PathBuf,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        message: String,
    },
    /// Somebody uses it.
    #[error("{} is in use: it is {}", path.display(), users::list(used_by))]
    InUse {
        /// Which device.
        path: PathBuf,
        /// By whom.
        used_by: Vec<Use>,
    },
    /// Somebody uses it, or a partition of it, and does not show.
    #[error("{} is in use: another program holds it, or one of its partitions is in use", path.display())]
    Busy {
        /// Which device.
        path: PathBuf,
    },
    /// It takes no writes.
    #[error("{} is read-only; `blockdev --setrw` may help", path.display())]
    ReadOnly {
        /// Which device.
        path: PathBuf,
    },
    /// It has no room for labels, metadata and a region of data.
    #[error("{} has {size} bytes, and a member needs {minimum} at least", path.display())]
    TooSmall {
        /// Which device.
        path: PathBuf,
        /// Its size in bytes.
        size: Bytes,
        /// The least that would do, in bytes.
        minimum: Bytes,
    },
    /// Its blocks are larger than the volume's.
    #[error(
        "{} has blocks of {found} bytes and the volume shows {wanted}, which is fixed for its life; \
         give a device with blocks of {wanted} bytes or less, or format it so (`nvme format`, `sg_format`)",
        path.display()
    )]
    BlockSize {
        /// Which device.
        path: PathBuf,
        /// Its logical block size in bytes.
        found: Bytes,
        /// The volume's in bytes.
        wanted: Bytes,
    },
    /// Something is on it.
    #[error("{} holds {found}; give --force to destroy it, or `wipefs` it first", path.display())]
    Signature {
        /// Which device.
        path: PathBuf,
        /// What.
        found: Signature,
    },
    /// It was given twice.
    #[error("{} and {} are the same device ({number})", first.display(), second.display())]
    SameDevice {
        /// One path.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// The device both lead to.
        number: DeviceNumber,
    },
    /// A disk and a part of it were given.
    #[error("{} is a partition of {}; give one of the two", partition.display(), disk.display())]
    PartitionOfOther {
        /// The partition.
        partition: PathBuf,
        /// The disk.
        disk: PathBuf,
    },
}
