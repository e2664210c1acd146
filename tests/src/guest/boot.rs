//! One boot of a guest, from the host's side.
//!
//! Owns: what the guest is told to run, its deadline, and how it ended. Invariant: the guest is
//! dead when this returns or unwinds.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use super::machine::Machine;
use super::{End, Scratch, Settings, inside};

/// How often the host looks for what the guest asks of it.
const LOOK: Duration = Duration::from_millis(5);
/// Boots of a machine that dies before its kernel says a word: QEMU 7.2 itself crashes now and then
/// (a segmentation fault of its own, seen twice).
pub(super) const BOOTS_MAX: u32 = 3;
/// Lines of console that a failure shows.
const SHOWN_LINES: usize = 80;
/// Lines of the kernel's log that it shows besides.
const KERNEL_LINES: usize = 20;
/// Lines of a panic in a guest that are shown before that: its place, and what it says first.
const COMPLAINT_LINES: usize = 6;

/// One boot: which test, which phase of it.
pub(super) struct Boot<'test> {
    pub(super) test: &'test str,
    pub(super) phase: usize,
    /// Whether udev runs in the guest; without it libdevmapper must not wait for it.
    pub(super) has_udev: bool,
    pub(super) settings: &'test Settings,
    pub(super) scratch: &'test Scratch,
}

/// How a boot ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// The body returned or failed, with this exit status of its process.
    Returned(i32),
    /// The power was cut because the guest asked for it.
    AskedForCut,
    /// The power was cut at the planned moment.
    CutOnTime,
    /// The guest ended by itself: a kernel panic, or it never came up.
    Died(ExitStatus),
    /// The deadline passed.
    Overdue(Duration),
}

