//! Emulated machines that run one test after the other: without KVM a boot takes longer than most tests.
//!
//! Owns: the machines of this process that wait for a test, and what they are told. Invariants: a
//! machine runs one test at a time; it is used again only if that test passed and left neither a block
//! device nor a process of the tests behind. It lives as long as this process, at most.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::boot::{BOOTS_MAX, Boot, Ended, quoted};
use super::inside::IMAGES;
use super::machine::Machine;
use super::scratch::guests_folder;
use super::{End, Scratch, Settings, qemu};

/// Longest that a machine may take to show that nothing is left of a test.
const CLEARING: Duration = Duration::from_secs(20);
/// Where a test has its images, in the guest: each request of a shared folder is one to the host.
const MEMORY: &str = "/run/tier-images";
/// Between two looks for that.
const LOOK: Duration = Duration::from_millis(20);

/// What tells that something is left of a test, in the guest.
const IS_CLEAN: &str = r#"
udevadm settle --timeout=10
left() {
    for device in /sys/block/ublkb* /sys/block/dm-* /sys/block/nbd*/pid /sys/block/loop*/loop; do
        [ -e "$device" ] && return 0
    done
    ls -l /proc/[0-9]*/exe 2>/dev/null | grep -qF " $1/"
}
"#;

/// A machine that has come up, or is about to, for this process's tests.
struct Warm {
    machine: Machine,
    folder: Scratch,
    memory_mib: u32,
    processors: u32,
    modules: Vec<String>,
    /// Tests that it was given so far.
    orders: usize,
    /// How much of its console those before the present one have filled.
    console_bytes: u64,
}

/// Those without a test.
static IDLE: Mutex<Vec<Warm>> = Mutex::new(Vec::new());

/// The scratch folder of a test that runs in such a machine.
pub(super) fn scratch(test: &str) -> Scratch {
    Scratch::create_in(&warm_folder(), test, 16)
}

/// The folder that all machines of this process share with it, and that a later process removes.
fn warm_folder() -> PathBuf {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        sweep();
        let folder = guests_folder().join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("folder for warm guests");
        folder
    };
    MADE.get_or_init(make).clone()
}

const PREFIX: &str = "warm-";

/// Removes what processes left that have ended: nothing of theirs runs at their end.
fn sweep() {
    let folders = std::fs::read_dir(guests_folder()).expect("folder for guests");
    for folder in folders.flatten() {
        let name = folder.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let is_kept = std::env::var_os("TIER_GUEST_KEEP").is_some();
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) && !is_kept {
            // Another process may be at it, too.
            let _ = std::fs::remove_dir_all(folder.path());
        }
    }
}

/// Runs a test in a machine that waits, or else in a new one.
#[allow(
    clippy::print_stderr,
    reason = "what was tried again is to be seen, whatever the test says"
)]
pub(super) fn run(boot: &Boot<'_>) -> Ended {
    std::fs::create_dir_all(boot.control()).expect("control folder");
    for _ in 1..BOOTS_MAX {
        match run_once(boot) {
            (Ended::Died(status), true) => {
                eprintln!(
                    "{}: the machine died before its kernel ({status}); again",
                    boot.test
                );
            }
            (ended, _) => return ended,
        }
    }
    run_once(boot).0
}

/// How it ended, and whether the machine had not said a word until then.
fn run_once(boot: &Boot<'_>) -> (Ended, bool) {
    let mut warm = take(boot.settings);
    warm.order(boot);
    let ended = boot.watch_over(&mut warm.machine, End::Return);
    let is_silent = warm.keep_console(boot) == 0;
    if matches!(ended, Ended::Returned(0)) && warm.is_clear(boot) {
        idle(|machines| machines.push(warm));
    }
    (ended, is_silent)
}

fn idle<T>(what: impl FnOnce(&mut Vec<Warm>) -> T) -> T {
    what(&mut IDLE.lock().unwrap_or_else(PoisonError::into_inner))
}

