//! Copies a move's source to its target, chunk by chunk, reads that back ([`read_back`]), and then tries
//! the target step by step: in a thread of its own, for whoever decides need not be there.
//!
//! Owns: [`Copier`]. Invariants: nothing is copied before the change that added the leg is over, since
//! a write from before goes to the source alone; the trial sends no request to the target before all of
//! it was read back; nothing is written to the target after [`Copier::has_ended`].

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crc32c::crc32c;
use tier_core::event::LegFault;
use tier_sys::aligned::AlignedBuffer;
use tier_sys::process::set_io_flusher;

use crate::chunks::{CHUNK_BYTES, Pass};
use crate::moving::{Moving, Side};
use crate::volume::{Change, Volume};

mod read_back;

/// Chunks that are copied, or read back, at once: 512 KiB, as much as a disk reads in one turn.
const AT_ONCE: u64 = 8;
/// How often it is looked whether those who write are done.
const LOOK: Duration = Duration::from_micros(200);
/// How often it is looked how a trial goes, and whether a paced copy may go on.
const SLOW_LOOK: Duration = Duration::from_millis(1);

/// A copy under way, or the trial that follows it.
#[derive(Debug)]
pub struct Copier {
    thread: JoinHandle<()>,
}

impl Copier {
    /// Begins to copy and then to try, once `added`, by which the move has its second leg, is over.
    pub fn start(volume: Arc<Volume>, moving: Arc<Moving>, added: Change) -> io::Result<Self> {
        let name = format!("copy-{}", moving.id);
        let work = move || {
            // Without the right to it, the kernel may wait here for what it writes back to the volume
            // itself while memory is short; there is nobody here to tell.
            let _ = set_io_flusher();
            let job = Job {
                volume: &volume,
                moving: &moving,
            };
            job.go(&added);
        };
        let thread = std::thread::Builder::new().name(name).spawn(work)?;
        Ok(Self { thread })
    }

    /// Whether it is done, has failed, or was stopped, and so touches nothing any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Job<'a> {
    volume: &'a Volume,
    moving: &'a Moving,
}

/// What a job reads into, and remembers.
struct Memory {
    data: AlignedBuffer,
    /// For the source, where the data are the target's.
    other: AlignedBuffer,
    /// CRC32C of what was read of each chunk when it was copied, as far as the target is read back.
    sums: Vec<u32>,
}

impl Memory {
    fn new(moving: &Moving) -> Option<Self> {
        let bytes = usize::try_from(AT_ONCE * CHUNK_BYTES).ok()?;
        let count = usize::try_from(moving.chunks.count()).ok()?;
        let sums = if moving.trial.reads_back() { count } else { 0 };
        Some(Self {
            data: AlignedBuffer::zeroed(bytes)?,
            other: AlignedBuffer::zeroed(bytes)?,
            sums: vec![0; sums],
        })
    }
}

