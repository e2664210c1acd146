//! A file that is written all the while: each block says which it is and how often it was written.
//!
//! Owns: the pattern, and what each block must hold at the end. A block that was lost, torn,
//! written elsewhere or put back to an earlier write is told apart from what it should be.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::direct::{BLOCK_BYTES, DirectFile};

/// The file, and how often each of its blocks was written.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    writes: Vec<u32>,
}

impl Ledger {
    /// Makes the file, of so many bytes, and makes it durable.
    pub fn create(path: &Path, bytes: u64) -> io::Result<Self> {
        let blocks = usize::try_from(bytes).unwrap() / BLOCK_BYTES;
        let mut content = vec![0; blocks * BLOCK_BYTES];
        for (at, block) in content.chunks_mut(BLOCK_BYTES).enumerate() {
            stamp(block, at as u64, 0);
        }
        let mut file = File::create(path)?;
        file.write_all(&content)?;
        file.sync_all()?;
        Ok(Self {
            path: path.to_owned(),
            writes: vec![0; blocks],
        })
    }

    /// Opens it for writing past the page cache.
    pub(super) fn open(&self) -> io::Result<DirectFile> {
        DirectFile::open(&self.path, true)
    }

    /// Writes some block anew.
    pub(super) fn write_one(
        &mut self,
        file: &mut DirectFile,
        random: &mut fastrand::Rng,
    ) -> io::Result<()> {
        let at = random.usize(..self.writes.len());
        let writes = self.writes[at] + 1;
        file.write(at as u64, |block| stamp(block, at as u64, writes))?;
        self.writes[at] = writes;
        Ok(())
    }

    /// Writes since it was made.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes.iter().map(|&writes| u64::from(writes)).sum()
    }

    /// Reads every block and names those that are not what was last written.
    pub fn verify(&self) -> io::Result<Vec<String>> {
        let mut file = DirectFile::open(&self.path, false)?;
        let mut wanted = vec![0; BLOCK_BYTES];
        let mut complaints = Vec::new();
        for (at, &writes) in self.writes.iter().enumerate() {
            stamp(&mut wanted, at as u64, writes);
            if file.read(at as u64)? != wanted {
                let path = self.path.display();
                complaints.push(format!("{path}: block {at} is not its write {writes}"));
            }
        }
        Ok(complaints)
    }
}

/// Fills a block with what write number `writes` of block `at` puts there: the same number in no
/// two words, so that a shifted or torn block shows.
fn stamp(block: &mut [u8], at: u64, writes: u32) {
    let mut word = (at << 32 | u64::from(writes)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for bytes in block.chunks_exact_mut(size_of::<u64>()) {
        bytes.copy_from_slice(&word.to_le_bytes());
        word = word.wrapping_add(0xD1B5_4A32_D192_ED03);
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
