//! Owns: what a volume's device-mapper devices are called.
//!
//! | device | name | uuid |
//! |---|---|---|
//! | the volume | `tierd-NAME` | `TIERD-VOLUME-volume` |
//! | a member's claim on its label and metadata area | `tierd-NAME-area-K` | `TIERD-VOLUME-area-K` |
//! | what stands in for a member that is missing | `tierd-NAME-absent-K` | `TIERD-VOLUME-absent-K` |
//! | a move, as the volume's table names it | `tierd-NAME-move-ID` | `TIERD-VOLUME-move-ID` |
//! | the mirror under a move | `tierd-NAME-mirror-ID` | `TIERD-VOLUME-mirror-ID` |
//!
//! `tierd-NAME-mirror-ID` is the longest; `layout::NAME_BYTES_MAX` has the arithmetic. The longest
//! uuid has 6 + 36 + 8 + 20 = 70 bytes, of 128.

use tier_core::units::{MemberIndex, MoveId};
use uuid::Uuid;

use crate::backend::layout::VolumeName;

/// Which of a volume's devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    /// The volume itself.
    Volume,
    /// A member's claim.
    Area(MemberIndex),
    /// What stands in for a missing member: all I/O to it fails.
    Absent(MemberIndex),
    /// A move's device: the gate that the volume's table points to.
    Move(MoveId),
    /// The mirror under a move's device.
    Mirror(MoveId),
}

/// The names of one volume's devices.
#[derive(Clone, Debug)]
pub struct Names {
    name: VolumeName,
    volume: Uuid,
}

impl Names {
    /// For this volume.
    #[must_use]
    pub const fn new(name: VolumeName, volume: Uuid) -> Self {
        Self { name, volume }
    }

    /// The device's name.
    #[must_use]
    pub fn name(&self, device: Device) -> String {
        let volume = format!("tierd-{}", self.name);
        match device {
            Device::Volume => volume,
            Device::Area(index) => format!("{volume}-area-{index}"),
            Device::Absent(index) => format!("{volume}-absent-{index}"),
            Device::Move(id) => format!("{volume}-move-{id}"),
            Device::Mirror(id) => format!("{volume}-mirror-{id}"),
        }
    }

    /// The device's uuid.
    #[must_use]
    pub fn uuid(&self, device: Device) -> String {
        let volume = format!("TIERD-{}", self.volume);
        match device {
            Device::Volume => format!("{volume}-volume"),
            Device::Area(index) => format!("{volume}-area-{index}"),
            Device::Absent(index) => format!("{volume}-absent-{index}"),
            Device::Move(id) => format!("{volume}-move-{id}"),
            Device::Mirror(id) => format!("{volume}-mirror-{id}"),
        }
    }

    /// Which of this volume's devices has this name, if one of them does.
    #[must_use]
    pub fn parse(&self, name: &str) -> Option<Device> {
        let rest = name
            .strip_prefix("tierd-")?
            .strip_prefix(self.name.as_str())?;
        if rest.is_empty() {
            return Some(Device::Volume);
        }
        let device = if let Some(index) = rest.strip_prefix("-area-") {
            Device::Area(MemberIndex(index.parse().ok()?))
        } else if let Some(index) = rest.strip_prefix("-absent-") {
            Device::Absent(MemberIndex(index.parse().ok()?))
        } else if let Some(id) = rest.strip_prefix("-move-") {
            Device::Move(MoveId(id.parse().ok()?))
        } else if let Some(id) = rest.strip_prefix("-mirror-") {
            Device::Mirror(MoveId(id.parse().ok()?))
        } else {
            return None;
        };
        // "007" and "+7" parse too, but are not names that we give.
        (self.name(device) == name).then_some(device)
    }
}

#[cfg(test)]
mod tests {
    use tier_sys::dm::NAME_BYTES_MAX;

    use super::*;

    fn names(name: &str) -> Names {
        Names::new(name.parse().unwrap(), Uuid::nil())
    }

    #[test]
    fn every_name_is_found_again_and_others_are_not() {
        let names = names("data");
        for device in [
            Device::Volume,
            Device::Area(MemberIndex(3)),
            Device::Absent(MemberIndex(3)),
            Device::Move(MoveId(12)),
            Device::Mirror(MoveId(12)),
        ] {
            assert_eq!(names.parse(&names.name(device)), Some(device));
        }
        for other in [
            "tierd-data2",
            "tierd-data-move-",
            "tierd-data-move-007",
            "tierd-dat",
            "data",
        ] {
            assert_eq!(names.parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_longest_name_is_one_that_device_mapper_takes() {
        let names = names(&"x".repeat(crate::backend::layout::NAME_BYTES_MAX));
        assert!(names.name(Device::Mirror(MoveId(u64::MAX))).len() <= NAME_BYTES_MAX);
        assert_eq!(names.uuid(Device::Mirror(MoveId(u64::MAX))).len(), 70);
    }
}