impl Job<'_> {
    /// Does all of it, until the target has passed; or as much as can be.
    fn go(&self, added: &Change) {
        let Some(mut memory) = Memory::new(self.moving) else {
            return;
        };
        if self.wait_until(LOOK, || added.is_over())
            && self.copy_all(&mut memory)
            && self.read_back(Pass::First, &mut memory)
            && self.try_target()
            && self.read_back(Pass::Last, &mut memory)
        {
            self.moving.trial.pass();
        }
    }

    /// Copies all of it; false if that is not to be, or did not succeed.
    fn copy_all(&self, memory: &mut Memory) -> bool {
        let count = self.moving.chunks.count();
        let mut first = 0;
        while first < count {
            let began = Instant::now();
            let chunks = first..(first + AT_ONCE).min(count);
            first = chunks.end;
            self.moving.chunks.want(chunks.clone());
            let is_begun = self.wait_until(LOOK, || self.moving.chunks.begin(chunks.clone()));
            let copied = is_begun.then(|| self.copy(&chunks, memory));
            if let Some(Ok(())) = copied {
                self.moving.chunks.done(chunks.clone());
                if first < count && !self.wait_for_pace(began, &chunks) {
                    return false;
                }
                continue;
            }
            if let Some(Err(side)) = copied {
                self.moving.failed(side, LegFault::Copy);
            }
            self.moving.chunks.give_up(chunks);
            return false;
        }
        true
    }

    /// Takes the target's trial from step to step; false unless all of them are behind it.
    fn try_target(&self) -> bool {
        let trial = &self.moving.trial;
        let Some(mut ramp) = trial.ramp() else {
            return true;
        };
        let began = Instant::now();
        while !self.moving.is_stopped() && self.moving.is_well() {
            let now_nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if !trial.go_on(&mut ramp, now_nanos) {
                return trial.verdict().is_none();
            }
            std::thread::sleep(SLOW_LOOK);
        }
        false
    }

    /// Waits for something; false if the move is stopped, or a leg fails, before that.
    fn wait_until(&self, look: Duration, mut holds: impl FnMut() -> bool) -> bool {
        loop {
            if self.moving.is_stopped() || !self.moving.is_well() {
                return false;
            }
            if holds() {
                return true;
            }
            std::thread::sleep(look);
        }
    }

    /// Waits as long as the pace asks for, for chunks that were begun at that time; false as
    /// [`Self::wait_until`].
    fn wait_for_pace(&self, began: Instant, chunks: &Range<u64>) -> bool {
        let bytes = (chunks.end - chunks.start) * CHUNK_BYTES;
        let is_due = || is_due(began.elapsed(), bytes, self.moving.pace());
        self.wait_until(SLOW_LOOK, is_due)
    }

    /// Where these chunks lie, from the move's beginning on.
    fn bytes_of(&self, chunks: &Range<u64>) -> Range<u64> {
        let length = self.moving.bytes.end - self.moving.bytes.start;
        chunks.start * CHUNK_BYTES..(chunks.end * CHUNK_BYTES).min(length)
    }

    /// Reads from a leg, at so many bytes from its beginning.
    fn read(&self, side: Side, from: u64, data: &mut [u8]) -> Option<()> {
        let leg = self.moving.leg(side);
        let member = self.volume.members().get(leg.member)?;
        let _asked = (side == Side::Target).then(|| member.asked.ask());
        member.device.read_at(leg.offset + from, data).ok()
    }

    /// Copies these chunks; or says which side failed.
    fn copy(&self, chunks: &Range<u64>, memory: &mut Memory) -> Result<(), Side> {
        let bytes = self.bytes_of(chunks);
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        let data = memory.data.get_mut(..length).ok_or(Side::Source)?;
        let read = self.read(Side::Source, bytes.start, data);
        read.ok_or(Side::Source)?;
        let chunk_bytes = usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX);
        let first = usize::try_from(chunks.start).unwrap_or(usize::MAX);
        let sums = memory.sums.iter_mut().skip(first);
        for (sum, chunk) in sums.zip(data.chunks(chunk_bytes)) {
            *sum = crc32c(chunk);
        }
        let target = self.moving.target;
        let member = self.volume.members().get(target.member);
        let member = member.ok_or(Side::Target)?;
        let asked = member.asked.ask();
        member
            .device
            .write_at(target.offset + bytes.start, data)
            .map_err(|_| Side::Target)?;
        drop(asked);
        member.changed();
        Ok(())
    }
}

/// Whether so much time is enough for so many bytes at this pace (bytes per second; 0: any).
fn is_due(elapsed: Duration, bytes: u64, pace: u64) -> bool {
    const NANOS_PER_SECOND: u128 = 1_000_000_000;
    pace == 0 || {
        let copied = elapsed.as_nanos().saturating_mul(u128::from(pace));
        copied >= u128::from(bytes) * NANOS_PER_SECOND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_goes_on_when_its_pace_allows() {
        let second = Duration::from_secs(1);
        assert!(is_due(Duration::ZERO, 1 << 40, 0), "no pace");
        assert!(is_due(second, 1 << 20, 1 << 20));
        assert!(!is_due(second, (1 << 20) + 1, 1 << 20));
        assert!(!is_due(second, 2, 1));
        assert!(is_due(Duration::MAX, u64::MAX, u64::MAX), "no overflow");
    }
}
