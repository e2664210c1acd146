//! Copies a move's source to its target, chunk by chunk, in a thread of its own.
//!
//! Owns: [`Copier`]. Invariant: nothing is copied before the change that added the leg is over, since
//! a write from before goes to the source alone; nothing is written to the target after
//! [`Copier::has_ended`].

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

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

/// A copy under way.
#[derive(Debug)]
pub struct Copier {
    thread: JoinHandle<()>,
}

impl Copier {
    /// Begins to copy, once `added`, by which the move has its second leg, is over.
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
            job.run(&added);
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
    fn run(&self, added: &Change) {
        let bytes = usize::try_from(AT_ONCE * CHUNK_BYTES).unwrap_or(usize::MAX);
        let Some(mut buffer) = AlignedBuffer::zeroed(bytes) else {
            return;
        };
        if !self.wait_until(|| added.is_over()) {
            return;
        }
        let count = self.moving.chunks.count();
        let mut first = 0;
        while first < count {
            let chunks = first..(first + AT_ONCE).min(count);
            first = chunks.end;
            self.moving.chunks.want(chunks.clone());
            let is_begun = self.wait_until(|| self.moving.chunks.begin(chunks.clone()));
            let copied = is_begun.then(|| self.copy(&chunks, &mut buffer));
            if let Some(Ok(())) = copied {
                self.moving.chunks.done(chunks);
                continue;
            }
            if let Some(Err(side)) = copied {
                self.moving.failed(side, LegFault::Copy);
            }
            self.moving.chunks.give_up(chunks);
            return;
        }
    }

    /// Waits for something; false if the move is stopped, or a leg fails, before that.
    fn wait_until(&self, mut holds: impl FnMut() -> bool) -> bool {
        loop {
            if self.moving.is_stopped() || !self.moving.is_well() {
                return false;
            }
            if holds() {
                return true;
            }
            std::thread::sleep(LOOK);
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
