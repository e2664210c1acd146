//! The device that people mount.
//!
//! Owns: what `ublk_drv` is told of a volume ([`Shape`]), how a device begins ([`Begin`]) and ends.
//! Invariants: nothing here removes a device but [`remove`] (rule 12): what happens to this process
//! leaves the device behind, with its requests parked until another takes them over.
//!
//! The device asks for `UBLK_F_USER_RECOVERY` with `_REISSUE` (`include/uapi/linux/ublk_cmd.h`): when
//! the process that serves it dies, requests that it had taken are given to the next anew, so none
//! fails. A write may so be made twice, and the first time may end late: the dead process's I/O may
//! still be in flight. So the next must not begin before that has ended. It is told by the members
//! themselves: they are open exclusively, which the kernel gives up only with the last reference to
//! the open file, and every request in flight holds one.

use std::io;
use std::marker::PhantomData;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use libublk::ctrl::{UblkCtrl, UblkCtrlBuilder};
use libublk::io::{UblkDev, UblkTgt};
use libublk::{UblkError, UblkFlags, sys};

use crate::queue::{DEPTH, ORDERS_PER_REQUEST, REQUEST_BYTES_MAX, SECTOR_BYTES_LOG, serve_queue};
use crate::volume::Volume;

/// Queues, at most.
const QUEUES_MAX: usize = 16;
/// The largest discard, and the largest write of zeroes.
const BYTES_AT_ONCE_MAX: u32 = 64 << 20;
/// Members whose files a queue takes: libublk has 32 places, the first for the device itself.
pub const MEMBERS_MAX: usize = 31;
/// Where `ublk_drv` is asked.
const CONTROL: &str = "/dev/ublk-control";

/// What the device tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its logical block, in bytes.
    pub block_bytes: u32,
    /// Its physical block, in bytes.
    pub physical_block_bytes: u32,
    /// Whether it takes discards.
    pub takes_discard: bool,
}

/// How a device begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// As a new one.
    New,
    /// As one whose server is gone, by its number.
    Again(u32),
}

/// Why a device cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The kernel has no ublk, or it is not loaded.
    #[error(
        "{CONTROL} cannot be opened ({0}); load ublk with `modprobe ublk_drv`, and run as root"
    )]
    Unavailable(io::Error),
    /// More members than a queue has places for.
    #[error("the volume has {0} members, and on ublk it may have {MEMBERS_MAX}")]
    TooManyMembers(usize),
    /// The block is none.
    #[error("a block of {0} bytes is no power of two from 512 to 4096")]
    Block(u32),
    /// The kernel refused something.
    #[error("cannot {what} ublk device {id}: {source}")]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// On which device; -1 is a new one.
        id: i64,
        /// Why.
        source: io::Error,
    },
}

fn refused(what: &'static str, id: i64) -> impl FnOnce(UblkError) -> DeviceError {
    move |error| DeviceError::Kernel {
        what,
        id,
        source: reason(error),
    }
}

/// The errno of an error, where it has one.
fn reason(error: UblkError) -> io::Error {
    match error {
        UblkError::IOError(source) => source,
        UblkError::OtherError(errno) | UblkError::UringIOError(errno) => {
            io::Error::from_raw_os_error(errno.abs())
        }
        other => io::Error::other(other),
    }
}

/// A device that nobody serves yet. What becomes of this value, the device stays. It is served by the
/// thread that made it, to which libublk binds its ring of orders.
pub struct Device {
    control: UblkCtrl,
    begin: Begin,
    bound: PhantomData<Rc<()>>,
}

impl Device {
    /// Makes a device, or finds the one whose server is gone. One that was never served is made anew.
    pub fn make(begin: Begin) -> Result<Self, DeviceError> {
        open_control()?;
        let control = control(begin)?;
        // Else it would be removed when this is dropped, whatever for.
        control.disown();
        if let Begin::Again(id) = begin
            && u32::from(control.dev_info().state) == sys::UBLK_S_DEV_DEAD
        {
            remove(id)?;
            return Self::make(Begin::New);
        }
        Ok(Self {
            control,
            begin,
            bound: PhantomData,
        })
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.control.dev_info().dev_id
    }

    /// Serves it until it is stopped or removed; `ready` is called with its node once it can be used.
    pub fn serve(
        self,
        volume: &Arc<Volume>,
        shape: Shape,
        ready: impl FnOnce(PathBuf) + Send + Sync + 'static,
    ) -> Result<(), DeviceError> {
        check(volume, shape)?;
        let id = i64::from(self.id());
        if let Begin::Again(_) = self.begin {
            self.control
                .start_user_recover()
                .map_err(refused("take over", id))?;
        }
        let (params, files) = (params(volume, shape), files(volume));
        let init = move |device: &mut UblkDev| {
            target(&mut device.tgt, params, &files);
            Ok(())
        };
        let served = volume.clone();
        let failed = Arc::new(Mutex::new(None));
        let failure = failed.clone();
        let queue = move |id: u16, device: &UblkDev| {
            // Once it serves, it fails only because the device is going: then its requests wait for
            // whoever takes it over. Before that, all others would wait for this queue for ever.
            if let Err(error) = serve_queue(id, device, &served) {
                if let Ok(mut first) = failure.lock() {
                    first.get_or_insert(error);
                }
                device.notify_buffer_registration_complete(true);
            }
        };
        let tell = move |control: &UblkCtrl| ready(control.get_bdev_path().into());
        let done = self.control.run_target(init, queue, tell);
        let error = match (done, failed.lock().ok().and_then(|mut first| first.take())) {
            (Ok(_), _) => return Ok(()),
            (Err(_), Some(first)) => first,
            (Err(error), None) => error,
        };
        Err(refused("serve", id)(error))
    }
}

