//! Owns: a block device (or a regular file that stands for one) opened for direct I/O.
//!
//! Invariants: a read or a write is done in full or is an error that says where; nothing is
//! cached, so what `write_at` returned for is on the device or in its volatile cache, and what
//! `sync_data` returned for is durable. Never retries but after `EINTR`.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::aligned::{ALIGNMENT_BYTES, AlignedBuffer};

/// Block size that a regular file is given: any offset works there, and 512 is the smallest that
/// a block device has.
const FILE_BLOCK_BYTES: u32 = 512;

/// Longest piece that is copied through an aligned buffer at once, in bytes: 1 MiB.
const BOUNCE_BYTES_MAX: usize = 1 << 20;

mod ioctls {
    #![allow(
        missing_docs,
        reason = "the macros write functions named after linux/fs.h's ioctls"
    )]
    #![allow(unreachable_pub, reason = "the macros write `pub`")]

    // Numbers and types from include/uapi/linux/fs.h. Those whose types the header leaves out
    // ("bad") are _IO numbers with an int, unsigned int or u64[2] behind the pointer
    // (block/ioctl.c).
    nix::ioctl_read!(blkgetsize64, 0x12, 114, usize);
    nix::ioctl_read_bad!(blksszget, nix::request_code_none!(0x12, 104), libc::c_int);
    nix::ioctl_read_bad!(blkpbszget, nix::request_code_none!(0x12, 123), libc::c_uint);
    nix::ioctl_read_bad!(blkroget, nix::request_code_none!(0x12, 94), libc::c_int);
    nix::ioctl_write_ptr_bad!(blkdiscard, nix::request_code_none!(0x12, 119), [u64; 2]);
}

/// How a device is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading.
    ReadOnly,
    /// For reading, as the only holder: to see whether [`Access::Exclusive`] would be granted.
    ReadOnlyExclusive,
    /// For reading and writing, beside other holders.
    ReadWrite,
    /// For reading and writing, as the only holder: `O_EXCL`, which fails with `EBUSY` while the
    /// device is mounted, under device-mapper or held by another (open(2)). A regular file is
    /// locked instead (flock(2)) and fails with `EWOULDBLOCK`.
    Exclusive,
}

impl Access {
    const fn is_exclusive(self) -> bool {
        matches!(self, Self::Exclusive | Self::ReadOnlyExclusive)
    }

    const fn is_writable(self) -> bool {
        matches!(self, Self::Exclusive | Self::ReadWrite)
    }
}

/// Number of a device, as `stat` gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Major number: the driver.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl DeviceNumber {
    /// From the kernel's packed form (`st_rdev`).
    #[must_use]
    pub const fn from_raw(raw: u64) -> Self {
        Self {
            major: libc::major(raw),
            minor: libc::minor(raw),
        }
    }
}

impl std::fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// What failed on a device.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Opening it.
    #[error("cannot open {} ({access:?}): {source}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// How.
        access: Access,
        /// Why.
        source: io::Error,
    },
    /// It is neither a block device nor a regular file.
    #[error("{} is neither a block device nor a regular file", path.display())]
    NotADevice {
        /// Which.
        path: PathBuf,
    },
    /// Asking for a property of it.
    #[error("cannot get the {what} of {}: {source}", path.display())]
    Query {
        /// Which.
        path: PathBuf,
        /// Which property.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Offset or length is no multiple of the logical block size. A mistake of the caller.
    #[error(
        "{length} bytes at {offset} of {} are not whole blocks of {block_bytes} bytes",
        path.display()
    )]
    Misaligned {
        /// Which device.
        path: PathBuf,
        /// Byte offset.
        offset: u64,
        /// Bytes.
        length: u64,
        /// Logical block size in bytes.
        block_bytes: u32,
    },
    /// Reading, writing or discarding.
    #[error("cannot {what} {length} bytes at {offset} of {}: {source}", path.display())]
    Io {
        /// `read`, `write` or `discard`.
        what: &'static str,
        /// Which device.
        path: PathBuf,
        /// Byte offset at which it failed: what lies before it within the request is done.
        offset: u64,
        /// Bytes that were left to do.
        length: u64,
        /// Why. `UnexpectedEof` where the device ends.
        source: io::Error,
    },
    /// Making it durable.
    #[error("cannot make {} durable (fdatasync): {source}", path.display())]
    Sync {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl BlockError {
    /// The kernel's error number, if the kernel refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::NotADevice { .. } | Self::Misaligned { .. } => None,
            Self::Open { source, .. }
            | Self::Query { source, .. }
            | Self::Io { source, .. }
            | Self::Sync { source, .. } => source.raw_os_error(),
        }
    }
}

