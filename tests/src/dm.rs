//! Device-mapper by hand, for tests that pin what the kernel does.
//!
//! Owns: `dmsetup` as a test calls it. The product does not go through here: its own backend is
//! tested through its own calls. Devices are left where they are when a test ends; the guest dies.

use std::path::PathBuf;

use crate::command::{attempt, run};

/// One device-mapper device, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    name: String,
}

impl Device {
    /// Makes a device that is live with this table, one target a line.
    #[allow(
        clippy::must_use_candidate,
        reason = "a device lives on without its handle"
    )]
    pub fn create(name: &str, table: &str) -> Self {
        let device = Self::empty(name);
        device.load(table);
        device.resume();
        device
    }

    /// Makes a device without a table: its size is 0 until one is loaded and resumed.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        run("dmsetup", &["create", name, "--notable"]);
        Self {
            name: name.to_owned(),
        }
    }

    /// The device of this name, which somebody else has made or will make.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// Whether there is such a device, and it has a live table.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let state = attempt(
            "dmsetup",
            &[
                "info",
                "--columns",
                "--noheadings",
                "-o",
                "suspended,tables_loaded",
                &self.name,
            ],
        );
        state.is_ok_and(|state| state.contains("Active") && state.contains("Live"))
    }

    /// The device node.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from(self.node())
    }

    /// The device node as text, for tables and command lines.
    #[must_use]
    pub fn node(&self) -> String {
        format!("/dev/mapper/{}", self.name)
    }

    /// Its device number as tables take it: there before the device has a node, which it gets when
    /// it is first resumed.
    #[must_use]
    pub fn number(&self) -> String {
        format!("{}:{}", self.info("major"), self.info("minor"))
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Loads a table into the inactive slot.
    pub fn load(&self, table: &str) {
        self.try_load(table).unwrap_or_else(|why| panic!("{why}"));
    }

    /// Loads a table into the inactive slot, or says why the kernel refuses it.
    pub fn try_load(&self, table: &str) -> Result<(), String> {
        attempt("dmsetup", &["load", &self.name, "--table", table]).map(|_said| ())
    }

    /// Suspends it as a hold does: no lockfs, and what is parked stays parked.
    pub fn suspend(&self) {
        run(
            "dmsetup",
            &["suspend", "--nolockfs", "--noflush", &self.name],
        );
    }

    /// Resumes it, with the loaded table if there is one.
    pub fn resume(&self) {
        run("dmsetup", &["resume", &self.name]);
    }

    /// Loads a table and swaps it in within a hold.
    pub fn swap(&self, table: &str) {
        self.load(table);
        self.suspend();
        self.resume();
    }

    /// Its status, one line a target.
    #[must_use]
    pub fn status(&self) -> String {
        // Without noflush a status waits for the device's metadata, where it has any.
        run("dmsetup", &["status", "--noflush", &self.name])
    }

    /// Its live table, one line a target.
    #[must_use]
    pub fn table(&self) -> String {
        run("dmsetup", &["table", &self.name])
    }

    /// One field of `dmsetup info --columns`.
    #[must_use]
    pub fn info(&self, field: &str) -> String {
        run(
            "dmsetup",
            &["info", "--columns", "--noheadings", "-o", field, &self.name],
        )
    }

    /// One of its request queue's limits, from sysfs.
    #[must_use]
    pub fn queue_limit(&self, name: &str) -> u64 {
        let path = format!("/sys/block/{}/queue/{name}", self.info("blkdevname"));
        let limit = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        limit.trim().parse().expect("a number")
    }

    /// Whether it is suspended.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.info("suspended") == "Suspended"
    }

    /// How many events it had.
    #[must_use]
    pub fn events(&self) -> u32 {
        self.info("events").parse().expect("number of events")
    }

    /// Sends a message to the target at a sector.
    pub fn message(&self, sector: u64, words: &str) {
        run(
            "dmsetup",
            &["message", &self.name, &sector.to_string(), words],
        );
    }

    /// Removes it.
    pub fn remove(&self) {
        run("dmsetup", &["remove", &self.name]);
    }
}

/// How a mirror stands, from its status line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorStatus {
    /// Chunks in sync.
    pub in_sync: u64,
    /// Chunks in all.
    pub chunks: u64,
    /// One letter a leg: `A` alive, `D` failed on a write, `S` on the copy, `R` on a read, `F` on
    /// a flush (`device_status_char` in `drivers/md/dm-raid1.c`).
    pub health: String,
}

impl MirrorStatus {
    /// Reads the first mirror among a device's status lines.
    #[must_use]
    pub fn of(device: &Device) -> Self {
        let status = device.status();
        let line = status
            .lines()
            .find(|line| line.split(' ').nth(2) == Some("mirror"))
            .unwrap_or_else(|| panic!("{} is no mirror: {status}", device.name()));
        let words: Vec<_> = line.split(' ').collect();
        // start length "mirror" legs leg... synced/chunks 1 health log...
        let legs: usize = words[3].parse().expect("number of legs");
        let (in_sync, chunks) = words[4 + legs].split_once('/').expect("chunks in sync");
        Self {
            in_sync: in_sync.parse().expect("chunks in sync"),
            chunks: chunks.parse().expect("chunks"),
            health: words[6 + legs].to_owned(),
        }
    }
}
