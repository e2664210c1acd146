//! Which chunks of a move are in sync, which of them were read back since they were last written, and
//! which of their blocks are being written.
//!
//! Owns: [`Chunks`], one word for each chunk, changed by compare and exchange alone, [`Claim`] and
//! [`Proof`]. Invariants: a chunk is copied or read back only while none of its blocks is claimed, and
//! none is claimed while it is; a block is claimed by one at a time; what is in sync remains so. Who
//! claims to write takes what is known of the content before anything is written, in the same moment;
//! and a pass gives no chunk twice what a write took of it. Nobody waits here: who cannot have something
//! tries again.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The unit of copying.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// The unit in which writes keep off each other.
pub const BLOCK_BYTES: u64 = 4 << 10;

/// Blocks of a chunk, one bit each in the lower half of its word.
const BLOCKS: u64 = CHUNK_BYTES / BLOCK_BYTES;
const BUSY: u32 = (1 << BLOCKS) - 1;
/// States, in the bits above.
const STATE: u32 = 0b11 << BLOCKS;
const BEHIND: u32 = 0;
/// The copy waits for those who write, and nobody new may.
const WANTED: u32 = 0b01 << BLOCKS;
const COPIED: u32 = 0b10 << BLOCKS;
const IN_SYNC: u32 = 0b11 << BLOCKS;
/// Nobody has written there since it was copied.
const AS_COPIED: u32 = 1 << (BLOCKS + 2);
/// It is read back, or about to be, and nobody new may claim anything of it.
const HELD: u32 = 1 << (BLOCKS + 3);
/// It was read back and found good by the first pass, or the last, and not written since. One bit for
/// each: if they were one, somebody who looked before a write and after the next pass would not see
/// that there was a write.
const FIRST: u32 = 1 << (BLOCKS + 4);
const LAST: u32 = 1 << (BLOCKS + 5);
const VERIFIED: u32 = FIRST | LAST;

/// The chunks of a move.
#[derive(Debug)]
pub struct Chunks {
    words: Box<[AtomicU32]>,
    in_sync: AtomicU64,
}

/// Blocks that one writer has; given back when it is dropped.
#[derive(Debug)]
pub struct Claim<'a> {
    chunks: &'a Chunks,
    /// Bytes from the move's beginning on.
    bytes: Range<u64>,
}

/// A pass over the chunks that reads them back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// That after the copy.
    First,
    /// That after the trial.
    Last,
}

impl Pass {
    const fn bit(self) -> u32 {
        match self {
            Self::First => FIRST,
            Self::Last => LAST,
        }
    }
}

/// What says that some bytes of the target were read back and not written since: the passes that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof(u32);

impl Proof {
    /// That of a move whose target is not read back. It holds whatever is written.
    pub(crate) const NOT_ASKED: Self = Self(u32::MAX);
}

/// Bytes of a claim whose chunks are all in sync, or all not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Bytes from the move's beginning on.
    pub bytes: Range<u64>,
    /// Whether both legs have what was written there before.
    pub in_sync: bool,
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The chunks that these bytes touch.
fn chunks_of(bytes: &Range<u64>) -> Range<u64> {
    bytes.start / CHUNK_BYTES..bytes.end.div_ceil(CHUNK_BYTES)
}

/// The blocks of a chunk that these bytes touch.
fn blocks_of(chunk: u64, bytes: &Range<u64>) -> u32 {
    let start = chunk * CHUNK_BYTES;
    let from = bytes.start.saturating_sub(start) / BLOCK_BYTES;
    let until = (bytes.end - start).div_ceil(BLOCK_BYTES).min(BLOCKS);
    ((1_u32 << until) - 1) & !((1 << from) - 1)
}

impl Chunks {
    /// Those of a move of so many bytes, none of them in sync.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let count = bytes.div_ceil(CHUNK_BYTES);
        Self {
            words: (0..count).map(|_| AtomicU32::new(BEHIND)).collect(),
            in_sync: AtomicU64::new(0),
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.words.len() as u64
    }

