//! Owns: keeping the process's memory resident.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};

/// Locks every page the process has and will have into memory (mlockall(2), `MCL_CURRENT` and
/// `MCL_FUTURE`), so that no hold can wait for a page that swap or a file on the held device
/// would have to bring. Fails with `EPERM` or `ENOMEM` where `RLIMIT_MEMLOCK` forbids it.
pub fn lock_all() -> io::Result<()> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(io::Error::from)
}
