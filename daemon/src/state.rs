//! The folder in which tierd keeps what it has learned.
//!
//! Owns: where a volume's files lie, that they do not lie on a volume of this machine's tierd, and
//! that a file is replaced as a whole. Losing what is in it loses no data. A thread that waits for
//! a file on a volume whose writes are parked keeps the process from ending, and `tierd settle`,
//! which would free them, from beginning: so nothing is kept there.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use procfs::process::Process;
use tempfile::NamedTempFile;
use tier_sys::block::DeviceNumber;

/// How the names of our device-mapper devices begin.
const OURS: &str = "tierd-";
/// Devices on devices that are followed, at most.
const DEPTH_MAX: usize = 16;

/// Why nothing can be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The folder lies on a volume.
    #[error(
        "{path} lies on {device}, a volume of tierd, which must not wait for its own volumes; name \
         a folder elsewhere (forecast.state)"
    )]
    OnVolume {
        /// The folder.
        path: PathBuf,
        /// The volume's device.
        device: String,
    },
}

impl StateError {
    pub(crate) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes a folder for nobody else's eyes, unless it is there or would lie on a volume.
pub(crate) fn make_folder(path: &Path) -> Result<(), StateError> {
    let exists = path.ancestors().find(|ancestor| ancestor.exists());
    if let Some(ancestor) = exists
        && let Some(device) = volume_beneath(ancestor, Path::new("/sys/dev/block"))
    {
        let path = path.to_owned();
        return Err(StateError::OnVolume { path, device });
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(StateError::of(path))
}

/// Replaces a file as a whole, durably.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut file = NamedTempFile::new_in(folder).map_err(StateError::of(folder))?;
    file.write_all(bytes)
        .and_then(|()| file.as_file().sync_all())
        .map_err(StateError::of(path))?;
    file.persist(path)
        .map_err(|error| StateError::of(path)(error.error))?;
    let opened = File::open(folder).map_err(StateError::of(folder))?;
    opened.sync_all().map_err(StateError::of(folder))
}

/// The name of the volume's device on which a file lies, if it does.
fn volume_beneath(path: &Path, sysfs: &Path) -> Option<String> {
    let number = device_of(path)?;
    ours_beneath(&sysfs.join(number.to_string()), DEPTH_MAX)
}

/// The block device that a file lies on. Some file systems (btrfs) show a number of no device; what
/// was mounted tells then.
fn device_of(path: &Path) -> Option<DeviceNumber> {
    let number = |number: u64| DeviceNumber {
        major: u32::try_from(nix::sys::stat::major(number)).unwrap_or(0),
        minor: u32::try_from(nix::sys::stat::minor(number)).unwrap_or(0),
    };
    let shown = number(fs::metadata(path).ok()?.dev());
    if shown.major != 0 {
        return Some(shown);
    }
    let path = fs::canonicalize(path).ok()?;
    let mounts = Process::myself().ok()?.mountinfo().ok()?;
    let above = mounts
        .into_iter()
        .filter(|mount| path.starts_with(&mount.mount_point));
    let nearest = above.max_by_key(|mount| mount.mount_point.components().count())?;
    let source = fs::metadata(nearest.mount_source?).ok()?;
    (source.rdev() != 0).then(|| number(source.rdev()))
}

/// The name of the first of our devices that this one is, or is built on.
fn ours_beneath(device: &Path, depth: usize) -> Option<String> {
    let name = fs::read_to_string(device.join("dm/name")).unwrap_or_default();
    let name = name.trim_end();
    if name.starts_with(OURS) {
        return Some(name.to_owned());
    }
    let deeper = depth.checked_sub(1)?;
    // A partition is built on its disk.
    let disk = device.join("partition").exists().then(|| device.join(".."));
    let beneath = fs::read_dir(device.join("slaves"));
    let beneath = beneath
        .into_iter()
        .flatten()
        .flatten()
        .map(|one| one.path());
    disk.into_iter()
        .chain(beneath)
        .find_map(|one| ours_beneath(&one, deeper))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::os::unix::fs::symlink;

    use super::*;

    /// A device of a made-up sysfs, built on another.
    fn device(sysfs: &Path, number: &str, name: Option<&str>, beneath: Option<&str>) {
        let folder = sysfs.join(number);
        fs::create_dir_all(folder.join("slaves")).unwrap();
        if let Some(name) = name {
            fs::create_dir_all(folder.join("dm")).unwrap();
            fs::write(folder.join("dm/name"), format!("{name}\n")).unwrap();
        }
        if let Some(beneath) = beneath {
            symlink(sysfs.join(beneath), folder.join("slaves/one")).unwrap();
        }
    }

    #[test]
    fn a_volume_is_found_beneath_what_is_built_on_it() {
        let sysfs = tempfile::tempdir().unwrap();
        let sysfs = sysfs.path();
        device(sysfs, "253:0", Some("tierd-data"), Some("8:0"));
        device(sysfs, "8:0", None, None);
        device(sysfs, "253:1", Some("vg-root"), Some("253:0"));
        device(sysfs, "253:2", Some("crypt"), Some("253:1"));
        device(sysfs, "253:3", Some("other"), Some("8:0"));
        let found = |number: &str| ours_beneath(&sysfs.join(number), DEPTH_MAX);
        for number in ["253:0", "253:1", "253:2"] {
            assert_eq!(found(number).as_deref(), Some("tierd-data"), "{number}");
        }
        for number in ["253:3", "8:0", "7:7"] {
            assert_eq!(found(number), None, "{number}");
        }
    }

    #[test]
    fn a_folder_elsewhere_is_made_and_a_file_in_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("a/b");
        make_folder(&deep).unwrap();
        make_folder(&deep).unwrap();
        assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o700);
        let path = deep.join("file");
        for bytes in [&b"one"[..], b"other"] {
            replace(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
        assert_eq!(fs::read_dir(&deep).unwrap().count(), 1);
    }
}
