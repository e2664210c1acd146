//! Guests: a test body on a kernel of its own, with power that can be cut.
//!
//! Owns: booting a kernel for a test, running phases of that test inside, and what the test says.
//! Invariants: a guest has a deadline and is dead when [`Guest::run`] returns, when the test
//! fails, and when the test's own process dies. Three guests run at a time on a machine with two
//! processors, whatever processes start them; one that is [`Guest::alone`] has the machine.
//! May not: skip silently ([`crate::skip`]).
//!
//! # Writing a guest test
//!
//! A test is a list of phases. On the host, `run` boots the guest once per phase and starts *the
//! same test* in it; inside, `run` executes that phase's closure and never returns. So closures
//! hold everything that touches devices, and what stands outside them runs on both sides: keep
//! that to names and constants.
//!
//! ```ignore
//! use std::time::Duration;
//! use tier_tests::disk::{Disk, PowerLoss};
//! use tier_tests::guest::Guest;
//! use tier_tests::test_name;
//!
//! // #[test]
//! fn a_flushed_write_survives() {
//!     Guest::uml(test_name!())
//!         .until_cut(|guest| {
//!             let disk = Disk::new(guest.file("a.img"), 64 << 20).on_power_loss(PowerLoss::Lost).start();
//!             // ... write to disk.path(), fsync ...
//!             guest.cut_power()
//!         })
//!         .phase(|guest| {
//!             let disk = Disk::new(guest.file("a.img"), 64 << 20).start();
//!             // ... assert what is there ...
//!         })
//!         .run();
//! }
//! ```
//!
//! - [`Guest::uml`] boots in two seconds: dm in all its kinds, nbd, loop, brd, `io_uring`; one
//!   CPU, kernel 6.1, no BPF, no ublk, and udev only with [`Guest::systemd`]. [`Guest::qemu`] boots
//!   Debian's 6.12 with BPF, ublk, NVMe and SCSI drives, and udev; twenty seconds and slow without
//!   KVM.
//! - The guest's root is the machine's own file system. `/run`, `/tmp` and `/dev` are the guest's,
//!   and so are changes below `/etc` and `/var`; all else is real, so write to [`Inside::file`].
//!   That folder outlives the boots of one test, and nothing else does.
//! - What survives a cut is what was synced: the guest's page cache of the scratch folder dies with
//!   it too. A marker for the next phase is written with [`Inside::note`].
//! - A program under test cuts the power by creating the file that `TIER_GUEST_CUT` names.
//! - On failure the end of the guest's console is shown. `TIER_GUEST_KEEP=1` keeps the scratch
//!   folder, images and consoles with it; `TIER_GUEST_VERBOSE=1` shows the console as it comes.
//! - An emulated machine without drives of its own, in which one phase returned and nothing was left
//!   behind, then runs the next such test of the same suite (see `warm`): there only the scratch
//!   folder is new.
//! - `TIER_GUEST_TIMES` names a file to which each test adds how long its guests ran; `tests/run` shows
//!   the longest.
//! - One [`Guest`] per test. For twenty random cuts, add forty phases in a loop.

mod boot;
mod inside;
mod machine;
mod modules;
mod qemu;
mod scratch;
mod slots;
mod systemd;
mod times;
mod uml;
mod warm;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

pub use inside::{Inside, PowerIsOff};
pub use qemu::Drive;
pub use scratch::Scratch;

use boot::Ended;
use slots::Share;

/// A test that runs inside guests. See the module's documentation.
#[must_use = "a guest does nothing until `run`"]
pub struct Guest<'body> {
    test: String,
    kernel: Kernel,
    settings: Settings,
    phases: Vec<Phase<'body>>,
}

/// Which kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kernel {
    UserMode,
    Emulated,
}

/// What a boot needs to know, whatever the kernel.
struct Settings {
    memory_mib: u32,
    processors: u32,
    modules: Vec<String>,
    deadline: Duration,
    drives: Vec<Drive>,
    disks: Vec<(String, u64)>,
    /// What to do before systemd starts, where it is the first process.
    systemd: Option<String>,
    watch: Option<RefCell<Watch>>,
    share: Share,
}

/// Runs on the host, with the scratch folder, all the while that a guest runs.
type Watch = Box<dyn FnMut(&Path)>;

/// One boot of the guest, and how it must end.
struct Phase<'body> {
    end: End,
    body: Box<dyn FnOnce(&Inside) + 'body>,
}

/// How a phase must end for the test to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its body returns.
    Return,
    /// Its body, or a program that it started, asks for the cut.
    Cut,
    /// The host cuts the power this long after the body began.
    CutAfter(Duration),
}

