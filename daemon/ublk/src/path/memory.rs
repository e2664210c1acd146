//! Memory that requests read into and write from.
//!
//! Owns: [`Buffer`], and whether the queue's ring knows it, [`Data`], a place in one, and [`Spare`], a second buffer of each queue for what
//! is read to be compared. Invariant: one request has the spare one at a time, which nobody waits for.

use std::cell::Cell;

use libublk::helpers::IoBuf;

/// Memory of a queue.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) memory: IoBuf<u8>,
    /// Its place among those that the ring knows, if it does: orders then name it by that, and its
    /// pages need not be looked up each time.
    pub(crate) place: Option<u16>,
}

impl Buffer {
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            memory: IoBuf::new(bytes),
            place: None,
        }
    }
}

/// Where a request's data begin; as long as its bytes, and not read or written by anybody else until
/// it is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Data<'a> {
    buffer: &'a Buffer,
    at: usize,
}

impl<'a> Data<'a> {
    pub(crate) const fn new(buffer: &'a Buffer) -> Self {
        Self { buffer, at: 0 }
    }

    pub(super) fn plus(self, bytes: u64) -> Self {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Self {
            at: self.at.saturating_add(bytes),
            ..self
        }
    }

    pub(super) fn pointer(self) -> *mut u8 {
        self.buffer.memory.as_mut_ptr().wrapping_add(self.at)
    }

    /// The place of its memory among those that the ring knows.
    pub(super) const fn place(self) -> Option<u16> {
        self.buffer.place
    }

    /// Where so many bytes differ from others at first, from their beginning on.
    pub(super) fn difference(self, other: Data<'_>, length: u64) -> Option<u64> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (one, other) = (self.slice(length), other.slice(length));
        if one == other {
            return None;
        }
        let at = one.iter().zip(other).position(|(one, other)| one != other);
        Some(at.unwrap_or(0) as u64)
    }

    fn slice(self, length: usize) -> &'a [u8] {
        let end = self.at.saturating_add(length);
        self.buffer
            .memory
            .as_slice()
            .get(self.at..end)
            .unwrap_or_default()
    }
}

/// A buffer as large as the largest request.
#[derive(Debug)]
pub(crate) struct Spare {
    buffer: Buffer,
    is_taken: Cell<bool>,
}

/// The spare buffer in the hand of a request.
#[derive(Debug)]
pub(super) struct Taken<'a>(&'a Spare);

impl Spare {
    pub(crate) const fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            is_taken: Cell::new(false),
        }
    }

    /// Takes it, if nobody has it.
    pub(super) fn take(&self) -> Option<Taken<'_>> {
        // Not made before it is known to be free: it gives the buffer back when it is dropped.
        (!self.is_taken.replace(true)).then(|| Taken(self))
    }
}

impl Taken<'_> {
    pub(super) fn data(&self) -> Data<'_> {
        Data::new(&self.0.buffer)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        self.0.is_taken.set(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buffer(data: &[u8]) -> Buffer {
        let mut buffer = Buffer::new(4096);
        buffer.memory.fill(0);
        buffer.memory[..data.len()].copy_from_slice(data);
        buffer
    }

    #[test]
    fn the_first_byte_that_differs_is_found_where_data_are_compared() {
        let (one, other) = (buffer(b"abcdef"), buffer(b"abcdxf"));
        let (one, other) = (Data::new(&one), Data::new(&other));
        assert_eq!(one.difference(other, 4), None);
        assert_eq!(one.difference(other, 6), Some(4));
        assert_eq!(one.plus(3).difference(other.plus(3), 3), Some(1));
        assert_eq!(one.plus(1).difference(other, 3), Some(0));
    }

    #[test]
    fn one_has_the_spare_buffer_at_a_time() {
        let spare = Spare::new(Buffer::new(4096));
        let first = spare.take();
        assert!(first.is_some());
        // Who asks in vain does not give back what is another's.
        assert!(spare.take().is_none());
        assert!(spare.take().is_none());
        drop(first);
        assert!(spare.take().is_some());
    }
}
