//! Owns: keeping the process's memory resident, and within a bound.

use std::io;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, setrlimit};

/// Locks every page the process has and will have into memory (mlockall(2), `MCL_CURRENT` and
/// `MCL_FUTURE`), so that no hold can wait for a page that swap or a file on the held device
/// would have to bring. Fails with `EPERM` or `ENOMEM` where `RLIMIT_MEMLOCK` forbids it.
pub fn lock_all() -> io::Result<()> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(io::Error::from)
}

/// Bounds the process's address space (setrlimit(2), `RLIMIT_AS`) to so many bytes for good: what
/// would go beyond fails. Processes that it starts inherit it. Fails with `EPERM` where a lower
/// bound is set already that this one would raise.
pub fn limit_address_space(bytes: u64) -> io::Result<()> {
    setrlimit(Resource::RLIMIT_AS, bytes, bytes).map_err(io::Error::from)
}
