//! A load that knows what every block must hold, and tolerates nothing.
//!
//! Owns: threads that write stamped blocks at random places of a device, past the page cache, and
//! read others back. Invariants: a block belongs to one thread, so that its content is always
//! known; the first I/O that fails or the first block that differs ends the load, and every later
//! call of its owner panics with it. fio verifies too, but cannot say at any moment what the whole
//! device must hold.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tier_sys::block::{Access, BlockDevice};

/// Bytes of a block: each carries its own stamp.
const BLOCK: usize = 4096;
/// Adjacent blocks of one thread: 64 KiB, the largest request.
const SLICE_BLOCKS: u32 = 16;
/// Threads, so that reads, writes and discards overlap.
const THREADS: u32 = 3;
/// Between two requests of a thread, if they do not take longer: the processor is left to what is
/// being tested.
const PAUSE: Duration = Duration::from_millis(4);
/// The longest of these pauses: a request may have been parked.
const PAUSE_MAX: Duration = Duration::from_millis(100);
/// Version of a block that was discarded: it may hold anything.
const ANYTHING: u32 = u32::MAX;

/// A running load.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// Where the load's part of the device begins, in bytes.
    base: u64,
    blocks: u32,
    seed: u64,
    discards: bool,
    /// What each block holds: the number of the request that wrote it.
    versions: Vec<AtomicU32>,
    /// Number of the newest request that writes.
    newest: AtomicU32,
    acknowledged: [AtomicU64; THREADS as usize],
    longest: Mutex<Duration>,
    failure: Mutex<Option<String>>,
    end: AtomicBool,
}

/// What a device must hold, block by block.
#[derive(Debug)]
pub struct Content {
    shared: Arc<Shared>,
}

impl Load {
    /// Writes all of these bytes of the device once, then starts. With `discards`, blocks are
    /// discarded too.
    ///
    /// # Panics
    /// When the device cannot be written.
    #[must_use]
    pub fn start(path: &Path, bytes: Range<u64>, seed: u64, discards: bool) -> Self {
        let device = BlockDevice::open(path, Access::ReadWrite).expect("the volume");
        let blocks = (bytes.end - bytes.start) / BLOCK as u64;
        let blocks = u32::try_from(blocks).expect("a small volume");
        let shared = Shared {
            path: path.to_owned(),
            base: bytes.start,
            blocks,
            seed,
            discards,
            versions: (0..blocks).map(|_| AtomicU32::new(0)).collect(),
            newest: AtomicU32::new(0),
            acknowledged: Default::default(),
            longest: Mutex::default(),
            failure: Mutex::default(),
            end: AtomicBool::new(false),
        };
        for first in (0..blocks).step_by(256) {
            let count = 256.min(blocks - first);
            let data = shared.blocks_of(first, count, 0);
            device
                .write_at(shared.offset(first), &data)
                .expect("the first writing of the volume");
        }
        Self::resume(Content {
            shared: Arc::new(shared),
        })
    }

