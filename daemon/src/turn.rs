//! Taking turns: one process at a time brings volumes up, settles them or takes them down.
//!
//! Owns: the lock that says whose turn it is, and the marks of volumes that a person has stopped.
//! Both lie beside the control socket, below `/run`, and go with the boot. udev calls `tierd
//! activate` at any time, for instance when the daemon closes a member: without turns it would hold
//! a volume for the moment in which the daemon wants to serve it, and without the mark it would
//! bring up what was just stopped.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::beneath::elsewhere;
use crate::config::Config;

/// How long the daemon and `tierd settle` wait for `tierd activate` to be done with a volume. systemd
/// kills a command of `ExecStopPost=` after a minute and a half: settling is to be done by then.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const LOOK: Duration = Duration::from_millis(20);

/// It is this process's turn until this is dropped.
#[derive(Debug)]
#[must_use = "the turn ends when it is dropped"]
pub struct Turn {
    _lock: File,
}

/// Where what goes with the boot lies.
pub(crate) fn directory(config: &Config) -> &Path {
    config.daemon.socket.parent().unwrap_or(Path::new("/run"))
}

fn open(config: &Config) -> io::Result<File> {
    let directory = directory(config);
    let path = directory.join("boot.lock");
    elsewhere(&path)
        .map_err(io::Error::other)
        .and_then(|()| fs::create_dir_all(directory))
        .and_then(|()| {
            let mut options = File::options();
            options.create(true).truncate(false).write(true).open(&path)
        })
        .map_err(|error| {
            let text = format!("cannot open the lock {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        })
}

/// Waits until it is this process's turn.
///
/// # Errors
/// If the lock cannot be made.
pub fn take(config: &Config) -> io::Result<Turn> {
    let lock = open(config)?;
    lock.lock()?;
    Ok(Turn { _lock: lock })
}

/// Waits for a turn, but no longer than this: neither the daemon nor who settles is to hang on another's
/// disk. Who goes on without one is still kept from a volume that another holds, by the members' claims.
pub fn take_within(config: &Config, patience: Duration) -> Option<Turn> {
    let start = Instant::now();
    let lock = open(config)
        .inspect_err(|error| tracing::warn!(%error, "going on out of turn"))
        .ok()?;
    loop {
        match lock.try_lock() {
            Ok(()) => return Some(Turn { _lock: lock }),
            Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                std::thread::sleep(LOOK);
            }
            Err(error) => {
                tracing::warn!(%error, "going on out of turn");
                return None;
            }
        }
    }
}

fn mark(config: &Config, volume: &str) -> PathBuf {
    directory(config).join(format!("stopped-{volume}"))
}

/// Remembers until the next boot that a person has stopped this volume.
///
/// # Errors
/// If the mark cannot be made.
pub fn mark_stopped(config: &Config, volume: &str) -> io::Result<()> {
    File::create(mark(config, volume)).map(drop)
}

/// Forgets that. No mark is fine.
pub fn unmark_stopped(config: &Config, volume: &str) {
    match fs::remove_file(mark(config, volume)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(volume, %error, "the mark of a stopped volume stays");
        }
        _ => {}
    }
}

/// Whether a person has stopped this volume since the boot.
#[must_use]
pub fn is_stopped(config: &Config, volume: &str) -> bool {
    mark(config, volume).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.socket = folder.path().join("run/tierd.sock");
        (folder, config)
    }

    #[test]
    fn a_turn_is_waited_for_and_not_for_ever() {
        let (_folder, config) = config();
        let turn = take(&config).unwrap();
        assert!(take_within(&config, Duration::from_millis(50)).is_none());
        drop(turn);
        assert!(take_within(&config, Duration::ZERO).is_some());
    }

    #[test]
    fn a_mark_lasts_until_it_is_taken_away() {
        let (_folder, config) = config();
        drop(take(&config).unwrap());
        assert!(!is_stopped(&config, "v"));
        mark_stopped(&config, "v").unwrap();
        assert!(is_stopped(&config, "v") && !is_stopped(&config, "w"));
        unmark_stopped(&config, "v");
        unmark_stopped(&config, "v");
        assert!(!is_stopped(&config, "v"));
    }
}