impl<'body> Guest<'body> {
    /// A guest on User-Mode Linux for the test of this name ([`crate::test_name!`]).
    pub fn uml(test: impl Into<String>) -> Self {
        Self::new(test.into(), Kernel::UserMode, 512, Duration::from_mins(2))
    }

    /// A guest on an emulated machine (on KVM where that works) with Debian's 6.12 kernel.
    pub fn qemu(test: impl Into<String>) -> Self {
        Self::new(test.into(), Kernel::Emulated, 2048, Duration::from_mins(5))
    }

    fn new(test: String, kernel: Kernel, memory_mib: u32, deadline: Duration) -> Self {
        let settings = Settings {
            memory_mib,
            processors: 1,
            modules: Vec::new(),
            deadline,
            drives: Vec::new(),
            disks: Vec::new(),
            systemd: None,
            watch: None,
            share: Share::Place,
        };
        Self {
            test,
            kernel,
            settings,
            phases: Vec::new(),
        }
    }

    /// The guest's memory in MiB (512, or 2048 for an emulated machine).
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.settings.memory_mib = memory_mib;
        self
    }

    /// The processors of an emulated machine (1). More of them than the host has free wait for each
    /// other, each time the kernel tells all of something: what its guests do then takes many times
    /// as long.
    ///
    /// # Panics
    /// On User-Mode Linux, which has one.
    pub fn processors(mut self, processors: u32) -> Self {
        assert!(
            self.kernel == Kernel::Emulated,
            "User-Mode Linux has one processor"
        );
        self.settings.processors = processors;
        self
    }

    /// Loads one more kernel module, parameters after its name. Those for device-mapper, nbd, loop
    /// and brd are there already.
    pub fn module(mut self, module: &str) -> Self {
        self.settings.modules.push(module.to_owned());
        self
    }

    /// The longest that one phase may take, its boot included and with a processor to itself, before
    /// it is killed and the test fails. Where guests share processors it is longer by as much.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// Adds a drive to an emulated machine. Its image lies in the scratch folder.
    ///
    /// # Panics
    /// On User-Mode Linux, which has no drives; [`crate::disk`] works on both.
    pub fn drive(mut self, drive: Drive) -> Self {
        assert!(
            self.kernel == Kernel::Emulated,
            "only an emulated machine has drives"
        );
        self.settings.drives.push(drive);
        self
    }

    /// Adds a disk that User-Mode Linux has from its first moment on, as `/dev/ubdb`, `/dev/ubdc`
    /// and so on, without volatile cache or faults. Its image lies in the scratch folder under this
    /// name. [`crate::disk`] gives better ones, once the body runs.
    ///
    /// # Panics
    /// On an emulated machine: [`Guest::drive`] is for those.
    pub fn boot_disk(mut self, image: &str, bytes: u64) -> Self {
        assert!(
            self.kernel == Kernel::UserMode,
            "an emulated machine has drives"
        );
        self.settings.disks.push((image.to_owned(), bytes));
        self
    }

    /// Boots systemd, journald and udev, and runs each phase's body as a service of its own once
    /// `basic.target` is reached. This shell script runs before, in the running guest (its phase is
    /// in `TIER_GUEST_PHASE`), with changes below `/usr`, `/etc` and `/var` that die with the guest:
    /// it puts files where packages put them. All else but the scratch folder is read-only.
    ///
    /// # Panics
    /// On an emulated machine, where it takes minutes.
    pub fn systemd(mut self, preparation: &str) -> Self {
        assert!(
            self.kernel == Kernel::UserMode,
            "systemd takes minutes to come up under emulation"
        );
        self.settings.systemd = Some(preparation.to_owned());
        self
    }

    /// No other guest runs meanwhile: for a test that compares times or rates, which a neighbour
    /// would change.
    pub fn alone(mut self) -> Self {
        self.settings.share = Share::Machine;
        self
    }

    /// Calls this on the host every few milliseconds while a guest runs, with the scratch folder: to
    /// show what the guest tells of itself there. It has to return at once.
    pub fn watch(mut self, watch: impl FnMut(&Path) + 'static) -> Self {
        self.settings.watch = Some(RefCell::new(Box::new(watch)));
        self
    }

    /// A phase whose body must return.
    pub fn phase(self, body: impl FnOnce(&Inside) + 'body) -> Self {
        self.push(End::Return, Box::new(body))
    }

    /// A phase whose body ends the guest by [`Inside::cut_power`], or waits in
    /// [`Inside::wait_for_cut`] for a program that does.
    pub fn until_cut(self, body: impl FnOnce(&Inside) -> PowerIsOff + 'body) -> Self {
        let never_returns = move |inside: &Inside| match body(inside) {};
        self.push(End::Cut, Box::new(never_returns))
    }

    /// A phase whose power is cut this long after its body began, wherever it is then. A body
    /// that returns earlier fails the test: nothing was cut under it.
    pub fn cut_after(self, delay: Duration, body: impl FnOnce(&Inside) + 'body) -> Self {
        self.push(End::CutAfter(delay), Box::new(body))
    }

    fn push(mut self, end: End, body: Box<dyn FnOnce(&Inside) + 'body>) -> Self {
        self.phases.push(Phase { end, body });
        self
    }

    /// Runs the phases, each in a fresh boot. Returns the scratch folder with what the guest left
    /// there, or `None` when no such guest can run here (recorded as skipped).
    ///
    /// # Panics
    /// When a phase fails, dies, ends in another way than it must, or passes its deadline.
    #[allow(clippy::must_use_candidate, reason = "most tests want nothing back")]
    pub fn run(mut self) -> Option<Scratch> {
        if let Some(inside) = Inside::current() {
            inside.enter(
                self.test.as_str(),
                self.phases.into_iter().map(|phase| phase.body),
            );
        }
        if let Err(reason) = self.available() {
            crate::skip::record(&self.test, &reason);
            return None;
        }
        let share = self.settings.share;
        self.settings.deadline = slots::stretched(self.settings.deadline, share);
        let _slot = slots::take(share);
        let _time = times::Time::of(&self.test);
        let is_warm = self.may_be_warm();
        let scratch = if is_warm {
            warm::scratch(&self.test)
        } else {
            Scratch::create(&self.test)
        };
        for (number, phase) in self.phases.iter().enumerate() {
            let boot = boot::Boot {
                test: &self.test,
                phase: number,
                has_udev: self.kernel == Kernel::Emulated || self.settings.systemd.is_some(),
                settings: &self.settings,
                scratch: &scratch,
            };
            let ended = match self.kernel {
                Kernel::UserMode => boot.run(&uml::command(&boot), phase.end),
                Kernel::Emulated if is_warm => warm::run(&boot),
                Kernel::Emulated => {
                    let command = qemu::command(&boot, scratch.path(), &boot.logged_body_script());
                    boot.run(&command, phase.end)
                }
            };
            if let Some(complaint) = complaint(phase.end, &ended) {
                panic!(
                    "{} phase {number}: {complaint}\n{}",
                    self.test,
                    boot.wreck()
                );
            }
        }
        Some(scratch)
    }

    /// Whether its test may run in a machine that has run others before.
    fn may_be_warm(&self) -> bool {
        let returns = matches!(
            self.phases[..],
            [Phase {
                end: End::Return,
                ..
            }]
        );
        let Settings {
            drives,
            watch,
            share,
            ..
        } = &self.settings;
        let is_plain = drives.is_empty() && watch.is_none() && *share == Share::Place;
        self.kernel == Kernel::Emulated && returns && is_plain
    }

    fn available(&self) -> Result<(), String> {
        self.kernel.available()?;
        match self.settings.systemd {
            Some(_) => systemd::available(),
            None => Ok(()),
        }
    }
}

