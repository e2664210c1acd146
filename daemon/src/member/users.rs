//! Owns: finding out who uses a device, so that a refusal can say it.

use std::fmt;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use procfs::process::Process;
use tier_sys::block::DeviceNumber;

use super::MemberError;
use super::sysfs::SysBlock;
use crate::beneath::{BeneathError, elsewhere};

/// A use that a device is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Use {
    /// A file system on it is mounted there.
    Mounted(PathBuf),
    /// It is swap.
    Swap,
    /// A device of this name is built on it.
    Under(String),
    /// A loop device of this name shows it a second time.
    Loop(String),
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted(at) => write!(f, "mounted on {}", at.display()),
            Self::Swap => write!(f, "swap"),
            Self::Under(name) => write!(f, "part of the device {name}"),
            Self::Loop(name) => write!(f, "behind the loop device {name}"),
        }
    }
}

/// The uses as a person reads them.
pub(super) fn list(uses: &[Use]) -> String {
    uses.iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// Every use that shows.
pub(super) fn find(number: DeviceNumber, device: &SysBlock) -> Result<Vec<Use>, MemberError> {
    let mut uses = mounts(number)?;
    if is_swap(number)? {
        uses.push(Use::Swap);
    }
    uses.extend(
        device
            .holders()?
            .into_iter()
            .map(|name| Use::Under(SysBlock::dm_name(&name).unwrap_or(name))),
    );
    uses.extend(loops(number)?.into_iter().map(Use::Loop));
    Ok(uses)
}

/// Names of the loop devices whose backing file is the device itself. They do not claim it, and
/// are not among its holders.
fn loops(number: DeviceNumber) -> Result<Vec<String>, MemberError> {
    const PATH: &str = "/sys/block";
    let entries = fs::read_dir(PATH).map_err(|source| MemberError::System {
        path: PATH.into(),
        source,
    })?;
    let backs = |device: &Path| {
        let backing = fs::read_to_string(device.join("loop/backing_file")).ok()?;
        number_of(Path::new(backing.trim_end()))
    };
    Ok(entries
        .flatten()
        .filter(|entry| backs(&entry.path()) == Some(number))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect())
}

/// A mount names its device by number; a file system of many devices (btrfs) has a number of its
/// own, and then the source's path tells.
fn mounts(number: DeviceNumber) -> Result<Vec<Use>, MemberError> {
    const PATH: &str = "/proc/self/mountinfo";
    let failed = |error| MemberError::System {
        path: PATH.into(),
        source: std::io::Error::other(error),
    };
    let infos = Process::myself()
        .and_then(|own| own.mountinfo())
        .map_err(failed)?;
    let is_on =
        |source: Option<&str>| source.and_then(|path| number_of(Path::new(path))) == Some(number);
    Ok(infos
        .into_iter()
        .filter(|info| info.majmin == number.to_string() || is_on(info.mount_source.as_deref()))
        .map(|info| Use::Mounted(info.mount_point))
        .collect())
}

fn is_swap(number: DeviceNumber) -> Result<bool, MemberError> {
    const PATH: &str = "/proc/swaps";
    let text = fs::read_to_string(PATH).map_err(|source| MemberError::System {
        path: PATH.into(),
        source,
    })?;
    // A header line, then one a swap area, its path in the first column.
    let mut areas = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    Ok(areas.any(|path| number_of(Path::new(path)) == Some(number)))
}

/// The number of the block device at this path, if there is one. What lies on a volume of tierd is
/// none, and is not looked at, for it may not answer: a swap file, or a loop device's.
fn number_of(path: &Path) -> Option<DeviceNumber> {
    let is_file = || matches!(elsewhere(path), Err(BeneathError::OnVolume { .. }));
    if !path.is_absolute() || (!path.starts_with("/dev") && is_file()) {
        return None;
    }
    let metadata = fs::metadata(path).ok()?;
    metadata
        .file_type()
        .is_block_device()
        .then(|| DeviceNumber::from_raw(metadata.rdev()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_listed_for_people() {
        let uses = [
            Use::Mounted("/srv".into()),
            Use::Swap,
            Use::Under("vg-home".into()),
        ];
        assert_eq!(
            list(&uses),
            "mounted on /srv, swap, part of the device vg-home"
        );
    }

    #[test]
    fn the_root_file_system_is_seen_by_its_number() {
        let number = DeviceNumber::from_raw(fs::metadata("/").unwrap().dev());
        assert!(mounts(number).unwrap().contains(&Use::Mounted("/".into())));
    }
}
