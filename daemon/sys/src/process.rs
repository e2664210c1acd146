//! Owns: what the kernel is told about this thread.

use std::io;

/// `PR_SET_IO_FLUSHER` of include/uapi/linux/prctl.h, which libc does not name.
const PR_SET_IO_FLUSHER: libc::c_int = 57;

/// Tells the kernel that this thread serves block I/O (prctl(2), `PR_SET_IO_FLUSHER`): its
/// allocations then never wait for writeback, which may have to pass through the device it holds.
/// Threads that it starts afterwards inherit it. Fails with `EPERM` without `CAP_SYS_RESOURCE`,
/// and with `EINVAL` before Linux 5.6.
pub fn set_io_flusher() -> io::Result<()> {
    const SET: libc::c_ulong = 1;
    const UNUSED: libc::c_ulong = 0;
    // SAFETY: PR_SET_IO_FLUSHER takes a flag and three zeros, and touches no memory of ours.
    let result = unsafe { libc::prctl(PR_SET_IO_FLUSHER, SET, UNUSED, UNUSED, UNUSED) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