fn take(settings: &Settings) -> Warm {
    let found = idle(|machines| {
        let fits = |warm: &Warm| {
            warm.memory_mib == settings.memory_mib
                && warm.processors == settings.processors
                && warm.modules == settings.modules
        };
        let at = machines.iter().position(fits)?;
        Some(machines.swap_remove(at))
    });
    found.unwrap_or_else(|| Warm::boot(settings))
}

impl Warm {
    fn boot(settings: &Settings) -> Self {
        let folder = Scratch::create_in(&warm_folder(), "guest", 16);
        let own = Boot {
            test: "warm",
            phase: 0,
            has_udev: true,
            settings,
            scratch: &folder,
        };
        let orders = quoted(&folder.path().join("order").display().to_string());
        let loop_of_orders = format!(
            "number=0\n\
             while :; do\n\
             while [ ! -e {orders}-$number ]; do sleep 0.1; done\n\
             sh {orders}-$number\n\
             number=$((number + 1))\n\
             done"
        );
        let command = qemu::command(&own, &warm_folder(), &loop_of_orders);
        let machine = start(command, own.console());
        Self {
            machine,
            memory_mib: settings.memory_mib,
            processors: settings.processors,
            modules: settings.modules.clone(),
            orders: 0,
            console_bytes: 0,
            folder,
        }
    }

    /// Has it run a test, and then say whether anything is left of it.
    fn order(&mut self, boot: &Boot<'_>) {
        let programs = std::env::current_exe().expect("own executable");
        let programs = programs.ancestors().nth(2).expect("target folder");
        let text = format!(
            "mkdir {MEMORY}\n\
             export {IMAGES}={MEMORY}\n\
             {body}\n\
             {IS_CLEAN}\n\
             rm -rf /run/tierd {MEMORY}\n\
             left {programs} || : >{clear}\n",
            body = boot.logged_body_script(),
            programs = quoted(&programs.display().to_string()),
            clear = quoted(&clear(boot).display().to_string()),
        );
        let order = self.folder.path().join(format!("order-{}", self.orders));
        let draft = self.folder.path().join("draft");
        std::fs::write(&draft, text).expect("order for a warm guest");
        std::fs::rename(&draft, &order).expect("order for a warm guest");
        self.orders += 1;
    }

    /// Copies what the test said to where its own console would be; gives how many bytes the console
    /// has by now.
    fn keep_console(&mut self, boot: &Boot<'_>) -> u64 {
        let mut said = Vec::new();
        let console = File::open(self.folder.path().join("console-0.log"));
        let read = console.and_then(|mut console| {
            console.seek(SeekFrom::Start(self.console_bytes))?;
            console.read_to_end(&mut said)
        });
        read.expect("console of a warm guest");
        self.console_bytes += said.len() as u64;
        std::fs::write(boot.console(), said).expect("console log");
        self.console_bytes
    }

    /// Waits until the machine has shown that nothing is left of a test that passed.
    fn is_clear(&mut self, boot: &Boot<'_>) -> bool {
        let start = Instant::now();
        while start.elapsed() < CLEARING && self.machine.ended().is_none() {
            if clear(boot).exists() {
                return true;
            }
            thread::sleep(LOOK);
        }
        false
    }
}

fn clear(boot: &Boot<'_>) -> PathBuf {
    boot.control().join("clear")
}

/// Starts a machine from a thread that lives as long as this process: a guest dies with the thread
/// that started it, and tests have threads of their own.
fn start(command: Command, console: PathBuf) -> Machine {
    type Job = (Command, PathBuf, Sender<Machine>);
    static STARTER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        thread::spawn(move || {
            for (command, console, asked_by) in jobs {
                // Who asked may have panicked meanwhile; the machine then ends here.
                let _ = asked_by.send(Machine::start(&command, &console));
            }
        });
        Mutex::new(sender)
    });
    let (sender, machine) = channel();
    starter
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .send((command, console, sender))
        .expect("the thread that starts guests");
    machine.recv().expect("a started guest")
}
