//! Owns: the holds. Between a suspend and its resume there is nothing here but ioctls on buffers
//! that exist (rule 4), and the timer call that ends the bound on the suspend.
//!
//! **Only devices of linear targets are suspended with a bound.** A suspend waits for I/O in
//! flight and a signal ends that wait; a linear device then runs on as if nothing had been. A
//! mirror does not: `mirror_presuspend` (drivers/md/dm-raid1.c) has by then taken the recovery
//! semaphore, nothing gives it back, the copy never goes on, and the next suspend or removal of
//! that mirror sleeps uninterruptibly for ever (pinned by the suite `backend_dm`). `SIGKILL` is
//! such a signal too. That is why a move is two devices, a linear gate over the mirror: the gate
//! is held, the mirror beneath it has then nothing in flight, and is never suspended while it has.
//! The one exception is [`Control::swap_mirror`].

use std::io;
use std::time::{Duration, Instant};

use tier_core::event::MirrorState;
use tier_sys::dm::UdevRules;
use tier_sys::interrupt::{Deadline, SignalsHeldBack};

use super::control::{Control, failed, stuck};
use super::status::parse_mirror_status;
use crate::backend::{BackendError, Hold};
use crate::stop_point;

/// How the hold of a gate ended.
pub(crate) enum GateSwap {
    /// The gate runs on its new table.
    Swapped(Hold),
    /// The mirror was found incomplete in the hold; the gate runs on its old table.
    Incomplete(MirrorState),
}

/// A hold that has begun.
struct Held {
    start: Instant,
    drain: Duration,
}

impl Held {
    /// To be called when the device runs again.
    fn ended(self) -> Hold {
        Hold {
            total: self.start.elapsed(),
            drain: self.drain,
            moves: 1,
        }
    }
}

impl Control {
    /// Holds the volume, whose next table is loaded, and swaps. On an error it runs on its old
    /// table with none loaded.
    pub(crate) fn swap_volume(
        &mut self,
        volume: &str,
        rules: UdevRules,
        limit: Duration,
    ) -> Result<Hold, BackendError> {
        let held = self.hold(volume, limit)?;
        stop_point::reach("hold:volume");
        self.swap_in(volume, rules)?;
        Ok(held.ended())
    }

    /// Holds a gate, whose next table leads to `mirror`; starts that mirror, whose first table is
    /// loaded, while nothing can reach it; and swaps. On an error the gate runs on its old table
    /// with none loaded, and the caller removes the mirror.
    pub(crate) fn start_mirror(
        &mut self,
        gate: &str,
        mirror: &str,
        limit: Duration,
    ) -> Result<Hold, BackendError> {
        let held = self.hold(gate, limit)?;
        stop_point::reach("hold:start");
        if let Err(source) = self.calls.resume(mirror, UdevRules::NodeOnly) {
            return Err(self.let_go(gate, UdevRules::NodeOnly, ("start", mirror, source)));
        }
        self.swap_in(gate, UdevRules::NodeOnly)?;
        Ok(held.ended())
    }

    /// Holds a gate, whose next table is loaded, and swaps; with `complete`, only if the mirror of
    /// that name is complete while nothing is in flight on it.
    pub(crate) fn swap_gate(
        &mut self,
        gate: &str,
        complete: Option<&str>,
        limit: Duration,
    ) -> Result<GateSwap, BackendError> {
        let held = self.hold(gate, limit)?;
        stop_point::reach("hold:gate");
        if let Some(mirror) = complete {
            match self.state_in_hold(mirror) {
                Ok(state) if state.is_complete() => {}
                Ok(state) => {
                    self.put_back(gate, UdevRules::NodeOnly)
                        .map_err(|source| failed("let go of", gate, source))?;
                    return Ok(GateSwap::Incomplete(state));
                }
                Err(source) => {
                    let what = ("read the status of", mirror, source);
                    return Err(self.let_go(gate, UdevRules::NodeOnly, what));
                }
            }
        }
        self.swap_in(gate, UdevRules::NodeOnly)?;
        Ok(GateSwap::Swapped(held.ended()))
    }

    /// Swaps the table of a mirror that has lost a leg, whose next table is loaded. Its parked
    /// writes go to the new table; a hold of the gate above would wait for them for ever.
    ///
    /// Not bounded, and all signals but `SIGKILL` are kept away, for the reason at the top of this
    /// file. It waits for I/O in flight on this one extent only.
    pub(crate) fn swap_mirror(&mut self, mirror: &str) -> Result<(), BackendError> {
        self.swap_mirror_if(mirror, || Ok(true)).map(|_| ())
    }