/// An open block device, or a regular file that stands for one (an image, a test).
#[derive(Debug)]
pub struct BlockDevice {
    file: File,
    path: PathBuf,
    number: Option<DeviceNumber>,
    size_bytes: u64,
    logical_block_bytes: u32,
    physical_block_bytes: u32,
    read_only: bool,
}

impl BlockDevice {
    /// Opens `path`. A block device is opened for direct I/O (`O_DIRECT`); a regular file is not,
    /// since not every file system has that. Size and block sizes are read once, here.
    pub fn open(path: &Path, access: Access) -> Result<Self, BlockError> {
        let open_error = |source| BlockError::Open {
            path: path.to_owned(),
            access,
            source,
        };
        let metadata = std::fs::metadata(path).map_err(open_error)?;
        let is_block = metadata.file_type().is_block_device();
        if !is_block && !metadata.file_type().is_file() {
            return Err(BlockError::NotADevice {
                path: path.to_owned(),
            });
        }
        let mut flags = libc::O_CLOEXEC;
        if is_block {
            flags |= libc::O_DIRECT;
            if access.is_exclusive() {
                flags |= libc::O_EXCL;
            }
        }
        let file = OpenOptions::new()
            .read(true)
            .write(access.is_writable())
            .custom_flags(flags)
            .open(path)
            .map_err(open_error)?;
        if is_block {
            Self::of_block_device(file, path)
        } else {
            if access.is_exclusive() {
                lock_file(&file).map_err(open_error)?;
            }
            Self::of_regular_file(file, path)
        }
    }

    fn of_block_device(file: File, path: &Path) -> Result<Self, BlockError> {
        let query = |what| {
            move |source: io::Error| BlockError::Query {
                path: path.to_owned(),
                what,
                source,
            }
        };
        let fd = file.as_raw_fd();
        let mut size = 0_usize;
        // SAFETY: BLKGETSIZE64 writes one u64, which usize is on the 64-bit targets we build for.
        unsafe { ioctls::blkgetsize64(fd, &raw mut size) }
            .map_err(|errno| query("size")(errno.into()))?;
        let mut logical: libc::c_int = 0;
        // SAFETY: BLKSSZGET writes one int.
        unsafe { ioctls::blksszget(fd, &raw mut logical) }
            .map_err(|errno| query("logical block size")(errno.into()))?;
        let mut physical: libc::c_uint = 0;
        // SAFETY: BLKPBSZGET writes one unsigned int.
        unsafe { ioctls::blkpbszget(fd, &raw mut physical) }
            .map_err(|errno| query("physical block size")(errno.into()))?;
        let mut read_only: libc::c_int = 0;
        // SAFETY: BLKROGET writes one int.
        unsafe { ioctls::blkroget(fd, &raw mut read_only) }
            .map_err(|errno| query("read-only flag")(errno.into()))?;
        let raw = file.metadata().map_err(query("device number"))?.rdev();
        Ok(Self {
            file,
            path: path.to_owned(),
            number: Some(DeviceNumber::from_raw(raw)),
            size_bytes: size as u64,
            logical_block_bytes: logical.unsigned_abs(),
            physical_block_bytes: physical,
            read_only: read_only != 0,
        })
    }

