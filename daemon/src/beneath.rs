//! Which volume lies beneath a path.
//!
//! Owns: the answer, and that it is found without touching a file system that may lie on a volume:
//! one whose writes are parked need not answer, not even to tell where it lies. What is mounted
//! where is read from `/proc/self/mountinfo`, what a device is built on from sysfs, and symbolic
//! links are followed one by one, each read only after it is known on which device it lies. May
//! not: tell what lies behind a server (NFS, FUSE), or behind further devices of a file system that
//! names one of them (btrfs, bcachefs).

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use procfs::process::MountInfo;
use tier_sys::block::DeviceNumber;

const MOUNTS: &str = "/proc/self/mountinfo";
/// How the names of our device-mapper devices begin.
const OURS: &str = "tierd-";
/// Devices on devices that are followed, at most.
const DEPTH_MAX: usize = 16;
/// Symbolic links that are followed, at most, as by the kernel (`path_resolution(7)`).
const LINKS_MAX: usize = 40;
/// Major number of devices that are none: of file systems on no device, or on several.
const NO_DEVICE: &str = "0:";

/// Why a path cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeneathError {
    /// It lies on a volume.
    #[error("{path} lies on {device}, a volume of tierd, which must not wait for its own volumes")]
    OnVolume {
        /// The path.
        path: PathBuf,
        /// Name of the volume's device.
        device: String,
    },
    /// It cannot be told.
    #[error("cannot tell on which device {path} lies: {source}")]
    Unknown {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Sees that a path, and all that its symbolic links lead over, lies on no volume of tierd. What is
/// not there yet lies where it would be made.
pub(crate) fn elsewhere(path: &Path) -> Result<(), BeneathError> {
    let unknown = |source| BeneathError::Unknown {
        path: path.to_owned(),
        source,
    };
    let mounts = Mounts::read().map_err(unknown)?;
    mounts.elsewhere(path)
}

/// What is mounted where.
#[derive(Debug)]
pub(crate) struct Mounts {
    mounts: Vec<Mount>,
    /// Where sysfs shows devices by number.
    devices: PathBuf,
}

#[derive(Debug)]
struct Mount {
    id: i32,
    /// The mount that the mount point lies in.
    parent: i32,
    point: PathBuf,
    /// `MAJOR:MINOR`.
    device: String,
    /// Where it has its data, if it is on no device.
    places: Vec<PathBuf>,
}

/// Why a path is refused, before it is said of which.
enum Refused {
    Volume(String),
    Unknown(io::Error),
}

impl Mounts {
    /// What is mounted now, as this process sees it.
    pub(crate) fn read() -> io::Result<Self> {
        let text = fs::read(MOUNTS)?;
        Ok(Self::parse(&text, Path::new("/sys/dev/block")))
    }

    fn parse(text: &[u8], devices: &Path) -> Self {
        let lines = text.split(|byte| *byte == b'\n');
        let mounts = lines.filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            MountInfo::from_line(&line).ok().map(Mount::from)
        });
        Self {
            mounts: mounts.collect(),
            devices: devices.to_owned(),
        }
    }

    /// As [`elsewhere`].
    pub(crate) fn elsewhere(&self, path: &Path) -> Result<(), BeneathError> {
        self.follow(path).map_err(|refused| {
            let path = path.to_owned();
            match refused {
                Refused::Volume(device) => BeneathError::OnVolume { path, device },
                Refused::Unknown(source) => BeneathError::Unknown { path, source },
            }
        })
    }

    fn follow(&self, path: &Path) -> Result<(), Refused> {
        let path = std::path::absolute(path).map_err(Refused::Unknown)?;
        let mut judged = BTreeSet::new();
        let mut links = 0;
        let mut done = PathBuf::from("/");
        let mut rest = reversed(&path);
        while let Some(part) = rest.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(part);
            if !self.leads_to_a_mount(&next) {
                self.judge_path(&next, &mut judged)?;
                // What is no link, or cannot be looked at, is where its name says.
                if let Ok(target) = fs::read_link(&next) {
                    links += 1;
                    if links > LINKS_MAX {
                        let error = io::Error::from_raw_os_error(libc::ELOOP);
                        return Err(Refused::Unknown(error));
                    }
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    rest.extend(reversed(&target));
                    continue;
                }
            }
            done = next;
        }
        self.judge_path(&done, &mut judged)
    }

    /// Whether something is mounted there or below. The kernel then holds this name in its memory,
    /// as that of a folder: to go over it touches nothing.
    fn leads_to_a_mount(&self, path: &Path) -> bool {
        let below = |mount: &&Mount| mount.point.starts_with(path);
        let is_seen = |mount: &Mount| self.of(&mount.point).is_some_and(|top| top.id == mount.id);
        self.mounts.iter().filter(below).any(is_seen)
    }

    /// The mount in which a path without symbolic links lies. What is hidden by a later mount is
    /// none of it.
    fn of(&self, path: &Path) -> Option<&Mount> {
        let is_root = |mount: &&Mount| {
            let mut others = self.mounts.iter().filter(|other| other.id != mount.id);
            mount.point == Path::new("/") && others.all(|other| other.id != mount.parent)
        };
        let mut mount = self.mounts.iter().find(is_root)?;
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev() {
            let mut left = self.mounts.len();
            while let Some(on_top) = self.mounts.iter().rfind(|other| {
                other.parent == mount.id && other.id != mount.id && other.point == folder
            }) {
                mount = on_top;
                left = left.checked_sub(1)?;
            }
        }
        Some(mount)
    }

    fn judge_path(&self, path: &Path, judged: &mut BTreeSet<i32>) -> Result<(), Refused> {
        let mount = self.of(path).ok_or_else(|| {
            let text = format!("{MOUNTS} does not say what is mounted there");
            Refused::Unknown(io::Error::other(text))
        })?;
        self.judge(mount, judged)
            .map_or(Ok(()), |device| Err(Refused::Volume(device)))
    }

    /// The name of the volume's device on which a mounted file system lies, if it does. One that
    /// was judged before, or is being judged, is not judged again.
    fn judge(&self, mount: &Mount, judged: &mut BTreeSet<i32>) -> Option<String> {
        if !judged.insert(mount.id) {
            return None;
        }
        if !mount.device.starts_with(NO_DEVICE) {
            return self.ours_beneath(&self.devices.join(&mount.device), DEPTH_MAX, judged);
        }
        mount.places.iter().find_map(|place| {
            let holder = self.of(place)?;
            let found = self.judge(holder, judged);
            if found.is_some() || holder.id == mount.id || !place.starts_with("/dev") {
                return found;
            }
            let shown = fs::metadata(place).ok()?;
            let number = DeviceNumber::from_raw(shown.rdev()).to_string();
            let is_device = shown.file_type().is_block_device();
            is_device
                .then(|| self.ours_beneath(&self.devices.join(number), DEPTH_MAX, judged))
                .flatten()
        })
    }

    /// The name of the first of our devices that this one is, or is built on.
    fn ours_beneath(
        &self,
        device: &Path,
        depth: usize,
        judged: &mut BTreeSet<i32>,
    ) -> Option<String> {
        let read = |file: &str| fs::read_to_string(device.join(file)).unwrap_or_default();
        let name = read("dm/name");
        let name = name.trim_end();
        if name.starts_with(OURS) {
            return Some(name.to_owned());
        }
        let deeper = depth.checked_sub(1)?;
        // A loop device is built on a file, a partition on its disk.
        let file = read("loop/backing_file");
        let file = Path::new(file.trim_end_matches('\n'));
        if file.is_absolute()
            && let Some(mount) = self.of(file)
            && let Some(found) = self.judge(mount, judged)
        {
            return Some(found);
        }
        let disk = device.join("partition").exists().then(|| device.join(".."));
        let beneath = fs::read_dir(device.join("slaves"));
        let beneath = beneath
            .into_iter()
            .flatten()
            .flatten()
            .map(|one| one.path());
        disk.into_iter()
            .chain(beneath)
            .find_map(|one| self.ours_beneath(&one, deeper, judged))
    }
}