impl Boot<'_> {
    /// Folder of the files by which the guest tells the host how it stands.
    pub(super) fn control(&self) -> PathBuf {
        self.scratch.path().join(format!("control-{}", self.phase))
    }

    pub(super) fn console(&self) -> PathBuf {
        self.scratch
            .path()
            .join(format!("console-{}.log", self.phase))
    }

    /// The shell commands that run this phase's body and report its end to the host.
    pub(super) fn body_script(&self) -> String {
        let control = self.control();
        let executable = std::env::current_exe().expect("own executable");
        let folder = std::env::current_dir().expect("working folder");
        let mut script = String::new();
        for (name, value) in std::env::vars() {
            let handed_on = [
                "TIER",
                "RUST_",
                "CARGO_",
                "PATH",
                "HOME",
                "LD_LIBRARY_PATH",
                "LANG",
            ];
            // Where skips are recorded is the host's business.
            if handed_on.iter().any(|prefix| name.starts_with(prefix))
                && name != crate::skip::RECORD_VARIABLE
            {
                writeln!(script, "export {name}={}", quoted(&value)).expect("string");
            }
        }
        let cut = control.join("cut");
        let variables = [
            (inside::SCRATCH, self.scratch.path().display().to_string()),
            (inside::PHASE, self.phase.to_string()),
            (inside::CUT, cut.display().to_string()),
            (
                "DM_DISABLE_UDEV",
                if self.has_udev {
                    String::new()
                } else {
                    "1".to_owned()
                },
            ),
        ];
        for (name, value) in variables.iter().filter(|(_, value)| !value.is_empty()) {
            writeln!(script, "export {name}={}", quoted(value)).expect("string");
        }
        let control = quoted(&control.display().to_string());
        write!(
            script,
            "cd {folder}\n\
             {executable} --exact {test} --nocapture --test-threads=1\n\
             status=$?\n\
             # Only the scratch folder: a volume whose I/O is parked would hang a sync of all.\n\
             sync -f {control}\n\
             : >{control}/done.$status\n",
            folder = quoted(&folder.display().to_string()),
            executable = quoted(&executable.display().to_string()),
            test = quoted(self.test),
        )
        .expect("string");
        script
    }

    /// Where the kernel's log goes, on machines whose console does not show it.
    fn kernel_log(&self) -> PathBuf {
        self.scratch
            .path()
            .join(format!("kernel-{}.log", self.phase))
    }

    /// The same with the kernel's log beside it, for as long as the body runs.
    pub(super) fn logged_body_script(&self) -> String {
        format!(
            "dmesg --follow >{log} 2>/dev/null &\n\
             logging=$!\n\
             {body}\
             kill $logging\n",
            log = quoted(&self.kernel_log().display().to_string()),
            body = self.body_script(),
        )
    }

    /// Writes an executable script of this phase into the scratch folder.
    pub(super) fn script(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self
            .scratch
            .path()
            .join(format!("{name}-{}.sh", self.phase));
        std::fs::write(&path, text).expect("script in the scratch folder");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("script in the scratch folder");
        path
    }

    /// Boots the machine, anew if it dies before there is a guest, and tells how that ended.
    #[allow(
        clippy::print_stderr,
        reason = "what was tried again is to be seen, whatever the test says"
    )]
    pub(super) fn run(&self, machine: &Command, planned: End) -> Ended {
        for _ in 1..BOOTS_MAX {
            match self.until_it_ends(machine, planned) {
                Ended::Died(status) if self.was_silent() => {
                    eprintln!(
                        "{}: the machine died before its kernel ({status}); again",
                        self.test
                    );
                }
                ended => return ended,
            }
        }
        self.until_it_ends(machine, planned)
    }

    /// Whether neither the kernel nor the test has shown that it is there.
    fn was_silent(&self) -> bool {
        let is_empty = std::fs::metadata(self.console()).is_ok_and(|console| console.len() == 0);
        is_empty && !self.control().join("started").exists()
    }

    /// Starts the machine and waits until it has ended, or ends it as planned.
    fn until_it_ends(&self, machine: &Command, planned: End) -> Ended {
        std::fs::create_dir_all(self.control()).expect("control folder");
        let mut machine = Machine::start(machine, &self.console());
        let ended = self.watch_over(&mut machine, planned);
        machine.kill();
        ended
    }

    /// Waits until the guest has ended, has asked for its end, or is to be ended as planned.
    pub(super) fn watch_over(&self, machine: &mut Machine, planned: End) -> Ended {
        let deadline = Instant::now() + self.settings.deadline;
        let mut cut_at = None;
        loop {
            if let Some(watch) = &self.settings.watch {
                (watch.borrow_mut())(self.scratch.path());
            }
            if let Some(ended) = self.request() {
                return ended;
            }
            if let Some(status) = machine.ended() {
                return self.request().unwrap_or(Ended::Died(status));
            }
            let now = Instant::now();
            if let End::CutAfter(delay) = planned
                && cut_at.is_none()
                && self.control().join("started").exists()
            {
                cut_at = Some(now + delay);
            }
            if cut_at.is_some_and(|moment| now >= moment) {
                return Ended::CutOnTime;
            }
            if now >= deadline {
                return Ended::Overdue(self.settings.deadline);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// What the guest has asked for or reported, if anything.
    fn request(&self) -> Option<Ended> {
        let entries = std::fs::read_dir(self.control()).expect("control folder");
        entries.flatten().find_map(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == "cut" {
                return Some(Ended::AskedForCut);
            }
            name.strip_prefix("done.")
                .map(|status| Ended::Returned(status.parse().unwrap_or(-1)))
        })
    }

    /// The end of the console, for a failed test's message.
    pub(super) fn wreck(&self) -> String {
        let console = std::fs::read(self.console()).unwrap_or_default();
        let console = String::from_utf8_lossy(&console).replace('\r', "");
        let mut lines: Vec<_> = console.lines().collect();
        // A disk that fails has the kernel say the same so often that nothing else would be left.
        lines.dedup();
        let shown = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
        let kernel = std::fs::read_to_string(self.kernel_log()).unwrap_or_default();
        let kernel: Vec<_> = kernel.lines().collect();
        let said = &kernel[kernel.len().saturating_sub(KERNEL_LINES)..];
        format!(
            "{}--- end of {} (TIER_GUEST_KEEP=1 keeps it) ---\n{}\n--- the kernel said ---\n{}\n--- end of console ---",
            complaint(&lines),
            self.console().display(),
            shown.join("\n"),
            said.join("\n")
        )
    }
}

/// What the body said when it panicked: logs that it prints after that would push it off the end.
fn complaint(console: &[&str]) -> String {
    let panicked = console
        .iter()
        .rposition(|line| line.contains("panicked at "));
    let said = panicked.map_or(&[][..], |first| &console[first..]);
    let lines = said.iter().take(COMPLAINT_LINES);
    lines.flat_map(|line| [*line, "\n"]).collect()
}

/// Quotes a word for the shell.
pub(super) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;

    #[test]
    fn a_panic_is_shown_although_a_log_follows_it() {
        let console = [
            "boot",
            "thread 'a' panicked at b.rs:1:1:",
            "no answer",
            "1",
            "2",
            "3",
            "4",
            "5",
        ];
        let wanted = "thread 'a' panicked at b.rs:1:1:\nno answer\n1\n2\n3\n4\n";
        assert_eq!(complaint(&console), wanted);
        assert_eq!(complaint(&["boot", "done"]), "");
    }

    /// Runs this script as the machine, and gives how it ended and how often it was started.
    fn run(name: &str, script: &str) -> (Ended, usize) {
        let guest = Guest::uml(name.to_owned());
        let scratch = Scratch::create(name);
        let boot = Boot {
            test: name,
            phase: 0,
            has_udev: false,
            settings: &guest.settings,
            scratch: &scratch,
        };
        let starts = scratch.path().join("starts");
        let mut machine = Command::new("sh");
        machine.arg("-c").arg(format!("echo >>\"$0\"; {script}"));
        machine.arg(&starts).arg(boot.control());
        let ended = boot.run(&machine, End::Return);
        let starts = std::fs::read_to_string(starts).expect("it was started");
        (ended, starts.lines().count())
    }

    #[test]
    fn a_machine_that_dies_before_its_kernel_speaks_is_booted_again() {
        let second = "[ $(wc -l <\"$0\") -gt 1 ] || exit 255; : >\"$1/done.0\"; sleep 100";
        let (ended, starts) = run("crashes_once", second);
        assert!(matches!(ended, Ended::Returned(0)), "{ended:?}");
        assert_eq!(starts, 2);
    }

    #[test]
    fn but_not_for_ever_and_not_if_the_kernel_spoke() {
        for (script, wanted) in [("exit 255", 3), ("echo Linux; exit 255", 1)] {
            let (ended, starts) = run("crashes", script);
            assert!(matches!(ended, Ended::Died(_)), "{ended:?}");
            assert_eq!(starts, wanted, "{script}");
        }
    }
}
