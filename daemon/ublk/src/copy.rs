//! Copies a move's source to its target, chunk by chunk, and then tries the target step by step: in a
//! thread of its own, for whoever decides need not be there.
//!
//! Owns: [`Copier`]. Invariant: nothing is copied before the change that added the leg is over, since
//! a write from before goes to the source alone; nothing is written to the target after
//! [`Copier::has_ended`].

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tier_core::event::LegFault;
use tier_sys::aligned::AlignedBuffer;
use tier_sys::process::set_io_flusher;

use crate::chunks::CHUNK_BYTES;
use crate::moving::{Moving, Side};
use crate::volume::{Change, Volume};

/// Chunks that are copied at once: 512 KiB, as much as a disk reads in one turn.
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
            if job.copy_all(&added) {
                job.try_target();
            }
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

impl Job<'_> {
    /// Copies all of it; false if that is not to be, or did not succeed.
    fn copy_all(&self, added: &Change) -> bool {
        let bytes = usize::try_from(AT_ONCE * CHUNK_BYTES).unwrap_or(usize::MAX);
        let Some(mut buffer) = AlignedBuffer::zeroed(bytes) else {
            return false;
        };
        if !self.wait_until(LOOK, || added.is_over()) {
            return false;
        }
        let count = self.moving.chunks.count();
        let mut first = 0;
        while first < count {
            let began = Instant::now();
            let chunks = first..(first + AT_ONCE).min(count);
            first = chunks.end;
            self.moving.chunks.want(chunks.clone());
            let is_begun = self.wait_until(LOOK, || self.moving.chunks.begin(chunks.clone()));
            let copied = is_begun.then(|| self.copy(&chunks, &mut buffer));
            if let Some(Ok(())) = copied {
                let bytes = (chunks.end - chunks.start) * CHUNK_BYTES;
                self.moving.chunks.done(chunks);
                let is_due = || is_due(began.elapsed(), bytes, self.moving.pace());
                if first < count && !self.wait_until(SLOW_LOOK, is_due) {
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

    /// Takes the target's trial from step to step, until it has passed or failed.
    fn try_target(&self) {
        let trial = &self.moving.trial;
        let Some(mut ramp) = trial.ramp() else {
            return trial.pass();
        };
        let began = Instant::now();
        while !self.moving.is_stopped() && self.moving.is_well() {
            let now_nanos = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            if !trial.go_on(&mut ramp, now_nanos) {
                return;
            }
            std::thread::sleep(SLOW_LOOK);
        }
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

    /// Copies these chunks; or says which side failed.
    fn copy(&self, chunks: &Range<u64>, buffer: &mut AlignedBuffer) -> Result<(), Side> {
        let length = self.moving.bytes.end - self.moving.bytes.start;
        let from = chunks.start * CHUNK_BYTES;
        let until = (chunks.end * CHUNK_BYTES).min(length);
        let bytes = usize::try_from(until - from).unwrap_or(usize::MAX);
        let data = buffer.get_mut(..bytes).ok_or(Side::Source)?;
        let (source, target) = (self.moving.source, self.moving.target);
        let member = |at: usize| self.volume.members().get(at);
        let source_member = member(source.member).ok_or(Side::Source)?;
        let target_member = member(target.member).ok_or(Side::Target)?;
        source_member
            .device
            .read_at(source.offset + from, data)
            .map_err(|_| Side::Source)?;
        target_member
            .device
            .write_at(target.offset + from, data)
            .map_err(|_| Side::Target)?;
        target_member.changed();
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
