//! Whether what was learned is worth writing.
//!
//! Owns: [`Gain`]. A new model is written if it is better than the old one by more than chance would
//! make it seem, and by enough to be worth the change, and if no horizon pays for the others.

use serde::Serialize;

use crate::score::Score;
use tier_network::contract::{HORIZON_SECONDS, HORIZONS};

/// Stretches of time into which the judged examples are cut. Those that lie near one another have
/// much of what comes after them in common and are not so many witnesses; stretches nearly are.
const STRETCHES: usize = 10;
/// So many standard errors a gain must be of at least.
const ERRORS_MIN: f64 = 2.0;
/// And such a share of the naive forecast's loss.
const GAIN_MIN: f64 = 0.005;
/// Most that the loss on a horizon may be of the naive forecast's.
const SHARE_MAX: f64 = 1.03;

/// By how much a new model is better than an old one on the same examples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// Mean over examples and horizons of what the loss is less by, as a share of the naive
    /// forecast's loss on that horizon.
    pub gain: f64,
    /// Its standard error, from the means of ten stretches of time; none where there are not enough
    /// examples for it.
    pub gain_error: Option<f64>,
}

impl Gain {
    /// From what old and new forecasts of the examples cost, in the order of time, and the naive
    /// forecast's mean costs.
    pub(crate) fn of(
        old: &[[f64; HORIZONS]],
        new: &[[f64; HORIZONS]],
        naive: [f64; HORIZONS],
    ) -> Self {
        let gain = |(old, new): (&[f64; HORIZONS], &[f64; HORIZONS])| {
            let shares = (0..HORIZONS).map(|at| (old[at] - new[at]) / naive[at]);
            shares.sum::<f64>() / count(HORIZONS)
        };
        let gains: Vec<f64> = old.iter().zip(new).map(gain).collect();
        Self {
            gain: mean(&gains),
            gain_error: error(&gains),
        }
    }

    /// Why the new model, which has this score, is not to be written; nothing if it is.
    pub(crate) fn reason_against(&self, new: &Score) -> Option<String> {
        let gain = self.gain;
        // What is no number is no gain, either.
        if gain.is_nan() || gain < GAIN_MIN {
            return Some(format!(
                "the gain is {gain:.4} of the naive forecast's loss, and {GAIN_MIN} is the least \
                 that counts"
            ));
        }
        let Some(error) = self.gain_error else {
            return Some("there are too few examples to tell a gain from chance".to_owned());
        };
        if gain <= ERRORS_MIN * error {
            return Some(format!(
                "the gain, {gain:.4} of the naive forecast's loss, is less than {ERRORS_MIN} \
                 standard errors of {error:.4}: it may be chance"
            ));
        }
        let mut horizons = new.shares().into_iter().zip(HORIZON_SECONDS);
        let (share, seconds) = horizons.find(|(share, _)| *share > SHARE_MAX)?;
        Some(format!(
            "its loss within {seconds} s is {share:.3} of the naive forecast's, and {SHARE_MAX} is \
             the most"
        ))
    }
}

/// Standard error of a mean of examples in the order of time.
fn error(gains: &[f64]) -> Option<f64> {
    let each = gains.len() / STRETCHES;
    if each == 0 {
        return None;
    }
    // Of what is left over, the first stretches would have one more: it is of no matter.
    let means: Vec<f64> = gains.chunks_exact(each).take(STRETCHES).map(mean).collect();
    let middle = mean(&means);
    let squares = means.iter().map(|one| (one - middle).powi(2)).sum::<f64>();
    let variance = squares / count(STRETCHES - 1);
    Some((variance / count(STRETCHES)).sqrt())
}

fn mean(of: &[f64]) -> f64 {
    of.iter().sum::<f64>() / count(of.len().max(1))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a count of examples or horizons"
)]
fn count(of: usize) -> f64 {
    of as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(network: [f64; HORIZONS]) -> Score {
        Score {
            examples: 100,
            network,
            naive: [1.0, 2.0, 4.0, 100.0],
        }
    }

    /// What a gain of so much on each example, and on one horizon, comes to.
    fn gain(each: impl Fn(usize) -> f64) -> Gain {
        let old = [[1.0, 2.0, 4.0, 100.0]; 100];
        let new: Vec<_> = (0..100)
            .map(|at| [1.0 - 4.0 * each(at), 2.0, 4.0, 100.0])
            .collect();
        Gain::of(&old, &new, old[0])
    }

    const GOOD: [f64; HORIZONS] = [0.5, 1.0, 2.0, 50.0];

    #[test]
    fn a_gain_beyond_chance_is_written() {
        let gain = gain(|at| if at % 2 == 0 { 0.05 } else { 0.03 });
        assert!((gain.gain - 0.04).abs() < 1e-12, "{gain:?}");
        assert!(gain.gain_error.unwrap() < 1e-9, "{gain:?}");
        assert_eq!(gain.reason_against(&score(GOOD)), None);
    }

    #[test]
    fn each_horizon_counts_the_same() {
        let old = [[1.0, 2.0, 4.0, 100.0]; 20];
        // A tenth of each, and on the last it is worse by a fifth: much more, in touches.
        let new = [[0.9, 1.8, 3.6, 120.0]; 20];
        let gain = Gain::of(&old, &new, old[0]).gain;
        assert!((gain - 0.025).abs() < 1e-12, "{gain}");
    }

    #[test]
    fn what_may_be_chance_is_not_written() {
        // One stretch of ten has all of the gain, though there are ten examples in it.
        let gain = gain(|at| if at / 10 == 3 { 0.4 } else { 0.0 });
        assert!((gain.gain - 0.04).abs() < 1e-12);
        assert!((gain.gain_error.unwrap() - 0.04).abs() < 1e-12);
        let reason = gain.reason_against(&score(GOOD)).unwrap();
        assert!(reason.contains("standard errors of 0.0400"), "{reason}");
        let few = Gain::of(
            &[[1.0; HORIZONS]; 9],
            &[[0.5; HORIZONS]; 9],
            [1.0; HORIZONS],
        );
        let reason = few.reason_against(&score(GOOD)).unwrap();
        assert!(reason.contains("too few"), "{reason}");
    }

    #[test]
    fn what_hardly_matters_is_not_written() {
        for each in [0.004, 0.0, -0.1, f64::NAN] {
            let reason = gain(|_| each).reason_against(&score(GOOD)).unwrap();
            assert!(reason.contains("0.005 is the least"), "{reason}");
        }
    }

    #[test]
    fn no_horizon_may_pay_for_the_others() {
        let gain = gain(|_| 0.04);
        let worse = score([0.5, 1.0, 4.16, 50.0]);
        let reason = gain.reason_against(&worse).unwrap();
        assert!(
            reason.contains("within 3600 s is 1.040 of the naive"),
            "{reason}"
        );
        assert_eq!(gain.reason_against(&score([1.02, 2.0, 4.0, 100.0])), None);
    }
}
