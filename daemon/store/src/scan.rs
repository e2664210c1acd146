//! Finding members: which of these devices carry labels, and of which volumes.
//!
//! Owns: [`scan`] and the grouping by volume. Opens read-only, and holds nothing open.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tier_sys::block::{Access, BlockError};

use crate::device::DeviceDisk;
use crate::label::{self, Label, LabelError};
use crate::words::{VolumeId, VolumeName};

/// A device that carries a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Where.
    pub path: PathBuf,
    /// Its label.
    pub label: Label,
}

/// A device that could not be looked at, or whose label is of no use.
#[derive(Debug)]
pub struct Unusable {
    /// Where.
    pub path: PathBuf,
    /// Why.
    pub error: ScanError,
}

/// Why a device is of no use.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] BlockError),
    /// There is something of a label, and it cannot be used.
    #[error(transparent)]
    Label(#[from] LabelError),
}

/// A volume, as far as labels show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FoundVolume {
    /// Its id.
    pub volume: VolumeId,
    /// Its name.
    pub name: VolumeName,
    /// Its members, by index.
    pub members: Vec<Found>,
    /// How many members the newest of their labels counts.
    pub member_count: u16,
}

/// What a scan found.
#[derive(Debug, Default)]
pub struct Scan {
    /// Volumes, by id.
    pub volumes: Vec<FoundVolume>,
    /// Devices with something that is of no use. Devices without a label are in neither list.
    pub unusable: Vec<Unusable>,
}

impl Scan {
    /// The volumes called `name`: more than one where two were made on different machines.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a FoundVolume> + 'a {
        self.volumes
            .iter()
            .filter(move |volume| volume.name.as_str() == name)
    }
}

/// Reads the label of one device: `None` if it carries none.
pub fn label_of(path: &Path) -> Result<Option<Label>, ScanError> {
    let disk = DeviceDisk::open(path, Access::ReadOnly)?;
    match label::read(&disk).newest(&path.display().to_string()) {
        Ok(label) => Ok(Some(label.clone())),
        Err(LabelError::Absent { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Looks at each of `paths`.
pub fn scan<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Scan {
    let mut scan = Scan::default();
    let mut volumes: BTreeMap<VolumeId, Vec<Found>> = BTreeMap::new();
    for path in paths {
        let path = path.as_ref().to_owned();
        match label_of(&path) {
            Ok(None) => {}
            Ok(Some(label)) => volumes
                .entry(label.volume)
                .or_default()
                .push(Found { path, label }),
            Err(error) => scan.unusable.push(Unusable { path, error }),
        }
    }
    for (volume, mut members) in volumes {
        members.sort_by(|a, b| (a.label.index, &a.path).cmp(&(b.label.index, &b.path)));
        let newest = members.iter().max_by_key(|found| found.label.epoch.number);
        let Some((name, member_count)) =
            newest.map(|found| (found.label.name.clone(), found.label.member_count))
        else {
            continue;
        };
        scan.volumes.push(FoundVolume {
            volume,
            name,
            members,
            member_count,
        });
    }
    scan
}

#[cfg(test)]
mod tests;
