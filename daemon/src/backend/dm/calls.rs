//! Owns: the calls of `tier_sys::dm`, each with the place before it at which a test build can be
//! made to die (`dm:...`). In every other build these are those calls and nothing else: they are
//! made within holds (rule 4).

use std::io;

use tier_sys::dm::{HoldControl, StatusLines, UdevRules};

use crate::stop_point;

pub(crate) struct Calls(HoldControl);

impl Calls {
    pub(crate) fn open() -> io::Result<Self> {
        HoldControl::open().map(Self)
    }

    pub(crate) fn suspend(&mut self, name: &str) -> io::Result<()> {
        stop_point::reach("dm:suspend");
        self.0.suspend(name)
    }

    pub(crate) fn resume(&mut self, name: &str, rules: UdevRules) -> io::Result<()> {
        stop_point::reach("dm:resume");
        self.0.resume(name, rules)
    }

    pub(crate) fn clear(&mut self, name: &str) -> io::Result<()> {
        stop_point::reach("dm:clear");
        self.0.clear(name)
    }

    pub(crate) fn remove(&mut self, name: &str) -> io::Result<()> {
        stop_point::reach("dm:remove");
        self.0.remove(name)
    }

    pub(crate) fn remove_when_closed(&mut self, name: &str) -> io::Result<()> {
        stop_point::reach("dm:remove");
        self.0.remove_when_closed(name)
    }

    /// Changes nothing, so that no death is to be told apart here.
    pub(crate) fn status(&mut self, name: &str) -> io::Result<StatusLines<'_>> {
        self.0.status(name)
    }
}
