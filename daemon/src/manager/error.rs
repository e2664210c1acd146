//! From what went wrong inside to what a client is told: kind, sentence, hint, device, errno.

use tier_store::refusal::OpenError;
use tier_sys::block::BlockError;
use tier_wire::{ErrorBody, ErrorKind};

use crate::backend::BackendError;
use crate::exit::ExitCode;
use crate::model::{ModelError, RegistryError};
use crate::serve::{JoinError, LaunchError};
use crate::volume::assemble::AssembleError;

/// An error with all its causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
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

/// An error that says nothing to a client but its text.
pub(super) fn internal(error: &dyn std::error::Error) -> ErrorBody {
    ErrorBody::new(ErrorKind::Internal, chain(error))
}

/// Something that does not exist.
pub(super) fn no_volume(name: &str) -> ErrorBody {
    ErrorBody::new(ErrorKind::NotFound, format!("there is no volume {name}"))
        .with_hint("`tierctl volume list` shows the volumes that were found")
}

/// A volume that would have to run for this.
pub(super) fn not_running(name: &str) -> ErrorBody {
    ErrorBody::new(
        ErrorKind::Unavailable,
        format!("volume {name} does not run"),
    )
    .with_hint(format!("start it with `tierctl volume start {name}`"))
}

/// What a failed start is for a client.
pub(crate) fn to_body(error: &AssembleError) -> ErrorBody {
    match error {
        AssembleError::NotFound(_) => ErrorBody::new(ErrorKind::NotFound, chain(error)),
        AssembleError::Twice { .. } => ErrorBody::new(ErrorKind::Degraded, chain(error)),
        AssembleError::Name(_) => ErrorBody::new(ErrorKind::Damaged, chain(error)),
        AssembleError::Held { .. }
        | AssembleError::OnUblk { .. }
        | AssembleError::PerhapsOnUblk { .. } => ErrorBody::new(ErrorKind::Busy, chain(error)),
        AssembleError::Backend(backend) => of_backend(backend),
        AssembleError::Device(device) => of_device(device),
        AssembleError::Store(store) => of_store(store),
        AssembleError::Mark(_) | AssembleError::Record(_) => {
            ErrorBody::new(ErrorKind::Io, chain(error))
        }
        AssembleError::Launch(launch) => of_launch(launch),
    }
}

/// What a failure of the backend is for a client.
pub(super) fn of_backend(error: &BackendError) -> ErrorBody {
    let kind = match error {
        BackendError::Unavailable { .. } => ErrorKind::Unsupported,
        BackendError::InUse { .. } => ErrorKind::Busy,
        BackendError::Kernel { source, .. } if source.raw_os_error() == Some(libc::EBUSY) => {
            ErrorKind::Busy
        }
        BackendError::HoldTimedOut { .. } => ErrorKind::Timeout,
        BackendError::Foreign { .. } => ErrorKind::Foreign,
        BackendError::Mismatch { .. } | BackendError::Layout(_) => ErrorKind::Damaged,
        BackendError::NotRunning { .. } => ErrorKind::Unavailable,
        _ => ErrorKind::Io,
    };
    ErrorBody::new(kind, chain(error)).with_errno(error.errno())
}

/// What a failure about models is for a client.
pub(super) fn of_model(error: &ModelError) -> ErrorBody {
    let kind = match error {
        ModelError::Registry(RegistryError::NoSuchModel { .. }) => ErrorKind::NotFound,
        ModelError::Registry(RegistryError::NothingOlder { .. }) => ErrorKind::Invalid,
        ModelError::State(_) | ModelError::Registry(RegistryError::State(_)) => ErrorKind::Io,
        ModelError::Registry(RegistryError::Index { .. }) => ErrorKind::Damaged,
        ModelError::Training => ErrorKind::Busy,
        ModelError::Off
        | ModelError::Network(_)
        | ModelError::TooFew { .. }
        | ModelError::Program { .. }
        | ModelError::Place(..)
        | ModelError::Registry(RegistryError::Unusable(_)) => ErrorKind::Unavailable,
        ModelError::Late => ErrorKind::Timeout,
        ModelError::Died => ErrorKind::Internal,
    };
    ErrorBody::new(kind, chain(error))
}

/// What a failure of a device is for a client.
pub(super) fn of_device(error: &BlockError) -> ErrorBody {
    let kind = match error.errno() {
        Some(libc::EBUSY) => ErrorKind::Busy,
        Some(libc::EPERM | libc::EACCES) => ErrorKind::Denied,
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => ErrorKind::NotFound,
        _ => ErrorKind::Io,
    };
    ErrorBody::new(kind, chain(error)).with_errno(error.errno())
}

/// What a failure of the process that serves a volume on ublk is for a client.
pub(super) fn of_launch(error: &LaunchError) -> ErrorBody {
    let kind = match error {
        LaunchError::InUse(_) | LaunchError::Join(JoinError::Busy) => ErrorKind::Busy,
        LaunchError::Join(_) | LaunchError::Start { .. } | LaunchError::Mute { .. } => {
            ErrorKind::Unavailable
        }
        LaunchError::Said { code, .. } => of_code(*code),
        LaunchError::Stays { .. } => ErrorKind::Io,
    };
    ErrorBody::new(kind, chain(error))
}

/// What another process of tierd ended as: the way back from [`ExitCode`]'s own reading of kinds.
const fn of_code(code: ExitCode) -> ErrorKind {
    match code {
        ExitCode::InUse => ErrorKind::Busy,
        ExitCode::Permission => ErrorKind::Denied,
        ExitCode::KernelFeature => ErrorKind::Unsupported,
        ExitCode::NotFound => ErrorKind::NotFound,
        ExitCode::MetadataUnreadable => ErrorKind::Damaged,
        ExitCode::MetadataRefused => ErrorKind::Degraded,
        _ => ErrorKind::Io,
    }
}

fn of_store(error: &OpenError) -> ErrorBody {
    let kind = match error {
        OpenError::NoDevices => ErrorKind::NotFound,
        OpenError::NewerFormat { .. } => ErrorKind::Unsupported,
        OpenError::Missing { .. }
        | OpenError::Split { .. }
        | OpenError::Behind { .. }
        | OpenError::ActedOn { .. } => ErrorKind::Degraded,
        OpenError::Size { .. } | OpenError::BlockSize { .. } => ErrorKind::Unfit,
        OpenError::OtherVolume { .. } | OpenError::SameMember { .. } => ErrorKind::Foreign,
        OpenError::NotWritable { .. } | OpenError::NoLabelWritable { .. } => ErrorKind::Io,
        _ => ErrorKind::Damaged,
    };
    ErrorBody::new(kind, chain(error))
}
