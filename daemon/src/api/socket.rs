//! The socket: one daemon on it, root alone may use it, and a dead daemon's file is in nobody's way.
//!
//! Owns: the socket file and the lock file beside it. Invariants: the lock is held as long as the
//! socket may be there, so that of two daemons that start at once only one gets it; the socket
//! appears under its name with its mode already set.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::future::IntoFuture;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use tokio::net::UnixListener;

use crate::beneath::elsewhere;

/// How long requests under way may still take once the daemon is told to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Mode of the socket and of its lock: the owner alone, which is root.
const MODE: u32 = 0o600;

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another daemon has the socket.
    #[error(
        "another tierd{by} serves {}; stop it, or give this one a socket of its own",
        socket.display()
    )]
    InUse {
        /// The socket.
        socket: PathBuf,
        /// Its process, as text to stand after the name, if that is known.
        by: String,
    },
    /// Something else than a socket has its name.
    #[error("{} exists and is no socket; remove it, or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// It would lie on a volume, or nobody can tell.
    #[error("{why}; name a socket elsewhere (daemon.socket)")]
    Place {
        /// What lies where.
        why: String,
    },
    /// The file system or the kernel refused.
    #[error("cannot {verb} {}: {source}", path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A bound socket that only this daemon has.
#[derive(Debug)]
pub struct ControlSocket {
    listener: UnixListener,
    claim: Claim,
}

/// The right to the socket's name. Dropping it removes the socket, then unlocks.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(socket = %self.path.display(), %error, "socket not removed");
        }
    }
}

impl ControlSocket {
    /// Binds the socket at `path`, whose directory is made if it is missing. A file that a dead
    /// daemon left is replaced; a live daemon's is refused. Needs a tokio runtime.
    pub fn bind(path: &Path) -> Result<Self, SocketError> {
        let failed = |verb, path: &Path| {
            let path = path.to_owned();
            move |source| SocketError::Io { verb, path, source }
        };
        elsewhere(path).map_err(|error| SocketError::Place {
            why: error.to_string(),
        })?;
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed("create directory", directory))?;
        }
        let lock = take_lock(path)?;
        refuse_live_or_foreign(path)?;

        // Bound under another name and renamed, so that nobody meets it before its mode is set,
        // and so that the stale file is replaced in one step.
        let fresh = with_suffix(path, ".new");
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(failed("remove", &fresh)(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&fresh).map_err(failed("listen on", &fresh))?;
        std::fs::set_permissions(&fresh, Permissions::from_mode(MODE))
            .map_err(failed("set the mode of", &fresh))?;
        std::fs::rename(&fresh, path).map_err(failed("put in place", path))?;
        Ok(Self {
            listener,
            claim: Claim {
                path: path.to_owned(),
                _lock: lock,
            },
        })
    }
}

/// Serves until `stop` completes; requests under way then have 5 s to end. The socket is removed at
/// the end.
pub async fn serve(
    socket: ControlSocket,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let ControlSocket {
        listener,
        claim: _claim,
    } = socket;
    let (stopping, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        drop(stopping);
    });
    let grace_is_over = async {
        let _ = (&mut stopped).await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        result = server.into_future() => result,
        () = grace_is_over => Ok(()),
    }
}

/// Locks the file beside the socket and writes this process into it.
fn take_lock(socket: &Path) -> Result<File, SocketError> {
    let path = with_suffix(socket, ".lock");
    let failed = |verb| {
        let path = path.clone();
        move |source| SocketError::Io { verb, path, source }
    };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(MODE)
        .open(&path)
        .map_err(failed("open"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let by = match file.read_to_string(&mut holder) {
                Ok(_) if !holder.trim().is_empty() => format!(" (process {})", holder.trim()),
                _ => String::new(),
            };
            return Err(SocketError::InUse {
                socket: socket.to_owned(),
                by,
            });
        }
        Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(failed("write"))?;
    Ok(file)
}

/// Refuses a path where something answers (a daemon whose lock file was removed) or that is not a
/// socket at all.
fn refuse_live_or_foreign(path: &Path) -> Result<(), SocketError> {
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(SocketError::Io {
                verb: "look at",
                path: path.to_owned(),
                source,
            });
        }
    };
    if !metadata.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(SocketError::InUse {
            socket: path.to_owned(),
            by: String::new(),
        }),
        // What connect(2) gives for a socket file that no process listens on.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SocketError::Io {
            verb: "connect to",
            path: path.to_owned(),
            source,
        }),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
