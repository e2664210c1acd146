//! The exit codes: one for each kind of failure.
//!
//! Owns: [`Exit`]. Invariant: a code, once released, keeps its meaning.

use std::process::ExitCode;

use tier_wire::ErrorKind;

/// How a run of tierctl ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done = 0,
    Internal = 1,
    Usage = 2,
    Invalid = 3,
    NotFound = 4,
    Exists = 5,
    Busy = 6,
    Foreign = 7,
    Unfit = 8,
    NoRoom = 9,
    Degraded = 10,
    Denied = 11,
    Io = 12,
    Damaged = 13,
    Unsupported = 14,
    Timeout = 15,
    Unavailable = 16,
    NotRunning = 17,
    Protocol = 18,
    Declined = 19,
    MoveFailed = 20,
    Output = 21,
}

impl Exit {
    /// All codes in order.
    pub(crate) const ALL: [Self; 22] = [
        Self::Done,
        Self::Internal,
        Self::Usage,
        Self::Invalid,
        Self::NotFound,
        Self::Exists,
        Self::Busy,
        Self::Foreign,
        Self::Unfit,
        Self::NoRoom,
        Self::Degraded,
        Self::Denied,
        Self::Io,
        Self::Damaged,
        Self::Unsupported,
        Self::Timeout,
        Self::Unavailable,
        Self::NotRunning,
        Self::Protocol,
        Self::Declined,
        Self::MoveFailed,
        Self::Output,
    ];

    /// What it means, for the help.
    pub(crate) const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Internal => "a fault of tierd or tierctl itself",
            Self::Usage => "unknown verb or option, or one is missing",
            Self::Invalid => "a value that cannot be right",
            Self::NotFound => "no such volume, member, move or device",
            Self::Exists => "a volume of that name exists already",
            Self::Busy => "in use: a mounted device, a region that is being moved",
            Self::Foreign => "the device holds someone else's data",
            Self::Unfit => "the device cannot serve here: read-only, too small, other block size",
            Self::NoRoom => "no room on the target",
            Self::Degraded => "members or metadata replicas are missing, stale or split",
            Self::Denied => "not allowed; most verbs need root",
            Self::Io => "a device or file failed",
            Self::Damaged => "metadata is damaged, or a check found faults",
            Self::Unsupported => "this kernel or build cannot do it",
            Self::Timeout => "no answer in time; the work may go on",
            Self::Unavailable => "tierd is stopping or has too much to do",
            Self::NotRunning => "no tierd listens on the socket",
            Self::Protocol => "the answer was not understood; versions differ?",
            Self::Declined => "not confirmed; nothing was changed",
            Self::MoveFailed => "a move that was waited for did not come to its end",
            Self::Output => "the output could not be written",
        }
    }

    /// The table that `--help` ends with.
    pub(crate) fn table() -> String {
        let mut text = String::from("Exit codes:\n");
        for exit in Self::ALL {
            text += &format!("  {:>2}  {}\n", exit as u8, exit.meaning());
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<ErrorKind> for Exit {
    fn from(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Invalid => Self::Invalid,
            ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Exists => Self::Exists,
            ErrorKind::Busy => Self::Busy,
            ErrorKind::Foreign => Self::Foreign,
            ErrorKind::Unfit => Self::Unfit,
            ErrorKind::NoRoom => Self::NoRoom,
            ErrorKind::Degraded => Self::Degraded,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Io => Self::Io,
            ErrorKind::Damaged => Self::Damaged,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Timeout => Self::Timeout,
            ErrorKind::Unavailable => Self::Unavailable,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_listed_in_order_without_gaps() {
        for (position, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(position, exit as usize);
        }
    }

    #[test]
    fn every_kind_of_the_api_has_a_code_of_its_own() {
        let mut codes: Vec<u8> = ErrorKind::ALL
            .into_iter()
            .map(|kind| Exit::from(kind) as u8)
            .collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
        assert!(!codes.contains(&0));
    }
}
