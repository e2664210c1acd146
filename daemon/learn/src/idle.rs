//! Out of the way of others.
//!
//! Owns: what the process does to itself before it works beside a daemon that serves I/O. It is one
//! thread in any case ([`crate::train`]).

use crate::error::LearnError;

/// From here on, the process runs when no other wants to, and its address space is bounded to so
/// many bytes: what would go beyond ends it.
///
/// # Errors
/// When the kernel forbids it.
pub fn step_back(memory_max: u64) -> Result<(), LearnError> {
    let failed = |doing| move |source| LearnError::Idle { doing, source };
    tier_sys::process::run_when_idle().map_err(failed("run only when idle"))?;
    tier_sys::memory::limit_address_space(memory_max).map_err(failed("bound its memory"))
}