    /// How many are in sync.
    #[must_use]
    pub fn in_sync(&self) -> u64 {
        self.in_sync.load(Ordering::SeqCst)
    }

    /// Whether all of them are that these bytes touch.
    #[must_use]
    pub fn are_in_sync(&self, bytes: &Range<u64>) -> bool {
        let mut states = chunks_of(bytes).map(|chunk| self.state(chunk));
        states.all(|state| state == IN_SYNC)
    }

    fn state(&self, chunk: u64) -> u32 {
        self.word(chunk) & STATE
    }

    fn word(&self, chunk: u64) -> u32 {
        let word = self.words.get(index(chunk));
        word.map_or(BEHIND, |word| word.load(Ordering::SeqCst))
    }

    /// Takes all blocks that these bytes touch, to write to them; `None` if somebody else has one of
    /// them, or one is being copied or read back, or about to be. Their chunks are verified no more.
    #[must_use]
    pub fn claim(&self, bytes: Range<u64>) -> Option<Claim<'_>> {
        self.claim_and_clear(bytes, AS_COPIED | VERIFIED)
    }

    /// The same, to see that nobody writes to them meanwhile.
    #[must_use]
    pub fn claim_to_compare(&self, bytes: Range<u64>) -> Option<Claim<'_>> {
        self.claim_and_clear(bytes, 0)
    }

    fn claim_and_clear(&self, bytes: Range<u64>, cleared: u32) -> Option<Claim<'_>> {
        let mut claimed = bytes.start;
        for chunk in chunks_of(&bytes) {
            if !self.take(chunk, blocks_of(chunk, &bytes), cleared) {
                if claimed > bytes.start {
                    // Gives back what was taken before.
                    drop(self.claimed(bytes.start..claimed));
                }
                return None;
            }
            claimed = bytes.end.min((chunk + 1) * CHUNK_BYTES);
        }
        Some(self.claimed(bytes))
    }

    const fn claimed(&self, bytes: Range<u64>) -> Claim<'_> {
        Claim {
            chunks: self,
            bytes,
        }
    }

    fn take(&self, chunk: u64, blocks: u32, cleared: u32) -> bool {
        let is_free =
            |word: u32| word & (blocks | HELD) == 0 && matches!(word & STATE, BEHIND | IN_SYNC);
        let taken = |word: u32| is_free(word).then_some(word & !cleared | blocks);
        self.update(chunk, taken)
    }

    /// Keeps new writers off these chunks. Each must be copied, or given up, by who called this.
    pub fn want(&self, chunks: Range<u64>) {
        for chunk in chunks {
            self.change(chunk, BEHIND, WANTED);
        }
    }

    /// Begins to copy those chunks that are wanted, once nobody writes to them any more. False if
    /// somebody still does; what is taken so far remains so.
    #[must_use]
    pub fn begin(&self, chunks: Range<u64>) -> bool {
        chunks.fold(true, |all, chunk| {
            let word = self.words.get(index(chunk));
            let is_begun = word.is_none_or(|word| {
                let begun = |word: u32| (word == WANTED).then_some(COPIED);
                let _ = word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, begun);
                word.load(Ordering::SeqCst) & STATE != WANTED
            });
            all && is_begun
        })
    }

    /// These chunks are copied.
    pub fn done(&self, chunks: Range<u64>) {
        for chunk in chunks {
            if self.change(chunk, COPIED, IN_SYNC | AS_COPIED) {
                self.in_sync.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// These chunks are not copied after all.
    pub fn give_up(&self, chunks: Range<u64>) {
        for chunk in chunks {
            self.change(chunk, COPIED, BEHIND);
            self.change(chunk, WANTED, BEHIND);
        }
    }

    /// The next chunks from this one on, as many as that at most, that the pass must read back. Those
    /// before them are verified already, and are so by this pass, too.
    #[must_use]
    pub fn next_unverified(&self, from: u64, at_most: u64, pass: Pass) -> Option<Range<u64>> {
        let confirmed = |word: u32| (word & VERIFIED != 0).then_some(word | pass.bit());
        let is_due = |chunk: &u64| !self.update(*chunk, confirmed);
        let first = (from..self.count()).find(is_due)?;
        let most = first.saturating_add(at_most).min(self.count());
        let end = (first + 1..most).find(|chunk| self.word(*chunk) & VERIFIED != 0);
        Some(first..end.unwrap_or(most))
    }

    /// Keeps new claims off these chunks, until they are [released](Self::release) by who called this.
    pub fn hold(&self, chunks: Range<u64>) {
        for chunk in chunks {
            self.update(chunk, |word| Some(word | HELD));
        }
    }

    /// Whether those who had claimed anything of these chunks, which are held, are done.
    #[must_use]
    pub fn are_at_rest(&self, mut chunks: Range<u64>) -> bool {
        chunks.all(|chunk| self.word(chunk) & BUSY == 0)
    }

    /// Whether nobody has claimed anything of this chunk to write to it since it was copied.
    #[must_use]
    pub fn is_as_copied(&self, chunk: u64) -> bool {
        self.word(chunk) & AS_COPIED != 0
    }

    /// Lets claims to these chunks in again. They are verified if they have been found good by a pass.
    pub fn release(&self, chunks: Range<u64>, found_good_by: Option<Pass>) {
        let verified = found_good_by.map_or(0, Pass::bit);
        for chunk in chunks {
            self.update(chunk, |word| Some(word & !HELD | verified));
        }
    }

    /// What says that the chunks that these bytes touch are verified, all by the same pass.
    #[must_use]
    pub fn proof(&self, bytes: &Range<u64>) -> Option<Proof> {
        let common = self.common(bytes) & VERIFIED;
        (common != 0).then_some(Proof(common))
    }

    /// Whether it still holds: nobody has claimed any of these bytes to write to them since it was
    /// given. What was read between was read back before, and is what was found good.
    #[must_use]
    pub fn holds(&self, bytes: &Range<u64>, proof: Proof) -> bool {
        proof == Proof::NOT_ASKED || self.common(bytes) & proof.0 != 0
    }

    /// What the words of all chunks have that these bytes touch.
    fn common(&self, bytes: &Range<u64>) -> u32 {
        chunks_of(bytes).fold(u32::MAX, |common, chunk| common & self.word(chunk))
    }

    fn change(&self, chunk: u64, from: u32, to: u32) -> bool {
        let changed = |word: u32| (word & STATE == from).then_some(word & !STATE | to);
        self.update(chunk, changed)
    }

    fn update(&self, chunk: u64, to: impl FnMut(u32) -> Option<u32>) -> bool {
        self.words.get(index(chunk)).is_some_and(|word| {
            word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, to)
                .is_ok()
        })
    }
}

impl Claim<'_> {
    /// Its bytes, from the first of `from` on, as far as their chunks are alike. While it lasts, no
    /// chunk of it changes its state to in sync, nor from it.
    #[must_use]
    pub fn part(&self, from: u64) -> Part {
        let is_in_sync = |chunk| self.chunks.state(chunk) == IN_SYNC;
        let mut chunks = chunks_of(&(from..self.bytes.end));
        let first = chunks.next().is_some_and(is_in_sync);
        let other = chunks.find(|chunk| is_in_sync(*chunk) != first);
        let end = other.map_or(self.bytes.end, |chunk| chunk * CHUNK_BYTES);
        Part {
            bytes: from..end,
            in_sync: first,
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        for chunk in chunks_of(&self.bytes) {
            if let Some(word) = self.chunks.words.get(index(chunk)) {
                word.fetch_and(!blocks_of(chunk, &self.bytes), Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests;
