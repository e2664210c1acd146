//! The load: readers that mostly want the hot files, and a writer.
//!
//! Owns: the threads, and what each of their accesses took. Readers go past the page cache, one
//! block at a time, and think for a moment about each, as applications do: without that they would
//! take an emulated machine's processors from everything else.

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
/// Pause of a reader after each block.
const READER_PAUSE: Duration = Duration::from_millis(2);
/// Pause of the writer between two writes.
const WRITER_PAUSE: Duration = Duration::from_millis(25);
/// Writes between two that are made durable.
const WRITES_PER_SYNC: u32 = 16;

/// What was done in a stretch of time.
#[derive(Debug, Default)]
pub struct Tally {
    /// How long that stretch was.
    took: Duration,
    reads: Vec<Duration>,
    writes: Vec<Duration>,
}

impl Tally {
    /// Adds what came after.
    pub fn add(&mut self, mut later: Self) {
        self.took += later.took;
        self.reads.append(&mut later.reads);
        self.writes.append(&mut later.writes);
    }

    /// Seconds that it covers.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.took.as_secs_f64()
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
struct Shared {
    stop: AtomicBool,
    /// What was done since the moment beside it.
    tally: Mutex<(Tally, Instant)>,
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
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            tally: Mutex::new((Tally::default(), Instant::now())),
        });
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
        let mut shared = self.shared.tally.lock().expect("tally");
        let (tally, since) = &mut *shared;
        tally.took = since.elapsed();
        *since = Instant::now();
        std::mem::take(tally)
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
            shared.tally.lock().expect("tally").0.reads.push(took);
            thread::sleep(READER_PAUSE);
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
        shared.tally.lock().expect("tally").0.writes.push(took);
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
