//! A guest's processes on the host.
//!
//! Owns: starting them, keeping their console, and ending them. Invariants: they are dead, all of
//! them, when [`Machine::kill`] returns, so that the next boot finds images that nobody writes;
//! and they die with the thread that started them, even when that is killed.

use std::fs::File;
use std::io::{PipeReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, Uid};

/// Longest that a killed process may take to be gone: it may sit in a write to a slow host disk.
const DEATH: Duration = Duration::from_mins(1);
/// Between two looks at a process that is to end by itself.
const LOOK: Duration = Duration::from_millis(20);

/// A running guest.
pub(super) struct Machine {
    child: Child,
    /// Ends when no process of the guest is left to hold the console's pipe.
    console_ended: Receiver<()>,
}

impl Machine {
    /// Starts a guest whose console goes to this file.
    pub(super) fn start(command: &Command, console: &Path) -> Self {
        let (reader, writer) = std::io::pipe().expect("pipe for the guest's console");
        let stdout = writer.try_clone().expect("pipe for the guest's console");
        let mut whole = enclosed(command);
        whole
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(writer)
            .process_group(0);
        let child = whole
            .spawn()
            .expect("setpriv and unshare from util-linux start the guest");
        // This end's copies of the writers go with `whole`, or the console would never end.
        drop(whole);
        let console_ended = keep(reader, File::create(console).expect("console log"));
        Self {
            child,
            console_ended,
        }
    }

    /// Its exit status, if it has ended by itself.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for the guest")
    }

    /// Waits for it to end by itself with exit status 0.
    pub(super) fn succeeds_within(mut self, limit: Duration) -> bool {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.ended() {
                return status.success();
            }
            thread::sleep(LOOK);
        }
        false
    }

    /// Kills the guest: the power cut.
    pub(super) fn kill(&mut self) {
        let group = i32::try_from(self.child.id()).expect("process id");
        // ESRCH: it ended in the meantime, which is as good.
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        self.child.wait().expect("wait for the killed guest");
        // The sender is dropped with the pipe's last writer, so an error is the answer hoped for.
        let ended = self.console_ended.recv_timeout(DEATH);
        assert!(
            ended != Err(std::sync::mpsc::RecvTimeoutError::Timeout) || thread::panicking(),
            "processes of a killed guest live on"
        );
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The command, in a process namespace of its own where that is allowed, and tied to this thread.
fn enclosed(command: &Command) -> Command {
    let mut whole = Command::new("setpriv");
    whole.args(["--pdeathsig", "KILL"]);
    if Uid::effective().is_root() {
        // All of a guest's processes die at once with the namespace's first, even when this
        // process is killed and can kill nothing. That first one is a shell: User-Mode Linux ends
        // a panic with a SIGABRT to itself, which the kernel keeps from a namespace's first.
        whole.args([
            "unshare",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            "\"$@\"; exit $?",
        ]);
        whole.arg("sh");
    }
    whole.arg(command.get_program()).args(command.get_args());
    whole
}

/// Copies a console to a file until it ends; shows it as it comes when that is wanted.
fn keep(mut reader: PipeReader, mut file: File) -> Receiver<()> {
    let shown = std::env::var_os("TIER_GUEST_VERBOSE").is_some();
    let (alive, ended) = channel();
    thread::spawn(move || {
        let _alive_until_the_end = alive;
        let mut buffer = [0; 4096];
        while let Ok(count) = reader.read(&mut buffer)
            && count > 0
        {
            file.write_all(&buffer[..count]).expect("console log");
            if shown {
                let _ = std::io::stderr().write_all(&buffer[..count]);
            }
        }
    });
    ended
}
