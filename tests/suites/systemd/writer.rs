//! An application on a volume: writes, reads back, and complains.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tier_sys::block::{Access, BlockDevice, BlockError};
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;

const BLOCK: usize = 64 << 10;

/// Writes blocks, each stamped with its place and round, and reads them back a round later.
pub(crate) struct Writer {
    stop: Arc<AtomicBool>,
    blocks_written: Arc<AtomicU64>,
    thread: JoinHandle<Result<Duration, String>>,
}

impl Writer {
    /// Starts on `count` blocks of 64 KiB from `offset` on.
    pub(crate) fn start(path: &str, offset: u64, count: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let blocks_written = Arc::new(AtomicU64::new(0));
        let thread = std::thread::spawn({
            let (stop, written) = (Arc::clone(&stop), Arc::clone(&blocks_written));
            let path = PathBuf::from(path);
            move || work(&path, offset, count, &stop, &written)
        });
        Self {
            stop,
            blocks_written,
            thread,
        }
    }

    /// Asserts that it goes on writing: nothing is parked, and nothing has failed.
    #[track_caller]
    pub(crate) fn assert_goes_on(&self) {
        let before = self.blocks_written.load(Ordering::SeqCst);
        wait_until("the writer writes", Duration::from_secs(30), || {
            assert!(!self.thread.is_finished(), "the writer has failed");
            self.blocks_written.load(Ordering::SeqCst) > before + 1
        });
    }

    /// Ends it, checks every block a last time, and notes the longest that one write took.
    #[track_caller]
    pub(crate) fn end(self, guest: &Inside) {
        self.stop.store(true, Ordering::SeqCst);
        let outcome = self.thread.join().unwrap();
        let longest = outcome.unwrap_or_else(|why| panic!("the writer failed: {why}"));
        guest.note("longest-write", format!("{longest:?}"));
    }
}

fn stamped(block: u64, round: u64) -> Vec<u8> {
    let stamp = [block.to_le_bytes(), round.to_le_bytes()].concat();
    stamp.repeat(BLOCK / stamp.len())
}

fn work(
    path: &Path,
    offset: u64,
    count: u64,
    stop: &AtomicBool,
    written: &AtomicU64,
) -> Result<Duration, String> {
    let failed = |error: BlockError| error.to_string();
    let device = BlockDevice::open(path, Access::ReadWrite).map_err(failed)?;
    let mut longest = Duration::ZERO;
    let mut found = vec![0; BLOCK];
    for round in 0.. {
        let last = stop.load(Ordering::SeqCst);
        for block in 0..count {
            let at = offset + block * BLOCK as u64;
            if round > 0 {
                device.read_at(at, &mut found).map_err(failed)?;
                if found != stamped(block, round - 1) {
                    return Err(format!(
                        "block {block} at {at} is not of round {}",
                        round - 1
                    ));
                }
            }
            if last {
                continue;
            }
            let start = Instant::now();
            device
                .write_at(at, &stamped(block, round))
                .map_err(failed)?;
            longest = longest.max(start.elapsed());
            written.fetch_add(1, Ordering::SeqCst);
        }
        if last {
            break;
        }
    }
    Ok(longest)
}
