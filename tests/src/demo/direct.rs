//! Blocks of a file, read and written past the page cache.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;
use tier_sys::aligned::AlignedBuffer;

/// Unit of the demonstration's I/O.
pub(super) const BLOCK_BYTES: usize = 4096;

/// A file opened for direct I/O, with the buffer that it needs.
pub(super) struct DirectFile {
    file: File,
    buffer: AlignedBuffer,
}

impl DirectFile {
    pub(super) fn open(path: &Path, write: bool) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .write(write)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(path)?;
        let buffer = AlignedBuffer::zeroed(BLOCK_BYTES).expect("a buffer of one block");
        Ok(Self { file, buffer })
    }

    /// Reads block `at` whole.
    pub(super) fn read(&mut self, at: u64) -> io::Result<&[u8]> {
        self.file
            .read_exact_at(&mut self.buffer, at * BLOCK_BYTES as u64)?;
        Ok(&self.buffer)
    }

    /// Writes block `at`, filled by `fill`.
    pub(super) fn write(&mut self, at: u64, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        fill(&mut self.buffer);
        self.file
            .write_all_at(&self.buffer, at * BLOCK_BYTES as u64)
    }

    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
