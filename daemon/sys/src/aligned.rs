//! Owns: memory that direct I/O accepts.
//!
//! Invariant: an [`AlignedBuffer`] begins at a multiple of [`ALIGNMENT_BYTES`], its length is a
//! multiple of it and never zero, and every byte of it is initialised.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::slice;

/// Alignment of address and length, in bytes. Direct I/O asks for the logical block size of the
/// device (open(2), `O_DIRECT`), which is 4096 at most on the devices we accept.
pub const ALIGNMENT_BYTES: usize = 4096;

/// Owned, zeroed memory, aligned for direct I/O.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    layout: Layout,
}

impl AlignedBuffer {
    /// A buffer of `bytes` zeros, rounded up to a multiple of [`ALIGNMENT_BYTES`] and to one such
    /// unit at least. Ends the process when memory is out, as `Vec` does.
    ///
    /// `None` if the length, rounded up, is more than an allocation can have (`isize::MAX`).
    #[must_use]
    pub fn zeroed(bytes: usize) -> Option<Self> {
        let rounded = bytes.max(1).checked_next_multiple_of(ALIGNMENT_BYTES)?;
        let layout = Layout::from_size_align(rounded, ALIGNMENT_BYTES).ok()?;
        // SAFETY: the layout's size is not zero, as it is rounded up from one byte at least.
        let start = unsafe { alloc_zeroed(layout) };
        let Some(start) = NonNull::new(start) else {
            handle_alloc_error(layout)
        };
        Some(Self { start, layout })
    }
}

impl Deref for AlignedBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: `start` owns `layout.size()` bytes, initialised at allocation, and the borrow of
        // self keeps them alive and unchanged.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.layout.size()) }
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the exclusive borrow of self makes this the only reference.
        unsafe { slice::from_raw_parts_mut(self.start.as_ptr(), self.layout.size()) }
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        // SAFETY: `start` came from `alloc_zeroed` with this same layout and is freed only here.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl fmt::Debug for AlignedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBuffer({} bytes)", self.layout.size())
    }
}

// SAFETY: the buffer owns its memory alone and has no thread of its own.
unsafe impl Send for AlignedBuffer {}
// SAFETY: a shared borrow only reads.
unsafe impl Sync for AlignedBuffer {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_zeroed_and_rounded_up() {
        for (asked, given) in [(0, 4096), (1, 4096), (4096, 4096), (4097, 8192)] {
            let mut buffer = AlignedBuffer::zeroed(asked).unwrap();
            assert_eq!(buffer.len(), given);
            assert_eq!(buffer.as_ptr().addr() % ALIGNMENT_BYTES, 0);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer[given - 1] = 7;
            assert_eq!(buffer[given - 1], 7);
        }
    }

    #[test]
    fn a_length_that_no_allocation_can_have_is_refused() {
        assert!(AlignedBuffer::zeroed(usize::MAX).is_none());
        assert!(AlignedBuffer::zeroed(isize::MAX as usize).is_none());
    }
}
