//! Real devices as [`Storage`].
//!
//! Owns: the adapter over `tier_sys::block::BlockDevice`. Holds no policy: whether a device may be
//! opened is the shell's to judge.

use std::io;
use std::path::Path;

use tier_sys::block::{Access, BlockDevice, BlockError};

use crate::storage::Storage;

/// A block device, or a regular file that stands for one.
#[derive(Debug)]
pub struct DeviceDisk {
    device: BlockDevice,
    name: String,
    device_bytes: u64,
}

impl DeviceDisk {
    /// Opens a member device as a whole.
    pub fn open(path: &Path, access: Access) -> Result<Self, BlockError> {
        let device = BlockDevice::open(path, access)?;
        let device_bytes = device.size_bytes();
        Ok(Self {
            device,
            name: path.display().to_string(),
            device_bytes,
        })
    }

    /// Opens a window on a member's front (the kernel-held area device at `path`), for the member
    /// that people know as `name` and that is `device_bytes` long.
    pub fn open_window(
        path: &Path,
        access: Access,
        name: &str,
        device_bytes: u64,
    ) -> Result<Self, BlockError> {
        let device = BlockDevice::open(path, access)?;
        Ok(Self {
            device,
            name: name.to_owned(),
            device_bytes,
        })
    }
}

impl Storage for DeviceDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.device.size_bytes()
    }

    fn device_bytes(&self) -> u64 {
        self.device_bytes
    }

    fn block_bytes(&self) -> u32 {
        self.device.logical_block_bytes()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.device.read_at(offset, buffer).map_err(into_io)
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        self.device.write_at(offset, data).map_err(into_io)
    }

    fn sync(&self) -> io::Result<()> {
        self.device.sync_data().map_err(into_io)
    }
}

/// Keeps the kernel's error number, which callers may branch on; the device and the place are
/// added again by `StorageError`.
fn into_io(error: BlockError) -> io::Error {
    match error.errno() {
        Some(errno) => io::Error::from_raw_os_error(errno),
        None => io::Error::other(error),
    }
}
