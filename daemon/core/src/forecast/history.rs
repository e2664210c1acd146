//! What somebody outside the engine is told of a group of regions, so that it can forecast its use.
//!
//! Owns: the layout of [`Codes`]: how often the group was touched in each of the last windows that
//! have ended, oldest first, on several scales of windows, the coarsest first. Windows in which the
//! group was not yet known count as silent.

/// Adjacent regions that are forecast together.
pub const GROUP_REGIONS: u32 = 64;
/// Scales of windows.
pub const SCALES: usize = 3;
/// Windows of each scale.
pub const WINDOWS: usize = 32;
/// Windows of all scales.
pub const STEPS: usize = SCALES * WINDOWS;
/// How many times as long as the finest window those of each scale are, coarsest first.
pub const WINDOW_TIMES: [u32; SCALES] = [64, 8, 1];

/// A history: the code ([`super::code`]) of each window's touches.
pub type Codes = [u8; STEPS];

/// [`Codes`] as a list: serde itself knows arrays of up to 32 only.
pub(super) mod listed {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Codes;

    pub(in crate::forecast) fn serialize<S: Serializer>(
        codes: &Codes,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        codes.as_slice().serialize(to)
    }

    pub(in crate::forecast) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Codes, D::Error> {
        let list = Vec::<u8>::deserialize(from)?;
        let length = list.len();
        let wanted = "as many codes as a history has";
        Codes::try_from(list).map_err(|_| D::Error::invalid_length(length, &wanted))
    }
}
