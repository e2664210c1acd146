//! A turn: one set is read at random for some seconds, and who served it is written down.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tier_sys::block::{Access, BlockDevice};

use super::ledger::Ledger;
use super::{APART, Disks, PAUSE, SET, SETS, TURN};

/// Readers at a time, each of which reads one block after the other.
const READERS: u64 = 4;
/// What a reader does with a block, or it would take the emulated processors from all else.
const THINKS: Duration = Duration::from_millis(4);
const BLOCK: u64 = 4096;

/// What was read in a turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Turn {
    /// Which set.
    set: u64,
    /// Reads of all readers.
    pub(super) reads: u64,
    /// Of these, those that the fast disk was asked for, and the slow one.
    pub(super) fast: u64,
    pub(super) slow: u64,
    /// What was to be known when it began, for people.
    pub(super) note: String,
}

impl Turn {
    /// Share of the reads that the fast disk served.
    pub(super) fn share(&self) -> f64 {
        share(self.fast, self.reads)
    }
}

/// A share; nothing of nothing.
#[allow(clippy::cast_precision_loss, reason = "some thousand reads")]
pub(super) fn share(part: u64, all: u64) -> f64 {
    part as f64 / all.max(1) as f64
}

/// Mean share of turns, each of which weighs the same: where much is fast, more is read.
#[allow(clippy::cast_precision_loss, reason = "some turns")]
pub(super) fn mean_share(turns: &[Turn]) -> f64 {
    turns.iter().map(Turn::share).sum::<f64>() / turns.len().max(1) as f64
}

/// Lets the sets take turns on a device, so many cycles. `look` tells what is to be known as each begins.
pub(super) fn take(
    (device, cycles): (&Path, u64),
    disks: &Disks,
    ledger: &Ledger,
    look: impl Fn() -> String,
) -> Vec<Turn> {
    ledger.enter(true);
    let turn = |number: u64| {
        thread::sleep(PAUSE);
        let note = look();
        let before = [&disks.fast, &disks.slow].map(|disk| ledger.reads(disk.path()));
        let set = number % SETS;
        let reads = read(device, set, number);
        let after = [&disks.fast, &disks.slow].map(|disk| ledger.reads(disk.path()));
        Turn {
            set,
            reads,
            fast: after[0] - before[0],
            slow: after[1] - before[1],
            note,
        }
    };
    let turns: Vec<Turn> = (0..cycles * SETS).map(turn).collect();
    ledger.enter(false);
    turns
}

/// Reads blocks of a set at random for the length of a turn. How many.
fn read(device: &Path, set: u64, seed: u64) -> u64 {
    let until = Instant::now() + TURN;
    let reader = |reader: u64| {
        let device = BlockDevice::open(device, Access::ReadOnly).unwrap();
        let mut random = fastrand::Rng::with_seed(seed * READERS + reader);
        let mut block = vec![0; usize::try_from(BLOCK).unwrap()];
        let mut reads = 0;
        while Instant::now() < until {
            let at = set * APART + random.u64(..SET / BLOCK) * BLOCK;
            device.read_at(at, &mut block).unwrap();
            reads += 1;
            thread::sleep(THINKS);
        }
        reads
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|number| scope.spawn(move || reader(number)))
            .collect();
        readers.into_iter().map(|one| one.join().unwrap()).sum()
    })
}
