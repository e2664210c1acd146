//! The daemon and its command, inside a guest.
//!
//! Owns: starting `tierd run` with a configuration of its own, asking it through `tierctl`, and
//! ending it gently or not. Invariant: a daemon that a test started is dead when its handle is
//! dropped; what the kernel holds stays. May not: reach into the daemon by any other way than its
//! users have, but for the places at which it can be made to die.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::command::attempt;
use crate::guest::Inside;

/// How long the daemon may take until it answers, and until it ends. On a busy machine, in a guest
/// that is emulated instruction by instruction, the kernel alone needs half a minute for the probe.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// The programs under test.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `tierd`, with what the feature `crash` adds.
    pub tierd: PathBuf,
    /// `tierctl`.
    pub tierctl: PathBuf,
}

impl Programs {
    /// The daemon at `tierd` (`env!("CARGO_BIN_EXE_tierd_under_test")` in a suite), and the
    /// command that was built beside it.
    ///
    /// # Panics
    /// When the command has not been built.
    #[must_use]
    pub fn beside(tierd: &str) -> Self {
        let tierd = PathBuf::from(tierd);
        let tierctl = tierd.with_file_name("tierctl");
        assert!(
            tierctl.exists(),
            "{} is missing; run `cargo build`",
            tierctl.display()
        );
        Self { tierd, tierctl }
    }
}

/// How a daemon is to be started.
#[derive(Debug)]
pub struct Setting<'inside> {
    /// Where its log lies.
    folder: &'inside Path,
    /// Where its socket lies; its configuration file stands beside this folder.
    run: PathBuf,
    programs: Programs,
    config: String,
    environment: Vec<(String, String)>,
}

impl<'inside> Setting<'inside> {
    /// A daemon with time running a hundred times as fast, that moves nothing by itself, and looks
    /// for labels on nbd devices only.
    #[must_use]
    pub fn new(inside: &'inside Inside, programs: Programs) -> Self {
        Self::in_folders(inside.scratch(), Path::new("/run/tierd"), programs)
    }

    /// The same, with its log and its socket in these folders. A configuration given to
    /// [`Setting::config`] has to name the socket `tierd.sock` in the second.
    #[must_use]
    pub fn in_folders(folder: &'inside Path, run: &Path, programs: Programs) -> Self {
        let mut config = String::new();
        let socket = run.join("tierd.sock");
        let socket = socket.display();
        let _ = write!(
            config,
            "[daemon]\nsocket = \"{socket}\"\n[daemon.scan]\ninclude = [\"/dev/nbd*\", \"/dev/sd*\", \"/dev/nvme*\"]\n\
             [intervals]\nscale = 0.05\n[policy]\nenabled = false\n"
        );
        Self {
            folder,
            run: run.to_owned(),
            programs,
            config,
            environment: Vec::new(),
        }
    }

    /// Replaces the configuration.
    #[must_use]
    pub fn config(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// Makes the daemon kill itself when it reaches the place `name` for the `n`-th time.
    #[must_use]
    pub fn die_at(self, name: &str, n: u32) -> Self {
        self.environment("TIERD_STOP_AT", &format!("{name}#{n}"))
    }

    /// Makes the daemon cut the guest's power there instead.
    #[must_use]
    pub fn cut_power_at(self, name: &str, n: u32) -> Self {
        let cut = std::env::var("TIER_GUEST_CUT").unwrap_or_default();
        self.environment("TIERD_STOP_AT", &format!("{name}#{n}"))
            .environment("TIERD_STOP_HOW", "hang")
            .environment("TIERD_STOP_FILE", &cut)
    }

    /// Sets a variable of the daemon's environment.
    #[must_use]
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Path of the configuration file, written. Where it says nothing of forecasts, there is no
    /// network, and what is learned does not lie where the host would keep it.
    fn config_file(&self) -> PathBuf {
        let path = PathBuf::from(format!("{}.toml", self.run.display()));
        let mut config = self.config.clone();
        if !config.contains("[forecast]") {
            let state = self.folder.join("state");
            let _ = write!(
                config,
                "\n[forecast]\nnetwork = false\nstate = \"{}\"\n",
                state.display()
            );
        }
        std::fs::write(&path, config).expect("configuration");
        path
    }

    pub(crate) fn log_file(&self) -> PathBuf {
        self.folder.join("tierd.log")
    }

    pub(crate) fn command(&self, what: &str) -> Command {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("log of the daemon");
        let mut command = Command::new(&self.programs.tierd);
        command
            .arg(what)
            .arg("--config")
            .arg(self.config_file())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("log of the daemon"))
            .stderr(log);
        command.envs(self.environment.iter().cloned());
        command
    }

