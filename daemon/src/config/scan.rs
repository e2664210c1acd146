//! On which devices labels are looked for.
//!
//! Owns: [`DeviceScan`], the include and exclude patterns, and their answer for one device.

use std::path::Path;

use glob::{MatchOptions, Pattern};
use serde::{Deserialize, Serialize};

/// `[daemon.scan]`: which block devices are opened to look for labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceScan {
    /// Shell patterns; a device is looked at if one of its names matches one of these …
    include: Vec<ShellPattern>,
    /// … and none of its names matches one of these.
    exclude: Vec<ShellPattern>,
}

/// A pattern over absolute device paths. `*` does not match a slash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct ShellPattern(Pattern);

/// A slash has to be written out, as in the shell.
const SHELL: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl TryFrom<String> for ShellPattern {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if !text.starts_with('/') {
            return Err(format!(
                "\"{text}\" is no absolute device path such as \"/dev/nvme*\""
            ));
        }
        Pattern::new(&text)
            .map(Self)
            .map_err(|error| format!("\"{text}\" is no shell pattern: {error}"))
    }
}

impl From<ShellPattern> for String {
    fn from(pattern: ShellPattern) -> Self {
        pattern.0.as_str().to_owned()
    }
}

impl Default for DeviceScan {
    /// Every node directly under `/dev`, but none whose opening may take seconds or wake a drive
    /// without a medium, and no memory disks.
    fn default() -> Self {
        let patterns = |texts: &[&str]| {
            let valid = texts.iter().filter_map(|text| Pattern::new(text).ok());
            valid.map(ShellPattern).collect()
        };
        Self {
            include: patterns(&["/dev/*"]),
            exclude: patterns(&["/dev/fd*", "/dev/sr*", "/dev/ram*", "/dev/zram*"]),
        }
    }
}

impl DeviceScan {
    /// Whether a device of these names (its node and the links to it) is to be looked at.
    pub fn admits<'a>(&self, names: impl IntoIterator<Item = &'a Path>) -> bool {
        let mut included = false;
        for name in names {
            if self.exclude.iter().any(|pattern| pattern.matches(name)) {
                return false;
            }
            included |= self.include.iter().any(|pattern| pattern.matches(name));
        }
        included
    }
}

impl ShellPattern {
    fn matches(&self, name: &Path) -> bool {
        self.0.matches_path_with(name, SHELL)
    }
}
