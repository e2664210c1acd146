//! The process that trains: `tierd-learn`, started, watched, and ended.
//!
//! Owns: [`Training`], one run of it. It lowers itself (`--idle`) and is the first to go when memory
//! is short; a daemon that ends takes it along.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde::Deserialize;

/// The exit code of `tierd-learn` that learned nothing better.
const NOT_BETTER: i32 = 10;
/// Adjustment of `oom_score_adj` (proc(5)) that makes a process the first to go. The daemon's own,
/// which a child inherits, makes it the last.
const FIRST_TO_GO: &str = "1000";
/// Characters of its last words that are kept.
const LAST_WORDS_MAX: usize = 400;

/// What it says of a model, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Judged {
    /// Examples by which.
    pub(super) examples: u64,
    /// Mean loss by horizon.
    pub(super) network: Vec<f64>,
    /// The naive forecast's.
    pub(super) naive: Vec<f64>,
}

/// What it says at its end.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Told {
    /// Of the model it went on from.
    pub(super) old: Judged,
    /// Of the new one.
    pub(super) new: Judged,
    /// Why the new one was not written, if it was not.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trained {
    /// The new model is in the file.
    Better(Told),
    /// Nothing better was learned.
    NotBetter(Told),
    /// It failed, for this reason.
    Failed(String),
}

/// A training under way.
#[derive(Debug)]
pub(super) struct Training {
    child: Child,
    /// Where the new model goes.
    pub(super) out: PathBuf,
    /// The model it goes on from.
    pub(super) from: u32,
}

impl Training {
    /// Starts the program on a model and examples.
    pub(super) fn start(
        program: &Path,
        (from, model): (u32, &Path),
        examples: &Path,
        out: PathBuf,
    ) -> io::Result<Self> {
        let child = Command::new(program)
            .args(["--json", "--quiet", "--idle", "retrain", "--model"])
            .arg(model)
            .arg("--examples")
            .arg(examples)
            .arg("--out")
            .arg(&out)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let training = Self { child, out, from };
        // Where it cannot be said, the process is still idle and bounded.
        if let Err(error) = training.first_to_go() {
            tracing::debug!(%error, "oom_score_adj of the training could not be set");
        }
        Ok(training)
    }

    fn first_to_go(&self) -> io::Result<()> {
        let path = format!("/proc/{}/oom_score_adj", self.child.id());
        fs::write(path, FIRST_TO_GO)
    }

    /// How it ended, if it has. What it prints is far less than a pipe holds.
    pub(super) fn ended(&mut self) -> Option<Trained> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.told(status)),
            Err(error) => Some(Trained::Failed(format!("it cannot be watched: {error}"))),
        }
    }

    fn told(&mut self, status: ExitStatus) -> Trained {
        let mut said = String::new();
        if let Some(stdout) = &mut self.child.stdout {
            // What cannot be read is not what it should be, which is told below.
            let _ = stdout.read_to_string(&mut said);
        }
        let code = status.code();
        if code != Some(0) && code != Some(NOT_BETTER) {
            return Trained::Failed(self.last_words(status));
        }
        match serde_json::from_str(&said) {
            Ok(told) if code == Some(0) => Trained::Better(told),
            Ok(told) => Trained::NotBetter(told),
            Err(error) => Trained::Failed(format!("what it told is not understood: {error}")),
        }
    }

    fn last_words(&mut self, status: ExitStatus) -> String {
        let mut words = String::new();
        if let Some(stderr) = &mut self.child.stderr {
            let _ = stderr.read_to_string(&mut words);
        }
        let words: String = words.trim().chars().take(LAST_WORDS_MAX).collect();
        if words.is_empty() {
            status.to_string()
        } else {
            words
        }
    }
}

impl Drop for Training {
    fn drop(&mut self) {
        // It has ended already, or ends now; its file is removed by who gave its name.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