/// The members' files, as numbers, in their order.
fn files(volume: &Volume) -> Vec<i32> {
    let members = volume.members().iter();
    members
        .map(|member| member.device.as_fd().as_raw_fd())
        .collect()
}

fn target(target: &mut UblkTgt, params: sys::ublk_params, files: &[i32]) {
    target.dev_size = params.basic.dev_sectors << SECTOR_BYTES_LOG;
    target.params = params;
    target.sq_depth = DEPTH * ORDERS_PER_REQUEST;
    target.cq_depth = DEPTH * ORDERS_PER_REQUEST;
    for (place, file) in target.fds.iter_mut().skip(1).zip(files) {
        *place = *file;
    }
    target.nr_fds += i32::try_from(files.len()).unwrap_or(0);
}

/// Stops a device, whether anybody serves it or not, and removes it. Requests that are parked fail.
pub fn remove(id: u32) -> Result<(), DeviceError> {
    stop(id)?;
    delete(id)
}

/// Stops a device: what has it open fails from now on, and whoever serves it is done.
pub fn stop(id: u32) -> Result<(), DeviceError> {
    let stopped = find(id)?.kill_dev().map_err(refused("stop", id.into()));
    stopped.map(|_| ())
}

/// Removes a device that is stopped, and that nobody serves any more.
pub fn delete(id: u32) -> Result<(), DeviceError> {
    let deleted = find(id)?.del_dev().map_err(refused("remove", id.into()));
    deleted.map(|_| ())
}

fn find(id: u32) -> Result<UblkCtrl, DeviceError> {
    open_control()?;
    let number = i32::try_from(id).unwrap_or(i32::MAX);
    UblkCtrl::new_simple(number).map_err(refused("find", id.into()))
}

fn check(volume: &Volume, shape: Shape) -> Result<(), DeviceError> {
    let members = volume.members().len();
    if members > MEMBERS_MAX {
        return Err(DeviceError::TooManyMembers(members));
    }
    let block = shape.block_bytes;
    if !block.is_power_of_two() || !(512..=4096).contains(&block) {
        return Err(DeviceError::Block(block));
    }
    Ok(())
}

/// Sees that there is a control device: libublk says it on the standard output if there is none.
pub(crate) fn open_control() -> Result<(), DeviceError> {
    let control = std::fs::File::open(Path::new(CONTROL));
    control.map(|_| ()).map_err(DeviceError::Unavailable)
}

fn control(begin: Begin) -> Result<UblkCtrl, DeviceError> {
    let (id, flags) = match begin {
        Begin::New => (-1, UblkFlags::UBLK_DEV_F_ADD_DEV),
        Begin::Again(id) => (
            i32::try_from(id).unwrap_or(i32::MAX),
            UblkFlags::UBLK_DEV_F_RECOVER_DEV,
        ),
    };
    let queues = std::thread::available_parallelism().map_or(1, |cpus| cpus.get().min(QUEUES_MAX));
    UblkCtrlBuilder::default()
        .name("tierd")
        .id(id)
        .nr_queues(u16::try_from(queues).unwrap_or(1))
        .depth(DEPTH)
        .io_buf_bytes(REQUEST_BYTES_MAX)
        .ctrl_flags(u64::from(
            sys::UBLK_F_USER_RECOVERY | sys::UBLK_F_USER_RECOVERY_REISSUE,
        ))
        .dev_flags(flags)
        .build()
        .map_err(refused("make", i64::from(id)))
}

fn params(volume: &Volume, shape: Shape) -> sys::ublk_params {
    let log = |bytes: u32| u8::try_from(bytes.max(512).ilog2()).unwrap_or(SECTOR_BYTES_LOG);
    let sectors = |bytes: u32| bytes >> SECTOR_BYTES_LOG;
    let mut params = sys::ublk_params {
        types: sys::UBLK_PARAM_TYPE_BASIC | sys::UBLK_PARAM_TYPE_DISCARD,
        basic: sys::ublk_param_basic {
            attrs: sys::UBLK_ATTR_VOLATILE_CACHE | sys::UBLK_ATTR_FUA,
            logical_bs_shift: log(shape.block_bytes),
            physical_bs_shift: log(shape.physical_block_bytes),
            io_min_shift: log(shape.physical_block_bytes),
            io_opt_shift: log(shape.physical_block_bytes),
            max_sectors: sectors(REQUEST_BYTES_MAX),
            dev_sectors: volume.snapshot().bytes() >> SECTOR_BYTES_LOG,
            ..Default::default()
        },
        ..Default::default()
    };
    params.discard.max_write_zeroes_sectors = sectors(BYTES_AT_ONCE_MAX);
    params.discard.max_discard_segments = 1;
    params.discard.discard_granularity = shape.physical_block_bytes;
    if shape.takes_discard {
        params.discard.max_discard_sectors = sectors(BYTES_AT_ONCE_MAX);
    }
    params
}
