//! The process that serves a volume on ublk, inside a guest.
//!
//! Owns: starting `tierd serve`, and ending it. Invariant: a server that a test started is dead when
//! its handle is dropped; the device and what waits for it stay.

use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use crate::io::wait_until;
use crate::tierd::Setting;

/// How long a server may take until it serves, and until it ends.
const PATIENCE: Duration = Duration::from_mins(2);

/// A running `tierd serve`.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts one for this volume, and returns at once.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(setting: &Setting<'_>, volume: &str) -> Self {
        let child = setting.command("serve").arg(volume).spawn();
        Self {
            child: child.expect("tierd starts"),
            log: setting.log_file(),
        }
    }

    /// Starts one, and waits until it serves.
    ///
    /// # Panics
    /// When it does not come to that.
    #[must_use]
    pub fn start(setting: &Setting<'_>, volume: &str) -> Self {
        let said = || std::fs::read_to_string(setting.log_file()).unwrap_or_default();
        let times = |log: &str| log.matches("volume is served").count();
        let before = times(&said());
        let mut server = Self::spawn(setting, volume);
        wait_until("the volume is served", PATIENCE, || {
            assert!(server.ended().is_none(), "tierd serve ended:\n{}", said());
            times(&said()) > before
        });
        server
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it has ended, and how.
    ///
    /// # Panics
    /// When that cannot be told.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("state of the server")
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self) -> ExitStatus {
        wait_until("the server ends", PATIENCE, || self.ended().is_some());
        self.child.wait().expect("end of the server")
    }

    /// Kills it (SIGKILL) without waiting for its end.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn signal(&mut self) {
        self.child.kill().expect("SIGKILL");
    }

    /// Kills it (SIGKILL).
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("end of the server");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The number of the ublk device behind a volume's link.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn device_of(link: &Path) -> u32 {
    let node = std::fs::canonicalize(link).expect("the volume's node");
    let name = node.file_name().expect("a name").to_string_lossy();
    let number = name.strip_prefix("ublkb").expect("a ublk device");
    number.parse().expect("its number")
}
