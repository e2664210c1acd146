//! A volume's name, as it stands in paths, device names and tables.
//!
//! Owns: [`VolumeName`]. Invariant: a name is safe as a file name, as a part of a device-mapper
//! name and as a segment of a URL path, without escaping.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of a volume: 1 to 63 of `A-Z a-z 0-9 _ . -`, beginning with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VolumeName(String);

/// Why a text is no volume name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no volume name; use 1 to {max} of A-Z a-z 0-9 _ . - and begin with a letter or a digit",
    max = VolumeName::LENGTH_MAX
)]
pub struct NameError(String);

impl VolumeName {
    /// Most characters a name has. A device-mapper name holds 127 (`DM_NAME_LEN` in
    /// `include/uapi/linux/dm-ioctl.h`), and the devices of moves add to the volume's.
    pub const LENGTH_MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for VolumeName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        let is_plain = text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'));
        if begins_well && is_plain && text.len() <= Self::LENGTH_MAX {
            Ok(Self(text))
        } else {
            Err(NameError(text))
        }
    }
}

impl FromStr for VolumeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(text.to_owned())
    }
}

impl From<VolumeName> for String {
    fn from(name: VolumeName) -> Self {
        name.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
