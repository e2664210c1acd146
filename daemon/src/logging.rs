//! Where the log goes.
//!
//! Owns: [`Level`], [`Format`], the choice between them, and the subscriber of the process.
//! Invariants: **writing a log line never waits.** The journal may lie on a volume whose writes are
//! parked until this very daemon answers, and a daemon that waits for the journal then would never
//! answer. So lines go through a bounded queue to a thread that writes them; when the queue is
//! full, lines are dropped and counted ([`LogGuard::dropped_lines`]).
//!
//! Under systemd, standard error is a stream to journald (`JOURNAL_STREAM`, systemd.exec(5)). Lines
//! are then sent with their priority in front (`<4>`, sd-daemon(3)), so that `journalctl -p` works,
//! and without a time of their own. journald's datagram protocol would carry fields, but the
//! crate for it sends from the thread that logs, and waits when the socket is full.

mod format;

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt};

use self::format::PriorityFormat;

/// How much is logged.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Only what needs a person at once.
    Error,
    /// And what a person should look at.
    Warn,
    /// And what changed: volumes, moves, members.
    #[default]
    Info,
    /// And why things were decided.
    Debug,
    /// And every step.
    Trace,
}

impl Level {
    /// The name by which files, the command line and filters call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// In which form lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For journald when standard error leads there, else text.
    #[default]
    Auto,
    /// A line with time, level and fields, for people.
    Text,
    /// One JSON object a line, for collectors.
    Json,
    /// A line with its priority in front, for journald.
    Journal,
}

/// Environment variable with a filter, as in `info,tierd::backend=debug`.
pub const FILTER_VARIABLE: &str = "TIERD_LOG";

/// What libraries say too much of for the level that they say it on. ONNX Runtime logs about a
/// hundred lines a session at `info`.
const QUIET: &str = "ort=warn,hyper=warn,hyper_util=warn,h2=warn,axum=warn";

/// Lines that wait for the writing thread at most: at 200 bytes each, under 2 MiB.
const QUEUE_LINES: usize = 8192;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be understood.
    #[error("{FILTER_VARIABLE}={text:?} is no log filter such as \"info,tierd::backend=debug\"")]
    BadFilter {
        /// The filter.
        text: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// A subscriber was set before.
    #[error("the log of the process is set already")]
    AlreadySet(#[source] TryInitError),
    /// The thread that writes cannot be started.
    #[error("cannot start the thread that writes the log")]
    Thread(#[source] io::Error),
}

/// Keeps the log alive. Dropping it writes out what is queued, waiting a second at most.
#[must_use = "without it, lines logged last are lost"]
#[derive(Debug)]
pub struct LogGuard {
    _worker: WorkerGuard,
    dropped: ErrorCounter,
}

impl LogGuard {
    /// Lines that were dropped because the queue was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        u64::try_from(self.dropped.dropped_lines()).unwrap_or(u64::MAX)
    }
}

/// Sets the log of this process up: standard error, in the given form. The level of the command
/// line wins over `TIERD_LOG`, which wins over the configuration's.
pub fn init(
    command_line: Option<Level>,
    configured: Level,
    format: Format,
) -> Result<LogGuard, LoggingError> {
    let variable = std::env::var(FILTER_VARIABLE).ok();
    let filter = filter(command_line, variable.as_deref(), configured)?;
    let format = match format {
        Format::Auto
            if leads_to_journal(io::stderr(), std::env::var_os("JOURNAL_STREAM").as_deref()) =>
        {
            Format::Journal
        }
        Format::Auto => Format::Text,
        chosen => chosen,
    };
    let (writer, worker) = queue(io::stderr());
    let guard = LogGuard {
        dropped: writer.error_counter(),
        _worker: worker,
    };
    subscriber(writer, format, filter)
        .try_init()
        .map_err(LoggingError::AlreadySet)?;
    Ok(guard)
}

fn queue(writer: impl io::Write + Send + 'static) -> (NonBlocking, WorkerGuard) {
    NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(QUEUE_LINES)
        .thread_name("tierd-log")
        .finish(writer)
}

fn subscriber(
    writer: NonBlocking,
    format: Format,
    filter: EnvFilter,
) -> Box<dyn tracing::Subscriber + Send + Sync> {
    let registry = Registry::default().with(filter);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(false);
    match format {
        Format::Json => Box::new(registry.with(lines.json().flatten_event(true))),
        Format::Journal => Box::new(registry.with(lines.event_format(PriorityFormat::default()))),
        Format::Auto | Format::Text => Box::new(registry.with(lines)),
    }
}

fn filter(
    command_line: Option<Level>,
    variable: Option<&str>,
    configured: Level,
) -> Result<EnvFilter, LoggingError> {
    let wanted = match (command_line, variable) {
        (Some(level), _) => level.name(),
        (None, Some(text)) if !text.trim().is_empty() => text,
        (None, _) => configured.name(),
    };
    // What is wanted comes last, so that it can say more of a library than QUIET does.
    let text = format!("{QUIET},{wanted}");
    EnvFilter::try_new(text).map_err(|source| LoggingError::BadFilter {
        text: wanted.to_owned(),
        source,
    })
}

/// What goes before each line of an error that is written to standard error past the log: the
/// priority, where it leads to journald, and nothing for a person.
#[must_use]
pub fn error_prefix() -> &'static str {
    if leads_to_journal(io::stderr(), std::env::var_os("JOURNAL_STREAM").as_deref()) {
        format::priority(tracing::Level::ERROR)
    } else {
        ""
    }
}

/// Whether this stream is the one that systemd connected to journald. `JOURNAL_STREAM` holds its
/// device and inode number; it is inherited, so that it says nothing once the stream was
/// redirected (systemd.exec(5)).
fn leads_to_journal(stream: impl AsFd, variable: Option<&OsStr>) -> bool {
    let wanted = variable.and_then(|value| value.to_str()).and_then(|value| {
        let (device, inode) = value.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    });
    let Some((device, inode)) = wanted else {
        return false;
    };
    nix::sys::stat::fstat(stream).is_ok_and(|stat| stat.st_dev == device && stat.st_ino == inode)
}

#[cfg(test)]
mod tests;
