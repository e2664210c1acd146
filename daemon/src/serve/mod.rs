//! `tierd serve`: the process that serves a volume on ublk, and the daemon's way to it.
//!
//! Owns: the order in which such a volume is opened, and how it ends. The process has the volume's
//! metadata too: what it serves is what is on record, and nobody else writes either. The members are
//! opened exclusively first. So nobody else has them, neither a volume on device-mapper, whose tables
//! claim them, nor a process that died and whose last writes are still in flight; what the metadata say
//! then is what is served.
//!
//! When the process dies, the kernel parks the requests of the volume, and gives those that were
//! taken to the next process anew (`UBLK_F_USER_RECOVERY_REISSUE`). Moves under way are forgotten: a
//! write was acknowledged only when the home that is recorded had it, whichever leg that is, for both
//! were written until the record changed.

mod client;
mod launch;
mod note;
mod protocol;
mod session;
mod users;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tier_store::device::DeviceDisk;
use tier_store::open::OpenOptions;
use tier_store::storage::Disk;
use tier_store::store::Store;
use tier_store::words::{BackendKind, MemberFacts};
use tier_sys::block::{Access, BlockDevice, BlockError, DeviceNumber};
use tier_ublk::device::{Begin, Device, DeviceError, Shape};
use tier_ublk::features::Features;

use self::note::Note;
use self::protocol::beside;
use self::session::{Known, Served};
use crate::backend::ublk::{UblkBackend, claim};
use crate::backend::{BackendError, Layout, MemberDevice, link};
use crate::cli::Serve;
use crate::config::Config;
use crate::exit::{ExitCode, Failure};
use crate::notify::{Heartbeat, Notifier};
use crate::stop_point;
use crate::turn;
use crate::volume::assemble::{AssembleError, layout, mark_what_is_served};
use crate::volume::discover::{Found, scan};
use crate::volume::facts::{mended, takes_discard};
use crate::volume::metadata::{Published, Records};

pub(crate) use self::client::{Connection, JoinError, Wire};
pub(crate) use self::launch::{LaunchError, join, stop};
pub(crate) use self::note::{check_not_on_ublk, is_on_ublk, volume_of};
pub(crate) use self::protocol::Opened;

/// How long a process that died may have had requests in flight: as long as the kernel gives a SCSI
/// disk to answer, twice.
const DEAD_PATIENCE: Duration = Duration::from_mins(1);

/// The files of a volume's process, by how their names end: where it listens, what it locks, and why the
/// last one ended.
const SOCKET: &str = ".sock";
const LOCK: &str = ".lock";
const FAILED: &str = ".failed";
/// And a file by which an operator wants a start without members that are missing: that start takes it away.
const DEGRADED: &str = ".degraded";

/// Serves a volume until it is told to stop, or somebody removes its device.
pub fn serve(config: &Config, what: &Serve) -> Result<ExitCode, Failure> {
    let failed = beside(config, &what.name, FAILED);
    let done = serve_until_stopped(config, &what.name);
    if let Err(failure) = &done {
        // For the daemon that started this; the log has it, too.
        let _ = fs::write(failed, launch::noted(failure));
    }
    done
}

fn serve_until_stopped(config: &Config, name: &str) -> Result<ExitCode, Failure> {
    crate::run::harden()?;
    let _alone = lock(config, name)?;
    let found = scan(&config.daemon.scan)?;
    let Some(members) = found.volume(name) else {
        let error = AssembleError::NotFound(name.to_owned());
        return Err(Failure::new(ExitCode::NotFound, error));
    };
    let note = Note::of(config, name);
    let begin = note.begin()?;
    let is_degraded = fs::remove_file(beside(config, name, DEGRADED)).is_ok();
    let open = open(members, begin, is_degraded).map_err(crate::boot::failure)?;
    let offered = Features::of_kernel().map_err(failed)?;
    tracing::info!(%offered, "ublk of this kernel");
    let device = Device::make(begin).map_err(failed)?;
    let id = device.id();
    note.write(id)?;
    stop_point::reach("serve:made");
    let shape = shape(&open.backend).map_err(AssembleError::from);
    let shape = shape.map_err(crate::boot::failure)?;
    let volume = open.backend.volume().clone();
    let layout = open.backend.layout().clone();
    let socket = beside(config, name, SOCKET);
    let notifier = Notifier::start(Heartbeat::default())?;
    let ready = {
        let (name, socket) = (layout.name.clone(), socket.clone());
        let noted = Note::of(config, layout.name.as_str());
        let open = Mutex::new(Some(open));
        move |node: PathBuf| {
            let open = open.lock().ok().and_then(|mut open| open.take());
            let listening = open
                .ok_or_else(|| io::Error::other("it was ready before"))
                .and_then(|open| {
                    noted.complete(id)?;
                    listen(open, id, &node, &socket)
                });
            match listening {
                Ok(link) => tracing::info!(volume = %name, device = %link.display(),
                    node = %node.display(), how = ?begin, "volume is served"),
                // It serves all the same; only nothing moves.
                Err(error) => {
                    tracing::error!(volume = %name, %error, "nobody can reach this process");
                }
            }
            notifier.ready();
        }
    };
    device.serve(&volume, shape, ready).map_err(failed)?;
    // Whoever stopped it may have removed it, too.
    if let Err(error) = tier_ublk::device::delete(id) {
        tracing::debug!(%error, "the device is gone already");
    }
    note.remove()?;
    link::take_away(&layout.name)?;
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(ExitCode::Done),
    }
}

