//! Why a verb failed, and the exit code that says so.
//!
//! Owns: [`Failure`], the one error of tierctl.

use serde::Serialize;
use tier_wire::ErrorBody;

use crate::exit::Exit;

/// What failed, why, and what to do.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Failure {
    /// The exit code, as a number.
    #[serde(rename = "exit_code", serialize_with = "as_number")]
    pub(crate) exit: Exit,
    /// What failed, where and why.
    pub(crate) message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// The device or file concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device: Option<String>,
    /// The kernel's error number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) errno: Option<i32>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            device: None,
            errno: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn with_device(mut self, device: impl Into<String>) -> Self {
        self.device = Some(device.into());
        self
    }

    pub(crate) const fn with_errno(mut self, errno: Option<i32>) -> Self {
        self.errno = errno;
        self
    }
}

impl From<ErrorBody> for Failure {
    fn from(error: ErrorBody) -> Self {
        Self {
            exit: error.kind.into(),
            message: error.message,
            hint: error.hint,
            device: error.device,
            errno: error.errno,
        }
    }
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}
