//! The one form in which a request fails.
//!
//! Owns: [`ErrorBody`] and [`ErrorKind`], and the HTTP status of each kind. The exit code of each
//! kind is `tierctl`'s.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request failed. The body of every reply whose status is not 200.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What sort of failure, for programs.
    pub kind: ErrorKind,
    /// What failed, where and why, for people.
    pub message: String,
    /// What to do about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The device or file concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The kernel's error number, where one was behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<i32>,
}

/// Sort of failure. Unless a kind says otherwise, nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The request makes no sense: malformed, or a value that can never be right.
    Invalid,
    /// No such volume, member, move, device or path.
    NotFound,
    /// A volume of that name exists already.
    Exists,
    /// In use: a mounted or open device, a region that is being moved, a change under way.
    Busy,
    /// The device holds someone else's data: a foreign signature or another volume's label.
    Foreign,
    /// The device cannot serve here: read-only, too small, other block size or limits, or not of
    /// the size its label says.
    Unfit,
    /// No room on the target.
    NoRoom,
    /// The volume cannot serve fully: members missing, stale or split, or no metadata replica that
    /// can be written.
    Degraded,
    /// Not allowed.
    Denied,
    /// A device failed. What was changed before is wound back or finished, and the message says so.
    Io,
    /// Metadata is damaged.
    Damaged,
    /// This kernel or build cannot do it.
    Unsupported,
    /// No answer within the deadline. The work goes on; look at the volume's state.
    Timeout,
    /// The daemon is stopping, or has too many requests under way.
    Unavailable,
    /// A fault of the daemon itself.
    Internal,
}

impl ErrorKind {
    /// All kinds.
    pub const ALL: [Self; 15] = [
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
        Self::Internal,
    ];

    /// The HTTP status that a reply of this kind has (RFC 9110; 507 is from RFC 4918).
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid => 400,
            Self::Denied => 403,
            Self::NotFound => 404,
            Self::Exists | Self::Busy | Self::Foreign | Self::Degraded => 409,
            Self::Unfit => 422,
            Self::Io | Self::Damaged | Self::Internal => 500,
            Self::Unsupported => 501,
            Self::Unavailable => 503,
            Self::Timeout => 504,
            Self::NoRoom => 507,
        }
    }
}

impl ErrorBody {
    /// An error with a kind and a message; the rest is added by the `with_` methods.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            device: None,
            errno: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with the device or file concerned.
    #[must_use]
    pub fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    /// The same with the kernel's error number, if there is one
    /// (`std::io::Error::raw_os_error`).
    #[must_use]
    pub const fn with_errno(mut self, errno: Option<i32>) -> Self {
        self.errno = errno;
        self
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ErrorBody {}
