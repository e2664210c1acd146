//! Real files: copied from the machine, their checksums kept, verified at the end.
//!
//! Owns: which files, and what they must hold. The checksum is taken of what was read from the
//! machine, before the volume has seen a byte of it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::direct::BLOCK_BYTES;

/// Where files are taken from, until there are enough.
const SOURCES: &[&str] = &["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/share", "/opt"];
/// Files outside of these sizes are passed over: small ones would make this a test of mkdir.
const SIZES: std::ops::RangeInclusive<u64> = 32 << 10..=4 << 20;
/// Bytes that are read at once.
const PIECE_BYTES: usize = 256 << 10;
/// Groups of neighbouring files that make up the hot set: heat is patchy, not one block.
const HOT_GROUPS: u64 = 6;

/// One copied file.
#[derive(Clone, Debug)]
struct Kept {
    path: PathBuf,
    bytes: u64,
    crc32c: u32,
}

/// The files on the volume.
#[derive(Clone, Debug, Default)]
pub struct Files {
    kept: Vec<Kept>,
}

/// A file that can be read by blocks.
#[derive(Clone, Debug)]
pub struct Readable {
    /// Where it is.
    pub path: PathBuf,
    /// Its whole blocks.
    pub blocks: u64,
}

impl Files {
    /// Copies real files into `folder` until there are so many bytes, and makes them durable.
    /// `told` hears of the bytes copied so far.
    pub fn copy(folder: &Path, bytes: u64, mut told: impl FnMut(u64)) -> io::Result<Self> {
        let mut files = Self::default();
        let mut copied = 0;
        let mut folders: Vec<PathBuf> = SOURCES.iter().rev().map(PathBuf::from).collect();
        while copied < bytes
            && let Some(source) = folders.pop()
        {
            for entry in sorted(&source) {
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file()
                    && SIZES.contains(&entry.metadata()?.len())
                    && copied < bytes
                {
                    let kept = copy(&entry.path(), folder)?;
                    copied += kept.bytes;
                    files.kept.push(kept);
                    told(copied);
                }
            }
        }
        nix::unistd::syncfs(File::open(folder)?)?;
        Ok(files)
    }

    /// Number of files.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.kept.len() as u64
    }

    /// Their bytes in sum.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.kept.iter().map(|file| file.bytes).sum()
    }

    /// All of them, to be read by blocks.
    #[must_use]
    pub fn all(&self) -> Vec<Readable> {
        self.kept.iter().map(readable).collect()
    }

    /// Groups of neighbouring files, spread over all of them, of so many bytes in sum.
    #[must_use]
    pub fn hot(&self, bytes: u64) -> Vec<Readable> {
        let mut hot = Vec::new();
        for group in 0..HOT_GROUPS {
            let first = self.count() * group / HOT_GROUPS;
            let mut taken = 0;
            for file in self.kept.iter().skip(usize::try_from(first).unwrap()) {
                if taken >= bytes / HOT_GROUPS {
                    break;
                }
                taken += file.bytes;
                hot.push(readable(file));
            }
        }
        hot
    }

    /// Reads every file again and names those that are not what they were.
    pub fn verify(&self, mut told: impl FnMut(u64)) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut verified = 0;
        for file in &self.kept {
            let path = file.path.display();
            match checksum(&file.path, &mut io::sink()) {
                Ok(found) if found == (file.bytes, file.crc32c) => {}
                Ok((bytes, crc)) => complaints.push(format!(
                    "{path}: {bytes} bytes with CRC-32C {crc:08x}, and were {} with {:08x}",
                    file.bytes, file.crc32c
                )),
                Err(error) => complaints.push(format!("{path}: {error}")),
            }
            verified += file.bytes;
            told(verified);
        }
        complaints
    }
}

fn readable(file: &Kept) -> Readable {
    Readable {
        path: file.path.clone(),
        blocks: file.bytes / BLOCK_BYTES as u64,
    }
}

/// What a folder holds, by name; nothing where it may not be read.
fn sorted(folder: &Path) -> Vec<fs::DirEntry> {
    let mut entries: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.flatten().collect())
        .unwrap_or_default();
    entries.sort_by_key(fs::DirEntry::file_name);
    entries
}

/// Copies a file to the same path below `folder`.
fn copy(source: &Path, folder: &Path) -> io::Result<Kept> {
    let path = folder.join(source.strip_prefix("/").unwrap_or(source));
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let (bytes, crc32c) = checksum(source, &mut File::create(&path)?)?;
    Ok(Kept {
        path,
        bytes,
        crc32c,
    })
}

/// Length and checksum of a file, which is written to `copy` as it is read.
fn checksum(path: &Path, copy: &mut impl io::Write) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let (mut bytes, mut crc) = (0, 0);
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok((bytes, crc));
        }
        copy.write_all(&piece[..count])?;
        crc = crc32c::crc32c_append(crc, &piece[..count]);
        bytes += count as u64;
    }
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
