//! From members to a volume: claim, recover, map.
//!
//! Owns: the order in which a volume is opened. Members are claimed first (their area devices are
//! loaded), the store is opened on those with `O_EXCL` (which keeps a second daemon out), and only
//! what the store then says is mapped. A volume that runs already is compared and adopted, never
//! loaded again (rule 11). What fails here leaves a volume that did not run as it was, its members
//! unclaimed.

use std::path::PathBuf;
use std::sync::Arc;

use tier_core::units::{Bytes, MemberIndex};
use tier_store::device::DeviceDisk;
use tier_store::open::{OpenOptions, Recovery};
use tier_store::refusal::OpenError;
use tier_store::storage::Disk;
use tier_store::store::{CommitError, MarkError, Store};
use tier_store::words::BackendKind;
use tier_sys::block::{Access, BlockError};

use super::discover::Found;
use crate::backend::dm::{Activated, DmBackend, Missing};
use crate::backend::{BackendError, Layout, MemberDevice, NameError};
use crate::serve::LaunchError;
use crate::stop_point;

/// A volume that runs, with its store open and nobody deciding yet.
pub(crate) struct Assembled {
    /// Its tables.
    pub(crate) backend: DmBackend,
    /// Its labels and metadata.
    pub(crate) store: Store,
    /// What the start found and mended.
    pub(crate) recovery: Recovery,
    /// What the kernel holds.
    pub(crate) activated: Activated,
    /// Where each member is.
    pub(crate) paths: Vec<(MemberIndex, PathBuf)>,
}

