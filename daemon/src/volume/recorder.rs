//! The recorder: writes every event, with its time, to a file from which the engine is replayed.
//!
//! Owns: the file and the thread that opens and writes it. The run loop never waits for the file:
//! where the thread does not keep up, the recording stops at that place and says so, because a
//! recording with a hole replays to something that never happened. A start and a stop wait for it a
//! little only, and on a volume of tierd nothing is recorded: the daemon must not wait for what only
//! it can free, and what it wrote would be counted as demand.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::beneath::{BeneathError, elsewhere};

/// Lines that may wait for the file.
const QUEUE_MAX: usize = 65_536;

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// The file would lie on a volume, or nobody can tell.
    #[error("{0}; name a file elsewhere (record.events)")]
    Place(#[from] BeneathError),
    /// The file cannot be made.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There can be no thread.
    #[error("its thread cannot be started: {0}")]
    Thread(#[from] io::Error),
    /// The file was not opened in time.
    #[error("{path} does not answer")]
    Late {
        /// Which.
        path: PathBuf,
    },
}

/// Handle of the thread.
pub(super) struct Recorder {
    lines: Option<mpsc::SyncSender<String>>,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Makes the file, which must not exist: a recording starts with the engine's first event.
fn make(path: &Path) -> Result<Box<dyn Write>, RecordError> {
    elsewhere(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(path).map_err(|source| RecordError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(Box::new(file))
}

fn write(file: impl Write, queue: &mpsc::Receiver<String>) -> io::Result<()> {
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
}

impl Recorder {
    /// Starts a new recording in `path`, unless it is not begun within `patience`.
    pub(super) async fn start(path: &Path, patience: Duration) -> Result<Self, RecordError> {
        Self::start_with(make, path, patience).await
    }

    async fn start_with(
        make: impl FnOnce(&Path) -> Result<Box<dyn Write>, RecordError> + Send + 'static,
        path: &Path,
        patience: Duration,
    ) -> Result<Self, RecordError> {
        let (lines, queue) = mpsc::sync_channel::<String>(QUEUE_MAX);
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let to = path.to_owned();
        std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || {
                let (file, outcome) = match make(&to) {
                    Ok(file) => (Some(file), Ok(())),
                    Err(error) => (None, Err(error)),
                };
                let is_awaited = tell.send(outcome).is_ok();
                let Some(file) = file else { return };
                if !is_awaited {
                    // An empty file would be in the way of the next recording.
                    let _ = std::fs::remove_file(to);
                    return;
                }
                // Nobody may be left to be told.
                let _ = end.send(write(file, &queue));
            })?;
        let path = path.to_owned();
        match timeout(patience, told).await {
            Ok(Ok(outcome)) => outcome?,
            Ok(Err(_)) | Err(_) => return Err(RecordError::Late { path }),
        }
        Ok(Self {
            lines: Some(lines),
            ended,
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

    /// Writes what is queued and closes the file. Waits for that, but not for a file that does not
    /// answer. Tells whether it was done.
    pub(super) async fn finish(self, patience: Duration) -> bool {
        let Self { lines, ended } = self;
        drop(lines);
        let error = match timeout(patience, ended).await {
            Ok(Ok(Ok(()))) => return true,
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(_)) => "its thread has died".to_owned(),
            Err(_) => "its file does not answer".to_owned(),
        };
        tracing::error!(error, "the recording of events is cut short");
        false
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use std::time::Instant;

    use tier_core::event::Event;
    use tier_core::record::{decode, encode};
    use tier_core::units::Now;

    use super::*;
    use crate::patience::PATIENCE;

    #[tokio::test]
    async fn a_recording_is_whole_lines_and_in_the_file_before_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let mut recorder = Recorder::start(&path, PATIENCE).await.unwrap();
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
        assert!(recorder.finish(PATIENCE).await);
        let text = read();
        let lines = text.lines().enumerate();
        let times: Vec<Now> = lines
            .map(|(at, line)| decode(at + 1, line).unwrap().now)
            .collect();
        assert_eq!(times, [Now(0), Now(1), Now(2)]);
        assert!(
            Recorder::start(&path, PATIENCE).await.is_err(),
            "a recording is written over"
        );
    }

    /// A file that answers when it is let.
    struct Mute(mpsc::Receiver<()>);

    impl Write for Mute {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // Nobody is left to let it: it answers.
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_file_that_does_not_open_is_not_waited_for_and_not_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        let (answer, answers) = mpsc::channel::<()>();
        let (gone, is_gone) = mpsc::channel::<()>();
        let slow = move |path: &Path| {
            let _gone = gone;
            let _ = answers.recv();
            make(path)
        };
        let started = Recorder::start_with(slow, &path, Duration::ZERO).await;
        assert!(matches!(started, Err(RecordError::Late { .. })));
        drop(answer);
        assert!(is_gone.recv().is_err());
        // The thread looks for who awaits it after that; a next recording can begin in the end.
        while Recorder::start(&path, PATIENCE).await.is_err() {
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn a_stop_waits_for_the_file_while_others_work_and_not_for_ever() {
        let path = Path::new("/a/file");
        for patience in [PATIENCE, Duration::ZERO] {
            let (answer, answers) = mpsc::channel();
            let mute = |_: &Path| Ok(Box::new(Mute(answers)) as Box<dyn Write>);
            let mut recorder = Recorder::start_with(mute, path, PATIENCE).await.unwrap();
            recorder.append("a line\n".to_owned());
            if patience.is_zero() {
                assert!(!recorder.finish(patience).await);
                continue;
            }
            let other = async { answer.send(()).unwrap() };
            let (is_done, ()) = tokio::join!(recorder.finish(patience), other);
            assert!(is_done);
        }
    }
}
