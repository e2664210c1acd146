//! The daemon's connection to the process that serves a volume, on the daemon's side.
//!
//! Owns: [`Connection`], not yet used, and [`Wire`], in use. Invariant: when the process is gone, the
//! volume's loop is told, once, after all that the process said.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tier_core::event::Event;
use tokio::sync::mpsc;

use super::protocol::{Hello, Opened, Order, PROTOCOL, Stays, Word, hear, say};
use crate::volume::kernel::{KernelThread, Told};
use crate::volume::metadata::{MetadataThread, Published};

/// How long the process is given for its first words.
const GREETING: Duration = Duration::from_secs(10);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    /// Nobody listens.
    #[error("nobody listens on {}: {source}", path.display())]
    Nobody {
        /// Where.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another daemon is connected.
    #[error(
        "another tierd is connected to the process that serves the volume; stop that one first"
    )]
    Busy,
    /// It speaks otherwise.
    #[error(
        "the process that serves the volume speaks version {theirs} of the protocol, and this tierd \
         version {PROTOCOL}; start that process again from the same version (with systemd: `systemctl \
         restart tierd-serve@NAME`), under load if need be"
    )]
    Version {
        /// The version that it speaks.
        theirs: u32,
    },
    /// What it said makes no sense, or it went away.
    #[error("the process that serves the volume, behind {}, is not understood: {source}", path.display())]
    Words {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A connection to the process that serves a volume, which nobody else has.
pub(crate) struct Connection {
    stream: UnixStream,
    from: BufReader<UnixStream>,
}

/// A connection in use.
pub(crate) struct Wire {
    stream: UnixStream,
    reader: JoinHandle<()>,
}

/// What a volume's loop has of a connection.
pub(crate) struct Threads {
    /// Passes on what is asked of the backend.
    pub(crate) kernel: KernelThread,
    /// Passes on what is asked of the metadata.
    pub(crate) metadata: MetadataThread,
    /// The connection, to be closed when both have finished.
    pub(crate) wire: Wire,
}

impl Connection {
    /// Connects to the process behind this socket.
    pub(crate) fn join(path: &Path) -> Result<(Self, Opened), JoinError> {
        let nobody = |source| JoinError::Nobody {
            path: path.to_owned(),
            source,
        };
        let words = |source| JoinError::Words {
            path: path.to_owned(),
            source,
        };
        let stream = UnixStream::connect(path).map_err(nobody)?;
        stream.set_read_timeout(Some(GREETING)).map_err(words)?;
        let mut from = BufReader::new(stream.try_clone().map_err(words)?);
        let gone = || words(io::Error::from(io::ErrorKind::UnexpectedEof));
        let hello: Hello = hear(&mut from).map_err(words)?.ok_or_else(gone)?;
        if hello.protocol != PROTOCOL {
            return Err(JoinError::Version {
                theirs: hello.protocol,
            });
        }
        if !hello.is_free {
            return Err(JoinError::Busy);
        }
        let opened: Opened = hear(&mut from).map_err(words)?.ok_or_else(gone)?;
        stream.set_read_timeout(None).map_err(words)?;
        Ok((Self { stream, from }, opened))
    }

    /// Has the process obey a volume's loop, which hears of it by `told` and `events`.
    pub(crate) fn start(
        self,
        told: mpsc::UnboundedSender<Told>,
        events: mpsc::UnboundedSender<Event>,
        durable: Published,
        volume: &str,
    ) -> io::Result<Threads> {
        let Self { stream, mut from } = self;
        let to = Arc::new(Mutex::new(stream.try_clone()?));
        let orders = Arc::clone(&to);
        let kernel = KernelThread::start_with(move |job| order(&to, &Order::Kernel(job)), volume)?;
        let metadata = MetadataThread::start_with(
            move |job| order(&orders, &Order::Metadata(job)),
            Arc::clone(&durable),
            volume,
        )?;
        let reader = std::thread::Builder::new()
            .name(format!("hear-{volume}"))
            .spawn(move || {
                let ended = listen(&mut from, &told, &events, &durable);
                // A process that was killed leaves what it was told unread.
                let is_killed = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionReset;
                if let Err(error) = ended
                    && !is_killed(&error)
                {
                    tracing::error!(%error, "the process that serves the volume is not understood");
                }
                // The loop ends before this thread when the connection is closed from this side.
                let _ = told.send(Told::Lost);
            })?;
        let wire = Wire { stream, reader };
        Ok(Threads {
            kernel,
            metadata,
            wire,
        })
    }

    /// Has the process take the device down and end. `Ok(None)` if it does.
    pub(crate) fn stop(mut self) -> io::Result<Option<Stays>> {
        say(&self.stream, &Order::Stop)?;
        loop {
            match hear(&mut self.from) {
                Ok(Some(Word::Stays(stays))) => return Ok(Some(stays)),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

impl Wire {
    /// Closes the connection, once all that was ordered is done and told.
    pub(crate) fn close(self) {
        let Self { stream, reader } = self;
        // A process that is gone has closed it.
        let _ = stream.shutdown(Shutdown::Write);
        // A panic in the thread has been reported by the panic hook; nothing is left to do.
        let _ = reader.join();
    }
}

fn order(to: &Mutex<UnixStream>, order: &Order) {
    let to = to.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = say(&*to, order) {
        // The thread that listens says that the process is gone; until the loop has heard of it, it
        // may order much.
        tracing::debug!(%error, "the process that serves the volume does not hear");
    }
}

fn listen(
    from: &mut BufReader<UnixStream>,
    told: &mpsc::UnboundedSender<Told>,
    events: &mpsc::UnboundedSender<Event>,
    durable: &Published,
) -> io::Result<()> {
    while let Some(word) = hear(from)? {
        // The loop ends before this thread when the connection is closed from this side.
        match word {
            Word::Told(one) => drop(told.send(one)),
            Word::Event(event) => drop(events.send(event)),
            Word::Durable(now) => {
                *durable.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            Word::Stays(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::io::Write as _;
    use std::os::unix::net::UnixListener;

    use super::*;

    /// What comes of joining somebody who says this first.
    fn joined(says: &'static str) -> JoinError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(says.as_bytes()).unwrap();
        });
        let joined = Connection::join(&path).err().unwrap();
        server.join().unwrap();
        joined
    }

    #[test]
    fn who_cannot_be_joined_is_told_by_its_first_words() {
        let nobody = Connection::join(Path::new("/nowhere/socket"))
            .err()
            .unwrap();
        assert!(matches!(nobody, JoinError::Nobody { .. }), "{nobody}");
        let busy = joined("{\"protocol\":2,\"is_free\":false}\n");
        assert!(matches!(busy, JoinError::Busy), "{busy}");
        // One of another version may say anything after that.
        let newer = joined("{\"protocol\":3,\"is_free\":true,\"more\":0}\n[1, 2, 3]\n");
        assert!(matches!(newer, JoinError::Version { theirs: 3 }), "{newer}");
        for nonsense in [
            "",
            "hello\n",
            "{\"protocol\":2,\"is_free\":true}\n",
            "{\"protocol\":2,",
        ] {
            let error = joined(nonsense);
            assert!(
                matches!(error, JoinError::Words { .. }),
                "{nonsense}: {error}"
            );
            assert!(error.to_string().contains("socket"), "{error}");
        }
    }
}
