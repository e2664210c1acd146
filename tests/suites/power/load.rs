//! The load under which the power is cut: four writers at once.
//!
//! Owns: which writer writes where, and their threads. A file system of 16 MiB at the volume's
//! front carries a file of records (direct I/O) and many small files; behind it 4 MiB of the
//! device are written raw, half of it flushed batch by batch and half with forced writes.
//! Together these are the 20 regions that the suite moves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use tier_tests::guest::Inside;

use crate::files::{self, Kind};
use crate::log::AckLog;
use crate::stamps::{Durable, Lost, Stamps};

/// Regions of 1 MiB that carry the load, from the volume's first on.
pub(crate) const REGIONS: u32 = 20;

const MIB: u64 = 1 << 20;

/// What is written, and where it is logged.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    kind: Kind,
    device: PathBuf,
    folder: PathBuf,
}

/// Writers at work. They die with the guest, or end when this is told to.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn new(guest: &Inside, kind: Kind, device: &Path) -> Self {
        Self {
            kind,
            device: device.to_owned(),
            folder: guest.scratch().to_owned(),
        }
    }

    fn log(&self, name: &str) -> AckLog {
        AckLog::open(&self.folder.join(format!("{name}.acknowledged")))
    }

    /// Each stamped range, and the name of its log.
    fn stamped(&self) -> [(&'static str, Stamps); 3] {
        let raw = |first, durable| Stamps::new(&self.device, first, 512, durable);
        [
            ("flushed", raw(16 * MIB, Durable::Flush)),
            ("forced", raw(18 * MIB, Durable::Forced)),
            (
                "records",
                Stamps::new(&files::record_file(), 0, 512, Durable::Flush),
            ),
        ]
    }

    /// Makes the file system and gives everything its first content.
    pub(crate) fn begin(&self) {
        self.kind.make(&self.device);
        self.kind.mount(&self.device);
        files::make_record_file();
        for (name, stamps) in self.stamped() {
            stamps.fill(&self.log(name));
        }
        files::sync_folder();
        self.log("files").acknowledge(0);
    }

    /// Mounts, asserts that all that was acknowledged is there and the file system is clean, and
    /// leaves it mounted. Says how much was acknowledged.
    pub(crate) fn verify(&self) -> String {
        self.kind.mount(&self.device);
        let said = self.verify_mounted();
        Kind::unmount();
        self.kind.check(&self.device);
        self.kind.mount(&self.device);
        said
    }

    /// Asserts that all that was acknowledged is there.
    pub(crate) fn verify_mounted(&self) -> String {
        let mut said = Vec::new();
        for (name, stamps) in self.stamped() {
            match stamps.verify(&self.log(name)) {
                Ok(batches) => said.push(format!("{batches} {name}")),
                Err(Lost(what)) => panic!("{what}"),
            }
        }
        said.push(format!("{} files", files::verify(&self.log("files"))));
        said.join(", ")
    }

    /// Starts the writers.
    pub(crate) fn start(&self) -> Running {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (name, stamps) in self.stamped() {
            let (log, stop) = (self.log(name), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || stamps.write_on(&log, &stop)));
        }
        let (log, stopped) = (self.log("files"), Arc::clone(&stop));
        threads.push(std::thread::spawn(move || files::write_on(&log, &stopped)));
        Running { stop, threads }
    }
}

impl Running {
    /// Asserts that no writer has failed.
    pub(crate) fn assert_alive(&self) {
        assert!(
            !self.threads.iter().any(JoinHandle::is_finished),
            "a writer has ended by an error; it stands above"
        );
    }

    /// Ends the writers, each after a whole batch.
    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().expect("a writer failed");
        }
    }
}
