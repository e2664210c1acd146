//! Ids, names and facts that labels and metadata share.
//!
//! Owns: their types and textual forms. Holds no I/O.

use std::fmt;

use serde::{Deserialize, Serialize};
use tier_core::units::{Bytes, MemberIndex, RegionSize};
use tier_core::volume::{Class, Profile};
use uuid::Uuid;

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh random id.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// A volume, for as long as it exists.
    VolumeId
);
id!(
    /// A member, for as long as it belongs to its volume.
    MemberId
);
id!(
    /// A set of present members and live replicas.
    EpochId
);

/// An epoch with its place in the volume's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// One more than its parent's; the first has 1.
    pub number: u64,
    /// What tells it from another epoch that was made elsewhere with the same number.
    pub id: EpochId,
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.number, self.id)
    }
}

/// A volume's name: part of device names and file names, so its alphabet is narrow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

/// Longest name in bytes. With the prefixes that inner devices carry it stays below device-mapper's
/// limit of 127 (`DM_NAME_LEN` in `include/uapi/linux/dm-ioctl.h`).
pub const NAME_BYTES_MAX: usize = 63;

/// Why a text cannot be a volume's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} cannot name a volume; use 1 to {NAME_BYTES_MAX} of the characters A-Z a-z 0-9 _ . -, \
     beginning with a letter or a digit"
)]
pub struct NameError {
    /// What was given.
    pub name: String,
}

impl VolumeName {
    /// `name`, if it can be one.
    pub fn new(name: &str) -> Result<Self, NameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        let begins = name
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_alphanumeric());
        if !begins || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(NameError {
                name: name.to_owned(),
            });
        }
        Ok(Self(name.to_owned()))
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for VolumeName {
    type Error = NameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

/// Where a member's metadata area lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AreaExtent {
    /// First byte on the device.
    pub offset: Bytes,
    /// Number of bytes.
    pub length: Bytes,
}

/// What a member's metadata area is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplicaState {
    /// The member has no area.
    None,
    /// It holds every acknowledged commit.
    Live,
    /// It failed to be written and holds nothing that may be believed.
    Dropped,
}

/// What the metadata says of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberFacts {
    /// Its position in the volume's list.
    pub index: MemberIndex,
    /// Its id, which its label repeats.
    pub id: MemberId,
    /// Its kind.
    pub class: Class,
    /// Size of the whole device.
    pub device_bytes: Bytes,
    /// The device's logical block size in bytes.
    pub block_bytes: u32,
    /// Where data region 0 begins on the device.
    pub data_start: Bytes,
    /// Number of data regions.
    pub regions: u32,
    /// Its metadata area, if it has one.
    pub area: Option<AreaExtent>,
    /// Its measured or assumed speed.
    pub profile: Profile,
    /// Whether it belongs to the newest epoch. False: a degraded start went on without it.
    pub present: bool,
    /// What its area is good for.
    pub replica: ReplicaState,
}

/// What serves a volume's I/O. All else on the members is the same for both, so that a stopped volume
/// can change it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackendKind {
    /// Tables of device-mapper.
    #[default]
    Dm,
    /// A process, through `ublk_drv`.
    Ublk,
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dm => "dm",
            Self::Ublk => "ublk",
        })
    }
}

/// What rarely changes of a volume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// The volume.
    pub volume: VolumeId,
    /// Its name.
    pub name: VolumeName,
    /// Size of a region.
    pub region_size: RegionSize,
    /// Number of regions of the volume.
    pub regions: u32,
    /// Logical block size in bytes that the volume shows, fixed at creation.
    pub block_bytes: u32,
    /// What serves it. Volumes from before there was a choice are on device-mapper.
    #[serde(default)]
    pub backend: BackendKind,
    /// Its members, by index.
    pub members: Vec<MemberFacts>,
    /// Every epoch since creation, oldest first; the last is the newest. Kept whole, so that a
    /// member of any age can be told from one that went another way.
    pub epochs: Vec<Epoch>,
}

impl Facts {
    /// The newest epoch.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.epochs.last().copied()
    }

    /// The epoch before the newest.
    #[must_use]
    pub fn parent(&self) -> Option<Epoch> {
        self.epochs
            .len()
            .checked_sub(2)
            .and_then(|at| self.epochs.get(at))
            .copied()
    }

    /// Whether `epoch` is one of this volume's own: the newest, or one that came before it.
    #[must_use]
    pub fn on_this_line(&self, epoch: Epoch) -> bool {
        self.epochs.contains(&epoch)
    }

    /// The facts of the member with that index.
    #[must_use]
    pub fn member(&self, index: MemberIndex) -> Option<&MemberFacts> {
        self.members.iter().find(|member| member.index == index)
    }

    /// Begins a new epoch after the newest.
    pub(crate) fn begin_epoch(&mut self) {
        let number = self.epoch().map_or(1, |epoch| epoch.number + 1);
        self.epochs.push(Epoch {
            number,
            id: EpochId::random(),
        });
    }
}
