//! The use of a group on one scale of time, and the period in it.

use super::series::{autocorrelation, between_windows, middle, without_bursts};
use crate::forecast::windows::{WINDOWS, Windows};

/// The shortest period, in windows; a shorter one is found on a finer scale.
const LAG_MIN: usize = 4;
/// The longest.
const LAG_MAX: usize = WINDOWS / 2;
/// Windows between two looks for a period, at most.
pub(super) const LOOK_EVERY: u64 = 8;
/// Of the windows that are known, so many pass between two looks: while few are, each tells much.
pub(super) const LOOK_SHARE: u64 = 16;
/// Resemblance from which a period is one.
const RESEMBLANCE_MIN: f64 = 0.3;
/// A shorter lag, or one on a finer scale, is the period if it resembles by this share of the best.
pub(super) const NEARLY_BEST: f64 = 0.75;
/// Earlier periods of which the one in the middle is expected, so that what came once is not.
const PERIODS: usize = 3;
/// Use on one scale.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub(super) windows: Windows,
    /// Period in windows, and how much the use resembles itself after it.
    pub(super) period: Option<(f64, f64)>,
}

impl Scale {
    pub(super) const fn new(windows: Windows) -> Self {
        Self {
            windows,
            period: None,
        }
    }

    /// Ends all windows before this one. Those with the same `phase` look for a period at the same
    /// time.
    pub(super) fn advance(&mut self, window: u64, phase: u64) {
        let ended = self.windows.running();
        if window <= ended {
            return;
        }
        self.windows.advance(window);
        let every = (self.windows.known() / LOOK_SHARE).clamp(1, LOOK_EVERY);
        if (ended + phase) / every != (window + phase) / every {
            self.period = self.find_period();
        }
    }

    pub(super) fn find_period(&self) -> Option<(f64, f64)> {
        // Roots of counts vary by about as much whatever the count (Bartlett 1936).
        let mut roots: Vec<f64> = self.windows.ended().map(f64::sqrt).collect();
        without_bursts(&mut roots);
        // Of what has come three times, the third is foreseen: half of the second is enough.
        let lag_max = LAG_MAX.min(roots.len() * 2 / 3);
        let resembles = autocorrelation(&roots, lag_max + 1)?;
        let is_peak = |lag: usize| {
            let at = |lag: usize| resembles.get(lag).copied().unwrap_or(f64::MIN);
            at(lag) >= RESEMBLANCE_MIN && at(lag) >= at(lag - 1) && at(lag) >= at(lag + 1)
        };
        let peaks: Vec<usize> = (LAG_MIN..=lag_max).filter(|lag| is_peak(*lag)).collect();
        let best = peaks.iter().map(|lag| resembles[*lag]).fold(0.0, f64::max);
        let lag = peaks
            .into_iter()
            .find(|lag| resembles[*lag] >= best * NEARLY_BEST)?;
        Some((between_windows(&resembles, lag), resembles[lag]))
    }

    /// Touches of the last period that came as they had one period before.
    pub(super) fn came_again(&self, period: f64) -> f64 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some windows"
        )]
        let lag = period.round() as u64;
        let both = |back: u64| {
            let (touches, before) = (self.windows.back(back)?, self.windows.back(back + lag)?);
            Some(touches.min(before))
        };
        (1..=lag).map_while(both).sum()
    }

    /// Touches in the window so many windows after the running one, as in earlier periods.
    pub(super) fn expected_in(&self, ahead: u64, period: f64) -> f64 {
        let mut before = Vec::with_capacity(PERIODS);
        for periods in 1_u32.. {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "some windows"
            )]
            let back = (period * f64::from(periods)).round() as u64;
            // So many periods before it, and not in the future.
            if back <= ahead {
                continue;
            }
            let Some(touches) = self.windows.back(back - ahead) else {
                break;
            };
            before.push(touches);
            if before.len() == PERIODS {
                break;
            }
        }
        middle(&mut before)
    }
}