    /// The same, but only if `may`, which is asked while nothing is in flight on the mirror, says
    /// so; else, or if it cannot tell, the mirror runs on as it was, with no table loaded, and what
    /// was parked is tried again. The extent is held for as long as that takes.
    pub(crate) fn swap_mirror_if(
        &mut self,
        mirror: &str,
        may: impl FnOnce() -> Result<bool, BackendError>,
    ) -> Result<bool, BackendError> {
        let held_back = SignalsHeldBack::in_this_thread()
            .map_err(|source| failed("keep signals away while suspending", mirror, source));
        let _held_back = match held_back {
            Ok(held_back) => held_back,
            Err(first) => return Err(self.clear_after(mirror, first)),
        };
        if let Err(source) = self.calls.suspend(mirror) {
            return Err(self.clear_after(mirror, failed("suspend", mirror, source)));
        }
        let told = may();
        if matches!(told, Ok(true)) {
            return self.swap_in(mirror, UdevRules::NodeOnly).map(|()| true);
        }
        let back = self.put_back(mirror, UdevRules::NodeOnly);
        match (told, back) {
            (told, Ok(())) => told,
            (Ok(_), Err(source)) => Err(failed("let go of", mirror, source)),
            (Err(first), Err(source)) => Err(stuck(first, "let go of", mirror, source)),
        }
    }

    /// Suspends `device`, unless I/O in flight lasts longer than `limit`. On an error it runs on,
    /// with no table loaded.
    fn hold(&mut self, device: &str, limit: Duration) -> Result<Held, BackendError> {
        let deadline = self.deadline(device)?;
        let start = Instant::now();
        match self.suspend_within(device, &deadline, limit) {
            Ok(()) => Ok(Held {
                start,
                drain: start.elapsed(),
            }),
            Err(source) => Err(self.not_held(device, limit, source)),
        }
    }

    /// The timer for a hold of `device`; without one the loaded table is thrown away.
    fn deadline(&mut self, device: &str) -> Result<Deadline, BackendError> {
        Deadline::for_this_thread().map_err(|source| {
            self.clear_after(device, failed("make a timer to hold", device, source))
        })
    }

    fn suspend_within(
        &mut self,
        device: &str,
        deadline: &Deadline,
        limit: Duration,
    ) -> io::Result<()> {
        let _armed = deadline.arm(limit)?;
        self.calls.suspend(device)
    }

    /// The error of a suspend that failed. The kernel has undone it; the loaded table goes too.
    fn not_held(&mut self, device: &str, limit: Duration, source: io::Error) -> BackendError {
        let first = if source.raw_os_error() == Some(libc::EINTR) {
            BackendError::HoldTimedOut {
                device: device.to_owned(),
                limit,
            }
        } else {
            failed("hold", device, source)
        };
        self.clear_after(device, first)
    }

    /// Swaps the loaded table in and resumes. If the kernel refuses, it has thrown that table away
    /// and the device is still held: a second resume lets it run on its old one.
    fn swap_in(&mut self, device: &str, rules: UdevRules) -> Result<(), BackendError> {
        let Err(source) = self.calls.resume(device, rules) else {
            return Ok(());
        };
        let second = self.put_back(device, rules);
        let first = failed("swap the table of", device, source);
        Err(match second {
            Ok(()) => first,
            Err(source) => stuck(first, "let go of", device, source),
        })
    }

    /// Lets a held device run on as it was, and only then makes an error of what failed.
    fn let_go(
        &mut self,
        device: &str,
        rules: UdevRules,
        (what, on, source): (&'static str, &str, io::Error),
    ) -> BackendError {
        let second = self.put_back(device, rules);
        let first = failed(what, on, source);
        match second {
            Ok(()) => first,
            Err(source) => stuck(first, "let go of", device, source),
        }
    }

    fn put_back(&mut self, device: &str, rules: UdevRules) -> io::Result<()> {
        self.calls.clear(device)?;
        self.calls.resume(device, rules)
    }

    fn state_in_hold(&mut self, mirror: &str) -> io::Result<MirrorState> {
        let lines = self.calls.status(mirror)?;
        let events = lines.events();
        lines
            .filter(|line| line.kind == "mirror")
            .last()
            .and_then(|line| parse_mirror_status(line.status, events))
            .ok_or_else(|| io::Error::from_raw_os_error(libc::EPROTO))
    }
}
