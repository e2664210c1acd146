//! Device numbers, as people, `stat` and the kernel write them.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Bits of a minor number inside the kernel (`MINORBITS` in `include/linux/kdev_t.h`).
const MINOR_BITS: u32 = 20;

/// Number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Its major number, below 2^12.
    pub major: u32,
    /// Its minor number, below 2^20.
    pub minor: u32,
}

impl DeviceNumber {
    /// From `st_rdev` as stat(2) gives it; glibc's `gnu_dev_major` and `gnu_dev_minor`.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        reason = "each part is masked to its bits"
    )]
    pub const fn from_rdev(rdev: u64) -> Self {
        Self {
            major: (((rdev >> 8) & 0xfff) | ((rdev >> 32) & 0xffff_f000)) as u32,
            minor: ((rdev & 0xff) | ((rdev >> 12) & 0xffff_ff00)) as u32,
        }
    }

    /// The number of the block device at `path`; links are followed. `InvalidInput` if something
    /// else is there.
    pub fn of_path(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        if !metadata.file_type().is_block_device() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} is no block device", path.display()),
            ));
        }
        Ok(Self::from_rdev(metadata.rdev()))
    }

    /// As the kernel keeps it in `dev_t`.
    pub(crate) const fn kernel(self) -> u32 {
        self.major << MINOR_BITS | self.minor
    }

    /// From the kernel's `dev_t`.
    pub(crate) const fn from_kernel(dev: u32) -> Self {
        Self {
            major: dev >> MINOR_BITS,
            minor: dev & ((1 << MINOR_BITS) - 1),
        }
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives_each_way_of_writing_it() {
        // 259:1048575, of which stat keeps the minor's low byte apart from the rest.
        let rdev = 0xff | 259 << 8 | (0xf_ff00_u64 << 12);
        let device = DeviceNumber::from_rdev(rdev);
        assert_eq!(
            device,
            DeviceNumber {
                major: 259,
                minor: 1_048_575
            }
        );
        assert_eq!(DeviceNumber::from_kernel(device.kernel()), device);
        assert_eq!(device.to_string(), "259:1048575");
    }

    #[test]
    fn a_path_that_is_no_block_device_is_refused() {
        let error = DeviceNumber::of_path(Path::new("/dev/null")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("/dev/null"), "{error}");
    }
}
