//! Units as types, so that a region of a volume cannot be taken for one of a member.
//!
//! Owns: every quantity that crosses a crate border. Invariant: a type holds one unit, and the
//! conversions between units are named.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes in one sector, the kernel's unit for block addresses whatever the device's block size
/// (`SECTOR_SIZE` in `include/linux/blk_types.h`).
pub const SECTOR_BYTES: u64 = 512;

macro_rules! unit {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

unit!(
    /// A length or an offset in bytes.
    Bytes(u64)
);
unit!(
    /// A length or an offset in sectors of 512 bytes.
    Sectors(u64)
);
unit!(
    /// Index of a region of the volume, counted from the volume's start.
    VolumeRegion(u32)
);
unit!(
    /// Index of a data region of a member, counted from the member's data start: region 0 is the
    /// first that can hold a volume's data (labels and metadata area lie before it).
    MemberRegion(u32)
);
unit!(
    /// Position of a member in its volume's member list. Never reused within a volume.
    MemberIndex(u16)
);
unit!(
    /// Number of a durable metadata state. Grows by one with each commit; never wall-clock time.
    Generation(u64)
);
unit!(
    /// Number of a move, unique within a volume while any trace of it (a device, a record) exists.
    MoveId(u64)
);
unit!(
    /// Number by which an answer finds the request of a person that it belongs to.
    RequestId(u64)
);
unit!(
    /// Microseconds: a latency or a duration.
    Micros(u64)
);
unit!(
    /// Nanoseconds since an origin that the shell chose (`CLOCK_MONOTONIC` in production). Passed
    /// into the engine with every step; the engine has no clock of its own.
    Now(u64)
);

impl Bytes {
    /// One mebibyte.
    pub const MIB: Self = Self(1 << 20);

    /// The same length in sectors, if it is a whole number of them.
    #[must_use]
    pub const fn to_sectors(self) -> Option<Sectors> {
        if self.0.is_multiple_of(SECTOR_BYTES) {
            Some(Sectors(self.0 / SECTOR_BYTES))
        } else {
            None
        }
    }
}

impl Sectors {
    /// The same length in bytes.
    #[must_use]
    pub const fn to_bytes(self) -> Bytes {
        Bytes(self.0 * SECTOR_BYTES)
    }
}

impl Generation {
    /// The generation that the next commit makes.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Seconds as whole nanoseconds, in which the engine's clock counts; none where they are no
/// positive number.
#[must_use]
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, and that is what is wanted"
)]
pub fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}

impl Now {
    /// Nanoseconds that have passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Seconds that have passed since `earlier`; zero if `earlier` is later.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "a span of engine time needs no nanoseconds"
    )]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        self.nanos_since(earlier) as f64 / 1e9
    }
}

/// Size of a region: a power of two, 1 MiB at least, fixed when the volume is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct RegionSize {
    shift: u8,
}

/// Why a number of bytes cannot be a region size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegionSizeError {
    /// Not a power of two.
    #[error(
        "region size {0} bytes is no power of two; use 1 MiB (1048576), 2 MiB (2097152), 4 MiB …"
    )]
    NotPowerOfTwo(u64),
    /// Outside 1 MiB ..= 1 GiB.
    #[error("region size {0} bytes is outside 1 MiB (1048576) to 1 GiB (1073741824)")]
    OutOfRange(u64),
}

impl RegionSize {
    /// The default and smallest region size, 1 MiB.
    pub const MIN: Self = Self { shift: 20 };
    /// The largest region size, 1 GiB.
    pub const MAX: Self = Self { shift: 30 };

    /// A region size of `bytes` bytes.
    pub fn new(bytes: Bytes) -> Result<Self, RegionSizeError> {
        if !bytes.0.is_power_of_two() {
            return Err(RegionSizeError::NotPowerOfTwo(bytes.0));
        }
        if bytes.0 < Self::MIN.bytes().0 || bytes.0 > Self::MAX.bytes().0 {
            return Err(RegionSizeError::OutOfRange(bytes.0));
        }
        #[allow(
            clippy::cast_possible_truncation,
            reason = "trailing zeros of a u64 are at most 64"
        )]
        let shift = bytes.0.trailing_zeros() as u8;
        Ok(Self { shift })
    }

    /// This size in bytes.
    #[must_use]
    pub const fn bytes(self) -> Bytes {
        Bytes(1 << self.shift)
    }

    /// This size in sectors.
    #[must_use]
    pub const fn sectors(self) -> Sectors {
        Sectors(1 << (self.shift - 9))
    }

    /// Number of bits by which a byte offset is shifted to give its region.
    #[must_use]
    pub const fn shift(self) -> u8 {
        self.shift
    }

    /// Length in bytes of `count` regions.
    #[must_use]
    pub const fn bytes_of(self, count: u32) -> Bytes {
        Bytes((count as u64) << self.shift)
    }
}

impl TryFrom<u64> for RegionSize {
    type Error = RegionSizeError;

    fn try_from(bytes: u64) -> Result<Self, Self::Error> {
        Self::new(Bytes(bytes))
    }
}

impl From<RegionSize> for u64 {
    fn from(size: RegionSize) -> Self {
        size.bytes().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_size_takes_powers_of_two_within_its_bounds() {
        assert_eq!(RegionSize::new(Bytes(1 << 20)), Ok(RegionSize::MIN));
        assert_eq!(RegionSize::new(Bytes(1 << 30)), Ok(RegionSize::MAX));
        assert_eq!(
            RegionSize::new(Bytes(3 << 20)),
            Err(RegionSizeError::NotPowerOfTwo(3 << 20))
        );
        assert_eq!(
            RegionSize::new(Bytes(0)),
            Err(RegionSizeError::NotPowerOfTwo(0))
        );
        assert_eq!(
            RegionSize::new(Bytes(1 << 19)),
            Err(RegionSizeError::OutOfRange(1 << 19))
        );
    }

    #[test]
    fn a_region_size_reads_back_from_json_and_refuses_a_bad_one() {
        let size: RegionSize = serde_json::from_str("2097152").unwrap();
        assert_eq!(size.sectors(), Sectors(4096));
        assert_eq!(serde_json::to_string(&size).unwrap(), "2097152");
        assert!(serde_json::from_str::<RegionSize>("2097153").is_err());
    }
}
