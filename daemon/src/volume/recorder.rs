//! The recorder: writes every event, with its time, to a file from which the engine is replayed.
//!
//! Owns: the file and the thread that writes it. The run loop never waits for the file: where the
//! thread does not keep up, the recording stops at that place and says so, because a recording
//! with a hole replays to something that never happened.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// Lines that may wait for the file.
const QUEUE_MAX: usize = 65_536;

/// Handle of the thread.
pub(super) struct Recorder {
    lines: Option<mpsc::SyncSender<String>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Recorder {
    /// Starts a new recording in `path`, which must not exist: a recording starts with the
    /// engine's first event.
    pub(super) fn start(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        let (lines, queue) = mpsc::sync_channel::<String>(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || {
                let mut file = BufWriter::new(file);
                while let Ok(line) = queue.recv() {
                    file.write_all(line.as_bytes())?;
                    file.write_all(b"\n")?;
                }
                file.flush()
            })?;
        Ok(Self {
            lines: Some(lines),
            thread: Some(thread),
        })
    }

    /// Appends a line. Ends the recording, and says so once, if the file does not keep up.
    pub(super) fn append(&mut self, line: String) {
        let Some(lines) = &self.lines else { return };
        if lines.try_send(line).is_err() {
            tracing::error!("the recording of events ends here: its file could not keep up");
            self.lines = None;
        }
    }

    /// Writes what is queued and closes the file.
    pub(super) fn finish(self) {
        let Self { lines, thread } = self;
        drop(lines);
        if let Some(Ok(Err(error))) = thread.map(JoinHandle::join) {
            tracing::error!(%error, "the recording of events is cut short");
        }
    }
}
