//! An emulated machine with Debian's 6.12 kernel, through virtme-ng.
//!
//! Owns: its command line, its drives, and whether KVM works here. Placeholder in part.

use std::process::Command;

use super::boot::Boot;

/// A drive of the emulated machine.
#[derive(Clone, Debug)]
pub struct Drive {}

pub(super) fn available() -> Result<(), String> {
    Err("not yet".to_owned())
}

pub(super) fn command(_boot: &Boot<'_>) -> Command {
    Command::new("false")
}
