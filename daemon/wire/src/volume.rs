//! Volumes and members: what they are, and how they are made, started, stopped and destroyed.
//!
//! Owns: the requests and replies of `/v1/volumes` and `/v1/volumes/{name}/members`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::VolumeName;

/// Kind of device; the members of one class are a tier. Ordered from fast to slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// `NVMe` flash.
    Nvme,
    /// Any other flash.
    Ssd,
    /// A rotating disk.
    Hdd,
}

impl Class {
    /// All classes from fast to slow.
    pub const ALL: [Self; 3] = [Self::Nvme, Self::Ssd, Self::Hdd];

    /// The name by which people and programs call this class.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nvme => "nvme",
            Self::Ssd => "ssd",
            Self::Hdd => "hdd",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text names no class.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no class of device; the classes are nvme, ssd and hdd")]
pub struct ClassError(String);

impl FromStr for Class {
    type Err = ClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| ClassError(text.to_owned()))
    }
}

/// What serves a volume's I/O. A stopped volume can change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// Tables of device-mapper: the kernel serves.
    #[default]
    Dm,
    /// A process, through `ublk_drv`.
    Ublk,
}

impl Backend {
    /// All backends, the default first.
    pub const ALL: [Self; 2] = [Self::Dm, Self::Ublk];

    /// The name by which people and programs call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dm => "dm",
            Self::Ublk => "ublk",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why a text names no backend.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no backend; the backends are dm and ublk")]
pub struct BackendNameError(String);

impl FromStr for Backend {
    type Err = BackendNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|backend| backend.name() == text)
            .ok_or_else(|| BackendNameError(text.to_owned()))
    }
}

/// Creates a volume from devices and starts it. Answered by [`VolumeChange`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateVolume {
    /// Its name.
    pub name: VolumeName,
    /// Its members; at least one.
    pub members: Vec<NewMember>,
    /// Size of a region: a power of two, 1 MiB at least. Chosen by the volume's size if absent.
    #[serde(default)]
    pub region_bytes: Option<u64>,
    /// Logical block size that the volume shows, for good. If absent, the largest of its members'.
    #[serde(default)]
    pub block_bytes: Option<u64>,
    /// What is to serve it.
    #[serde(default)]
    pub backend: Backend,
    /// Whether devices that hold a foreign signature may be overwritten. A label of another volume
    /// is refused even so.
    #[serde(default)]
    pub force: bool,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// A device that is to become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMember {
    /// Path of the block device.
    pub path: String,
    /// Its class. Found out from the kernel if absent.
    #[serde(default)]
    pub class: Option<Class>,
}

/// Starts a volume that is stopped. Answered by [`VolumeChange`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartVolume {
    /// What is to serve it from now on. If absent, what served it last.
    #[serde(default)]
    pub backend: Option<Backend>,
    /// Whether to start without members that are missing, which makes a new epoch. What had its
    /// only copy on them cannot be read.
    #[serde(default)]
    pub degraded: bool,
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Stops a volume: its moves are wound back or finished, its device is removed, its data stay.
/// Refused while it is mounted or open. Answered by [`VolumeChange`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopVolume {
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// Destroys a volume: its labels are wiped and its data can no longer be reached. Refused while it
/// runs. Answered by [`VolumeChange`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestroyVolume {
    /// Whether only to say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

/// What a request did to a volume, or would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeChange {
    /// Whether nothing was changed, because only that was asked.
    pub dry_run: bool,
    /// The volume as it is now, or as it would be. For one destroyed: as it was.
    pub volume: Volume,
    /// What was written over on the members, or would be.
    #[serde(default)]
    pub overwrites: Vec<Overwrite>,
    /// What else a person should know, one sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Something on a device that is lost by a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overwrite {
    /// The device.
    pub path: String,
    /// What it holds: the name of a signature, or `tierd label`.
    pub signature: String,
}

/// All volumes that the daemon knows, by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VolumeList {
    /// The volumes.
    pub volumes: Vec<Volume>,
}

/// A volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name.
    pub name: VolumeName,
    /// Its id, a UUID.
    pub uuid: String,
    /// Whether it runs.
    pub state: VolumeRunState,
    /// What serves it, or served it last.
    #[serde(default)]
    pub backend: Backend,
    /// Path of its block device, if it runs.
    pub device: Option<String>,
    /// Bytes that it shows.
    pub size_bytes: u64,
    /// Size of a region.
    pub region_bytes: u64,
    /// Number of regions.
    pub regions: u32,
    /// Logical block size.
    pub block_bytes: u64,
    /// Whether discard is passed to the members. It is where every member has it.
    pub discard: bool,
    /// The newest durable generation of its metadata.
    pub generation: u64,
    /// The epoch: id of the present set of members and replicas.
    pub epoch: String,
    /// Its members by index.
    pub members: Vec<Member>,
}

/// Whether a volume runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeRunState {
    /// It serves, with all its members.
    Running,
    /// It serves, with a member missing or failed, or with fewer metadata replicas than it should.
    Degraded,
    /// It serves reads only.
    ReadOnly,
    /// It could be started.
    Stopped,
    /// It cannot be started: members are missing.
    Incomplete,
    /// It cannot be started: its members went two ways, and an operator must choose.
    Split,
}

impl VolumeRunState {
    /// The name by which people call this state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Degraded => "degraded",
            Self::ReadOnly => "read-only",
            Self::Stopped => "stopped",
            Self::Incomplete => "incomplete",
            Self::Split => "split",
        }
    }
}

/// The members of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberList {
    /// The volume.
    pub volume: VolumeName,
    /// By index.
    pub members: Vec<Member>,
}

/// A member of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its position in the volume's list, by which it is called (`member:N`).
    pub index: u16,
    /// Its id, a UUID.
    pub uuid: String,
    /// Path of its device, if it is present.
    pub path: Option<String>,
    /// Its class.
    pub class: Class,
    /// How it stands.
    pub state: MemberState,
    /// Bytes that can hold the volume's data.
    pub capacity_bytes: u64,
    /// Bytes of these that are allotted, targets and retired homes of moves included.
    pub used_bytes: u64,
    /// Logical block size of the device.
    pub block_bytes: u64,
    /// Whether it holds a replica of the metadata.
    pub replica: bool,
    /// Its speed without load.
    pub profile: Profile,
    /// Its load, if it has been seen.
    #[serde(default)]
    pub load: Option<MemberLoad>,
}

/// How a member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberState {
    /// Present and current.
    Present,
    /// Not found.
    Missing,
    /// Present, of an older epoch.
    Stale,
    /// Present, of an epoch that went another way.
    Split,
    /// Present, and failing.
    Failed,
}

impl MemberState {
    /// The name by which people call this state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Present => "present",
            Self::Missing => "missing",
            Self::Stale => "stale",
            Self::Split => "split",
            Self::Failed => "failed",
        }
    }
}

/// Speed of a member without load.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Whether it was measured; else it is what is typical of its class.
    pub measured: bool,
    /// Seconds that one random 4 KiB read takes.
    pub read_seconds: f64,
    /// Seconds that one random 4 KiB write takes.
    pub write_seconds: f64,
    /// Sequential bytes per second.
    pub bytes_per_second: f64,
}

/// Load of a member over the last monitoring interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberLoad {
    /// Share of time in which it had a request in flight, 0 to 1.
    pub busy: f64,
    /// Mean number of requests in flight.
    pub in_flight: f64,
    /// Mean latency of its reads, queueing included, if it served any.
    pub read_seconds: Option<f64>,
    /// Mean latency of its writes, queueing included, if it served any.
    pub write_seconds: Option<f64>,
}
