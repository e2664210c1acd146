//! Owns: every device-mapper call, by name, with errors that say what was tried on which device.
//!
//! Two doors to the same kernel interface: the `devicemapper` crate for what is done at leisure,
//! and `tier_sys::dm` for suspend, resume, status, clear and removal, since the crate allocates in
//! each call and waits for udev after a resume or a removal, for ever if udev does not answer.

use std::io;

use devicemapper::{DM, DevId, DmError, DmFlags, DmName, DmOptions, DmUuid, errors};
use tier_core::event::MirrorState;
use tier_sys::block::DeviceNumber;
use tier_sys::dm::UdevRules;

use super::calls::Calls;
use super::status::parse_mirror_status;
use super::table::{Line, Segment, difference};
use crate::backend::BackendError;
use crate::stop_point;

/// What the kernel says of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Info {
    pub(crate) number: DeviceNumber,
    pub(crate) uuid: Option<String>,
    pub(crate) suspended: bool,
    pub(crate) has_table: bool,
    pub(crate) has_loaded_table: bool,
    pub(crate) open_count: i32,
}

/// A device in the kernel's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) number: DeviceNumber,
    /// Grows with each event of the device.
    pub(crate) event: u32,
}

pub(crate) struct Control {
    dm: DM,
    pub(crate) calls: Calls,
}

impl Control {
    pub(crate) fn open() -> Result<Self, BackendError> {
        let calls = Calls::open().map_err(|source| BackendError::Unavailable { source })?;
        let dm = DM::new().map_err(|error| BackendError::Unavailable {
            source: errno(&error),
        })?;
        Ok(Self { dm, calls })
    }

    pub(crate) fn list(&self) -> Result<Vec<Listed>, BackendError> {
        list(&self.dm)
    }

    /// `None` if there is no device of this name.
    pub(crate) fn info(&self, name: &str) -> Result<Option<Info>, BackendError> {
        let info = match self.dm.device_info(&DevId::Name(dm_name(name)?)) {
            Ok(info) => info,
            Err(error) => {
                let source = errno(&error);
                return if source.raw_os_error() == Some(libc::ENXIO) {
                    Ok(None)
                } else {
                    Err(failed("look up", name, source))
                };
            }
        };
        let flags = info.flags();
        Ok(Some(Info {
            number: number(info.device()),
            uuid: info.uuid().map(ToString::to_string),
            suspended: flags.contains(DmFlags::DM_SUSPEND),
            has_table: flags.contains(DmFlags::DM_ACTIVE_PRESENT),
            has_loaded_table: flags.contains(DmFlags::DM_INACTIVE_PRESENT),
            open_count: info.open_count(),
        }))
    }

    /// Makes a device without a table.
    pub(crate) fn create(&self, name: &str, uuid: &str) -> Result<DeviceNumber, BackendError> {
        let uuid = DmUuid::new(uuid).map_err(|error| failed("name", name, errno(&error)))?;
        stop_point::reach("dm:create");
        self.dm
            .device_create(dm_name(name)?, Some(uuid), DmOptions::default())
            .map(|info| number(info.device()))
            .map_err(|error| failed("create", name, errno(&error)))
    }

    /// Loads a table beside the live one, and sees that the kernel has understood it as meant. On
    /// an error none is left loaded.
    pub(crate) fn load(&mut self, name: &str, table: &[Segment]) -> Result<(), BackendError> {
        let lines: Vec<Line> = table.iter().map(Segment::to_line).collect();
        stop_point::reach("dm:load");
        self.dm
            .table_load(&DevId::Name(dm_name(name)?), &lines, DmOptions::default())
            .map_err(|error| failed("load a table into", name, errno(&error)))?;
        let checked = self
            .lines(name, DmFlags::DM_QUERY_INACTIVE_TABLE)
            .and_then(|found| {
                let found = segments(name, &found)?;
                difference(&found, table).map_or(Ok(()), |(sector, found, wanted)| {
                    Err(BackendError::Mismatch {
                        device: name.to_owned(),
                        sector,
                        found,
                        wanted,
                    })
                })
            });
        checked.map_err(|first| self.clear_after(name, first))
    }

    /// The live table.
    pub(crate) fn table(&self, name: &str) -> Result<Vec<Segment>, BackendError> {
        segments(name, &self.lines(name, DmFlags::empty())?)
    }

