//! Loop devices, for tests that need a block device on the machine itself.
//!
//! Owns: attaching one to a file and detaching it. Needs root.

use std::path::{Path, PathBuf};

use crate::command::{attempt, run};

/// An attached loop device; detached when dropped.
#[derive(Debug)]
pub struct LoopDevice {
    node: PathBuf,
}

impl LoopDevice {
    /// Attaches a file, with this logical block size in bytes.
    #[must_use]
    pub fn attach(file: &Path, block_bytes: u32) -> Self {
        let size = block_bytes.to_string();
        let file = file.to_str().expect("path of the file");
        let node = run(
            "losetup",
            &["--find", "--show", "--sector-size", &size, file],
        );
        Self { node: node.into() }
    }

    /// Why no loop device can be had here, if so.
    pub fn available() -> Result<(), String> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err("not root".to_owned());
        }
        attempt("losetup", &["--find"]).map(|_node| ())
    }

    /// The device node.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.node
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        // A device still in use is detached by the kernel at its last close.
        let _ = attempt("losetup", &["--detach", &self.node.to_string_lossy()]);
    }
}
