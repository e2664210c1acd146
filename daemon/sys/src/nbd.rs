//! The kernel's network block device, set up over its ioctls.
//!
//! Owns: the ioctls of `/dev/nbdN` (`include/uapi/linux/nbd.h`). Used by the test harness alone,
//! whose faulty disks are NBD servers; it stands here because `unsafe` stands nowhere else.
//! May not: speak the NBD protocol; the server on the other end of the socket does.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;

mod ioctls {
    //! Arguments are passed by value, so no memory of ours is read or written by the kernel.
    use nix::{ioctl_write_int_bad, request_code_none};

    const NBD: u8 = 0xab;
    ioctl_write_int_bad!(set_sock, request_code_none!(NBD, 0));
    ioctl_write_int_bad!(set_block_size, request_code_none!(NBD, 1));
    ioctl_write_int_bad!(do_it, request_code_none!(NBD, 3));
    ioctl_write_int_bad!(clear_sock, request_code_none!(NBD, 4));
    ioctl_write_int_bad!(set_size_blocks, request_code_none!(NBD, 7));
    ioctl_write_int_bad!(disconnect, request_code_none!(NBD, 8));
    ioctl_write_int_bad!(set_flags, request_code_none!(NBD, 10));
}

/// The server forbids writes (`NBD_FLAG_READ_ONLY`).
pub const READ_ONLY: u16 = 1 << 1;
/// The server has a volatile cache and flushes it when asked (`NBD_FLAG_SEND_FLUSH`).
pub const SEND_FLUSH: u16 = 1 << 2;
/// The server honours force-unit-access on a write (`NBD_FLAG_SEND_FUA`).
pub const SEND_FUA: u16 = 1 << 3;
/// The server takes discards (`NBD_FLAG_SEND_TRIM`).
pub const SEND_TRIM: u16 = 1 << 5;

/// `NBD_FLAG_HAS_FLAGS`: without it the kernel ignores the others.
const HAS_FLAGS: u16 = 1;

/// What the kernel is told of a disk before it is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Logical and physical block size in bytes: a power of two from 512 to the page size.
    pub block_bytes: u32,
    /// Size in blocks of that size.
    pub blocks: u32,
    /// A set of [`READ_ONLY`], [`SEND_FLUSH`], [`SEND_FUA`] and [`SEND_TRIM`].
    pub flags: u16,
}

/// An open `/dev/nbdN`.
#[derive(Debug)]
pub struct NbdDevice {
    node: File,
}

impl NbdDevice {
    /// Opens the device node at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        File::options()
            .read(true)
            .write(true)
            .open(path)
            .map(|node| Self { node })
    }

    /// Gives the kernel its end of the socket (which it keeps a reference to) and the disk's
    /// geometry. `EBUSY` when the device already has a socket of another opener.
    pub fn attach(&self, kernel_end: BorrowedFd<'_>, geometry: Geometry) -> io::Result<()> {
        self.call(ioctls::set_block_size, argument(geometry.block_bytes)?)?;
        self.call(ioctls::set_size_blocks, argument(geometry.blocks)?)?;
        self.call(ioctls::set_flags, i32::from(geometry.flags | HAS_FLAGS))?;
        self.call(ioctls::set_sock, kernel_end.as_raw_fd())
    }

    /// Runs the disk: returns when it was disconnected or the server closed its end.
    pub fn run(&self) -> io::Result<()> {
        self.call(ioctls::do_it, 0)
    }

    /// Asks the disk to stop: [`Self::run`] returns in its thread.
    pub fn disconnect(&self) -> io::Result<()> {
        self.call(ioctls::disconnect, 0)
    }

    /// Drops the kernel's reference to the socket: what is in flight fails.
    pub fn clear(&self) -> io::Result<()> {
        self.call(ioctls::clear_sock, 0)
    }

    fn call(
        &self,
        ioctl: unsafe fn(libc::c_int, libc::c_int) -> nix::Result<libc::c_int>,
        argument: i32,
    ) -> io::Result<()> {
        // SAFETY: the descriptor is open for as long as `self` is, and each of these ioctls takes
        // its argument by value (`drivers/block/nbd.c`), so no pointer is handed over.
        unsafe { ioctl(self.node.as_raw_fd(), argument) }?;
        Ok(())
    }
}

fn argument(value: u32) -> io::Result<i32> {
    i32::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
