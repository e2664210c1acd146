//! How tierd ends: one documented exit code per kind of failure.
//!
//! Owns: [`ExitCode`], [`Failure`] and the only mapping from errors to codes. Invariants: a code
//! never changes its meaning once released, for scripts and units test for it; every code is named
//! in `--help` and in the README, and a test compares them. Codes stay below 64, away from those of
//! sysexits, of shells (126 and up) and of systemd (200 and up).

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::Termination;

use tier_wire::{ErrorBody, ErrorKind};

use crate::config::ConfigError;
use crate::logging::LoggingError;

/// Why the process ended, as scripts and systemd see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// All that was asked for is done.
    Done = 0,
    /// An error that has no code of its own: a defect, or a failure of the operating system.
    Internal = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong. systemd does not restart the daemon on this.
    Config = 3,
    /// Another tierd serves these volumes or the socket, or something else holds a device.
    InUse = 4,
    /// The process lacks a privilege.
    Permission = 5,
    /// The running kernel lacks something that cannot be done without.
    KernelFeature = 6,
    /// A volume, member or name that was asked for does not exist.
    NotFound = 7,
    /// Metadata cannot be read: damaged, or of a newer format.
    MetadataUnreadable = 8,
    /// Metadata was read, and forbids a read-write start: members are missing, it is older than
    /// what was acted on, or it went two ways.
    MetadataRefused = 9,
    /// A device failed, or is not what its label says.
    DeviceFailed = 10,
    /// Some volumes were brought up or settled, but not all.
    Partial = 11,
}

impl ExitCode {
    /// All codes in order.
    pub const ALL: [Self; 12] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Config,
        Self::InUse,
        Self::Permission,
        Self::KernelFeature,
        Self::NotFound,
        Self::MetadataUnreadable,
        Self::MetadataRefused,
        Self::DeviceFailed,
        Self::Partial,
    ];

    /// The number that the parent process sees.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// What it means, for `--help` and the manual.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "internal error, or a failure of the operating system",
            Self::Usage => "wrong command line",
            Self::Config => "wrong configuration",
            Self::InUse => "in use, by another tierd or by something else",
            Self::Permission => "not permitted; tierd needs root",
            Self::KernelFeature => "the kernel lacks a needed feature",
            Self::NotFound => "no such volume or member",
            Self::MetadataUnreadable => "metadata damaged or of a newer format",
            Self::MetadataRefused => "members missing, stale or split: no read-write start",
            Self::DeviceFailed => "a device failed, or is not what its label says",
            Self::Partial => "done for some volumes, not for all",
        }
    }

    /// The list of all codes as `--help` shows it.
    #[must_use]
    pub fn help() -> String {
        let mut text = String::from("Exit codes:\n");
        for code in Self::ALL {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {:>2}  {}", code.number(), code.meaning());
        }
        text
    }
}

impl Termination for ExitCode {
    fn report(self) -> std::process::ExitCode {
        std::process::ExitCode::from(self.number())
    }
}

/// A failure that ends the process: what went wrong, and with which code to say so.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    cause: Box<dyn Error + Send + Sync>,
}

impl Failure {
    /// A failure of this kind with this cause.
    pub fn new(code: ExitCode, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            code,
            cause: cause.into(),
        }
    }

    /// The code to end with.
    #[must_use]
    pub const fn code(&self) -> ExitCode {
        self.code
    }

    /// The error that caused it.
    #[must_use]
    pub fn cause(&self) -> &(dyn Error + 'static) {
        self.cause.as_ref()
    }

    /// The whole chain of causes in one line, without what an outer error has said already.
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = self.cause.to_string();
        let mut next = self.cause.source();
        while let Some(cause) = next {
            let said = cause.to_string();
            if !text.contains(&said) {
                text.push_str(": ");
                text.push_str(&said);
            }
            next = cause.source();
        }
        text
    }

    /// Tells the person at standard error, and gives the code to end with. For use when no log
    /// stands yet, or in commands that people run by hand.
    #[must_use]
    pub fn tell(&self) -> ExitCode {
        let text = self.told_behind(crate::logging::error_prefix());
        // When standard error is gone there is nobody left to tell, and the code still says it.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        self.code
    }

    /// The message as it is told, each of its lines behind this prefix: journald takes each line for
    /// an entry of its own.
    fn told_behind(&self, prefix: &str) -> String {
        let mut text = String::new();
        for line in format!("tierd: {}", self.message()).lines() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{prefix}{line}");
        }
        text
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(ExitCode::Config, error)
    }
}

impl From<LoggingError> for Failure {
    fn from(error: LoggingError) -> Self {
        let code = match error {
            LoggingError::BadFilter { .. } => ExitCode::Usage,
            LoggingError::AlreadySet(_) | LoggingError::Thread(_) => ExitCode::Internal,
        };
        Self::new(code, error)
    }
}

impl From<ErrorKind> for ExitCode {
    /// What the API tells a client by its kind, a process tells its parent by its code.
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Usage,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Exists | ErrorKind::Busy => Self::InUse,
            ErrorKind::Foreign | ErrorKind::Unfit | ErrorKind::Io => Self::DeviceFailed,
            ErrorKind::Degraded => Self::MetadataRefused,
            ErrorKind::Damaged => Self::MetadataUnreadable,
            ErrorKind::Denied => Self::Permission,
            ErrorKind::Unsupported => Self::KernelFeature,
            ErrorKind::NoRoom
            | ErrorKind::Timeout
            | ErrorKind::Unavailable
            | ErrorKind::Internal => Self::Internal,
        }
    }
}

impl From<ErrorBody> for Failure {
    fn from(error: ErrorBody) -> Self {
        let code = error.kind.into();
        match &error.hint {
            Some(hint) => Self::new(code, format!("{}; {hint}", error.message)),
            None => Self::new(code, error),
        }
    }
}

impl From<io::Error> for Failure {
    /// For errors whose message names the thing already. EPERM and EACCES mean that privilege is
    /// missing, whatever was tried.
    fn from(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => ExitCode::Permission,
            io::ErrorKind::AddrInUse => ExitCode::InUse,
            _ => ExitCode::Internal,
        };
        Self::new(code, error)
    }
}

#[cfg(test)]
mod tests;
