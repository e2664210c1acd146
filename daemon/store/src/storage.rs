//! What the store needs of a device, and nothing more.
//!
//! Owns: the [`Storage`] trait, [`StorageError`], and the copy-on-write view [`Overlay`].
//! Invariants: every offset and length that reaches a [`Storage`] is a multiple of its
//! `block_bytes`; one block is written whole or not at all, which is what block devices promise
//! (a larger write may be torn between blocks). Buffer alignment is the implementation's affair.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// The front of a member device, where its labels and its metadata area lie.
///
/// Calls take `&self` because the labels and the area's database share one device; an
/// implementation locks within if it must.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// How people call the device: its path.
    fn name(&self) -> &str;

    /// Bytes that can be read and written through this handle.
    fn len_bytes(&self) -> u64;

    /// Bytes of the whole member device. Larger than [`Self::len_bytes`] where the handle is only
    /// a window on the member's front, as the kernel-held area device is.
    fn device_bytes(&self) -> u64 {
        self.len_bytes()
    }

    /// Logical block size in bytes: the unit of every offset and length.
    fn block_bytes(&self) -> u32;

    /// Fills `buffer` from `offset`.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes `data` at `offset`. Durable only after the next [`Self::sync`] that succeeds.
    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()>;

    /// Makes every write that has returned durable: a flush that reaches the medium.
    fn sync(&self) -> io::Result<()>;
}

/// A shared handle on a member's device.
pub type Disk = Arc<dyn Storage>;

/// An I/O error, with the device and the place.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// A read failed.
    #[error("reading {length} bytes at offset {offset} of {device}: {source}")]
    Read {
        /// The device.
        device: String,
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A write failed.
    #[error("writing {length} bytes at offset {offset} of {device}: {source}")]
    Write {
        /// The device.
        device: String,
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: usize,
        /// What the kernel said.
        source: io::Error,
    },
    /// A flush failed: what was written before it may not be durable.
    #[error("flushing {device}: {source}")]
    Flush {
        /// The device.
        device: String,
        /// What the kernel said.
        source: io::Error,
    },
}

impl StorageError {
    /// What the kernel said.
    #[must_use]
    pub fn into_source(self) -> io::Error {
        match self {
            Self::Read { source, .. } | Self::Write { source, .. } | Self::Flush { source, .. } => {
                source
            }
        }
    }
}

/// Reads, and names the device and the place where it fails.
pub(crate) fn read(disk: &dyn Storage, buffer: &mut [u8], offset: u64) -> Result<(), StorageError> {
    let length = buffer.len();
    disk.read_at(buffer, offset)
        .map_err(|source| StorageError::Read {
            device: disk.name().to_owned(),
            offset,
            length,
            source,
        })
}

/// Writes, and names the device and the place where it fails.
pub(crate) fn write(disk: &dyn Storage, data: &[u8], offset: u64) -> Result<(), StorageError> {
    disk.write_at(data, offset)
        .map_err(|source| StorageError::Write {
            device: disk.name().to_owned(),
            offset,
            length: data.len(),
            source,
        })
}

/// Flushes, and names the device where it fails.
pub(crate) fn sync(disk: &dyn Storage) -> Result<(), StorageError> {
    disk.sync().map_err(|source| StorageError::Flush {
        device: disk.name().to_owned(),
        source,
    })
}

/// The error of a request that leaves the device or is not made of whole blocks.
pub(crate) fn check_bounds(disk: &dyn Storage, length: usize, offset: u64) -> io::Result<()> {
    let block = u64::from(disk.block_bytes());
    let length = length as u64;
    if !offset.is_multiple_of(block) || !length.is_multiple_of(block) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{length} bytes at {offset} are not whole blocks of {block} bytes"),
        ));
    }
    if offset
        .checked_add(length)
        .is_none_or(|end| end > disk.len_bytes())
    {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{length} bytes at {offset} end beyond the device ({})",
                disk.len_bytes()
            ),
        ));
    }
    Ok(())
}

/// A device seen through copy-on-write: reads come from below, writes stay in memory.
///
/// Opening a database repairs it, which writes; through an overlay a replica is looked at without
/// being changed.
#[derive(Debug)]
pub struct Overlay {
    below: Disk,
    written: Mutex<BTreeMap<u64, Vec<u8>>>,
}

impl Overlay {
    /// A fresh view of `below`, with nothing written.
    #[must_use]
    pub fn new(below: Disk) -> Self {
        Self {
            below,
            written: Mutex::new(BTreeMap::new()),
        }
    }
}

impl Storage for Overlay {
    fn name(&self) -> &str {
        self.below.name()
    }

    fn len_bytes(&self) -> u64 {
        self.below.len_bytes()
    }

    fn device_bytes(&self) -> u64 {
        self.below.device_bytes()
    }

    fn block_bytes(&self) -> u32 {
        self.below.block_bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.below.read_at(buffer, offset)?;
        let block = u64::from(self.block_bytes());
        let end = offset + buffer.len() as u64;
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        for (&at, content) in written.range(offset..end) {
            let from = usize::try_from(at - offset).map_err(io::Error::other)?;
            let to = from + usize::try_from(block).map_err(io::Error::other)?;
            if let Some(slot) = buffer.get_mut(from..to) {
                slot.copy_from_slice(content);
            }
        }
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_bounds(self, data.len(), offset)?;
        let block = self.block_bytes() as usize;
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let mut at = offset;
        for content in data.chunks_exact(block) {
            written.insert(at, content.to_vec());
            at += block as u64;
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
