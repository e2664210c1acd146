//! A writer whose every acknowledged byte can be asked for after the power was cut.
//!
//! Owns: what stands where after which batch, and the log of acknowledged batches. A batch is some
//! runs of 4 KiB blocks; which ones, and every byte of them, follow from the seed and the batch's
//! number alone. So the only thing that has to outlive the cut is one number: the last batch that
//! was acknowledged. Invariants: that number is logged after the flush of its batch has returned,
//! and the next batch begins after the log is durable, so that at most one batch is in doubt.
//! The unit of checking is a sector, since a cut may tear a block that is in doubt.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::OFlag;
use tier_sys::aligned::AlignedBuffer;

use crate::log::AckLog;

/// Bytes of a block, the unit of writing.
const BLOCK: usize = 4096;
/// Bytes of a sector, the unit in which a disk keeps or loses what it was not asked to flush.
const SECTOR: usize = 512;
/// Sectors of a block.
const SECTORS: usize = BLOCK / SECTOR;
/// Longest run of one write, in blocks.
const RUN_BLOCKS_MAX: u32 = 16;
/// Bytes read at a time when verifying.
const READ: usize = 1 << 20;
/// Bytes of a sector that say what it is: seed, number of the sector, batch.
const HEADER: usize = 24;

/// How a batch is made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durable {
    /// By one flush after its writes.
    Flush,
    /// Each write by itself, with force-unit-access where the device has it.
    Forced,
}

/// A stamped range of a device or a file.
#[derive(Clone, Debug)]
pub(crate) struct Stamps {
    path: PathBuf,
    first_byte: u64,
    blocks: u32,
    seed: u64,
    durable: Durable,
}

/// What a verification found amiss.
#[derive(Debug)]
pub(crate) struct Lost(pub(crate) String);

impl Stamps {
    /// The `blocks` blocks from `first_byte` of `path`.
    pub(crate) fn new(path: &Path, first_byte: u64, blocks: u32, durable: Durable) -> Self {
        Self {
            path: path.to_owned(),
            first_byte,
            blocks,
            seed: first_byte ^ 0x7469_6572,
            durable,
        }
    }

