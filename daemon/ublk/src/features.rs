//! What the kernel's ublk offers.
//!
//! Owns: [`Features`], as the kernel tells them (`UBLK_U_CMD_GET_FEATURES` in
//! `include/uapi/linux/ublk_cmd.h`). They are found at start and told; what is made of them stands in
//! `daemon/ARCHITECTURE.md`.

use std::fmt;

use libublk::ctrl::UblkCtrl;
use libublk::sys;

use crate::device::{DeviceError, open_control};

/// What the kernel's ublk offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u64);

/// Those that the data path has, or could have, a use for, by the names that the kernel gives them.
const NAMES: [(u32, &str); 9] = [
    (sys::UBLK_F_SUPPORT_ZERO_COPY, "SUPPORT_ZERO_COPY"),
    (sys::UBLK_F_USER_RECOVERY, "USER_RECOVERY"),
    (sys::UBLK_F_USER_RECOVERY_REISSUE, "USER_RECOVERY_REISSUE"),
    (sys::UBLK_F_USER_COPY, "USER_COPY"),
    (sys::UBLK_F_AUTO_BUF_REG, "AUTO_BUF_REG"),
    (sys::UBLK_F_QUIESCE, "QUIESCE"),
    (sys::UBLK_F_UPDATE_SIZE, "UPDATE_SIZE"),
    (sys::UBLK_F_PER_IO_DAEMON, "PER_IO_DAEMON"),
    (sys::UBLK_F_BATCH_IO, "BATCH_IO"),
];

impl Features {
    /// Asks the kernel. One that is older than 6.5 does not tell, and has none.
    pub fn of_kernel() -> Result<Self, DeviceError> {
        open_control()?;
        Ok(Self(UblkCtrl::get_features().unwrap_or_default()))
    }
}

impl fmt::Display for Features {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offered = NAMES
            .iter()
            .filter(|(bit, _)| self.0 & u64::from(*bit) != 0);
        let mut between = "";
        for (_, name) in offered {
            write!(to, "{between}{name}")?;
            between = " ";
        }
        if between.is_empty() {
            to.write_str("none")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_told_by_name() {
        assert_eq!(Features::default().to_string(), "none");
        let some = sys::UBLK_F_USER_COPY | sys::UBLK_F_USER_RECOVERY | sys::UBLK_F_NEED_GET_DATA;
        let some = Features(u64::from(some));
        assert_eq!(some.to_string(), "USER_RECOVERY USER_COPY");
    }
}