    /// Goes on where another load of this device ended.
    ///
    /// # Panics
    /// When a thread cannot be made.
    #[must_use]
    pub fn resume(content: Content) -> Self {
        let shared = content.shared;
        shared.end.store(false, Ordering::SeqCst);
        let threads = (0..THREADS).map(|thread| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                if let Err(why) = shared.work(thread) {
                    let mut failure = shared
                        .failure
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    failure.get_or_insert(why);
                }
            })
        });
        Self {
            threads: threads.collect(),
            shared: Arc::clone(&shared),
        }
    }

    /// Panics if anything has failed or differed.
    ///
    /// # Panics
    /// As it says.
    #[track_caller]
    pub fn check(&self) {
        self.shared.check();
    }

    /// Waits until each thread has had a request answered that it made after this call: nothing
    /// is parked, and nothing is stuck.
    ///
    /// # Panics
    /// When that takes longer than `limit`, or anything has failed.
    #[track_caller]
    pub fn must_go_on(&self, limit: Duration) {
        let start = Instant::now();
        let before = self.answered();
        loop {
            self.check();
            // Two: the first may have been under way before.
            let all = self.answered();
            if all.iter().zip(before).all(|(now, then)| *now >= then + 2) {
                return;
            }
            assert!(
                start.elapsed() < limit,
                "I/O is stuck for {limit:?}: {before:?} then, {all:?} now"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Requests answered so far, of each thread.
    fn answered(&self) -> [u64; THREADS as usize] {
        std::array::from_fn(|at| self.shared.acknowledged[at].load(Ordering::SeqCst))
    }

    /// Requests answered so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.answered().iter().sum()
    }

    /// The longest that a request took so far.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let longest = self.shared.longest.lock();
        *longest.unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it and gives what the device must hold.
    ///
    /// # Panics
    /// When anything has failed or differed, or a request does not come back in twenty seconds.
    #[must_use]
    pub fn stop(self) -> Content {
        self.shared.end.store(true, Ordering::SeqCst);
        let start = Instant::now();
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            assert!(
                start.elapsed() < Duration::from_secs(20),
                "a request of the load does not come back"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        self.shared.check();
        Content {
            shared: self.shared,
        }
    }
}

impl Content {
    /// Reads all of the load's part of the device and compares.
    ///
    /// # Panics
    /// When a read fails or a block differs.
    #[track_caller]
    pub fn verify(&self) {
        let shared = &self.shared;
        let device = BlockDevice::open(&shared.path, Access::ReadOnly).expect("the volume");
        let mut data = vec![0; 256 * BLOCK];
        for first in (0..shared.blocks).step_by(256) {
            let count = 256.min(shared.blocks - first);
            let data = &mut data[..count as usize * BLOCK];
            device
                .read_at(shared.offset(first), data)
                .unwrap_or_else(|error| panic!("{error}"));
            shared
                .compare(first, data)
                .unwrap_or_else(|why| panic!("{why}"));
        }
    }
}

impl Shared {
    #[track_caller]
    fn check(&self) {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*failure {
            panic!("the load failed: {why}");
        }
    }

    fn offset(&self, block: u32) -> u64 {
        self.base + u64::from(block) * BLOCK as u64
    }

    /// What a block holds after the request of this number.
    fn block(&self, block: u32, version: u32) -> Vec<u8> {
        let mut stamp = [0; 16];
        stamp[..4].copy_from_slice(&block.to_le_bytes());
        stamp[4..8].copy_from_slice(&version.to_le_bytes());
        stamp[8..].copy_from_slice(&self.seed.to_le_bytes());
        stamp.repeat(BLOCK / stamp.len())
    }

    fn blocks_of(&self, first: u32, count: u32, version: u32) -> Vec<u8> {
        let blocks: Vec<_> = (first..first + count)
            .map(|block| self.block(block, version))
            .collect();
        blocks.concat()
    }

    fn compare(&self, first: u32, data: &[u8]) -> Result<(), String> {
        for (block, found) in (first..).zip(data.chunks(BLOCK)) {
            let version = self.versions[block as usize].load(Ordering::SeqCst);
            if version != ANYTHING && found != self.block(block, version) {
                let word = |at: usize| {
                    u32::from_le_bytes([found[at], found[at + 1], found[at + 2], found[at + 3]])
                };
                return Err(format!(
                    "byte {} must hold version {version} of block {block}, and holds version {} of block {}",
                    self.offset(block),
                    word(4),
                    word(0)
                ));
            }
        }
        Ok(())
    }

    fn work(&self, thread: u32) -> Result<(), String> {
        let say = |error: tier_sys::block::BlockError| error.to_string();
        let device = BlockDevice::open(&self.path, Access::ReadWrite).map_err(say)?;
        let mut random = fastrand::Rng::with_seed(self.seed ^ u64::from(thread));
        let slices = self.blocks / SLICE_BLOCKS;
        while !self.end.load(Ordering::SeqCst) {
            let slice = random.u32(0..slices / THREADS) * THREADS + thread;
            let skipped = random.u32(0..SLICE_BLOCKS);
            let (first, count) = (
                slice * SLICE_BLOCKS + skipped,
                random.u32(1..=SLICE_BLOCKS - skipped),
            );
            let start = Instant::now();
            self.request(&device, first, count, random.u32(0..20))?;
            let taken = start.elapsed();
            let mut longest = self.longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = longest.max(taken);
            drop(longest);
            self.acknowledged[thread as usize].fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE.max(taken.min(PAUSE_MAX)));
        }
        Ok(())
    }

    fn request(
        &self,
        device: &BlockDevice,
        first: u32,
        count: u32,
        what: u32,
    ) -> Result<(), String> {
        let say = |error: tier_sys::block::BlockError| error.to_string();
        let offset = self.offset(first);
        let blocks = first..first + count;
        let hold = |block: u32| &self.versions[block as usize];
        match what {
            0..7 => {
                let mut data = vec![0; count as usize * BLOCK];
                device.read_at(offset, &mut data).map_err(say)?;
                self.compare(first, &data)
            }
            7 if self.discards => {
                // What is under way may hold anything, and so may what is done.
                blocks.for_each(|block| hold(block).store(ANYTHING, Ordering::SeqCst));
                let length = u64::from(count) * BLOCK as u64;
                device.discard(offset, length).map_err(say)
            }
            8 => device.sync_data().map_err(say),
            _ => {
                let version = self.newest.fetch_add(1, Ordering::SeqCst) + 1;
                let data = self.blocks_of(first, count, version);
                device.write_at(offset, &data).map_err(say)?;
                blocks.for_each(|block| hold(block).store(version, Ordering::SeqCst));
                Ok(())
            }
        }
    }
}
