//! Memory that a ring of io_uring knows.
//!
//! Owns: registering it (`io_uring_register(2)`, `IORING_REGISTER_BUFFERS`).

use std::io;

use io_uring::IoUring;

/// Makes buffers known to a ring, which from then on are named by their places in this list: their
/// pages are looked up, and held in memory, once and not for each order. They are held until the ring is
/// closed. Fails with `EBUSY` if the ring knows some already, and with `ENOMEM` beyond
/// `RLIMIT_MEMLOCK` without `CAP_IPC_LOCK`.
pub fn register_buffers(ring: &IoUring, buffers: &[&[u8]]) -> io::Result<()> {
    let vector = |buffer: &&[u8]| libc::iovec {
        iov_base: buffer.as_ptr().cast_mut().cast(),
        iov_len: buffer.len(),
    };
    let vectors: Vec<_> = buffers.iter().map(vector).collect();
    // SAFETY: the kernel reads the list, which lives until the call has returned, and holds the pages
    // that it names, which are mapped, since the slices are borrowed. It touches what is in them only
    // by orders that the ring is given later, as it does with any memory that they name.
    unsafe { ring.submitter().register_buffers(&vectors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_knows_one_list_of_buffers() {
        let ring = IoUring::new(4).unwrap();
        let buffer = [0; 4096];
        register_buffers(&ring, &[&buffer]).unwrap();
        let refused = register_buffers(&ring, &[&buffer]).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EBUSY));
    }
}
