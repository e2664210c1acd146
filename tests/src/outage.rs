//! A load that goes on when I/O fails, and says how long good blocks could not be read.
//!
//! Owns: threads that write and read stamped blocks of one range of a device, past the page cache.
//! Invariants: a block that was acknowledged with a version never reads as an older one, nor as
//! anything that was not written to it; a write that failed may have happened or not. Unlike
//! [`crate::load`], an error is counted and the load goes on: devices fail here on purpose.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tier_sys::block::{Access, BlockDevice};

use crate::io::Pending;

/// Bytes of a block: each carries its own stamp.
const BLOCK: usize = 4096;
/// Every so-manieth block is watched by the reader: few enough that each is looked at often.
const WATCHED_ONE_IN: usize = 16;
/// Between two requests of a thread: the processor is left to what is being tested.
const PAUSE: Duration = Duration::from_millis(1);
/// How long a request may take after the load was told to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running load on one range of a device.
#[derive(Debug)]
pub struct Outage {
    shared: Arc<Shared>,
    writer: Pending<Result<(), String>>,
    reader: Pending<Result<BTreeSet<u64>, String>>,
}

/// What each block of the range must hold.
#[derive(Debug)]
pub struct Acknowledged {
    shared: Arc<Shared>,
}

/// What a load has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Longest time for which one block could not be read, of those that could be again.
    pub longest_outage: Duration,
    /// Longest write that succeeded.
    pub longest_write: Duration,
    /// Offsets in bytes of the watched blocks that could not be read in the end.
    pub unreadable: BTreeSet<u64>,
    /// Writes that were acknowledged.
    pub writes: u64,
    /// Writes that failed.
    pub failed_writes: u64,
    /// Reads that failed.
    pub failed_reads: u64,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// First byte of the range.
    start: u64,
    blocks: Vec<Block>,
    end: AtomicBool,
    longest_outage: Mutex<Duration>,
    longest_write: Mutex<Duration>,
    writes: AtomicU64,
    failed_writes: AtomicU64,
    failed_reads: AtomicU64,
    rounds: AtomicU64,
}

/// A block's versions.
#[derive(Debug)]
struct Block {
    /// The newest that was acknowledged: an older one must never be read again.
    acknowledged: AtomicU64,
    /// The newest that was tried.
    tried: AtomicU64,
}

impl Outage {
    /// Writes `length` bytes from `start` on once, durably, and begins.
    ///
    /// # Panics
    /// When the first writing fails.
    #[must_use]
    pub fn start(path: &Path, start: u64, length: u64) -> Self {
        let blocks = (0..length / BLOCK as u64).map(|_| Block {
            acknowledged: AtomicU64::new(1),
            tried: AtomicU64::new(1),
        });
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            start,
            blocks: blocks.collect(),
            end: AtomicBool::new(false),
            longest_outage: Mutex::default(),
            longest_write: Mutex::default(),
            writes: AtomicU64::new(0),
            failed_writes: AtomicU64::new(0),
            failed_reads: AtomicU64::new(0),
            rounds: AtomicU64::new(0),
        });
        shared.write_all().expect("the first writing of the range");
        let (writing, reading) = (Arc::clone(&shared), Arc::clone(&shared));
        Self {
            writer: Pending::start(move || writing.write_on()),
            reader: Pending::start(move || reading.read_on()),
            shared,
        }
    }

    /// Writes that were acknowledged so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.shared.writes.load(Ordering::SeqCst)
    }

    /// How often every watched block was read, or could not be, so far.
    #[must_use]
    pub fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::SeqCst)
    }

    /// Ends it.
    ///
    /// # Panics
    /// When a block held what it must not, or a request does not come back.
    #[track_caller]
    #[must_use]
    pub fn stop(self) -> (Seen, Acknowledged) {
        self.shared.end.store(true, Ordering::SeqCst);
        let written = self.writer.within(PATIENCE);
        let written = written.expect("a write of the load does not come back");
        let unreadable = self.reader.within(PATIENCE);
        let unreadable = unreadable.expect("a read of the load does not come back");
        written.unwrap_or_else(|why| panic!("{why}"));
        let unreadable = unreadable.unwrap_or_else(|why| panic!("{why}"));
        let shared = &self.shared;
        let seen = Seen {
            longest_outage: longest(&shared.longest_outage, Duration::ZERO),
            longest_write: longest(&shared.longest_write, Duration::ZERO),
            unreadable,
            writes: shared.writes.load(Ordering::SeqCst),
            failed_writes: shared.failed_writes.load(Ordering::SeqCst),
            failed_reads: shared.failed_reads.load(Ordering::SeqCst),
        };
        let acknowledged = Acknowledged {
            shared: self.shared,
        };
        (seen, acknowledged)
    }
}

