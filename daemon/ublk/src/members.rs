//! The devices under a volume, as the data path sees them.
//!
//! Owns: [`Member`]. Invariant: a flush that is left out would have had nothing to do: every request
//! that changed anything there has been followed by a flush that succeeded.

use std::sync::atomic::{AtomicU64, Ordering};

use tier_sys::block::BlockDevice;

use crate::in_flight::InFlight;

/// A device and what was done to it.
#[derive(Debug)]
pub struct Member {
    /// Opened for direct I/O and for writing; exclusively, where anybody else could write.
    pub device: BlockDevice,
    changes: AtomicU64,
    flushed: AtomicU64,
    /// What it is asked as the target of moves, and flushes.
    pub(crate) asked: InFlight,
}

impl Member {
    /// Nothing was done to it yet, as far as is known: the first flush is made.
    #[must_use]
    pub fn new(device: BlockDevice) -> Self {
        Self {
            device,
            changes: AtomicU64::new(1),
            flushed: AtomicU64::new(0),
            asked: InFlight::default(),
        }
    }

    /// Something on it was changed; said before anybody is told that it was.
    pub fn changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// What a flush that begins now makes durable, if anything.
    #[must_use]
    pub fn to_flush(&self) -> Option<u64> {
        let changes = self.changes.load(Ordering::SeqCst);
        (self.flushed.load(Ordering::SeqCst) < changes).then_some(changes)
    }

    /// A flush succeeded that began with so much to do.
    pub fn flushed(&self, changes: u64) {
        self.flushed.fetch_max(changes, Ordering::SeqCst);
    }
}
