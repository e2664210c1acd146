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
                    while let Ok(line) = queue.try_recv() {
                        file.write_all(line.as_bytes())?;
                    }
                    // What led to the daemon's death is what one wants to replay.
                    file.flush()?;
                }
                Ok(())
            })?;
        Ok(Self {
            lines: Some(lines),
            thread: Some(thread),
        })
    }

    /// Appends a line, which has its line end. Ends the recording, and says so once, if the file does not keep up.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::time::{Duration, Instant};

    use tier_core::event::Event;
    use tier_core::record::{decode, encode};
    use tier_core::units::Now;

    use super::*;

    #[test]
    fn a_recording_is_whole_lines_and_in_the_file_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut recorder = Recorder::start(&path).unwrap();
        for now in 0..3 {
            recorder.append(encode(Now(now), &Event::Tick).unwrap());
        }
        let start = Instant::now();
        let read = || std::fs::read_to_string(&path).unwrap();
        while read().lines().count() < 3 {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "nothing is written before the recorder ends"
            );
            std::thread::yield_now();
        }
        recorder.finish();
        let text = read();
        let lines = text.lines().enumerate();
        let times: Vec<Now> = lines
            .map(|(at, line)| decode(at + 1, line).unwrap().now)
            .collect();
        assert_eq!(times, [Now(0), Now(1), Now(2)]);
        assert!(
            Recorder::start(&path).is_err(),
            "a recording is written over"
        );
    }
}