    fn open(&self) -> File {
        let forced = match self.durable {
            Durable::Flush => OFlag::empty(),
            Durable::Forced => OFlag::O_DSYNC,
        };
        let mut options = File::options();
        options.read(true).write(true).create(false);
        options.custom_flags((OFlag::O_DIRECT | forced).bits());
        options
            .open(&self.path)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()))
    }

    /// Writes everything as batch 0 and makes it durable.
    pub(crate) fn fill(&self, log: &AckLog) {
        let file = self.open();
        let mut first = 0;
        while first < self.blocks {
            let count = RUN_BLOCKS_MAX.min(self.blocks - first);
            self.write(&file, first, count, 0);
            first += count;
        }
        file.sync_all().expect("flush of the first filling");
        log.acknowledge(0);
    }

    /// Writes batches until told to stop, from the first that is not acknowledged on: it may be
    /// there in part.
    pub(crate) fn write_on(&self, log: &AckLog, stop: &AtomicBool) {
        let file = self.open();
        let mut batch = log.acknowledged();
        while !stop.load(Ordering::Relaxed) {
            batch += 1;
            for (first, count) in self.runs(batch) {
                self.write(&file, first, count, batch);
            }
            if self.durable == Durable::Flush {
                file.sync_data().expect("flush of a batch");
            }
            log.acknowledge(batch);
        }
    }

    fn write(&self, file: &File, first: u32, count: u32, batch: u64) {
        let length = count as usize * BLOCK;
        let mut data = AlignedBuffer::zeroed(length).expect("a short run");
        let first_sector = u64::from(first) * SECTORS as u64;
        for (at, sector) in data.chunks_exact_mut(SECTOR).enumerate() {
            self.stamp(first_sector + at as u64, batch, sector);
        }
        let offset = self.first_byte + u64::from(first) * BLOCK as u64;
        file.write_all_at(&data, offset)
            .unwrap_or_else(|error| panic!("write at {offset} of the volume: {error}"));
    }

    /// The runs that a batch writes: first block and count of each.
    fn runs(&self, batch: u64) -> Vec<(u32, u32)> {
        let mut random = fastrand::Rng::with_seed(mixed(self.seed, batch));
        (0..random.u32(1..=4))
            .map(|_| {
                let first = random.u32(0..self.blocks);
                let most = RUN_BLOCKS_MAX.min(self.blocks - first);
                (first, random.u32(1..=most))
            })
            .collect()
    }

    /// Fills a sector with what batch `batch` writes there.
    fn stamp(&self, sector: u64, batch: u64, data: &mut [u8]) {
        let mut random = fastrand::Rng::with_seed(mixed(self.seed, mixed(sector, batch)));
        random.fill(&mut data[HEADER..]);
        data[..8].copy_from_slice(&self.seed.to_le_bytes());
        data[8..16].copy_from_slice(&sector.to_le_bytes());
        data[16..HEADER].copy_from_slice(&batch.to_le_bytes());
    }

    /// The batch that a sector's content is of; `None` if it is of none, or torn, or of another
    /// sector.
    fn batch_of(&self, sector: u64, data: &[u8]) -> Option<u64> {
        let word = data[16..HEADER].try_into().expect("eight bytes");
        let batch = u64::from_le_bytes(word);
        let mut whole = [0; SECTOR];
        self.stamp(sector, batch, &mut whole);
        (whole == data).then_some(batch)
    }

    /// Reads everything and holds it against what was acknowledged: each sector is of the newest
    /// batch that wrote it and was acknowledged, or of the one batch that was in doubt, if that
    /// wrote it too. Returns the number of acknowledged batches.
    pub(crate) fn verify(&self, log: &AckLog) -> Result<u64, Lost> {
        let acknowledged = log.acknowledged();
        let mut newest = vec![0; self.blocks as usize];
        for batch in 1..=acknowledged {
            for (first, count) in self.runs(batch) {
                newest[first as usize..(first + count) as usize].fill(batch);
            }
        }
        let doubtful = acknowledged + 1;
        let runs = self.runs(doubtful);
        let in_doubt = |block: u32| {
            runs.iter()
                .any(|&(first, count)| (first..first + count).contains(&block))
        };
        let mut amiss = Vec::new();
        self.each_sector(|sector, data| {
            let block = sector / SECTORS as u64;
            let expected = newest[usize::try_from(block).expect("small")];
            let found = self.batch_of(sector, data);
            let fits = found == Some(expected)
                || (found == Some(doubtful)
                    && in_doubt(u32::try_from(block).expect("a block's number")));
            if !fits {
                amiss.push((sector, expected, found));
            }
        });
        if amiss.is_empty() {
            return Ok(acknowledged);
        }
        Err(self.describe(acknowledged, &amiss))
    }

    fn each_sector(&self, mut look: impl FnMut(u64, &[u8])) {
        let file = self.open();
        let mut data = AlignedBuffer::zeroed(READ).expect("a mebibyte");
        let bytes = u64::from(self.blocks) * BLOCK as u64;
        let mut sector = 0;
        for at in (0..bytes).step_by(READ) {
            let length = usize::try_from((bytes - at).min(READ as u64)).expect("small");
            file.read_exact_at(&mut data[..length], self.first_byte + at)
                .unwrap_or_else(|error| {
                    panic!("read at {} of the volume: {error}", self.first_byte + at)
                });
            for one in data[..length].chunks_exact(SECTOR) {
                look(sector, one);
                sector += 1;
            }
        }
    }

    fn describe(&self, acknowledged: u64, amiss: &[(u64, u64, Option<u64>)]) -> Lost {
        let some: Vec<_> = amiss
            .iter()
            .take(8)
            .map(|&(sector, expected, found)| {
                let byte = self.first_byte + sector * SECTOR as u64;
                let found = match found {
                    Some(batch) if batch < expected => format!("that of batch {batch}, older"),
                    Some(batch) => format!("that of batch {batch}, never acknowledged"),
                    None => "that of no batch".to_owned(),
                };
                format!(
                    "byte {byte} (region {}) should hold what batch {expected} wrote, and holds {found}",
                    byte >> 20
                )
            })
            .collect();
        Lost(format!(
            "{} of {} sectors of {} are not as acknowledged (batches 1 to {acknowledged}): {}",
            amiss.len(),
            u64::from(self.blocks) * SECTORS as u64,
            self.path.display(),
            some.join("; ")
        ))
    }

    /// Puts the first filling back into one block of the last batch, behind the writer's back: what
    /// a leg looks like that was left behind.
    pub(crate) fn put_back_one_block(&self, log: &AckLog) {
        let runs = self.runs(log.acknowledged());
        let (block, _) = runs.first().expect("a batch has runs");
        self.write(&self.open(), *block, 1, 0);
    }
}

/// One seed of two (the finaliser of `SplitMix64`, so that neighbours differ in every bit).
fn mixed(one: u64, other: u64) -> u64 {
    let mut word = one ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
