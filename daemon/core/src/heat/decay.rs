//! What is left after some time of what halves with each half-life.
//!
//! Two to the power of a fraction, by arithmetic alone, which IEEE 754 rounds the same everywhere:
//! the mathematical library of each system rounds in its own way.

/// Parts of a half-life that are tabulated.
const PARTS: u64 = 256;
/// So many halvings leave nothing.
const HALVINGS_MAX: u64 = 100;

/// A half-life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decay {
    half_life_nanos: u64,
    /// How many parts a nanosecond is.
    parts_per_nano: f64,
    /// What is left after each part of a half-life.
    parts: Vec<f32>,
}

impl Decay {
    pub(crate) fn new(half_life_nanos: u64) -> Self {
        // The 256th root by eight square roots.
        let root = (0..PARTS.trailing_zeros()).fold(0.5_f32, |root, _| root.sqrt());
        let parts = std::iter::successors(Some(1.0_f32), |left| Some(left * root));
        let half_life_nanos = half_life_nanos.max(1);
        #[allow(clippy::cast_precision_loss, reason = "half-lives are hours")]
        let parts_per_nano = PARTS as f64 / half_life_nanos as f64;
        Self {
            half_life_nanos,
            parts_per_nano,
            parts: parts.take(usize::try_from(PARTS).unwrap_or(1)).collect(),
        }
    }

    /// What is left of one after so long.
    pub(crate) fn left(&self, nanos: u64) -> f32 {
        let halvings = nanos / self.half_life_nanos;
        if halvings > HALVINGS_MAX {
            return 0.0;
        }
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "parts of one half-life"
        )]
        let (part, rest) = {
            let within = (nanos % self.half_life_nanos) as f64 * self.parts_per_nano;
            // The last nanoseconds may round to the next half-life.
            let part = (within as usize).min(self.parts.len().saturating_sub(1));
            (part, (within - part as f64) as f32)
        };
        // Within a part, the curve is all but straight.
        #[allow(clippy::cast_precision_loss, reason = "a small constant")]
        let straight = 1.0 - rest * std::f32::consts::LN_2 / PARTS as f32;
        // Two to the power of minus `halvings`, exactly.
        let power = u32::try_from(halvings).unwrap_or(127);
        let left = self.parts.get(part).copied().unwrap_or(0.0);
        left * straight * f32::from_bits((127 - power) << 23)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_with_each_half_life_and_follows_the_curve_between() {
        let decay = Decay::new(1_000_000);
        for nanos in [0, 1, 3_906, 3_907, 123_456, 500_000, 1_000_000, 7_654_321] {
            #[allow(clippy::cast_precision_loss, reason = "a small number")]
            let exact = 0.5_f64.powf(nanos as f64 / 1e6);
            let left = f64::from(decay.left(nanos));
            assert!(
                (left / exact - 1.0).abs() < 2e-5,
                "{nanos}: {left} and {exact}"
            );
        }
        assert!(decay.left(u64::MAX).abs() < f32::EPSILON);
    }

    #[test]
    fn many_short_times_leave_what_one_long_time_does() {
        let decay = Decay::new(10_000_000_000_000);
        let left = (0..10_000).fold(1.0_f64, |left, _| {
            left * f64::from(decay.left(1_000_000_000))
        });
        assert!((left - 0.5).abs() < 0.001, "{left}");
    }
}