impl Kernel {
    fn available(self) -> Result<(), String> {
        match self {
            Self::UserMode => uml::available(),
            Self::Emulated => qemu::available(),
        }
    }
}

/// What is wrong with a phase that had to end so and ended otherwise.
fn complaint(planned: End, ended: &Ended) -> Option<String> {
    match (planned, ended) {
        (End::Return, Ended::Returned(0))
        | (End::Cut, Ended::AskedForCut)
        | (End::CutAfter(_), Ended::CutOnTime) => None,
        (End::Return, Ended::AskedForCut) => Some("cut its power, and had to return".to_owned()),
        (_, Ended::Returned(0)) => Some("returned before its power was cut".to_owned()),
        (_, Ended::Returned(code)) => Some(format!("its body failed (exit status {code})")),
        (_, Ended::Died(status)) => Some(format!("the guest died by itself ({status})")),
        (_, Ended::Overdue(deadline)) => Some(format!("was killed at its deadline, {deadline:?}")),
        (_, ended) => Some(format!("ended as {ended:?}, and had to end as {planned:?}")),
    }
}

/// The name by which `libtest` knows the test function that this macro is called in.
#[macro_export]
macro_rules! test_name {
    () => {{
        fn here() {}
        $crate::guest::test_name_of(std::any::type_name_of_val(&here))
    }};
}

/// Cuts the path of an inner function down to its test: `suite::module::test::here` is the test
/// `module::test`.
#[doc(hidden)]
#[must_use]
pub fn test_name_of(inner: &str) -> String {
    let path = inner
        .trim_end_matches("::here")
        .trim_end_matches("::{{closure}}");
    path.split_once("::")
        .map_or(path, |(_suite, test)| test)
        .to_owned()
}
