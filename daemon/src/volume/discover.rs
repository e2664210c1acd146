//! Finding members: every block device that carries a label, by volume.
//!
//! Owns: [`scan`]. It opens devices for reading only, and writes nothing. Devices that tierd itself
//! has made are passed over: an area device shows its member's label a second time.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use tier_core::units::MemberIndex;
use tier_store::device::DeviceDisk;
use tier_store::label::{self, Label, LabelError};
use tier_sys::block::{Access, DeviceNumber};

use super::claimed::Claim;
use crate::config::DeviceScan;

/// A device with a label.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Its node.
    pub(crate) path: PathBuf,
    /// Its number.
    pub(crate) number: DeviceNumber,
    /// What its label says.
    pub(crate) label: Label,
}

/// What a scan found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Members, by volume name and then by member. Two volumes of one name stand apart by id.
    pub(crate) volumes: BTreeMap<(String, tier_store::words::VolumeId), Vec<Found>>,
    /// Devices whose label is there and cannot be used, and why.
    pub(crate) unusable: Vec<LabelError>,
}

/// Looks at every device that `admitted` lets it look at.
pub(crate) fn scan(admitted: &DeviceScan) -> std::io::Result<Scan> {
    let mut scan = Scan::default();
    for name in block_devices()? {
        let path = Path::new("/dev").join(&name);
        if admitted.admits([path.as_path()]) && worth_a_look(&name) {
            look(&path, &mut scan);
        }
    }
    scan.sort();
    Ok(scan)
}

/// Looks at these devices, which carry the members of one volume.
pub(crate) fn look_at(paths: &[PathBuf]) -> std::io::Result<Vec<Found>> {
    let mut scan = Scan::default();
    for path in paths {
        look(path, &mut scan);
    }
    scan.sort();
    scan.volumes.into_values().next().ok_or_else(|| {
        let paths: Vec<_> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        std::io::Error::other(format!("no label is found on {}", paths.join(", ")))
    })
}

/// The kernel's claims on members, of all volumes that run or half run.
pub(crate) fn claims() -> std::io::Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for device in block_devices()? {
        let uuid = read(&device, "dm/uuid").trim().to_owned();
        let index = uuid
            .strip_prefix(OURS)
            .and_then(|rest| rest.split_once("-area-"))
            .and_then(|(_, index)| index.parse().ok());
        let Some(index) = index else { continue };
        for member in names_in(&Path::new(CLASS_BLOCK).join(&device).join("slaves"))? {
            claims.push(Claim {
                uuid: uuid.clone(),
                index: MemberIndex(index),
                path: Path::new("/dev").join(member),
            });
        }
    }
    Ok(claims)
}

/// With what the device-mapper uuid of every device of ours begins.
const OURS: &str = "TIERD-";
/// With what the names of devices on ublk begin.
const UBLK: &[u8] = b"ublkb";
const CLASS_BLOCK: &str = "/sys/class/block";

fn block_devices() -> std::io::Result<Vec<OsString>> {
    names_in(Path::new(CLASS_BLOCK))
}

fn names_in(directory: &Path) -> std::io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

/// What a file of sysfs says; nothing if the device has gone or has no such file.
fn read(device: &OsStr, file: &str) -> String {
    let path = Path::new(CLASS_BLOCK).join(device).join(file);
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Whether a device can hold a label: it has a size, is not ours, and does not stand on ours (what
/// a volume that stands still carries would never answer).
fn worth_a_look(device: &OsStr) -> bool {
    let size = read(device, "size");
    !size.is_empty() && size.trim() != "0" && !stands_on_ours(device)
}

/// Whether a device is not even looked at: a volume on ublk whose server is gone does not answer, and
/// others' devices there are not told from it.
pub(crate) fn is_passed_over(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.as_encoded_bytes().starts_with(UBLK)
}

fn stands_on_ours(device: &OsStr) -> bool {
    if is_passed_over(Path::new(device)) {
        return true;
    }
    if read(device, "dm/uuid").starts_with(OURS) {
        return true;
    }
    let below = names_in(&Path::new(CLASS_BLOCK).join(device).join("slaves")).unwrap_or_default();
    below.iter().any(|below| stands_on_ours(below))
}

fn look(path: &Path, scan: &mut Scan) {
    let disk = match DeviceDisk::open(path, Access::ReadOnly) {
        Ok(disk) => disk,
        Err(error) => {
            // Drives without a medium and devices that vanish are no news.
            tracing::debug!(%error, "a device could not be looked at");
            return;
        }
    };
    let copies = label::read(&disk);
    if copies.is_absent() {
        return;
    }
    let number = match std::fs::metadata(path) {
        Ok(metadata) => DeviceNumber::from_raw(metadata.rdev()),
        Err(error) => {
            tracing::debug!(%error, path = %path.display(), "a device has vanished");
            return;
        }
    };
    match copies.newest(&path.display().to_string()) {
        // Labels that say `creating` or `destroying` are for recovery to judge.
        Ok(label) => {
            let key = (label.name.to_string(), label.volume);
            let found = Found {
                path: path.to_owned(),
                number,
                label: label.clone(),
            };
            scan.volumes.entry(key).or_default().push(found);
        }
        Err(error) => scan.unusable.push(error),
    }
}

impl Scan {
    /// Looks at one more device.
    pub(super) fn look(&mut self, path: &Path) {
        look(path, self);
    }

    pub(super) fn sort(&mut self) {
        for members in self.volumes.values_mut() {
            members.sort_by_key(|found| found.label.index);
        }
    }

    /// The members of the volume of this name. `None` if there is no such volume, or if several
    /// bear the name.
    pub(crate) fn volume(&self, name: &str) -> Option<&[Found]> {
        let mut of_name = self.volumes.iter().filter(|((found, _), _)| found == name);
        let (_, members) = of_name.next()?;
        if of_name.next().is_some() {
            None
        } else {
            Some(members)
        }
    }
}
