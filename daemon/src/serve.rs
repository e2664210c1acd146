//! `tierd serve`: the process that serves a volume on ublk.
//!
//! Owns: the order in which such a volume is opened, and the note by which the next process finds the
//! device of one that died. The members are opened exclusively first. So nobody else has them, neither
//! a volume on device-mapper, whose tables claim them, nor a process that died and whose last writes
//! are still in flight; what the metadata say then is what is served.
//!
//! When the process dies, the kernel parks the requests of the volume, and gives those that were
//! taken to the next process anew (`UBLK_F_USER_RECOVERY_REISSUE`). Moves under way are forgotten: a
//! write was acknowledged only when the home that is recorded had it, whichever leg that is, for both
//! were written until the record changed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tier_store::device::DeviceDisk;
use tier_store::open::OpenOptions;
use tier_store::storage::Disk;
use tier_store::store::Store;
use tier_sys::block::{Access, BlockDevice, BlockError};
use tier_ublk::device::{Begin, Device, DeviceError, Shape};

use crate::backend::ublk::{UblkBackend, claim};
use crate::backend::{BackendError, Layout, link};
use crate::cli::Serve;
use crate::config::Config;
use crate::exit::{ExitCode, Failure};
use crate::stop_point;
use crate::turn;
use crate::volume::assemble::{AssembleError, layout, mark_what_is_served};
use crate::volume::discover::{Found, scan};
use crate::volume::facts::takes_discard;

/// How long a process that died may have had requests in flight: as long as the kernel gives a SCSI
/// disk to answer, twice.
const DEAD_PATIENCE: Duration = Duration::from_mins(1);

/// Serves a volume until somebody removes its device.
pub fn serve(config: &Config, what: &Serve) -> Result<ExitCode, Failure> {
    crate::run::harden()?;
    let turn = turn::take(config)?;
    let found = scan(&config.daemon.scan)?;
    let Some(members) = found.volume(&what.name) else {
        let error = AssembleError::NotFound(what.name.clone());
        return Err(Failure::new(ExitCode::NotFound, error));
    };
    let note = Note::of(config, &what.name);
    let begin = note.begin()?;
    let backend = open(members, begin).map_err(crate::boot::failure)?;
    let device = Device::make(begin).map_err(failed)?;
    note.write(device.id())?;
    stop_point::reach("serve:made");
    let shape = shape(backend.layout()).map_err(AssembleError::from);
    let shape = shape.map_err(crate::boot::failure)?;
    let name = backend.layout().name.clone();
    let ready = move |node: PathBuf| {
        drop(turn);
        match link::lead(&name, &node) {
            Ok(link) => tracing::info!(volume = %name, device = %link.display(),
                node = %node.display(), how = ?begin, "volume is served"),
            Err(error) => tracing::error!(volume = %name, %error, "a volume has no link"),
        }
    };
    device
        .serve(backend.volume(), shape, ready)
        .map_err(failed)?;
    note.remove()?;
    link::take_away(&backend.layout().name)?;
    Ok(ExitCode::Done)
}

/// Sees that no process serves a volume on ublk, nor has left requests there that still wait: they
/// would be made in the midst of what others write meanwhile.
pub(crate) fn check_not_on_ublk(config: &Config, volume: &str) -> Result<(), AssembleError> {
    match Note::of(config, volume).begin() {
        Ok(Begin::Again(id)) => Err(AssembleError::OnUblk {
            volume: volume.to_owned(),
            id,
        }),
        Ok(Begin::New) => Ok(()),
        Err(source) => Err(AssembleError::PerhapsOnUblk {
            volume: volume.to_owned(),
            source,
        }),
    }
}

