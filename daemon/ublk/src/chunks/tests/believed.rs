//! What is believed of a target that keeps some writes badly: nothing bad, whoever comes between.

use super::*;

/// Set in what a target kept badly.
const BAD: u32 = 1 << 31;
const ROUNDS: u32 = 60;
const WRITES: u32 = 400;
/// The last chunk is not written, so that something can be believed in any case.
const WRITTEN: u64 = (CHUNKS - 1) * BLOCKS;

/// Two legs in memory.
struct Legs {
    chunks: Chunks,
    source: Vec<AtomicU32>,
    target: Vec<AtomicU32>,
    believed: AtomicU64,
    is_over: AtomicBool,
}

fn random(seed: &mut u32) -> u32 {
    *seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    *seed >> 8
}

fn bytes(at: u64) -> Range<u64> {
    at * BLOCK_BYTES..(at + 1) * BLOCK_BYTES
}

impl Legs {
    fn copied() -> Self {
        let leg = || (0..CHUNKS * BLOCKS).map(|_| AtomicU32::new(0)).collect();
        let chunks = chunks();
        copy(&chunks, 0..CHUNKS);
        Self {
            chunks,
            source: leg(),
            target: leg(),
            believed: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
        }
    }

    fn write(&self, mut seed: u32) {
        let mut write = 1;
        while write < WRITES {
            let at = u64::from(random(&mut seed)) % WRITTEN;
            if let Some(_claim) = self.chunks.claim(bytes(at)) {
                self.source[index(at)].store(write, Ordering::SeqCst);
                let bad = if random(&mut seed).is_multiple_of(50) {
                    BAD
                } else {
                    0
                };
                self.target[index(at)].store(write | bad, Ordering::SeqCst);
                write += 1;
            }
            thread::yield_now();
        }
    }

    fn read(&self, mut seed: u32) {
        while !self.is_over.load(Ordering::SeqCst) {
            let at = u64::from(random(&mut seed)) % (CHUNKS * BLOCKS);
            let Some(proof) = self.chunks.proof(&bytes(at)) else {
                thread::yield_now();
                continue;
            };
            // Time for a write, and for the next pass.
            thread::yield_now();
            let read = self.target[index(at)].load(Ordering::SeqCst);
            if self.chunks.holds(&bytes(at), proof) {
                assert_eq!(read & BAD, 0, "block {at}");
                self.believed.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    fn read_back(&self, pass: Pass) {
        let mut next = 0;
        while let Some(run) = self.chunks.next_unverified(next, 1, pass) {
            next = run.end;
            self.chunks.hold(run.clone());
            while !self.chunks.are_at_rest(run.clone()) {
                thread::yield_now();
            }
            let mut blocks = run.start * BLOCKS..run.end * BLOCKS;
            let is_good = blocks.all(|at| {
                thread::yield_now();
                let value = |leg: &[AtomicU32]| leg[index(at)].load(Ordering::SeqCst);
                value(&self.source) == value(&self.target)
            });
            self.chunks.release(run, is_good.then_some(pass));
            thread::yield_now();
        }
    }
}

#[test]
fn nothing_is_believed_of_a_target_that_was_written_badly() {
    for round in 0..ROUNDS {
        let legs = Legs::copied();
        thread::scope(|scope| {
            let legs = &legs;
            let threads = [0, 1].map(|number| {
                let seed = round * 7 + number;
                let reader = scope.spawn(move || legs.read(seed + 3));
                (reader, scope.spawn(move || legs.write(seed)))
            });
            legs.read_back(Pass::First);
            legs.read_back(Pass::Last);
            let is_any_dead = || threads.iter().any(|(reader, _)| reader.is_finished());
            let is_any_left = || threads.iter().any(|(_, writer)| !writer.is_finished());
            while is_any_left() || legs.believed.load(Ordering::SeqCst) == 0 && !is_any_dead() {
                thread::yield_now();
            }
            legs.is_over.store(true, Ordering::SeqCst);
        });
    }
}