    fn lines(&self, name: &str, flags: DmFlags) -> Result<Vec<Line>, BackendError> {
        let options =
            DmOptions::default().set_flags(flags | DmFlags::DM_STATUS_TABLE | DmFlags::DM_NOFLUSH);
        self.dm
            .table_status(&DevId::Name(dm_name(name)?), options)
            .map(|(_, lines)| lines)
            .map_err(|error| failed("read the table of", name, errno(&error)))
    }

    /// How the mirror of this name stands.
    pub(crate) fn mirror_state(&mut self, name: &str) -> Result<MirrorState, BackendError> {
        let lines = self
            .calls
            .status(name)
            .map_err(|e| failed("read the status of", name, e))?;
        let events = lines.events();
        let (mut state, mut seen) = (None, String::new());
        for line in lines.filter(|line| line.kind == "mirror") {
            state = parse_mirror_status(line.status, events);
            line.status.clone_into(&mut seen);
        }
        state.ok_or_else(|| BackendError::Foreign {
            device: name.to_owned(),
            sector: 0,
            why: format!("its status {seen:?} is no mirror's of two legs"),
        })
    }

    pub(crate) fn resume(&mut self, name: &str, rules: UdevRules) -> Result<(), BackendError> {
        self.calls
            .resume(name, rules)
            .map_err(|source| failed("resume", name, source))
    }

    pub(crate) fn clear(&mut self, name: &str) -> Result<(), BackendError> {
        self.calls
            .clear(name)
            .map_err(|source| failed("clear the loaded table of", name, source))
    }

    /// Clears the loaded table after something failed, and gives the error for both.
    pub(crate) fn clear_after(&mut self, name: &str, first: BackendError) -> BackendError {
        match self.calls.clear(name) {
            Ok(()) => first,
            Err(source) => stuck(first, "clear the loaded table of", name, source),
        }
    }

    /// Removes a device that nothing of ours refers to any more; at once, or (when udev or a
    /// person has it open just now) as soon as it is closed. No such device is fine.
    pub(crate) fn remove(&mut self, name: &str) -> Result<(), BackendError> {
        let removed = match self.calls.remove(name) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                self.calls.remove_when_closed(name)
            }
            other => other,
        };
        match removed {
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(()),
            other => other.map_err(|source| failed("remove", name, source)),
        }
    }
}

/// The devices the kernel has, each with the number of its last event.
pub(crate) fn list(dm: &DM) -> Result<Vec<Listed>, BackendError> {
    let devices = dm
        .list_devices()
        .map_err(|error| failed("list the devices of", "device-mapper", errno(&error)))?;
    Ok(devices
        .into_iter()
        .map(|(name, device, event)| Listed {
            name: name.to_string(),
            number: number(device),
            event: event.unwrap_or(0),
        })
        .collect())
}

pub(crate) fn failed(what: &'static str, device: &str, source: io::Error) -> BackendError {
    BackendError::Kernel {
        what,
        device: device.to_owned(),
        source,
    }
}

pub(crate) fn stuck(
    first: BackendError,
    what: &'static str,
    device: &str,
    source: io::Error,
) -> BackendError {
    BackendError::Stuck {
        first: Box::new(first),
        what,
        device: device.to_owned(),
        source,
    }
}

/// The errno within the crate's error, which it keeps but does not hand out.
pub(crate) fn errno(error: &DmError) -> io::Error {
    match error {
        DmError::Core(errors::Error::Ioctl(_, _, _, errno)) => io::Error::from(**errno),
        other => io::Error::other(other.to_string()),
    }
}

fn number(device: devicemapper::Device) -> DeviceNumber {
    DeviceNumber {
        major: device.major,
        minor: device.minor,
    }
}

fn dm_name(name: &str) -> Result<&DmName, BackendError> {
    DmName::new(name).map_err(|error| failed("name", name, errno(&error)))
}

fn segments(name: &str, lines: &[Line]) -> Result<Vec<Segment>, BackendError> {
    lines
        .iter()
        .map(|line| {
            Segment::parse(line).ok_or_else(|| BackendError::Foreign {
                device: name.to_owned(),
                sector: line.0,
                why: format!("{} {}", line.2, line.3),
            })
        })
        .collect()
}
