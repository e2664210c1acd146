//! How many bytes come with a write.
//!
//! Owns: [`Length`], which fits where a region's record has two bytes to spare.

use serde::{Deserialize, Serialize};

use crate::power::{exp2, log2};

/// Steps for each doubling: one is a third of a thousandth.
const STEPS: f64 = 2_048.0;
/// The newest have this weight at least, or a mean of very many would no longer change.
const NEWEST_MIN: f64 = 1.0 / 512.0;

/// A mean number of bytes; zero while nothing was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Length(u16);

impl Length {
    fn of(bytes: f64) -> Self {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from float to integer saturates"
        )]
        let steps = (log2(bytes.max(1.0)) * STEPS).round() as u16;
        Self(steps.max(1))
    }

    /// In bytes, if something was written.
    pub(super) fn bytes(self) -> Option<f64> {
        (self.0 > 0).then(|| exp2(f64::from(self.0) / STEPS))
    }

    /// The mean with `touches` more that wrote so many bytes together; it was of `before` touches.
    pub(super) fn with(self, before: f64, touches: f64, bytes: f64) -> Self {
        if touches <= 0.0 || bytes <= 0.0 {
            return self;
        }
        let newest = bytes / touches;
        let Some(mean) = self.bytes() else {
            return Self::of(newest);
        };
        let weight = (touches / (before + touches)).max(NEWEST_MIN);
        Self::of(mean + weight * (newest - mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(of: Length) -> f64 {
        of.bytes().unwrap_or(0.0)
    }

    #[test]
    fn the_mean_follows_what_comes_however_much_came_before() {
        let length = Length::default();
        assert_eq!(length.bytes(), None);
        assert_eq!(length.with(0.0, 3.0, 0.0), length);
        let mut length = length.with(0.0, 3.0, 3.0 * 4_096.0);
        assert!((bytes(length) / 4_096.0 - 1.0).abs() < 0.001);
        length = length.with(3.0, 3.0, 3.0 * 65_536.0);
        assert!((bytes(length) / 34_816.0 - 1.0).abs() < 0.001);
        for _ in 0..5_000 {
            length = length.with(1e6, 1.0, 4_096.0);
        }
        assert!((bytes(length) / 4_096.0 - 1.0).abs() < 0.1, "{length:?}");
    }

    #[test]
    fn it_holds_a_byte_and_a_gibibyte() {
        for wanted in [1.0, 512.0, 1e9] {
            let length = Length::of(wanted);
            assert!((bytes(length) / wanted - 1.0).abs() < 0.001, "{wanted}");
        }
    }
}
