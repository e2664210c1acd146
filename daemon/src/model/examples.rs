//! The examples of a volume: what local history a model is trained on with.
//!
//! Owns: the file `examples` in the format of [`tier_network::example`]. Invariants: it holds whole
//! examples only, in the order of time, and not many more than [`EXAMPLES_MAX`]. Losing the newest
//! of them in a power cut is no harm, so they are not made durable one by one.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use tempfile::NamedTempFile;
use tier_network::example::{EXAMPLE_BYTES, Example, HEADER_BYTES, header};

use crate::beneath::elsewhere;

/// Examples that are kept: some days, at eight a minute. The file grows to twice as many before the
/// older half is let go.
const EXAMPLES_MAX: u64 = 40_000;

const HEADER: u64 = HEADER_BYTES as u64;
const EXAMPLE: u64 = EXAMPLE_BYTES as u64;

/// The file.
#[derive(Debug)]
pub(super) struct Examples {
    path: PathBuf,
    file: File,
    count: u64,
    most: u64,
}

impl Examples {
    /// Opens the file, and makes it if it is not there. What is of another version, or no file of
    /// examples, is begun anew: there is no use for it.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        Self::open_with(path, EXAMPLES_MAX)
    }

    fn open_with(path: PathBuf, most: u64) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)?;
        let mut found = Vec::new();
        Read::by_ref(&mut file)
            .take(HEADER)
            .read_to_end(&mut found)?;
        let length = file.metadata()?.len();
        let count = if found == header() {
            (length - HEADER) / EXAMPLE
        } else {
            file.set_len(0)?;
            file.rewind()?;
            file.write_all(&header())?;
            0
        };
        // A tail that is no whole example was torn by a power cut.
        let end = HEADER + count * EXAMPLE;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        Ok(Self {
            path,
            file,
            count,
            most,
        })
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Appends some.
    pub(super) fn append(&mut self, examples: &[Example]) -> io::Result<()> {
        let bytes: Vec<u8> = examples.iter().flat_map(Example::to_bytes).collect();
        self.file.write_all(&bytes)?;
        self.count += examples.len() as u64;
        if self.count > 2 * self.most {
            self.let_older_go()?;
        }
        Ok(())
    }

    fn let_older_go(&mut self) -> io::Result<()> {
        // Something may have been mounted since the file was opened.
        elsewhere(&self.path).map_err(io::Error::other)?;
        let folder = self.path.parent().map_or_else(|| ".".into(), PathBuf::from);
        let mut kept = NamedTempFile::new_in(folder)?;
        kept.write_all(&header())?;
        let first = HEADER + (self.count - self.most) * EXAMPLE;
        self.file.seek(SeekFrom::Start(first))?;
        io::copy(&mut self.file, kept.as_file_mut())?;
        self.file = kept.persist(&self.path)?;
        self.file.seek(SeekFrom::End(0))?;
        self.count = self.most;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use tier_network::contract::STEPS;

    use super::*;

    fn example(at: u64) -> Example {
        Example {
            at_seconds: at,
            codes: [1; STEPS],
            touches: [1.0; 4],
        }
    }

    fn times(path: &std::path::Path) -> Vec<u64> {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(bytes[..HEADER_BYTES], header());
        let rows = bytes[HEADER_BYTES..].chunks_exact(EXAMPLE_BYTES);
        assert!(rows.remainder().is_empty());
        rows.map(|row| u64::from_le_bytes(row[..8].try_into().unwrap()))
            .collect()
    }

    #[test]
    fn examples_are_appended_over_restarts_and_a_torn_tail_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        let mut examples = Examples::open(path.clone()).unwrap();
        examples.append(&[example(1), example(2)]).unwrap();
        drop(examples);
        let mut torn = OpenOptions::new().append(true).open(&path).unwrap();
        torn.write_all(&[7; EXAMPLE_BYTES - 1]).unwrap();
        let mut examples = Examples::open(path.clone()).unwrap();
        assert_eq!(examples.count(), 2);
        examples.append(&[example(3)]).unwrap();
        assert_eq!(times(&path), [1, 2, 3]);
    }

    #[test]
    fn the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        let mut examples = Examples::open_with(path.clone(), 3).unwrap();
        for at in 0..9 {
            examples.append(&[example(at)]).unwrap();
        }
        assert_eq!(times(&path), [4, 5, 6, 7, 8]);
        assert_eq!(examples.count(), 5);
    }

    #[test]
    fn what_is_of_another_version_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("examples");
        std::fs::write(&path, b"something else that is rather long").unwrap();
        let examples = Examples::open(path.clone()).unwrap();
        assert_eq!(examples.count(), 0);
        assert_eq!(times(&path), [0; 0]);
    }
}
