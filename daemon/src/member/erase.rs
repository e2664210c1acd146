//! Owns: removing what others have written on a device that the administrator gave with `--force`.
//!
//! Labels do not lie where file systems keep their superblocks, so without this an old file system
//! would stay mountable beside the volume, and its UUID would show twice.

use std::path::Path;
use std::process::{Command, Stdio};

use super::MemberError;

/// Erases every signature that libblkid knows, partition tables and their backups included
/// (wipefs(8)). The device must not be in use.
pub fn erase(path: &Path) -> Result<(), MemberError> {
    let output = Command::new("wipefs")
        .args(["--all", "--quiet"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| MemberError::NoWipefs { source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(MemberError::Wipefs {
        path: path.to_owned(),
        status: output.status,
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
