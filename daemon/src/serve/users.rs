//! Who has a device open.
//!
//! Owns: [`have_open`]. What holds a device exclusively, as a mount does, is seen by opening it so;
//! what has it merely open is nowhere but among the open files of all processes.

use std::os::unix::fs::MetadataExt as _;

use procfs::process::{FDTarget, Process, all_processes};
use tier_sys::block::DeviceNumber;

/// Whether another process has the device open. Processes that end meanwhile have not.
pub(super) fn have_open(device: DeviceNumber) -> bool {
    let Ok(processes) = all_processes() else {
        // Without /proc nobody can tell; the exclusive open has been granted.
        return false;
    };
    let own = std::process::id();
    let others = processes
        .flatten()
        .filter(|process| u32::try_from(process.pid) != Ok(own));
    others.into_iter().any(|process| has_open(&process, device))
}

fn has_open(process: &Process, device: DeviceNumber) -> bool {
    let Ok(files) = process.fd() else {
        return false;
    };
    files.flatten().any(|file| match file.target {
        // Nodes lie there; to look at files elsewhere may take as long as their file system.
        FDTarget::Path(path) if path.starts_with("/dev") => {
            let metadata = std::fs::metadata(&path);
            metadata.is_ok_and(|metadata| DeviceNumber::from_raw(metadata.rdev()) == device)
        }
        _ => false,
    })
}
