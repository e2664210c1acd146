//! I/O as tests do it: direct, in whole patterns, and given up on when it does not come back.
//!
//! Owns: filling and checking blocks past the page cache, and watching I/O that may be parked.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tier_sys::block::{Access, BlockDevice, BlockError};

/// Writes `length` bytes of one value at `offset`, past the page cache.
pub fn fill(path: &Path, offset: u64, length: usize, value: u8) -> Result<(), BlockError> {
    BlockDevice::open(path, Access::ReadWrite)?.write_at(offset, &vec![value; length])
}

/// Makes what was written to a device durable.
pub fn flush(path: &Path) -> Result<(), BlockError> {
    BlockDevice::open(path, Access::ReadWrite)?.sync_data()
}

/// Reads `length` bytes at `offset`, past the page cache.
pub fn read(path: &Path, offset: u64, length: usize) -> Result<Vec<u8>, BlockError> {
    let mut data = vec![0; length];
    BlockDevice::open(path, Access::ReadOnly)?.read_at(offset, &mut data)?;
    Ok(data)
}

/// Asserts that `length` bytes at `offset` all have one value.
#[track_caller]
pub fn assert_filled(path: &Path, offset: u64, length: usize, value: u8) {
    let data = read(path, offset, length).unwrap_or_else(|error| panic!("{error}"));
    let differs = data.iter().position(|&byte| byte != value);
    if let Some(at) = differs {
        panic!(
            "{} holds {} at byte {}, and should hold {value}",
            path.display(),
            data[at],
            offset + at as u64
        );
    }
}

/// Something under way in a thread of its own, which may never end.
#[derive(Debug)]
pub struct Pending<T> {
    result: Receiver<T>,
}

impl<T: Send + 'static> Pending<T> {
    /// Starts it.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> Self {
        let (sender, result) = channel();
        thread::spawn(move || {
            // Nobody waits any more: its outcome was not wanted.
            let _ = sender.send(work());
        });
        Self { result }
    }

    /// Its outcome, if it ends within this time.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Option<T> {
        self.result.recv_timeout(limit).ok()
    }

    /// Asserts that it has not ended after this time.
    #[track_caller]
    pub fn assert_parked_for(&self, time: Duration) {
        assert!(
            self.within(time).is_none(),
            "ended, and should have been parked"
        );
    }
}

/// Waits until something holds. What takes long to look at, as a program has to be run for it, is
/// looked at less often, so that it has the processor that it waits for.
///
/// # Panics
/// When it does not within the limit.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    loop {
        let looking = Instant::now();
        if holds() {
            return;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(looking.elapsed().max(Duration::from_millis(10)));
    }
}
