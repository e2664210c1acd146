//! A place on the machine for each guest, whatever runs the tests.
//!
//! Owns: the locks that say who may run. They are file locks, since each suite is a process of its
//! own and a killed one must not keep its place. A guest that measures has the machine to itself.

use std::fs::{File, TryLockError};
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use super::scratch::guests_folder;

/// Guests that run at once on the smallest machines, and on the largest: each takes half a GiB of
/// memory, and all of them one disk.
const SLOTS: RangeInclusive<usize> = 2..=8;
/// Between two looks for a free place.
const LOOK: Duration = Duration::from_millis(50);

/// How much of the machine a guest takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// One place of several.
    Place,
    /// All places: it has to be alone.
    Machine,
}

/// A place for one guest, or all places, free again when dropped.
pub(super) struct Slot {
    _locks: Vec<File>,
}

/// Waits for a place. Who came first gets the next one: without the queue a process whose guests
/// follow each other would take its own place again and again, before another looks, and a guest
/// that has to be alone would never be.
pub(super) fn take(share: Share) -> Slot {
    take_in(&guests_folder(), share, slots())
}

/// Guests that run at once here: three for two processors. A guest has one processor, and does not
/// use it while it waits for its disks, or for what its test awaits.
fn slots() -> usize {
    (processors() * 3 / 2).clamp(*SLOTS.start(), *SLOTS.end())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// A deadline that is meant for a guest with a processor of its own, as long as it has to be for
/// one with its part of the processors.
pub(super) fn stretched(deadline: Duration, share: Share) -> Duration {
    let guests = match share {
        Share::Place => slots().max(processors()),
        Share::Machine => processors(),
    };
    #[allow(clippy::cast_precision_loss, reason = "some processors")]
    let factor = guests as f64 / processors() as f64;
    deadline.mul_f64(factor)
}

fn take_in(folder: &Path, share: Share, count: usize) -> Slot {
    let queue = File::create(folder.join("slot-queue")).expect("queue file");
    queue.lock().expect("a place in the queue");
    let mut slots: Vec<File> = (0..count)
        .map(|number| File::create(folder.join(format!("slot-{number}"))).expect("slot file"))
        .collect();
    if share == Share::Machine {
        for slot in &slots {
            slot.lock().expect("a guest's slot");
        }
        return Slot { _locks: slots };
    }
    loop {
        if let Some(free) = slots.iter().position(is_free) {
            let lock = slots.swap_remove(free);
            return Slot { _locks: vec![lock] };
        }
        std::thread::sleep(LOOK);
    }
}

/// Takes the lock of a slot, if nobody has it.
fn is_free(slot: &File) -> bool {
    match slot.try_lock() {
        Ok(()) => true,
        Err(TryLockError::WouldBlock) => false,
        Err(TryLockError::Error(error)) => panic!("cannot lock a guest's slot: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::{Share, Slot, take_in};

    #[test]
    fn who_has_to_be_alone_waits_for_all_others_and_those_after_it_wait_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let begin = |share| {
            let (sender, receiver) = channel::<Slot>();
            let folder = folder.path().to_owned();
            std::thread::spawn(move || sender.send(take_in(&folder, share, 3)));
            receiver
        };
        let soon = Duration::from_secs(30);
        let never = Duration::from_millis(200);
        let first = begin(Share::Place).recv_timeout(soon).unwrap();
        let second = begin(Share::Place).recv_timeout(soon).unwrap();
        let alone = begin(Share::Machine);
        assert!(alone.recv_timeout(never).is_err(), "two others run");
        let after = begin(Share::Place);
        drop(first);
        assert!(alone.recv_timeout(never).is_err(), "another runs");
        assert!(after.recv_timeout(never).is_err(), "it came later");
        drop(second);
        let machine = alone.recv_timeout(soon).unwrap();
        assert!(
            after.recv_timeout(never).is_err(),
            "beside one that is alone"
        );
        drop(machine);
        let _after = after.recv_timeout(soon).unwrap();
    }
}
