//! Owns: what sysfs says of a block device (Documentation/ABI/stable/sysfs-block).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tier_core::volume::Class;
use tier_sys::block::DeviceNumber;

use super::MemberError;

/// A block device's folder.
#[derive(Clone, Debug)]
pub struct SysBlock {
    folder: PathBuf,
}

impl SysBlock {
    /// The folder of the device of this number.
    pub fn of(number: DeviceNumber) -> Result<Self, MemberError> {
        let link = PathBuf::from(format!("/sys/dev/block/{number}"));
        let folder =
            fs::canonicalize(&link).map_err(|source| MemberError::System { path: link, source })?;
        Ok(Self { folder })
    }

    /// The kernel's name of the device.
    #[must_use]
    pub fn name(&self) -> String {
        self.folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The folder of the disk: the one above for a partition (which has no queue of its own), and
    /// this one for anything else.
    #[must_use]
    pub fn disk(&self) -> Self {
        match self.folder.parent() {
            Some(parent) if self.folder.join("partition").exists() => Self {
                folder: parent.to_owned(),
            },
            _ => self.clone(),
        }
    }

    /// The device's number.
    pub fn number(&self) -> Result<DeviceNumber, MemberError> {
        let text = self.text("dev")?;
        let parsed = text.split_once(':').and_then(|(major, minor)| {
            Some(DeviceNumber {
                major: major.parse().ok()?,
                minor: minor.parse().ok()?,
            })
        });
        parsed.ok_or_else(|| self.nonsense("dev", &text))
    }

    /// A number in one of the queue's files.
    pub fn queue(&self, file: &str) -> Result<u64, MemberError> {
        let file = format!("queue/{file}");
        let text = self.text(&file)?;
        text.parse().map_err(|_| self.nonsense(&file, &text))
    }

    /// Whether writes end in a volatile cache first.
    pub fn has_volatile_cache(&self) -> Result<bool, MemberError> {
        Ok(self.text("queue/write_cache")? == "write back")
    }

    /// Names of the devices that are built on this one: device-mapper, md, …
    pub fn holders(&self) -> Result<Vec<String>, MemberError> {
        let path = self.folder.join("holders");
        let entries = match fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|source| MemberError::System { path, source })?,
        };
        let mut names: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The name by which device-mapper knows the device of this kernel name, if it is one of its.
    #[must_use]
    pub fn dm_name(kernel_name: &str) -> Option<String> {
        let path = Path::new("/sys/block").join(kernel_name).join("dm/name");
        Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
    }

    fn text(&self, file: &str) -> Result<String, MemberError> {
        let path = self.folder.join(file);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim_end().to_owned()),
            Err(source) => Err(MemberError::System { path, source }),
        }
    }

    fn nonsense(&self, file: &str, text: &str) -> MemberError {
        let what = format!("it says {text:?}, which is no number");
        MemberError::System {
            path: self.folder.join(file),
            source: io::Error::new(io::ErrorKind::InvalidData, what),
        }
    }
}

/// The class that a device of this name seems to have. A guess: a virtual machine's disk may say
/// anything of itself.
#[must_use]
pub fn guess_class(disk_name: &str, rotational: bool) -> Class {
    if rotational {
        Class::Hdd
    } else if disk_name.starts_with("nvme") {
        Class::Nvme
    } else {
        Class::Ssd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_guessed_from_platters_and_name() {
        assert_eq!(guess_class("nvme0n1", false), Class::Nvme);
        assert_eq!(guess_class("sda", false), Class::Ssd);
        assert_eq!(guess_class("sda", true), Class::Hdd);
    }

    #[test]
    fn a_device_that_does_not_exist_is_said_by_its_path() {
        let none = SysBlock::of(DeviceNumber {
            major: 4095,
            minor: 1,
        })
        .unwrap_err();
        assert!(none.to_string().contains("/sys/dev/block/4095:1"), "{none}");
    }
}