    /// Starts `tierd run` and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn run(&self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_until_it_answers();
        daemon
    }

    /// Starts `tierd run` and returns at once.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn spawn(&self) -> Daemon {
        let child = self.command("run").spawn().expect("tierd starts");
        Daemon {
            child,
            programs: self.programs.clone(),
            socket: self.run.join("tierd.sock"),
            log: self.log_file(),
        }
    }

    /// Runs `tierd settle` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn settle(&self) -> ExitStatus {
        self.command("settle")
            .status()
            .expect("tierd settle starts")
    }

    /// Runs `tierd activate` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn activate(&self) -> ExitStatus {
        self.command("activate")
            .status()
            .expect("tierd activate starts")
    }
}

/// A running `tierd run`.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    programs: Programs,
    socket: PathBuf,
    log: PathBuf,
}

#[allow(
    clippy::must_use_candidate,
    reason = "most tests ask for what it does, not for what it says"
)]
impl Daemon {
    fn wait_until_it_answers(&mut self) {
        let start = Instant::now();
        while self.ctl(&["volume", "list", "--json"]).is_err() {
            if let Some(status) = self.child.try_wait().expect("state of the daemon") {
                panic!("tierd ended with {status}:\n{}", self.log());
            }
            assert!(
                start.elapsed() < PATIENCE,
                "tierd does not answer:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// What the daemon has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Runs `tierctl`; `Err` holds what it complained of.
    pub fn ctl(&self, arguments: &[&str]) -> Result<String, String> {
        let socket = self.socket.display().to_string();
        let mut all = vec!["--socket", &socket];
        all.extend(arguments);
        attempt(&self.programs.tierctl.display().to_string(), &all)
    }

    /// Runs `tierctl`, which must succeed.
    ///
    /// # Panics
    /// When it does not.
    pub fn must(&self, arguments: &[&str]) -> String {
        self.ctl(arguments)
            .unwrap_or_else(|why| panic!("{why}\n{}", self.log()))
    }

    /// Runs `tierctl --json` and reads what it printed.
    ///
    /// # Panics
    /// When it fails, or prints no JSON.
    pub fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let mut all = arguments.to_vec();
        all.push("--json");
        serde_json::from_str(&self.must(&all)).expect("JSON of tierctl")
    }

    /// Creates a volume of these members, each with its class.
    pub fn create(&self, name: &str, members: &[(&str, &Path)]) {
        self.create_on("dm", name, members);
    }

    /// The same on this backend.
    pub fn create_on(&self, backend: &str, name: &str, members: &[(&str, &Path)]) {
        let members: Vec<String> = members
            .iter()
            .map(|(class, path)| format!("{}={class}", path.display()))
            .collect();
        let mut arguments = vec!["volume", "create", name, "--backend", backend, "--yes"];
        arguments.extend(members.iter().map(String::as_str));
        self.must(&arguments);
    }

    /// Whether the daemon has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("state of the daemon")
    }

    /// Waits until the daemon ends by itself.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "tierd does not end:\n{}",
                self.log()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Tells the daemon to end (SIGTERM) and waits for it.
    pub fn stop(mut self) -> ExitStatus {
        let process = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("pid"));
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGTERM).expect("SIGTERM");
        self.wait()
    }

    /// Kills the daemon (SIGKILL).
    pub fn kill(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("end of the daemon");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
