//! Bringing up the process that serves a volume, and taking it down.
//!
//! Owns: [`join`], which starts the process where there is none, and [`stop`]. For a service of systemd
//! the process is a service of its own, so that nothing that happens to the daemon's reaches it; else it
//! is a child in a process group of its own.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tier_sys::block::{Access, BlockDevice};

use super::client::{Connection, JoinError};
use super::protocol::{Opened, Stays, beside};
use super::{DEGRADED, FAILED, SOCKET};
use crate::config::Config;
use crate::exit::{ExitCode, Failure};

/// How long a process is given to serve: it may have to wait for I/O of one that died.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long another is given to let go of a volume: who only looks is soon done.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);
/// How long members are given to be free, once the process has ended.
const FREE_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);
/// Is there if systemd runs the machine (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";

/// Is set by systemd for the processes of a service (`systemd.exec(5)`).
const SERVICE: &str = "INVOCATION_ID";

/// Why a volume is not served on ublk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// There is no connection.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// The process could not be started.
    #[error("`{what}` cannot be started: {source}")]
    Start {
        /// The command.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// It ended, and said why.
    #[error("{text}")]
    Said {
        /// As what it ended.
        code: ExitCode,
        /// What it said.
        text: String,
    },
    /// It ended without a word, or serves nothing.
    #[error(
        "the process that is to serve volume {volume} does not ({state}); its log says more, and so does \
         `tierd serve {volume}`"
    )]
    Mute {
        /// Which volume.
        volume: String,
        /// What is known of it.
        state: String,
    },
    /// The device is open.
    #[error("the device of volume {0} is in use; unmount what is on it, or stop what has it open")]
    InUse(String),
    /// It could not be stopped.
    #[error("volume {volume} cannot be stopped: {why}")]
    Stays {
        /// Which volume.
        volume: String,
        /// Why not.
        why: String,
    },
}

impl LaunchError {
    /// What a process noted at its end, by [`noted`].
    fn last_words(said: &str) -> Self {
        let (number, text) = said.split_once(' ').unwrap_or(("", said));
        let is_it = |code: &ExitCode| code.number().to_string() == number;
        let code = ExitCode::ALL.into_iter().find(is_it);
        Self::Said {
            code: code.unwrap_or(ExitCode::Internal),
            text: text.trim().to_owned(),
        }
    }
}

/// Why a process ended, for who started it.
pub(super) fn noted(failure: &Failure) -> String {
    format!("{} {}", failure.code().number(), failure.message())
}

/// Connects to the process that serves a volume; starts it where there is none, and then without members
/// that are missing, if an operator wants that.
pub(crate) fn join(
    config: &Config,
    volume: &str,
    degraded: bool,
) -> Result<(Connection, Opened), LaunchError> {
    let socket = beside(config, volume, SOCKET);
    match patiently(&socket) {
        Err(JoinError::Nobody { .. }) => {}
        done => return Ok(done?),
    }
    let failed = beside(config, volume, FAILED);
    // What an earlier one said is not what this one says.
    let _ = std::fs::remove_file(&failed);
    wish(config, volume, degraded)?;
    let mut started = start(config, volume)?;
    let begins = Instant::now();
    loop {
        match patiently(&socket) {
            Err(JoinError::Nobody { .. }) => {}
            done => {
                started.leave();
                return Ok(done?);
            }
        }
        let state = started.state();
        if state.is_some() || begins.elapsed() > PATIENCE {
            if let Ok(said) = std::fs::read_to_string(&failed) {
                return Err(LaunchError::last_words(&said));
            }
            return Err(LaunchError::Mute {
                volume: volume.to_owned(),
                state: state.unwrap_or_else(|| "it takes too long".to_owned()),
            });
        }
        std::thread::sleep(LOOK);
    }
}

