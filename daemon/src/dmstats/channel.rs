//! How messages reach a device-mapper device.
//!
//! Owns: [`Messages`], the way there in production ([`DmVolume`]), and the number of CPUs that the
//! kernel would count on.

use std::fmt;
use std::io;
use std::path::Path;

use devicemapper::{DM, DevId, DmNameBuf};

use super::DmStatsError;

/// Something that messages can be sent to.
pub trait Messages {
    /// Sends a message; `None` if the kernel has no answer to it.
    fn send(&mut self, message: &str) -> Result<Option<String>, DmStatsError>;
}

/// A running device-mapper device.
pub struct DmVolume {
    control: DM,
    name: DmNameBuf,
}

impl DmVolume {
    /// The device of this name, through this handle of `/dev/mapper/control`.
    #[must_use]
    pub const fn new(control: DM, name: DmNameBuf) -> Self {
        Self { control, name }
    }
}

impl fmt::Debug for DmVolume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DmVolume")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Messages for DmVolume {
    fn send(&mut self, message: &str) -> Result<Option<String>, DmStatsError> {
        // Messages that begin with "@" go to the device itself and not to a target, so that the
        // sector does not matter (`message_for_md` in drivers/md/dm-ioctl.c).
        let sent = self
            .control
            .target_msg(&DevId::Name(&self.name), None, message);
        sent.map(|(_, answer)| answer)
            .map_err(|source| DmStatsError::Message {
                message: message.to_owned(),
                device: self.name.to_string(),
                source: Box::new(source),
            })
    }
}

/// CPUs that may come to exist: the kernel counts on each of them
/// (`/sys/devices/system/cpu/possible`, Documentation/admin-guide/cputopology.rst).
pub fn possible_cpus() -> io::Result<u32> {
    let path = Path::new("/sys/devices/system/cpu/possible");
    let text = std::fs::read_to_string(path)?;
    last_cpu(&text).map(|last| last + 1).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "{} holds {text:?}, which is no list of CPUs",
                path.display()
            ),
        )
    })
}

/// The highest number in a list such as `0-3,8-11`.
pub(super) fn last_cpu(list: &str) -> Option<u32> {
    list.trim().rsplit([',', '-']).next()?.parse().ok()
}
