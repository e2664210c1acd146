//! Members looked at without tierd.
//!
//! Owns: opening devices for the offline verbs, and what their failures are called. Invariant:
//! devices are opened for reading only, so that nothing here can write.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use tier_store::device::DeviceDisk;
use tier_store::label::LabelError;
use tier_store::refusal::OpenError;
use tier_store::storage::Disk;
use tier_sys::block::{Access, BlockError};

use crate::exit::Exit;
use crate::failure::Failure;

/// The devices of an offline verb.
#[derive(Args, Debug)]
pub(crate) struct Devices {
    /// The members of one volume: block devices, or images of them
    #[arg(value_name = "DEVICE", required = true)]
    paths: Vec<PathBuf>,
}

impl Devices {
    /// Opens them all for reading.
    pub(crate) fn open(&self) -> Result<Vec<Disk>, Failure> {
        let open = |path: &PathBuf| {
            let disk = DeviceDisk::open(path, Access::ReadOnly)
                .map_err(|error| not_opened(&error).with_device(path.display().to_string()))?;
            Ok(Arc::new(disk) as Disk)
        };
        self.paths.iter().map(open).collect()
    }
}

fn not_opened(error: &BlockError) -> Failure {
    let exit = match error {
        BlockError::NotADevice { .. } => Exit::Invalid,
        BlockError::Open { source, .. } => match source.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::PermissionDenied => Exit::Denied,
            ErrorKind::ResourceBusy => Exit::Busy,
            _ => Exit::Io,
        },
        _ => Exit::Io,
    };
    Failure::new(exit, error.to_string()).with_errno(error.errno())
}

/// Why a volume cannot be read from its devices.
pub(crate) fn not_readable(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::NoDevices | OpenError::OtherVolume { .. } | OpenError::SameMember { .. } => {
            Exit::Invalid
        }
        OpenError::Label(LabelError::Absent { .. }) => Exit::NotFound,
        OpenError::Label(LabelError::NewerFormat { .. }) | OpenError::NewerFormat { .. } => {
            Exit::Unsupported
        }
        OpenError::Label(LabelError::Storage(_)) => Exit::Io,
        OpenError::Label(LabelError::Unfit { .. })
        | OpenError::Size { .. }
        | OpenError::BlockSize { .. } => Exit::Unfit,
        OpenError::Split { .. } | OpenError::Behind { .. } | OpenError::Missing { .. } => {
            Exit::Degraded
        }
        _ => Exit::Damaged,
    };
    Failure::new(exit, error.to_string())
}
