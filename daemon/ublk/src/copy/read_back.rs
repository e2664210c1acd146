//! Reads back what was copied, from the target, before anybody else reads it there.
//!
//! Owns: the passes over a move's chunks, and what is concluded from what they find. Invariants: a chunk
//! is verified only while it is held, so that nobody writes to it meanwhile; each pass looks at each
//! chunk once, so that it ends however much is written.
//!
//! A chunk that nobody has written since is compared with the checksum (CRC32C) of what the copy read
//! from the source: the target alone is read. Where there is none any more, or it is another one, the
//! source is read, too, and the legs are compared byte by byte. So:
//! - What has the checksum is what the source gave when it was copied. If the source gives something
//!   else since, that is not seen here, and the target is not to blame.
//! - What is not like the source is not believed, even where the source no longer gives what it gave
//!   either. Nobody can tell then which is right, and what stays is the home on record, as if nothing
//!   had been moved.
//! - Legs that are alike are good, whatever was read when they were copied.

use std::ops::Range;
use std::time::Instant;

use crc32c::crc32c;
use tier_core::event::LegFault;

use super::{AT_ONCE, Job, LOOK, Memory};
use crate::chunks::{CHUNK_BYTES, Pass};
use crate::moving::Side;

impl Job<'_> {
    /// Reads back what this pass must; false if the move is not to go on.
    pub(super) fn read_back(&self, pass: Pass, memory: &mut Memory) -> bool {
        let (chunks, trial) = (&self.moving.chunks, &self.moving.trial);
        if !trial.reads_back() {
            return true;
        }
        let mut next = 0;
        loop {
            trial.has_read_back(percent(next, chunks.count()));
            let Some(run) = chunks.next_unverified(next, AT_ONCE, pass) else {
                return trial.verdict().is_none();
            };
            next = run.end;
            let began = Instant::now();
            chunks.hold(run.clone());
            let are_at_rest = self.wait_until(LOOK, || chunks.are_at_rest(run.clone()));
            let is_good = are_at_rest && self.is_good(&run, memory);
            chunks.release(run.clone(), is_good.then_some(pass));
            if !is_good || next < chunks.count() && !self.wait_for_pace(began, &run) {
                return false;
            }
        }
    }

    /// Whether the target has what it should in these chunks, which are held. If not, it is on record.
    fn is_good(&self, run: &Range<u64>, memory: &mut Memory) -> bool {
        let Memory { data, other, sums } = memory;
        let bytes = self.bytes_of(run);
        let (Some(target), Some(source)) = (part(data, &bytes), part(other, &bytes)) else {
            return false;
        };
        if self.read(Side::Target, bytes.start, target).is_none() {
            self.moving.failed(Side::Target, LegFault::Read);
            return false;
        }
        let kept = |chunk: u64| {
            let sum = usize::try_from(chunk).ok().and_then(|at| sums.get(at));
            let is_kept = self.moving.chunks.is_as_copied(chunk);
            sum.filter(|_| is_kept).copied()
        };
        let doubtful = || doubtful(run.start, target, kept);
        if doubtful().next().is_none() {
            return true;
        }
        let first = if self.read(Side::Source, bytes.start, source).is_some() {
            doubtful().find_map(|piece| difference(target, source, piece))
        } else {
            // What is not even as it was copied cannot be what the source has.
            let chunk = |piece: &Range<usize>| run.start + piece.start as u64 / CHUNK_BYTES;
            let other = doubtful().find(|piece| kept(chunk(piece)).is_some());
            if other.is_none() {
                self.moving.failed(Side::Source, LegFault::Read);
                return false;
            }
            other.map(|piece| piece.start)
        };
        if let Some(at) = first {
            let at = self.moving.bytes.start + bytes.start + at as u64;
            self.moving.trial.differs(at);
        }
        first.is_none()
    }
}

/// The beginning of a buffer that takes these bytes.
fn part<'a>(buffer: &'a mut [u8], bytes: &Range<u64>) -> Option<&'a mut [u8]> {
    let length = usize::try_from(bytes.end - bytes.start).ok()?;
    buffer.get_mut(..length)
}

/// Where in the data, which begin with this chunk, chunks lie that have not the checksum that was kept,
/// or of which none was.
fn doubtful(
    first: u64,
    data: &[u8],
    kept: impl Fn(u64) -> Option<u32>,
) -> impl Iterator<Item = Range<usize>> {
    let chunk_bytes = usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX);
    let chunks = (first..).zip(data.chunks(chunk_bytes)).enumerate();
    chunks.filter_map(move |(at, (chunk, data))| {
        let start = at * chunk_bytes;
        (kept(chunk) != Some(crc32c(data))).then_some(start..start + data.len())
    })
}

/// Where two are not alike at first, within this piece of both.
fn difference(one: &[u8], other: &[u8], piece: Range<usize>) -> Option<usize> {
    let start = piece.start;
    let (one, other) = (one.get(piece.clone())?, other.get(piece)?);
    if one == other {
        return None;
    }
    let at = one.iter().zip(other).position(|(one, other)| one != other);
    at.map(|at| start + at)
}

/// So many of so many, in percent.
fn percent(count: u64, of: u64) -> u8 {
    let percent = (count * 100).checked_div(of).unwrap_or(100);
    u8::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: usize = 64 << 10;

    #[test]
    fn what_has_not_its_checksum_or_has_none_is_doubtful() {
        let mut data = vec![7; 3 * CHUNK + 512];
        let sums: Vec<_> = data.chunks(CHUNK).map(crc32c).collect();
        let of =
            |at: usize| move |chunk: u64| usize::try_from(chunk - 5).ok().filter(|one| *one != at);
        let kept = |void: usize| {
            let (sums, place) = (sums.clone(), of(void));
            move |chunk: u64| place(chunk).and_then(|at| sums.get(at).copied())
        };
        assert_eq!(doubtful(5, &data, kept(9)).count(), 0);
        let void: Vec<_> = doubtful(5, &data, kept(1)).flatten().collect();
        assert_eq!((void.first(), void.len()), (Some(&CHUNK), CHUNK));
        data[2 * CHUNK] ^= 1;
        data[3 * CHUNK + 511] ^= 0x80;
        let found: Vec<_> = doubtful(5, &data, kept(9)).collect();
        assert_eq!(found, [2 * CHUNK..3 * CHUNK, 3 * CHUNK..3 * CHUNK + 512]);
    }

    #[test]
    fn the_first_byte_of_a_piece_that_differs_is_named() {
        let (one, mut other) = (vec![3; 4096], vec![3; 4096]);
        other[10] = 4;
        other[2000] = 4;
        other[2001] = 4;
        assert_eq!(difference(&one, &other, 0..4096), Some(10));
        assert_eq!(difference(&one, &other, 512..4096), Some(2000));
        assert_eq!(difference(&one, &other, 2002..4096), None);
    }

    #[test]
    fn all_is_a_hundred_percent_of_nothing() {
        assert_eq!([percent(0, 8), percent(7, 8), percent(8, 8)], [0, 87, 100]);
        assert_eq!(percent(0, 0), 100);
    }
}