    fn of_regular_file(file: File, path: &Path) -> Result<Self, BlockError> {
        let metadata = file.metadata().map_err(|source| BlockError::Query {
            path: path.to_owned(),
            what: "size",
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            number: None,
            // Like a block device, a file ends with its last whole block.
            size_bytes: metadata.len() - metadata.len() % u64::from(FILE_BLOCK_BYTES),
            logical_block_bytes: FILE_BLOCK_BYTES,
            physical_block_bytes: FILE_BLOCK_BYTES,
            read_only: metadata.permissions().readonly(),
            file,
        })
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes when it was opened.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The unit in which it is read and written, in bytes.
    #[must_use]
    pub const fn logical_block_bytes(&self) -> u32 {
        self.logical_block_bytes
    }

    /// The unit that it writes in one piece, in bytes.
    #[must_use]
    pub const fn physical_block_bytes(&self) -> u32 {
        self.physical_block_bytes
    }

    /// Whether the device was read-only when it was opened (BLKROGET), however it was opened here.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Its number; `None` for a regular file.
    #[must_use]
    pub const fn number(&self) -> Option<DeviceNumber> {
        self.number
    }

    /// Fills `buffer` from `offset` on. Offset and length are whole logical blocks; the buffer
    /// itself may lie anywhere in memory.
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BlockError> {
        self.check_aligned(offset, buffer.len() as u64)?;
        if self.takes_directly(buffer) {
            return self.read_piece(offset, buffer);
        }
        let mut bounce = self.bounce(offset, buffer.len())?;
        let mut at = offset;
        for piece in buffer.chunks_mut(BOUNCE_BYTES_MAX) {
            let bounced = &mut bounce[..piece.len()];
            self.read_piece(at, bounced)?;
            piece.copy_from_slice(bounced);
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes `buffer` from `offset` on. Offset and length are whole logical blocks; the buffer
    /// itself may lie anywhere in memory. Not durable before [`Self::sync_data`] has returned.
    pub fn write_at(&self, offset: u64, buffer: &[u8]) -> Result<(), BlockError> {
        self.check_aligned(offset, buffer.len() as u64)?;
        if self.takes_directly(buffer) {
            return self.write_piece(offset, buffer);
        }
        let mut bounce = self.bounce(offset, buffer.len())?;
        let mut at = offset;
        for piece in buffer.chunks(BOUNCE_BYTES_MAX) {
            let bounced = &mut bounce[..piece.len()];
            bounced.copy_from_slice(piece);
            self.write_piece(at, bounced)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes durable what has been written, by any holder of the device, and empties the device's
    /// volatile cache (fdatasync(2)). After an error, nothing written since the last success may
    /// be taken for durable, and a second call that succeeds does not change that.
    pub fn sync_data(&self) -> Result<(), BlockError> {
        loop {
            match self.file.sync_data() {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => {
                    return Err(BlockError::Sync {
                        path: self.path.clone(),
                        source,
                    });
                }
            }
        }
    }

    /// Tells the device that these bytes are no longer wanted; what they read as afterwards is
    /// undefined. Fails with `EOPNOTSUPP` where the device cannot, and on a regular file.
    pub fn discard(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        self.check_aligned(offset, length)?;
        let failed = |source| BlockError::Io {
            what: "discard",
            path: self.path.clone(),
            offset,
            length,
            source,
        };
        if self.number.is_none() {
            return Err(failed(io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
        }
        let range = [offset, length];
        // SAFETY: BLKDISCARD reads two u64, offset and length in bytes, from a live local.
        unsafe { ioctls::blkdiscard(self.file.as_raw_fd(), &raw const range) }
            .map_err(|errno| failed(errno.into()))?;
        Ok(())
    }

    fn check_aligned(&self, offset: u64, length: u64) -> Result<(), BlockError> {
        let block = u64::from(self.logical_block_bytes);
        if offset.is_multiple_of(block) && length.is_multiple_of(block) {
            return Ok(());
        }
        Err(BlockError::Misaligned {
            path: self.path.clone(),
            offset,
            length,
            block_bytes: self.logical_block_bytes,
        })
    }

    /// Whether the kernel can take this memory for direct I/O as it lies.
    fn takes_directly(&self, buffer: &[u8]) -> bool {
        self.number.is_none() || buffer.as_ptr().addr().is_multiple_of(ALIGNMENT_BYTES)
    }

    fn bounce(&self, offset: u64, bytes: usize) -> Result<AlignedBuffer, BlockError> {
        AlignedBuffer::zeroed(bytes.min(BOUNCE_BYTES_MAX)).ok_or_else(|| BlockError::Io {
            what: "buffer",
            path: self.path.clone(),
            offset,
            length: bytes as u64,
            source: io::ErrorKind::OutOfMemory.into(),
        })
    }

    fn read_piece(&self, offset: u64, buffer: &mut [u8]) -> Result<(), BlockError> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => {
                    let eof = io::ErrorKind::UnexpectedEof.into();
                    return Err(self.io_error("read", offset, done, buffer.len(), eof));
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.io_error("read", offset, done, buffer.len(), error));
                }
            }
        }
        Ok(())
    }

    fn write_piece(&self, offset: u64, buffer: &[u8]) -> Result<(), BlockError> {
        // A block device refuses what lies beyond its end; a file would grow.
        let end = offset.saturating_add(buffer.len() as u64);
        if end > self.size_bytes {
            let eof = io::ErrorKind::UnexpectedEof.into();
            return Err(self.io_error("write", offset, 0, buffer.len(), eof));
        }
        let mut done = 0;
        while done < buffer.len() {
            match self.file.write_at(&buffer[done..], offset + done as u64) {
                Ok(0) => {
                    let zero = io::ErrorKind::WriteZero.into();
                    return Err(self.io_error("write", offset, done, buffer.len(), zero));
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(self.io_error("write", offset, done, buffer.len(), error));
                }
            }
        }
        Ok(())
    }

    fn io_error(
        &self,
        what: &'static str,
        offset: u64,
        done: usize,
        length: usize,
        source: io::Error,
    ) -> BlockError {
        BlockError::Io {
            what,
            path: self.path.clone(),
            offset: offset + done as u64,
            length: (length - done) as u64,
            source,
        }
    }
}

impl AsFd for BlockDevice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Locks a regular file for as long as it is open.
fn lock_file(file: &File) -> io::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => {
            Err(io::Error::from_raw_os_error(libc::EWOULDBLOCK))
        }
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