/// Why a volume could not be brought up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssembleError {
    /// No device carries a label of such a volume.
    #[error(
        "no device carries a label of volume {0}; `tierctl volume list` shows those that were found"
    )]
    NotFound(String),
    /// Two devices carry the same member's label.
    #[error(
        "{} and {} both say that they are member {member} of volume {volume}: one is a copy of the \
         other; detach it, or exclude it by [daemon.scan] in the configuration",
        first.display(), second.display()
    )]
    Twice {
        /// Whose member.
        volume: String,
        /// Which.
        member: MemberIndex,
        /// One device.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// The name in the label cannot name a device.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The kernel's tables.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Another process holds the volume's area devices.
    #[error("another tierd holds volume {volume} ({source}); stop that one first")]
    Held {
        /// Which volume.
        volume: String,
        /// What the kernel said.
        source: BlockError,
    },
    /// A process serves the volume on ublk, or died doing so.
    #[error(
        "volume {volume} is served on ublk as /dev/ublkb{id}, or its requests wait there; to let them \
         end run `tierd serve {volume}`, and remove that device before the volume is started otherwise"
    )]
    OnUblk {
        /// Which volume.
        volume: String,
        /// The number of the device.
        id: u32,
    },
    /// It is not known whether a process serves the volume on ublk.
    #[error(
        "it cannot be told whether volume {volume} is served on ublk ({source}); where no ublk device \
         of it is left, remove that file"
    )]
    PerhapsOnUblk {
        /// Which volume.
        volume: String,
        /// Which file, and what is wrong with it.
        source: std::io::Error,
    },
    /// An area device could not be opened.
    #[error(transparent)]
    Device(#[from] BlockError),
    /// What is about to be served could not be marked as acted on.
    #[error(transparent)]
    Mark(#[from] MarkError),
    /// What serves the volume from now on could not be recorded.
    #[error("what serves the volume could not be recorded: {0}")]
    Record(#[from] CommitError),
    /// The process that is to serve the volume does not.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The metadata could not be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
}

/// How the kernel's layout follows from the members' labels.
pub(crate) fn layout(members: &[Found]) -> Result<Layout, AssembleError> {
    let Some(first) = members.first().map(|found| &found.label) else {
        return Err(AssembleError::NotFound(String::new()));
    };
    for pair in members.windows(2) {
        if let [one, other] = pair
            && one.label.index == other.label.index
        {
            return Err(AssembleError::Twice {
                volume: first.name.to_string(),
                member: one.label.index,
                first: one.path.clone(),
                second: other.path.clone(),
            });
        }
    }
    let devices = members.iter().map(|found| MemberDevice {
        index: found.label.index,
        path: found.path.clone(),
        number: found.number,
        data_start: found.label.data_start,
        regions: found.label.data_regions,
    });
    Ok(Layout {
        volume: first.volume.0,
        name: first.name.as_str().parse()?,
        region_size: first.region_size,
        regions: first.volume_regions,
        block_bytes: Bytes(u64::from(first.volume_block_bytes)),
        members: devices.collect(),
    })
}

/// Claims the members, opens the store and maps the volume.
pub(crate) fn assemble(
    members: &[Found],
    options: &OpenOptions,
) -> Result<Assembled, AssembleError> {
    let mut backend = DmBackend::new(layout(members)?)?;
    let opened = lock_and_map(&mut backend, members, options);
    if opened.is_err() && matches!(is_running(&backend), Ok(false)) {
        // Nothing needs the claims, but for one that another process has just opened: that one
        // stays. The first error is the one to tell.
        if let Err(error) = backend.release_members() {
            tracing::warn!(%error, "members stay claimed after a failed start");
        }
    }
    let (store, recovery, activated) = opened?;
    let paths = members
        .iter()
        .map(|found| (found.label.index, found.path.clone()))
        .collect();
    Ok(Assembled {
        backend,
        store,
        recovery,
        activated,
        paths,
    })
}

type Mapped = (Store, Recovery, Activated);

/// Keeps all other processes out and maps the volume; where that fails, a volume that did not run
/// does not run.
fn lock_and_map(
    backend: &mut DmBackend,
    members: &[Found],
    options: &OpenOptions,
) -> Result<Mapped, AssembleError> {
    backend.claim_members()?;
    let disks = open_areas(backend, members)?;
    // Only now can nobody else start or stop the volume.
    let was_running = is_running(backend)?;
    let options = OpenOptions {
        // A member that was missing comes back when the volume does not run. While it was away,
        // nothing could be written to what lies on it alone, so that it has all of that.
        readmit: !was_running,
        steps: stop_point::store_steps(),
        ..options.clone()
    };
    let mapped = open_and_map(backend, &disks, &options);
    if mapped.is_err()
        && !was_running
        && let Err(error) = backend.unmap()
    {
        tracing::warn!(%error, "a volume runs on after a failed start");
    }
    mapped
}

fn is_running(backend: &DmBackend) -> Result<bool, BackendError> {
    match backend.device_number() {
        Ok(_) => Ok(true),
        Err(BackendError::NotRunning { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn open_and_map(
    backend: &mut DmBackend,
    disks: &[Disk],
    options: &OpenOptions,
) -> Result<Mapped, AssembleError> {
    let (mut store, recovery) = Store::open(disks, options)?;
    stop_point::reach("start:recovered");
    mark_what_is_served(&mut store)?;
    stop_point::reach("start:marked");
    store.set_backend(BackendKind::Dm)?;
    for member in store.facts().members.iter().filter(|one| !one.present) {
        backend.stand_in_for(&Missing {
            index: member.index,
            data_start: member.data_start,
            regions: member.regions,
        })?;
    }
    let activated = backend.activate(&store.state().extents)?;
    Ok((store, recovery, activated))
}

/// Marks the generation whose map is about to be served, if it is not marked: from here on, writes
/// may be acknowledged where only this generation looks for them, and a later start that finds only
/// an older one must refuse (rule 6).
pub(crate) fn mark_what_is_served(store: &mut Store) -> Result<(), AssembleError> {
    let generation = store.generation();
    if store.acted_on() < generation {
        store.mark_acted_on(generation)?;
    }
    Ok(())
}

/// Opens each member's area device as its only holder.
pub(crate) fn open_areas(
    backend: &DmBackend,
    members: &[Found],
) -> Result<Vec<Disk>, AssembleError> {
    let mut disks: Vec<Disk> = Vec::with_capacity(members.len());
    for found in members {
        let area = backend.area_path(found.label.index)?;
        let name = found.path.display().to_string();
        let size = device_bytes(found)?;
        let disk =
            DeviceDisk::open_window(&area, Access::Exclusive, &name, size).map_err(|source| {
                match source.errno() {
                    Some(libc::EBUSY) => AssembleError::Held {
                        volume: found.label.name.to_string(),
                        source,
                    },
                    _ => source.into(),
                }
            })?;
        disks.push(Arc::new(disk));
    }
    Ok(disks)
}

/// Opens each member itself as its only holder: where no tables claim them.
pub(crate) fn open_members(members: &[Found]) -> Result<Vec<Disk>, AssembleError> {
    let open = |found: &Found| match DeviceDisk::open(&found.path, Access::Exclusive) {
        Ok(disk) => Ok(Arc::new(disk) as Disk),
        Err(source) if source.errno() == Some(libc::EBUSY) => Err(AssembleError::Held {
            volume: found.label.name.to_string(),
            source,
        }),
        Err(source) => Err(source.into()),
    };
    members.iter().map(open).collect()
}

/// The size that the device has now; the store compares it with its label's.
fn device_bytes(found: &Found) -> Result<u64, BlockError> {
    Ok(tier_sys::block::BlockDevice::open(&found.path, Access::ReadOnly)?.size_bytes())
}
