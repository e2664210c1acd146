//! How good a forecast is.
//!
//! A forecast L of y touches costs the deviance of Poisson, L - y ln L and a constant that makes it
//! zero where L = y: it is least, on average, where L is what y is on average. Each is divided by
//! one more than the naive forecast expects, so that large groups do not drown small ones; as that
//! is known beforehand, the least stays where it was.

use serde::Serialize;

use crate::error::LearnError;
use crate::example::Example;
use crate::net::Net;
use crate::weights::Weights;
use tier_network::contract::{HORIZONS, LOG_RANGE, naive};

/// Of the floors that the naive forecast may stand on: the least, and how much each is of the one
/// before.
const FLOOR_MIN: f64 = 1e-4;
const FLOOR_FACTOR: f64 = 1.5;
const FLOORS: i32 = 30;

/// Mean loss of the network and of the naive forecast, by horizon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// Examples that were judged.
    pub examples: usize,
    /// Of the network.
    pub network: [f64; HORIZONS],
    /// Of the naive forecast, which would cost without bound where it expects nothing and something
    /// comes: it is given what is best for it of the touches that it always expects in addition,
    /// chosen by hindsight.
    pub naive: [f64; HORIZONS],
}

impl Score {
    /// Mean over the horizons of the network's loss.
    #[must_use]
    pub fn network_mean(&self) -> f64 {
        mean(self.network)
    }

    /// Mean over the horizons of the naive forecast's loss.
    #[must_use]
    pub fn naive_mean(&self) -> f64 {
        mean(self.naive)
    }
}

fn mean(of: [f64; HORIZONS]) -> f64 {
    of.iter().sum::<f64>() / count(HORIZONS)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a count of examples or horizons"
)]
fn count(of: usize) -> f64 {
    of as f64
}

/// What a forecast, given by its logarithm, costs beside the best one.
fn deviance(log: f64, touches: f64) -> f64 {
    let best = if touches > 0.0 {
        touches - touches * touches.ln()
    } else {
        0.0
    };
    log.exp() - touches * log - best
}

/// What the loss of each horizon is multiplied by.
#[must_use]
pub(crate) fn weigh(naive: [f64; HORIZONS]) -> [f64; HORIZONS] {
    naive.map(|naive| 1.0 / (1.0 + naive))
}

/// Judges weights by examples.
///
/// # Errors
/// When the arithmetic fails.
pub fn score(weights: &Weights, examples: &[Example]) -> Result<Score, LearnError> {
    let histories: Vec<_> = examples.iter().map(|example| &example.codes).collect();
    let logs = Net::fixed(weights)?.forecast(&histories)?;
    let naives: Vec<_> = histories.iter().map(|codes| naive(codes)).collect();
    let over = |horizon: usize, log: &dyn Fn(usize) -> f64| {
        let one = |at: usize| {
            let touches = f64::from(examples[at].touches[horizon]);
            deviance(log(at), touches) * weigh(naives[at])[horizon]
        };
        (0..examples.len()).map(one).sum::<f64>() / count(examples.len().max(1))
    };
    let network = |horizon: usize| over(horizon, &|at| f64::from(logs[at][horizon]));
    let naive = |horizon: usize| {
        let floors = (0..FLOORS).map(|step| FLOOR_MIN * FLOOR_FACTOR.powi(step));
        let with = |floor: f64| {
            over(horizon, &|at| {
                let log = (naives[at][horizon] + floor).ln();
                log.clamp(f64::from(LOG_RANGE[0]), f64::from(LOG_RANGE[1]))
            })
        };
        floors.map(with).fold(f64::INFINITY, f64::min)
    };
    Ok(Score {
        examples: examples.len(),
        network: std::array::from_fn(network),
        naive: std::array::from_fn(naive),
    })
}
