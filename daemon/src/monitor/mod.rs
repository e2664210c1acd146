//! The load of the members and of the machine, for the engine.
//!
//! Owns: [`Monitor`], which keeps the reading before the present one. Reading
//! ([`snapshot::Snapshot`]) and reckoning ([`load::resources`]) are apart: the first does all the
//! I/O, the second is a pure function of two readings. It measures and decides nothing.

pub mod load;
pub mod snapshot;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use tier_core::event::Resources;
use tier_core::units::Now;

use self::load::{ProbeLatency, WatchedMember};
use self::snapshot::{ReadError, Snapshot};

/// Watches the machine through `/proc`.
#[derive(Debug)]
pub struct Monitor {
    proc: PathBuf,
    before: Option<Snapshot>,
    pressure_told: bool,
}

impl Default for Monitor {
    fn default() -> Self {
        Self::over(Path::new("/proc"))
    }
}

impl Monitor {
    /// A monitor over another folder than `/proc`, laid out the same.
    #[must_use]
    pub fn over(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            before: None,
            pressure_told: false,
        }
    }

    /// Takes a reading at `now` and compares it with the one before. `None` at the first one, and
    /// when no time has passed since. `probe` holds what the probe measured since then, if it runs.
    pub fn resources(
        &mut self,
        now: Now,
        members: &[WatchedMember],
        probe: &ProbeLatency,
    ) -> Result<Option<Resources>, ReadError> {
        let present = Snapshot::read(&self.proc, now)?;
        if !present.has_pressure() && !self.pressure_told {
            self.pressure_told = true;
            tracing::warn!(
                "this kernel shows no pressure (CONFIG_PSI, or psi=0 on its command line); \
                 moves are slowed by latency alone"
            );
        }
        let resources = self
            .before
            .as_ref()
            .and_then(|before| load::resources(before, &present, members, probe));
        self.before = Some(present);
        Ok(resources)
    }
}
