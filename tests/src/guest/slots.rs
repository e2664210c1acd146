//! At most two guests at a time, whatever runs the tests.
//!
//! Owns: the locks that say so. They are file locks, since each suite is a process of its own and
//! a killed one must not keep its place.

use std::fs::{File, TryLockError};
use std::time::Duration;

use super::scratch::guests_folder;

/// Guests that run at once: more only slow each other down past their deadlines on two cores.
const SLOTS: usize = 2;

/// A place for one guest, free again when dropped.
pub(super) struct Slot {
    _lock: File,
}

/// Waits for a free place. Who came first gets the next one: without the queue a process whose
/// guests follow each other would take its own place again and again, before another looks.
pub(super) fn take() -> Slot {
    let folder = guests_folder();
    let queue = File::create(folder.join("slot-queue")).expect("queue file");
    queue.lock().expect("a place in the queue");
    let slots: Vec<File> = (0..SLOTS)
        .map(|number| File::create(folder.join(format!("slot-{number}"))).expect("slot file"))
        .collect();
    loop {
        for slot in &slots {
            match slot.try_lock() {
                Ok(()) => {
                    return Slot {
                        _lock: slot.try_clone().expect("slot file"),
                    };
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => panic!("cannot lock a guest's slot: {error}"),
            }
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
