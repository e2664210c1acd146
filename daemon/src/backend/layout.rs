//! Owns: what a backend is told about a volume before it maps anything: its name, its geometry,
//! its members' devices.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use tier_core::units::{Bytes, MemberIndex, RegionSize, Sectors};
use tier_sys::block::DeviceNumber;
use uuid::Uuid;

/// Longest name of a volume, in bytes. The longest device name made from it is
/// `tierd-NAME-mirror-ID`: 6 + NAME + 8 + 20 bytes (a `u64` has 20 digits at most), and
/// device-mapper takes 127 (`DM_NAME_LEN` less the zero), so 93 would fit; 64 is ample.
pub const NAME_BYTES_MAX: usize = 64;

/// Parts by which the names of inner devices are told from the volume's own.
const RESERVED: [&str; 4] = ["-area-", "-absent-", "-move-", "-mirror-"];

/// A volume's name: letters, digits, `_`, `.` and `-`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VolumeName(String);

/// Why a name cannot be a volume's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or too much.
    #[error("a volume's name has 1 to {NAME_BYTES_MAX} characters, and this one has {0}")]
    Length(usize),
    /// A character that device names and paths do not take.
    #[error(
        "{0:?} has the character {1:?}; a volume's name takes letters, digits, `_`, `.` and `-`, and begins with a letter or a digit"
    )]
    Character(String, char),
    /// Reads like one of the volume's inner devices.
    #[error("{0:?} contains {1:?}, which names a volume's inner devices")]
    Reserved(String, &'static str),
}

impl VolumeName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VolumeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err(NameError::Length(name.chars().count()));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let first = name.chars().next().filter(|c| !c.is_ascii_alphanumeric());
        if let Some(bad) = first.or_else(|| name.chars().find(|c| !allowed(*c))) {
            return Err(NameError::Character(name.to_owned(), bad));
        }
        if let Some(part) = RESERVED.into_iter().find(|part| name.contains(part)) {
            return Err(NameError::Reserved(name.to_owned(), part));
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A member as the kernel knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberDevice {
    /// Its position in the volume.
    pub index: MemberIndex,
    /// By what it was found; for people.
    pub path: PathBuf,
    /// Its device number, by which tables name it.
    pub number: DeviceNumber,
    /// Where its data regions begin: the length of its label and metadata area.
    pub data_start: Bytes,
    /// How many data regions it has.
    pub regions: u32,
}

/// A volume as it is to be mapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Its id.
    pub volume: Uuid,
    /// Its name.
    pub name: VolumeName,
    /// Size of a region.
    pub region_size: RegionSize,
    /// Number of regions.
    pub regions: u32,
    /// Logical block size that the volume shows.
    pub block_bytes: Bytes,
    /// Its members.
    pub members: Vec<MemberDevice>,
}

impl Layout {
    /// The member of this index.
    #[must_use]
    pub fn member(&self, index: MemberIndex) -> Option<&MemberDevice> {
        self.members.iter().find(|member| member.index == index)
    }

    /// The member on this device.
    #[must_use]
    pub fn member_on(&self, number: DeviceNumber) -> Option<&MemberDevice> {
        self.members.iter().find(|member| member.number == number)
    }

    /// The volume's length.
    #[must_use]
    pub const fn sectors(&self) -> Sectors {
        self.regions_to_sectors(self.regions)
    }

    /// The length of so many regions.
    #[must_use]
    pub const fn regions_to_sectors(&self, count: u32) -> Sectors {
        Sectors(count as u64 * self.region_size.sectors().0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_paths_and_device_mapper_take_are_taken() {
        for name in ["a", "data", "my-vol_2.old", "0", &"x".repeat(64)] {
            assert_eq!(name.parse::<VolumeName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_names_are_refused_each_for_its_reason() {
        let refused = |name: &str| name.parse::<VolumeName>().unwrap_err();
        assert_eq!(refused(""), NameError::Length(0));
        assert_eq!(refused(&"x".repeat(65)), NameError::Length(65));
        assert_eq!(refused("a/b"), NameError::Character("a/b".into(), '/'));
        assert_eq!(refused(".."), NameError::Character("..".into(), '.'));
        assert_eq!(refused("-a"), NameError::Character("-a".into(), '-'));
        assert_eq!(
            refused("gr\u{fc}n"),
            NameError::Character("gr\u{fc}n".into(), '\u{fc}')
        );
        assert_eq!(
            refused("a-move-1"),
            NameError::Reserved("a-move-1".into(), "-move-")
        );
    }
}