/// Tells the process that is about to start whether it may start without members. It takes the wish with
/// it; one that an earlier start has left behind is not this one's.
fn wish(config: &Config, volume: &str, degraded: bool) -> Result<(), LaunchError> {
    let wish = beside(config, volume, DEGRADED);
    let done = if degraded {
        std::fs::write(&wish, "")
    } else {
        match std::fs::remove_file(&wish) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    };
    done.map_err(|source| LaunchError::Start {
        what: format!("tierd serve {volume}"),
        source,
    })
}

fn patiently(socket: &Path) -> Result<(Connection, Opened), JoinError> {
    let begins = Instant::now();
    loop {
        match Connection::join(socket) {
            Err(JoinError::Busy) if begins.elapsed() < BUSY_PATIENCE => std::thread::sleep(LOOK),
            done => return done,
        }
    }
}

/// A process that was started.
enum Started {
    /// By systemd, which has seen it serve.
    Unit,
    /// As a child.
    Child(Child),
}

fn start(config: &Config, volume: &str) -> Result<Started, LaunchError> {
    // As a child of a service it would end with that.
    if std::env::var_os(SERVICE).is_some() && Path::new(SYSTEMD).exists() {
        return start_unit(volume);
    }
    let program = std::env::current_exe().map_err(|source| LaunchError::Start {
        what: "tierd serve".to_owned(),
        source,
    })?;
    let mut command = Command::new(program);
    if let Some(path) = &config.source {
        command.arg("--config").arg(path);
    }
    command.arg("serve").arg(volume).stdin(Stdio::null());
    let child = std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn();
    let child = child.map_err(|source| LaunchError::Start {
        what: format!("tierd serve {volume}"),
        source,
    })?;
    Ok(Started::Child(child))
}

fn start_unit(volume: &str) -> Result<Started, LaunchError> {
    let unit = format!("tierd-serve@{volume}.service");
    let what = format!("systemctl start {unit}");
    let asked = Command::new("systemctl").args(["start", &unit]).output();
    match asked {
        Ok(done) if done.status.success() => Ok(Started::Unit),
        Ok(done) => {
            let said = String::from_utf8_lossy(&done.stderr);
            Err(LaunchError::Start {
                what,
                source: io::Error::other(said.trim().to_owned()),
            })
        }
        Err(source) => Err(LaunchError::Start { what, source }),
    }
}

impl Started {
    /// What became of it, if it has ended.
    fn state(&mut self) -> Option<String> {
        match self {
            Self::Unit => None,
            Self::Child(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(error.to_string()),
            },
        }
    }

    /// Lets it be. It is waited for, so that it does not remain when it has ended.
    fn leave(self) {
        let Self::Child(mut child) = self else { return };
        let name = "serve-child".to_owned();
        let wait = move || {
            let _ = child.wait();
        };
        if let Err(error) = std::thread::Builder::new().name(name).spawn(wait) {
            tracing::warn!(%error, "nobody waits for the process that serves a volume");
        }
    }
}

/// Has the process that serves a volume take its device down, and waits until it holds none of these
/// members any more. No process is fine.
pub(crate) fn stop(config: &Config, volume: &str, members: &[PathBuf]) -> Result<(), LaunchError> {
    let connection = match patiently(&beside(config, volume, SOCKET)) {
        Err(JoinError::Nobody { .. }) => return Ok(()),
        done => done?.0,
    };
    let stays = |why: String| LaunchError::Stays {
        volume: volume.to_owned(),
        why,
    };
    match connection.stop() {
        Ok(None) => {}
        Ok(Some(Stays::InUse)) => return Err(LaunchError::InUse(volume.to_owned())),
        Ok(Some(Stays::Failed(why))) => return Err(stays(why)),
        Err(error) => return Err(stays(error.to_string())),
    }
    let begins = Instant::now();
    for member in members {
        while let Err(error) = BlockDevice::open(member, Access::ReadOnlyExclusive) {
            if begins.elapsed() > FREE_PATIENCE {
                return Err(stays(error.to_string()));
            }
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}
