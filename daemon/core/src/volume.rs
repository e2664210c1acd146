//! What a volume is made of: members, legs, extents, and the facts about them.
//!
//! Owns: the vocabulary that the store writes, the backends map and the engine decides about.
//! Holds no behaviour beyond arithmetic on itself.

use std::fmt;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::units::{Bytes, Generation, MemberIndex, MemberRegion, RegionSize, VolumeRegion};

/// Kind of device a member is. Ordered from fast to slow: a tier is the members of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

    /// The name by which people and files call this class.
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

/// One copy of an extent's data: where on which member it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Leg {
    /// The member that holds it.
    pub member: MemberIndex,
    /// The first of its regions there; the others follow without a gap.
    pub first: MemberRegion,
}

impl Leg {
    /// The same copy, `regions` further on.
    #[must_use]
    pub const fn plus(self, regions: u32) -> Self {
        Self {
            member: self.member,
            first: MemberRegion(self.first.0.saturating_add(regions)),
        }
    }
}

/// The legs of an extent, never empty. The first is the home: the one that the metadata names as
/// the truth.
pub type Legs = SmallVec<[Leg; 1]>;

/// A run of adjacent regions with one home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extent {
    /// Where it begins in the volume.
    pub first: VolumeRegion,
    /// How many regions it has; at least one.
    pub count: u32,
    /// Its copies; the first is the home.
    pub legs: Legs,
}

impl Extent {
    /// The region after its last one.
    #[must_use]
    pub const fn end(&self) -> VolumeRegion {
        VolumeRegion(self.first.0.saturating_add(self.count))
    }

    /// The leg that the metadata names as the truth. `None` only for a malformed extent.
    #[must_use]
    pub fn home(&self) -> Option<Leg> {
        self.legs.first().copied()
    }
}

/// What the engine knows of a member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its position in the volume's list.
    pub index: MemberIndex,
    /// Its kind, which is its tier.
    pub class: Class,
    /// How many data regions it has.
    pub regions: u32,
    /// Measured or assumed speed.
    pub profile: Profile,
    /// Whether it is there. What lies on a member that is missing stays where it is, unreadable
    /// until the member is back, and nothing is moved onto it.
    #[serde(default = "yes")]
    pub present: bool,
}

const fn yes() -> bool {
    true
}

/// Speed of an unloaded device, for forecasting what a move costs and brings.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Seconds that one random 4 KiB read takes.
    pub read_seconds: f64,
    /// Seconds that one random 4 KiB write takes.
    pub write_seconds: f64,
    /// Sequential bytes per second.
    pub bytes_per_second: f64,
}

impl Profile {
    /// An order of magnitude for `class`, used until the device has been measured.
    #[must_use]
    pub const fn typical(class: Class) -> Self {
        match class {
            Class::Nvme => Self {
                read_seconds: 0.000_09,
                write_seconds: 0.000_03,
                bytes_per_second: 2e9,
            },
            Class::Ssd => Self {
                read_seconds: 0.000_2,
                write_seconds: 0.000_1,
                bytes_per_second: 5e8,
            },
            Class::Hdd => Self {
                read_seconds: 0.008,
                write_seconds: 0.008,
                bytes_per_second: 1.8e8,
            },
        }
    }
}

/// A volume's durable state as the store read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VolumeState {
    /// Size of a region.
    pub region_size: RegionSize,
    /// Number of regions of the volume.
    pub regions: u32,
    /// Logical block size that the volume shows, fixed at creation.
    pub block_bytes: Bytes,
    /// Its members, by index. An index that is absent belonged to a member that was released.
    pub members: Vec<Member>,
    /// Its extents in order; together they cover every region once.
    pub extents: Vec<Extent>,
    /// Former homes that a commit gave up but that no later generation has freed yet.
    pub retired: Vec<Retired>,
    /// The newest durable generation.
    pub generation: Generation,
}

/// A former home. It stays allocated until a generation later than `since` frees it, after the
/// swap away from it has been seen in the kernel's table (rule 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// Where it is.
    pub leg: Leg,
    /// How many regions it has.
    pub count: u32,
    /// The generation that gave it up.
    pub since: Generation,
}