impl Acknowledged {
    /// Reads every block but those at the offsets `lost`, and says which is not what was
    /// acknowledged.
    pub fn verify(&self, lost: &BTreeSet<u64>) -> Result<(), String> {
        let device = self.shared.open()?;
        for number in 0..self.shared.blocks.len() {
            let offset = self.shared.offset(number);
            if lost.contains(&offset) {
                continue;
            }
            self.shared
                .read(&device, number)
                .map_err(|error| format!("block {number}: {error}"))??;
        }
        Ok(())
    }
}

impl Shared {
    fn open(&self) -> Result<BlockDevice, String> {
        BlockDevice::open(&self.path, Access::ReadWrite).map_err(|error| error.to_string())
    }

    fn offset(&self, number: usize) -> u64 {
        self.start + (number * BLOCK) as u64
    }

    /// A block's content: its place and its version, over and over.
    fn content(&self, number: usize, version: u64) -> Vec<u8> {
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&self.offset(number).to_le_bytes());
        stamp[8..].copy_from_slice(&version.to_le_bytes());
        stamp.repeat(BLOCK / stamp.len())
    }

    fn write_all(&self) -> Result<(), String> {
        let device = self.open()?;
        let whole: Vec<u8> = (0..self.blocks.len())
            .flat_map(|number| self.content(number, 1))
            .collect();
        device
            .write_at(self.start, &whole)
            .and_then(|()| device.sync_data())
            .map_err(|error| error.to_string())
    }

    fn write_on(&self) -> Result<(), String> {
        let device = self.open()?;
        let mut random = fastrand::Rng::with_seed(self.start);
        while !self.end.load(Ordering::SeqCst) {
            let number = random.usize(0..self.blocks.len());
            let block = &self.blocks[number];
            let version = block.tried.fetch_add(1, Ordering::SeqCst) + 1;
            let start = Instant::now();
            let data = self.content(number, version);
            if device.write_at(self.offset(number), &data).is_ok() {
                block.acknowledged.store(version, Ordering::SeqCst);
                longest(&self.longest_write, start.elapsed());
                self.writes.fetch_add(1, Ordering::SeqCst);
            } else {
                self.failed_writes.fetch_add(1, Ordering::SeqCst);
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// Reads watched blocks until the end; gives the offsets of those that cannot be read then.
    fn read_on(&self) -> Result<BTreeSet<u64>, String> {
        let device = self.open()?;
        let mut random = fastrand::Rng::with_seed(self.start + 1);
        let watched: Vec<usize> = (0..self.blocks.len()).step_by(WATCHED_ONE_IN).collect();
        let mut failing: BTreeMap<usize, Instant> = BTreeMap::new();
        let mut next = 0;
        let mut round = Vec::new();
        loop {
            if round.is_empty() {
                round.clone_from(&watched);
                random.shuffle(&mut round);
            }
            // Blocks that fail are asked for in turn, so that the time at which they come back is
            // seen; between two of them stands one of the round.
            let again = failing.range(next..).next().or(failing.iter().next());
            let turn = again.map(|(number, _)| *number).filter(|_| random.bool());
            next = turn.map_or(next, |number| number + 1);
            let Some(number) = turn.or_else(|| round.pop()) else {
                continue;
            };
            let start = Instant::now();
            if let Ok(held) = self.read(&device, number) {
                held?;
                let since = failing.remove(&number).unwrap_or(start);
                longest(&self.longest_outage, since.elapsed());
            } else {
                failing.entry(number).or_insert(start);
                self.failed_reads.fetch_add(1, Ordering::SeqCst);
            }
            if turn.is_none() && round.is_empty() {
                self.rounds.fetch_add(1, Ordering::SeqCst);
            }
            if self.end.load(Ordering::SeqCst) {
                return Ok(failing.keys().map(|number| self.offset(*number)).collect());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Reads a block. The inner error says that it holds what it must not.
    fn read(
        &self,
        device: &BlockDevice,
        number: usize,
    ) -> Result<Result<(), String>, tier_sys::block::BlockError> {
        let mut data = vec![0; BLOCK];
        let oldest = self.blocks[number].acknowledged.load(Ordering::SeqCst);
        device.read_at(self.offset(number), &mut data)?;
        let newest = self.blocks[number].tried.load(Ordering::SeqCst);
        let word = |at: usize| {
            let bytes = data[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let (place, version) = (word(0), word(8));
        let whole = data == self.content(number, version);
        if whole && (oldest..=newest).contains(&version) {
            return Ok(Ok(()));
        }
        Ok(Err(format!(
            "LOST: the block at byte {} holds version {version} of the block at byte {place}{}, and \
             must hold version {oldest} to {newest} of its own",
            self.offset(number),
            if whole { "" } else { ", torn" }
        )))
    }
}

/// Keeps the longer of two times, and gives it.
fn longest(kept: &Mutex<Duration>, time: Duration) -> Duration {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    *kept = kept.max(time);
    *kept
}
