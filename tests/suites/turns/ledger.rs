//! Who served the readers, to the request, by the kernel's own books.
//!
//! A member's counters in sysfs have the copies of moves in them, and latencies only tell a likely
//! tale. So the readers are in a control group of their own while they read: the kernel counts
//! each request for the group that it was made for, on each device that it passes
//! (`blk_cgroup_bio_start`), and a request that dm-linear or dm-cache sends on stays that of its
//! group. Copies are made by threads of the kernel, for no group. A read that a mirror cannot yet
//! serve from either leg is made anew by dm-mirror's thread and is in no group's books below the
//! volume, so that a share of all reads is never too large.

use std::path::{Path, PathBuf};

const ROOT: &str = "/run/turns-cgroup";

/// The books of the readers' group.
pub(super) struct Ledger {
    group: PathBuf,
}

impl Ledger {
    /// Makes the group.
    pub(super) fn open() -> Self {
        let root = Path::new(ROOT);
        std::fs::create_dir_all(root).unwrap();
        tier_tests::command::run("mount", &["-t", "cgroup2", "cgroup2", ROOT]);
        std::fs::write(root.join("cgroup.subtree_control"), "+io").unwrap();
        let group = root.join("readers");
        std::fs::create_dir_all(&group).unwrap();
        Self { group }
    }

    /// From now on this process, and what it starts, is in the group, or no longer.
    pub(super) fn enter(&self, is_in: bool) {
        let group: &Path = if is_in { &self.group } else { Path::new(ROOT) };
        let process = std::process::id().to_string();
        std::fs::write(group.join("cgroup.procs"), process).unwrap();
    }

    /// Reads that a device was asked for by the group so far.
    pub(super) fn reads(&self, device: &Path) -> u64 {
        let name = device.file_name().unwrap();
        let number = Path::new("/sys/class/block").join(name).join("dev");
        let number = std::fs::read_to_string(number).unwrap();
        let books = std::fs::read_to_string(self.group.join("io.stat")).unwrap();
        let line = books.lines().find_map(|line| {
            let (device, figures) = line.split_once(' ')?;
            (device == number.trim()).then_some(figures)
        });
        let reads = line.and_then(|figures| {
            let mut figures = figures.split_whitespace();
            figures.find_map(|figure| figure.strip_prefix("rios="))
        });
        reads.map_or(0, |reads| reads.parse().unwrap())
    }
}
