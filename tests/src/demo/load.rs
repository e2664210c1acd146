//! The load: readers that mostly want the hot files, and a writer.
//!
//! Owns: the threads, and what each of their accesses took. Readers go past the page cache, one
//! block at a time, each as fast as it is answered: what they measure is what an application sees.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::direct::DirectFile;
use super::files::Readable;
use super::ledger::Ledger;
use super::outcome::Latency;

/// Readers at a time.
pub const READERS: u64 = 4;
/// Reads in a hundred that want a hot file.
pub const HOT_PERCENT: u32 = 95;
/// Pause of the writer between two writes.
const WRITER_PAUSE: Duration = Duration::from_millis(25);
/// Writes between two that are made durable.
const WRITES_PER_SYNC: u32 = 16;

/// What was done in a stretch of time.
#[derive(Debug, Default)]
pub struct Tally {
    reads: Vec<Duration>,
    writes: Vec<Duration>,
}

impl Tally {
    /// Adds what came after.
    pub fn add(&mut self, mut later: Self) {
        self.reads.append(&mut later.reads);
        self.writes.append(&mut later.writes);
    }

    /// Reads of that time.
    #[must_use]
    pub fn reads(&self) -> Latency {
        Latency::of(&self.reads)
    }

    /// Writes of that time.
    #[must_use]
    pub fn writes(&self) -> Latency {
        Latency::of(&self.writes)
    }
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    tally: Mutex<Tally>,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    readers: Vec<JoinHandle<io::Result<()>>>,
    writer: JoinHandle<io::Result<Ledger>>,
}

impl Load {
    /// Starts reading `hot` files mostly and `all` sometimes, and writing the ledger.
    pub fn start(hot: &[Readable], all: &[Readable], ledger: Ledger) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let mut readers = Vec::new();
        for seed in 0..READERS {
            let reader = Reader::open(hot, all, seed)?;
            let shared = Arc::clone(&shared);
            readers.push(thread::spawn(move || reader.run(&shared)));
        }
        let writer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || write(ledger, &shared))
        };
        Ok(Self {
            shared,
            readers,
            writer,
        })
    }

    /// What was done since this was last asked.
    #[must_use]
    pub fn take(&self) -> Tally {
        std::mem::take(&mut *self.shared.tally.lock().expect("tally"))
    }

    /// Whether a thread has ended by itself: an access failed, and [`Self::end`] tells which.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.writer.is_finished() || self.readers.iter().any(JoinHandle::is_finished)
    }

    /// Ends the load. An access that failed is an error.
    pub fn end(self) -> io::Result<Ledger> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader.join().expect("reader")?;
        }
        self.writer.join().expect("writer")
    }
}

/// One reader: the hot files are open, the others are opened as they are wanted.
struct Reader {
    hot: Vec<(DirectFile, u64)>,
    all: Vec<Readable>,
    random: fastrand::Rng,
}

impl Reader {
    fn open(hot: &[Readable], all: &[Readable], seed: u64) -> io::Result<Self> {
        let open = |file: &Readable| Ok((DirectFile::open(&file.path, false)?, file.blocks));
        Ok(Self {
            hot: hot.iter().map(open).collect::<io::Result<_>>()?,
            all: all.to_vec(),
            random: fastrand::Rng::with_seed(seed),
        })
    }

    fn run(mut self, shared: &Shared) -> io::Result<()> {
        while !shared.stop.load(Ordering::Relaxed) {
            let took = if self.random.u32(..100) < HOT_PERCENT {
                let at = self.random.usize(..self.hot.len());
                let (file, blocks) = &mut self.hot[at];
                timed_read(file, self.random.u64(..*blocks))?
            } else {
                let file = &self.all[self.random.usize(..self.all.len())];
                let at = self.random.u64(..file.blocks);
                timed_read(&mut DirectFile::open(&file.path, false)?, at)?
            };
            shared.tally.lock().expect("tally").reads.push(took);
        }
        Ok(())
    }
}

fn timed_read(file: &mut DirectFile, block: u64) -> io::Result<Duration> {
    let start = Instant::now();
    file.read(block)?;
    Ok(start.elapsed())
}

fn write(mut ledger: Ledger, shared: &Shared) -> io::Result<Ledger> {
    let mut file = ledger.open()?;
    let mut random = fastrand::Rng::with_seed(READERS);
    let mut unsynced = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        ledger.write_one(&mut file, &mut random)?;
        let took = start.elapsed();
        shared.tally.lock().expect("tally").writes.push(took);
        unsynced += 1;
        if unsynced == WRITES_PER_SYNC {
            file.sync_data()?;
            unsynced = 0;
        }
        thread::sleep(WRITER_PAUSE);
    }
    file.sync_data()?;
    Ok(ledger)
}
