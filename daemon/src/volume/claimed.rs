//! Finding members by the kernel's claims on them, for settling.
//!
//! Owns: [`scan_claimed`]. A volume that runs has a small device over each member's label. So a
//! member that has failed altogether is known to be one though its label cannot be read: what the
//! label says of it is taken from the metadata on the other members. Nothing is written here.

use std::path::Path;
use std::sync::Arc;

use tier_core::units::MemberIndex;
use tier_store::device::DeviceDisk;
use tier_store::open::OpenOptions;
use tier_store::storage::Disk;
use tier_store::store::Store;
use tier_store::words::VolumeId;
use tier_sys::block::{Access, DeviceNumber};

use super::discover::{Found, Scan, claims};

/// A volume that runs, as its claims show it.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// Its name.
    pub(crate) name: String,
    /// Its members.
    pub(crate) members: Vec<Found>,
    /// Those of them whose labels cannot be read.
    pub(crate) unreadable: Vec<MemberIndex>,
}

/// Looks only at devices that tierd has claimed: the members of volumes that run, or half run.
/// Nothing else is opened, since what is stacked on a volume that stands still would not answer.
pub(crate) fn scan_claimed() -> std::io::Result<Vec<Claimed>> {
    let mut scan = Scan::default();
    let claims = claims()?;
    for claim in &claims {
        scan.look(&claim.path);
    }
    scan.sort();
    let volumes = scan.volumes.into_iter().map(|((name, volume), members)| {
        let mut claimed = Claimed {
            name,
            members,
            unreadable: Vec::new(),
        };
        for claim in claims.iter().filter(|claim| claim.is_of(volume)) {
            claimed.complete(claim.index, &claim.path);
        }
        claimed.members.sort_by_key(|found| found.label.index);
        claimed
    });
    Ok(volumes.collect())
}

impl Claimed {
    /// Adds the member at `path` if its own label could not be read.
    fn complete(&mut self, index: MemberIndex, path: &Path) {
        if self.members.iter().any(|found| found.label.index == index) {
            return;
        }
        match self.member_by_the_others(index, path) {
            Ok(found) => {
                tracing::warn!(volume = self.name, member = %index, path = %path.display(),
                    "a member's label cannot be read; the other members' metadata stands in for it");
                self.members.push(found);
                self.unreadable.push(index);
            }
            // Opening the volume will say that this member is missing.
            Err(error) => tracing::error!(volume = self.name, member = %index, "{error}"),
        }
    }

    fn member_by_the_others(&self, index: MemberIndex, path: &Path) -> Result<Found, String> {
        let open = |found: &Found| {
            let disk = DeviceDisk::open(&found.path, Access::ReadOnly)
                .map_err(|error| error.to_string())?;
            Ok(Arc::new(disk) as Disk)
        };
        let readable = self
            .members
            .iter()
            .filter(|found| !self.unreadable.contains(&found.label.index));
        let disks = readable.map(open).collect::<Result<Vec<Disk>, String>>()?;
        let options = OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        };
        let (store, _) = Store::open(&disks, &options).map_err(|error| error.to_string())?;
        let label = store
            .label_of(index)
            .ok_or_else(|| format!("the metadata knows no member {index}"))?;
        let metadata = std::fs::metadata(path)
            .map_err(|error| format!("{} has vanished: {error}", path.display()))?;
        let number = DeviceNumber::from_raw(std::os::unix::fs::MetadataExt::rdev(&metadata));
        Ok(Found {
            path: path.to_owned(),
            number,
            label,
        })
    }
}

/// One of the kernel's claims: whose member, and where it is.
#[derive(Debug)]
pub(crate) struct Claim {
    /// The uuid of the device-mapper device that holds it.
    pub(crate) uuid: String,
    /// Which member.
    pub(crate) index: MemberIndex,
    /// The member's node.
    pub(crate) path: std::path::PathBuf,
}

impl Claim {
    fn is_of(&self, volume: VolumeId) -> bool {
        let rest = self.uuid.strip_prefix("TIERD-");
        rest.is_some_and(|rest| rest.starts_with(&volume.0.to_string()))
    }
}
