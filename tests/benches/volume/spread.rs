//! Many readings of one thing, as a median with its spread.
//!
//! Owns: medians, quartiles, and how they are written.

/// Readings of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spread {
    readings: Vec<f64>,
}

impl Spread {
    /// Takes one more.
    pub(crate) fn note(&mut self, reading: f64) {
        let at = self.readings.partition_point(|&other| other < reading);
        self.readings.insert(at, reading);
    }

    /// The readings of one thing over those of another, round by round.
    pub(crate) fn of(readings: impl IntoIterator<Item = f64>) -> Self {
        let mut spread = Self::default();
        for reading in readings {
            spread.note(reading);
        }
        spread
    }

    /// The reading below which this share of them lies; not a number without any.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index among few readings"
    )]
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let Some(last) = self.readings.len().checked_sub(1) else {
            return f64::NAN;
        };
        let at = share * last as f64;
        let (low, high) = (at.floor() as usize, at.ceil() as usize);
        let between = at - at.floor();
        self.readings[low] * (1.0 - between) + self.readings[high] * between
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Median and quartiles as people read them: `0.98 (0.95–1.01)`.
    pub(crate) fn shown(&self, digits: usize) -> String {
        format!(
            "{:.digits$} ({:.digits$}–{:.digits$})",
            self.median(),
            self.quantile(0.25),
            self.quantile(0.75)
        )
    }
}