/// Opens the members, reads where everything is, and marks it as acted on.
fn open(members: &[Found], begin: Begin) -> Result<UblkBackend, AssembleError> {
    let layout = layout(members)?;
    let patience = match begin {
        Begin::New => Duration::ZERO,
        Begin::Again(_) => DEAD_PATIENCE,
    };
    let claimed = claim(&layout, patience).map_err(|source| held(&layout, source))?;
    let open = |found: &Found| {
        let disk = DeviceDisk::open(&found.path, Access::ReadWrite)?;
        Ok(Arc::new(disk) as Disk)
    };
    let disks = members.iter().map(open);
    let disks = disks.collect::<Result<Vec<_>, BlockError>>()?;
    let options = OpenOptions {
        steps: stop_point::store_steps(),
        ..OpenOptions::default()
    };
    let (mut store, _) = Store::open(&disks, &options)?;
    mark_what_is_served(&mut store)?;
    Ok(UblkBackend::new(layout, claimed, &store.state().extents)?)
}

fn held(layout: &Layout, source: BlockError) -> AssembleError {
    match source.errno() {
        Some(libc::EBUSY) => AssembleError::Held {
            volume: layout.name.to_string(),
            source,
        },
        _ => source.into(),
    }
}

/// What the device tells of itself. A member without discards does not take them from the volume: it
/// only does not hear of them.
fn shape(layout: &Layout) -> Result<Shape, BackendError> {
    let mut physical = 0;
    for member in &layout.members {
        let device = BlockDevice::open(&member.path, Access::ReadOnly)?;
        physical = device.physical_block_bytes().max(physical);
    }
    let numbers = layout.members.iter().map(|member| member.number);
    Ok(Shape {
        block_bytes: u32::try_from(layout.block_bytes.0).unwrap_or(u32::MAX),
        physical_block_bytes: physical,
        takes_discard: numbers.into_iter().any(takes_discard),
    })
}

fn failed(error: DeviceError) -> Failure {
    let code = match error {
        DeviceError::Unavailable(_) => ExitCode::KernelFeature,
        DeviceError::TooManyMembers(_) | DeviceError::Block(_) => ExitCode::DeviceFailed,
        DeviceError::Kernel { .. } => ExitCode::Internal,
    };
    Failure::new(code, error)
}

/// Which device serves a volume: below `/run`, as it goes with the boot like the device itself.
struct Note(PathBuf);

impl Note {
    fn of(config: &Config, volume: &str) -> Self {
        Self(turn::directory(config).join(format!("ublk-{volume}")))
    }

    /// How the device begins: again, if there is one that an earlier process served.
    fn begin(&self) -> io::Result<Begin> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Begin::New),
            Err(error) => return Err(self.named(&error)),
        };
        let id = text.trim().parse().map_err(io::Error::other);
        let id: u32 = id.map_err(|error| self.named(&error))?;
        let is_there = Path::new(&format!("/dev/ublkc{id}")).exists();
        Ok(if is_there {
            Begin::Again(id)
        } else {
            Begin::New
        })
    }

    /// In one step: a death on the way leaves the note before, or this one.
    fn write(&self, id: u32) -> io::Result<()> {
        let new = self.0.with_file_name(format!(
            "new-{}",
            self.0.file_name().unwrap_or_default().display()
        ));
        std::fs::write(&new, format!("{id}\n"))
            .and_then(|()| std::fs::rename(&new, &self.0))
            .map_err(|error| self.named(&error))
    }

    fn remove(&self) -> io::Result<()> {
        std::fs::remove_file(&self.0).map_err(|error| self.named(&error))
    }

    fn named(&self, error: &io::Error) -> io::Error {
        let text = format!("{}: {error}", self.0.display());
        io::Error::new(error.kind(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_of_which_it_is_not_known_whether_it_is_on_ublk_is_not_started() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.socket = folder.path().join("tierd.sock");
        check_not_on_ublk(&config, "v").unwrap();
        let note = Note::of(&config, "v");
        // A number that no device has: what was there is gone.
        note.write(4_000_000_000).unwrap();
        check_not_on_ublk(&config, "v").unwrap();
        std::fs::write(&note.0, "").unwrap();
        let error = check_not_on_ublk(&config, "v").unwrap_err();
        assert!(
            matches!(error, AssembleError::PerhapsOnUblk { .. }),
            "{error}"
        );
    }
}
