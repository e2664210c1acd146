//! Memory shared with the kernel, as words that both may change at any time.
//!
//! Owns: the mapping of a BPF array map (one that has `BPF_F_MMAPABLE`) into this process, so that
//! a million counters are read without a million system calls. Invariant: the memory is only ever
//! seen as atomics, so that a write by the kernel in the middle of a read is no data race.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// A shared, writable mapping of whole 64-bit words from the start of a file.
#[derive(Debug)]
pub struct SharedWords {
    base: NonNull<AtomicU64>,
    words: NonZeroUsize,
}

impl SharedWords {
    /// Maps the first `words` words of `file`, which has to be at least that long and to stay so:
    /// a touch beyond the end of a file that was cut raises `SIGBUS`. A BPF map never changes its
    /// size.
    ///
    /// Errors are those of mmap(2): `EINVAL` for no words, `EPERM` or `EACCES` for a map that is
    /// frozen or not made for it.
    pub fn map(file: impl AsFd, words: usize) -> io::Result<Self> {
        let words = NonZeroUsize::new(words).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        let length = Self::length(words)?;
        // SAFETY: no address is asked for, so that no mapping of this process is replaced.
        let base = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, file, 0) }?;
        Ok(Self {
            base: base.cast(),
            words,
        })
    }

    /// The words. Whoever else maps or serves the file may change them while they are read.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        // SAFETY: `map` mapped this many words, which stay mapped until `drop`; mmap(2) aligns to
        // a page; any bits are a valid AtomicU64, which may be shared with concurrent writers.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.words.get()) }
    }

    fn length(words: NonZeroUsize) -> io::Result<NonZeroUsize> {
        words
            .get()
            .checked_mul(size_of::<AtomicU64>())
            .and_then(NonZeroUsize::new)
            .ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }
}

// SAFETY: the mapping belongs to the process, not to a thread, and is unmapped once, by `drop`.
unsafe impl Send for SharedWords {}
// SAFETY: a shared reference gives out nothing but atomics.
unsafe impl Sync for SharedWords {}

impl Drop for SharedWords {
    fn drop(&mut self) {
        let bytes = self.words.get() * size_of::<AtomicU64>();
        // SAFETY: `base` and `bytes` are those of the mapping made in `map`, and `words` lends the
        // memory for no longer than `self` lives. An error leaves the memory mapped, no worse.
        let _ = unsafe { munmap(self.base.cast(), bytes) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Seek, Write};
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[test]
    fn a_word_written_on_either_side_is_seen_on_the_other() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7_u64.to_ne_bytes(), 8_u64.to_ne_bytes()].concat())
            .unwrap();
        let shared = SharedWords::map(&file, 2).unwrap();
        assert_eq!(
            shared
                .words()
                .iter()
                .map(|w| w.load(Relaxed))
                .collect::<Vec<_>>(),
            [7, 8]
        );

        shared.words()[1].store(9, Relaxed);
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes[8..], 9_u64.to_ne_bytes());
    }

    #[test]
    fn no_words_or_too_many_are_refused() {
        let file = tempfile::tempfile().unwrap();
        assert_eq!(
            SharedWords::map(&file, 0).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert_eq!(
            SharedWords::map(&file, usize::MAX).unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    }
}
