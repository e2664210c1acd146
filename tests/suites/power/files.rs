//! Real files: a file system on the volume, and a writer of files that asks for each by fsync.
//!
//! Owns: making, mounting and checking the file system, and what files it must hold after a cut.
//! A file is written under another name, synced, renamed, and the folder synced: then it is
//! acknowledged, as a mail server does it. The files before the last few are removed.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tier_tests::command::run;

use crate::log::AckLog;

/// Files that are kept.
const KEPT: u64 = 24;
/// Longest file in bytes.
const LONGEST: usize = 48 << 10;
/// Where the file system is mounted: in the guest's own tmpfs.
const MOUNT: &str = "/run/volume";

/// Which file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Makes one of 16 MiB at the front of a device.
    pub(crate) fn make(self, device: &Path) {
        let device = device.to_str().expect("ASCII");
        match self {
            Self::Ext4 => run("mkfs.ext4", &["-q", "-F", device, "16M"]),
            // Such a small one is only made by this word.
            Self::Xfs => run(
                "mkfs.xfs",
                &["-q", "-f", "--unsupported", "-d", "size=16m", device],
            ),
        };
    }

    /// Mounts it, which replays its journal. An ext4 that finds itself damaged ends the guest.
    pub(crate) fn mount(self, device: &Path) {
        std::fs::create_dir_all(MOUNT).expect("mount point");
        let options = match self {
            Self::Ext4 => "errors=panic",
            Self::Xfs => "nouuid",
        };
        let device = device.to_str().expect("ASCII");
        run("mount", &["-t", self.name(), "-o", options, device, MOUNT]);
    }

    /// Unmounts it.
    pub(crate) fn unmount() {
        run("umount", &[MOUNT]);
    }

    /// Asserts that it is clean, by its own checker, which repairs nothing here.
    pub(crate) fn check(self, device: &Path) {
        let device = device.to_str().expect("ASCII");
        match self {
            Self::Ext4 => run("e2fsck", &["-f", "-n", device]),
            // It wants to be told that there is one allocation group only.
            Self::Xfs => run("xfs_repair", &["-n", "-o", "force_geometry", device]),
        };
    }
}

/// The file of records on it, for [`crate::stamps`].
pub(crate) fn record_file() -> PathBuf {
    Path::new(MOUNT).join("records")
}

/// Makes the file of records, empty, so that it can be opened.
pub(crate) fn make_record_file() {
    File::create(record_file()).expect("file of records");
}

/// Makes the names of new files durable.
pub(crate) fn sync_folder() {
    let folder = File::open(MOUNT).expect("folder of the volume");
    folder.sync_all().expect("fsync of the folder");
}

fn path(number: u64) -> PathBuf {
    Path::new(MOUNT).join(format!("file-{number}"))
}

fn content(number: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut data = vec![0; random.usize(1..=LONGEST)];
    random.fill(&mut data);
    data
}

/// Writes files until told to stop, from the first that is not acknowledged on.
pub(crate) fn write_on(log: &AckLog, stop: &AtomicBool) {
    let temporary = Path::new(MOUNT).join("temporary");
    let mut number = log.acknowledged();
    // The cut may have come between the log and the removal.
    remove_before(number);
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let mut file = File::create(&temporary).expect("new file");
        file.write_all(&content(number)).expect("write to a file");
        file.sync_all().expect("fsync of a file");
        std::fs::rename(&temporary, path(number)).expect("rename of a file");
        sync_folder();
        log.acknowledge(number);
        remove_before(number);
    }
}

/// Removes the file that one more than the newest leaves over; it may have gone already.
fn remove_before(newest: u64) {
    let Some(number) = newest.checked_sub(KEPT) else {
        return;
    };
    match std::fs::remove_file(path(number)) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => panic!("removal of file {number}: {error}"),
    }
}

/// Asserts that every file that was acknowledged is there, whole, and that none is there that
/// must not be. Returns the number of acknowledged files.
pub(crate) fn verify(log: &AckLog) -> u64 {
    let acknowledged = log.acknowledged();
    // The last removals were not synced; those before the last sync of the folder were.
    let removed = acknowledged.saturating_sub(KEPT);
    for number in removed + 1..=acknowledged {
        let found = std::fs::read(path(number))
            .unwrap_or_else(|error| panic!("file {number} of {acknowledged}: {error}"));
        assert!(
            found == content(number),
            "file {number} of {acknowledged} is not what was synced ({} bytes)",
            found.len()
        );
    }
    let next = path(acknowledged + 1);
    if let Ok(found) = std::fs::read(&next) {
        assert!(
            found == content(acknowledged + 1),
            "{} was renamed after its fsync, and is not whole",
            next.display()
        );
    }
    for entry in std::fs::read_dir(MOUNT).expect("folder of the volume") {
        let name = entry.expect("entry of the folder").file_name();
        let name = name.to_string_lossy().into_owned();
        let Some(number) = name.strip_prefix("file-") else {
            continue;
        };
        let number: u64 = number.parse().expect("a file's number");
        assert!(
            (removed..=acknowledged + 1).contains(&number),
            "{name} is there: removed, or never written ({acknowledged} were)"
        );
    }
    acknowledged
}
