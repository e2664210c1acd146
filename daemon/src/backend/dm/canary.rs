//! Owns: the mistakes that the suites must catch. In test builds only: a release build with this
//! feature does not compile.

use tier_core::units::MoveId;

use super::DmBackend;
use super::control::failed;
use super::names::Device;
use super::table::Mirror;
use crate::backend::BackendError;

#[cfg(not(debug_assertions))]
compile_error!("the feature `canary` builds mistakes that lose data; it is for tests alone");

/// What to do wrong with the mirrors that are made from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Canary {
    /// Leave `handle_errors` out: a write that failed on the target is acknowledged (rule 2).
    pub without_handle_errors: bool,
    /// Begin with `nosync`, outside a checked hold: legs that differ are believed equal (rule 5).
    pub nosync: bool,
    /// How the start of a mirror goes.
    pub start: Start,
}

/// How the start of a mirror goes: nothing makes a kernel refuse it, and winding back from there
/// must be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As it is meant.
    #[default]
    Well,
    /// A mirror that is not there is started, which the kernel refuses.
    Refused,
    /// The mirror is started, and an error reported: as by a kernel that swaps a table and then
    /// fails to resume.
    Denied,
}

impl Canary {
    pub(super) const fn spoil(self, mirror: Mirror) -> Mirror {
        Mirror {
            handle_errors: mirror.handle_errors && !self.without_handle_errors,
            nosync: mirror.nosync || self.nosync,
            ..mirror
        }
    }

    pub(super) fn deny(self, gate: &str) -> Result<(), BackendError> {
        if self.start == Start::Denied {
            let denied = std::io::Error::from_raw_os_error(libc::EIO);
            return Err(failed("swap the table of", gate, denied));
        }
        Ok(())
    }

    pub(super) fn misname(self, mirror: String) -> String {
        if self.start == Start::Refused {
            mirror + "-not"
        } else {
            mirror
        }
    }
}

impl DmBackend {
    /// Makes these mistakes from now on.
    pub const fn set_canary(&mut self, canary: Canary) {
        self.canary = canary;
    }

    /// Takes a mirror down that the volume may lead through.
    pub fn take_down_live_mirror(&mut self, id: MoveId) -> Result<(), BackendError> {
        self.take_down_mirror(id)
    }

    /// Loads a live mirror's own table again, which begins its copy from the start (rule 11).
    pub fn reload_live_mirror(&mut self, id: MoveId) -> Result<(), BackendError> {
        let name = self.names.name(Device::Mirror(id));
        let table = self.control.table(&name)?;
        self.control.load(&name, &table)?;
        self.control.swap_mirror(&name)
    }
}