/// Sees that this is the one process for the volume.
fn lock(config: &Config, name: &str) -> Result<File, Failure> {
    let path = beside(config, name, LOCK);
    fs::create_dir_all(turn::directory(config))?;
    let mut options = File::options();
    let lock = options
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(error) => {
            let text = format!(
                "another process serves volume {name} ({}: {error})",
                path.display()
            );
            Err(Failure::new(ExitCode::InUse, text))
        }
    }
}

/// A volume whose members are claimed and whose metadata are open.
struct Open {
    backend: UblkBackend,
    store: Store,
    mended: Vec<String>,
}

/// Lets the daemon in, in threads of its own, and leads the link to the device.
fn listen(open: Open, id: u32, node: &Path, socket: &Path) -> io::Result<PathBuf> {
    let Open {
        backend,
        store,
        mended,
    } = open;
    let layout = backend.layout();
    let link = link::lead(&layout.name, node)?;
    let number = DeviceNumber::from_raw(fs::metadata(node)?.rdev());
    let members = backend.present().iter();
    let known = Known {
        name: layout.name.to_string(),
        id,
        device: (number.major, number.minor),
        node: node.to_owned(),
        link: link.clone(),
        paths: members.map(|one| (one.index, one.path.clone())).collect(),
        mended,
    };
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(socket)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600))?;
    let durable = Published::default();
    let records = Records::new(store, Arc::clone(&durable));
    let served = Arc::new(Served::new(known, backend, records, durable));
    let attended = Arc::clone(&served);
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    thread("attend").spawn(move || attended.attend())?;
    thread("listen").spawn(move || {
        for stream in listener.incoming() {
            let served = Arc::clone(&served);
            let talked = stream.and_then(|stream| {
                let talk = move || {
                    if let Err(error) = served.talk(&stream) {
                        tracing::warn!(%error, "a connection ended with an error");
                    }
                };
                thread("talk").spawn(talk)
            });
            if let Err(error) = talked {
                tracing::warn!(%error, "nobody could be let in");
            }
        }
    })?;
    Ok(link)
}

/// Opens the members, reads where everything is, and marks it as acted on.
fn open(members: &[Found], begin: Begin, degraded: bool) -> Result<Open, AssembleError> {
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
        // What was served goes on with the members that it had.
        readmit: begin == Begin::New,
        degraded,
        steps: stop_point::store_steps(),
        ..OpenOptions::default()
    };
    let (mut store, recovery) = Store::open(&disks, &options)?;
    mark_what_is_served(&mut store)?;
    store.set_backend(BackendKind::Ublk)?;
    let missing = store.facts().members.iter().filter(|one| !one.present);
    let missing = missing.map(absent).collect();
    Ok(Open {
        backend: UblkBackend::degraded(layout, claimed, missing, &store.state().extents)?,
        store,
        mended: mended(&recovery),
    })
}

/// A member that is not there, as the records know it.
fn absent(facts: &MemberFacts) -> MemberDevice {
    MemberDevice {
        index: facts.index,
        path: PathBuf::from("missing"),
        number: DeviceNumber { major: 0, minor: 0 },
        data_start: facts.data_start,
        regions: facts.regions,
    }
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
fn shape(backend: &UblkBackend) -> Result<Shape, BackendError> {
    let mut physical = 0;
    for member in backend.present() {
        let device = BlockDevice::open(&member.path, Access::ReadOnly)?;
        physical = device.physical_block_bytes().max(physical);
    }
    let numbers = backend.present().iter().map(|member| member.number);
    let block_bytes = backend.layout().block_bytes.0;
    Ok(Shape {
        block_bytes: u32::try_from(block_bytes).unwrap_or(u32::MAX),
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
