//! The guest's side of a guest test.
//!
//! Owns: knowing that this process is inside, running the phase that was asked for, and asking
//! the host for the cut. Requests to the host are files whose *existence* is the message: hostfs
//! creates a file at once, while its content waits in the guest's page cache.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The scratch folder, set inside a guest only.
pub(super) const SCRATCH: &str = "TIER_GUEST_SCRATCH";
/// Number of the phase to run, set inside a guest only.
pub(super) const PHASE: &str = "TIER_GUEST_PHASE";
/// Where images of disks lie that no later phase needs, set where the scratch folder is slow.
pub(super) const IMAGES: &str = "TIER_GUEST_IMAGES";
/// The file that cuts the power once it exists, set inside a guest only.
pub(super) const CUT: &str = "TIER_GUEST_CUT";

/// Proof that the power is off: no value of it can exist.
pub type PowerIsOff = Infallible;

/// What a phase's body is given: its guest.
#[derive(Debug)]
pub struct Inside {
    scratch: PathBuf,
    images: Option<PathBuf>,
    cut: PathBuf,
    phase: usize,
}

impl Inside {
    /// The guest that this process runs in, if it does.
    #[must_use]
    pub fn current() -> Option<Self> {
        let phase = std::env::var(PHASE).ok()?;
        Some(Self {
            scratch: std::env::var_os(SCRATCH)?.into(),
            images: std::env::var_os(IMAGES).map(PathBuf::from),
            cut: std::env::var_os(CUT)?.into(),
            phase: phase.parse().expect("phase number from the host"),
        })
    }

    /// Path of a file of this name in the scratch folder, which outlives this boot.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.join(name)
    }

    /// Path of a disk's image of this name. It is in the guest's memory, if the test has this one
    /// phase and its scratch folder is a slow place, and else in that.
    #[must_use]
    pub fn image(&self, name: &str) -> PathBuf {
        self.images.as_ref().unwrap_or(&self.scratch).join(name)
    }

    /// The scratch folder.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// The node of an emulated machine's drive ([`super::Drive`]), found by its serial number.
    ///
    /// # Panics
    /// When there is no such drive.
    #[must_use]
    pub fn drive(&self, name: &str) -> PathBuf {
        let disks = std::fs::read_dir("/sys/block").expect("sysfs");
        let is_it = |device: &Path| {
            // NVMe gives the serial number alone, SCSI a page that ends in it (SPC-5, page 80h).
            ["device/serial", "device/vpd_pg80"].iter().any(|file| {
                let serial = std::fs::read(device.join(file)).unwrap_or_default();
                String::from_utf8_lossy(&serial).trim_end().ends_with(name)
            })
        };
        let found = disks
            .flatten()
            .map(|disk| disk.path())
            .find(|path| is_it(path));
        let found = found.unwrap_or_else(|| panic!("no drive has the serial number {name}"));
        Path::new("/dev").join(found.file_name().expect("name of a block device"))
    }

    /// Number of the running phase, from 0.
    #[must_use]
    pub fn phase(&self) -> usize {
        self.phase
    }

    /// Leaves a durable note for a later phase or the host: a cut right after does not lose it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn note(&self, name: &str, text: impl AsRef<[u8]>) {
        let mut file = File::create(self.file(name)).expect("note");
        file.write_all(text.as_ref()).expect("note");
        file.sync_all().expect("note");
    }

    /// Reads what an earlier phase noted.
    ///
    /// # Panics
    /// When there is no such note.
    #[must_use]
    pub fn read_note(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name))
            .unwrap_or_else(|error| panic!("no note {name} from an earlier phase: {error}"))
    }

    /// Cuts the guest's power. Other threads and programs run on for the few milliseconds until
    /// the host has seen it; this thread does not.
    ///
    /// # Panics
    /// When the host cannot be asked.
    #[must_use]
    pub fn cut_power(&self) -> PowerIsOff {
        File::create(&self.cut).expect("file that asks the host for the cut");
        self.wait_for_cut()
    }

    /// Waits until a program that was started cuts the power, by creating the file that
    /// `TIER_GUEST_CUT` names. Never returns; the deadline ends a wait in vain.
    #[must_use]
    pub fn wait_for_cut(&self) -> PowerIsOff {
        loop {
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    fn control(&self) -> &Path {
        self.cut.parent().expect("the host's control folder")
    }

    /// Tells the host that the body has ended, once what it left in the scratch folder is there to
    /// be read.
    fn report(&self, status: i32) {
        let control = self.control();
        // The scratch folder's file system alone: a sync of all would wait for parked I/O.
        let folder = File::open(control).expect("the host's control folder");
        nix::unistd::syncfs(folder).expect("what the body wrote is synced");
        File::create(control.join(format!("done.{status}"))).expect("file that tells the host");
    }

    /// Runs the phase that the host asked for, and ends this process.
    pub(super) fn enter<'body>(
        &self,
        test: &str,
        phases: impl Iterator<Item = Box<dyn FnOnce(&Self) + 'body>>,
    ) -> ! {
        let mut phases = phases;
        let body = phases.nth(self.phase).unwrap_or_else(|| {
            panic!(
                "{test} has no phase {}: are its phases the same inside?",
                self.phase
            )
        });
        File::create(self.control().join("started")).expect("file that tells the host");
        let outcome = std::panic::catch_unwind(AssertUnwindSafe(|| body(self)));
        // The host is told from here: a process with a thread that waits for parked I/O does not
        // end, whatever it calls.
        self.report(if outcome.is_ok() { 0 } else { 101 });
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
        #[allow(
            clippy::exit,
            reason = "what follows in the test function is for the host"
        )]
        std::process::exit(0)
    }
}