impl From<MountInfo> for Mount {
    fn from(info: MountInfo) -> Self {
        let option = |name: &str| info.super_options.get(name).cloned().flatten();
        // An overlay's layers, and the first device of a file system on several.
        let layers = option("lowerdir").into_iter().chain(option("upperdir"));
        let layers: Vec<String> = layers.chain(info.mount_source.clone()).collect();
        let places = layers.iter().flat_map(|layers| layers.split(':'));
        Self {
            id: info.mnt_id,
            parent: info.pid,
            point: unescaped(info.mount_point.as_os_str()),
            device: info.majmin,
            places: places
                .map(|place| unescaped(OsStr::new(place)))
                .filter(|place| place.is_absolute())
                .collect(),
        }
    }
}

/// The names in a path, the last first.
fn reversed(path: &Path) -> Vec<OsString> {
    let named = |part: &Component<'_>| matches!(part, Component::Normal(_) | Component::ParentDir);
    let parts = path.components().filter(named).rev();
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

/// A path as mountinfo writes it: blanks and backslashes are three octal digits behind a backslash.
fn unescaped(text: &OsStr) -> PathBuf {
    let mut bytes = text.as_encoded_bytes();
    let mut path = Vec::with_capacity(bytes.len());
    while let Some((first, rest)) = bytes.split_first() {
        let digits = rest.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        let octal = digits.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) if *first == b'\\' => {
                path.push(byte);
                bytes = rest.get(3..).unwrap_or_default();
            }
            _ => {
                path.push(*first);
                bytes = rest;
            }
        }
    }
    OsString::from_vec(path).into()
}

#[cfg(test)]
mod tests;
