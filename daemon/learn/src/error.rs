//! What can go wrong, said with the file and what to do.

use std::io;
use std::path::PathBuf;

/// Why nothing was learned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// A file cannot be read or written.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds no examples of this version.
    #[error(
        "{} holds no examples that are known here: {why}; name a file that the daemon or this \
         command wrote",
        path.display()
    )]
    NoExamples {
        /// Which file.
        path: PathBuf,
        /// What its beginning shows.
        why: String,
    },
    /// The last example is not whole.
    #[error(
        "{} is torn: its last example begins at byte {offset} and is not whole; the {whole} before \
         it are: cut the file there (truncate --size={offset} FILE) and run this again",
        path.display()
    )]
    Torn {
        /// Which file.
        path: PathBuf,
        /// Where the torn example begins, in bytes.
        offset: u64,
        /// Examples before it.
        whole: u64,
    },
    /// An example makes no sense.
    #[error(
        "the example at byte {offset} of {} makes no sense: {why}; the file is damaged, remove it \
         and let examples be gathered anew",
        path.display()
    )]
    Example {
        /// Which file.
        path: PathBuf,
        /// Where the example begins, in bytes.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
    /// There are not enough examples to learn from and to judge by.
    #[error(
        "{} holds {found} examples to learn from, and {wanted} is the least; let more be gathered",
        path.display()
    )]
    TooFew {
        /// Which file.
        path: PathBuf,
        /// Examples in it.
        found: usize,
        /// How many are wanted.
        wanted: usize,
    },
    /// A file is no model of this version.
    #[error(
        "{} is no model that can be used here: {why}; make one by 'tierd-learn base', or take the \
         one that came with tierd",
        path.display()
    )]
    Model {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The process cannot be made to stand back.
    #[error("cannot {doing}: {source}; run it without --idle, or let it (tierd-learn --help)")]
    Idle {
        /// What was tried.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The arithmetic failed.
    #[error("the training failed: {0}")]
    Training(#[from] candle_core::Error),
    /// The weights went astray.
    #[error("the training went astray: its loss is no number any more; nothing was written")]
    Astray,
}
