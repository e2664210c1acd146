//! Whether forecasts have become worse for good.
//!
//! Owns: [`Drift`], the test of Page and Hinkley (E. S. Page, "Continuous Inspection Schemes",
//! Biometrika 41, 1954; D. V. Hinkley, Biometrika 58, 1971): the errors above their own mean are
//! added up, a tolerance taken off each; when the sum has risen far above its least, the mean has
//! changed.

/// Error above the mean that each may have, in powers of e.
const TOLERANCE: f64 = 0.1;
/// Sum above its least from which on it is a change. Errors that differ by 1 from one another, as
/// those of counts do, rise so far by chance once in about `e^(2 * 0.1 * 50)` = 22,000.
const CHANGE: f64 = 50.0;
/// Errors that must have been seen before.
const SEEN_MIN: f64 = 200.0;
/// Weight of the newest error in the mean of late.
const NEWEST: f64 = 0.01;

/// Errors so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Drift {
    count: f64,
    mean: f64,
    late: f64,
    sum: f64,
    least: f64,
}

/// A change for the worse.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// Mean error since the last one.
    pub(super) before: f64,
    /// And of late.
    pub(super) late: f64,
}

impl Drift {
    /// Takes in an error. Tells of a change, and begins anew then.
    pub(super) fn note(&mut self, error: f64) -> Option<Change> {
        self.count += 1.0;
        self.mean += (error - self.mean) / self.count;
        let weight = NEWEST.max(1.0 / self.count);
        self.late += weight * (error - self.late);
        self.sum += error - self.mean - TOLERANCE;
        self.least = self.least.min(self.sum);
        if self.count < SEEN_MIN || self.sum - self.least <= CHANGE {
            return None;
        }
        let change = Change {
            before: self.mean,
            late: self.late,
        };
        *self = Self::default();
        Some(change)
    }

    /// Mean error of late; `None` before the first.
    pub(super) fn late(&self) -> Option<f64> {
        (self.count > 0.0).then_some(self.late)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Errors between 0 and 2 around a mean, in no order (von Neumann's middle of squares).
    fn error(at: u64, mean: f64) -> f64 {
        let square = (at * 7_919 + 12_345).pow(2) / 1_000 % 1_000;
        #[allow(clippy::cast_precision_loss, reason = "below a thousand")]
        let off = square as f64 / 500.0 - 1.0;
        mean + off
    }

    #[test]
    fn errors_that_stay_as_they_were_are_no_change() {
        let mut drift = Drift::default();
        assert!((0..20_000).all(|at| drift.note(error(at, 1.0)).is_none()));
        assert!((drift.late().unwrap() - 1.0).abs() < 0.25);
    }

    #[test]
    fn errors_that_grow_for_good_are_told_once_within_some_hundred() {
        let mut drift = Drift::default();
        assert!((0..1_000).all(|at| drift.note(error(at, 1.0)).is_none()));
        let told = (1_000..2_000).find_map(|at| Some((at, drift.note(error(at, 1.6))?)));
        let (at, change) = told.unwrap();
        assert!(at < 1_300, "{at}");
        assert!(change.late > change.before + 0.2, "{change:?}");
        // What is larger from now on is what is usual.
        assert!((0..5_000).all(|at| drift.note(error(at, 1.6)).is_none()));
    }

    #[test]
    fn what_gets_better_is_no_change() {
        let mut drift = Drift::default();
        assert!((0..1_000).all(|at| drift.note(error(at, 1.6)).is_none()));
        assert!((0..5_000).all(|at| drift.note(error(at, 0.4)).is_none()));
    }
}
