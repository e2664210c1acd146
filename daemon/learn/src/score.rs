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
const FLOORS: i32 = 48;
/// A naive loss of less counts as this: where there is next to nothing to foresee, there is nothing
/// to gain.
const LOSS_MIN: f64 = 1e-3;

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
    /// Losses of the network as shares of the naive forecast's: less than one is better than it.
    #[must_use]
    pub fn shares(&self) -> [f64; HORIZONS] {
        std::array::from_fn(|at| self.network[at] / self.naive[at].max(LOSS_MIN))
    }

    /// Their mean: all horizons count the same, though losses grow with them.
    #[must_use]
    pub fn share(&self) -> f64 {
        mean(self.shares())
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

/// Touches until each horizon that the naive forecast expects in addition, of any group: what is best
/// for it on some examples, chosen by hindsight.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floors([f64; HORIZONS]);

/// Examples to judge by.
pub(crate) struct Judge<'a> {
    examples: &'a [Example],
    /// What the naive forecast expects of each.
    naives: Vec<[f64; HORIZONS]>,
}

impl<'a> Judge<'a> {
    pub(crate) fn of(examples: &'a [Example]) -> Self {
        Self {
            examples,
            naives: examples.iter().map(|one| naive(&one.codes)).collect(),
        }
    }

    /// The best floors here.
    pub(crate) fn floors(&self) -> Floors {
        Floors(std::array::from_fn(|horizon| {
            let floors = (0..FLOORS).map(|step| FLOOR_MIN * FLOOR_FACTOR.powi(step));
            let all = floors.map(|floor| (self.naive_loss(horizon, floor), floor));
            let best = all.min_by(|one, other| one.0.total_cmp(&other.0));
            best.map_or(FLOOR_MIN, |(_, floor)| floor)
        }))
    }

    fn naive_loss(&self, horizon: usize, floor: f64) -> f64 {
        let [least, most] = LOG_RANGE.map(f64::from);
        let costs = (0..self.examples.len()).map(|at| {
            let log = (self.naives[at][horizon] + floor).ln();
            self.cost(at, horizon, log.clamp(least, most))
        });
        costs.sum::<f64>() / count(self.examples.len().max(1))
    }

    /// What the naive forecast costs, of which a loss is a share: never less than [`LOSS_MIN`].
    pub(crate) fn naive_losses(&self, Floors(floors): Floors) -> [f64; HORIZONS] {
        std::array::from_fn(|at| self.naive_loss(at, floors[at]).max(LOSS_MIN))
    }

    /// What a forecast of an example costs.
    fn cost(&self, at: usize, horizon: usize, log: f64) -> f64 {
        let touches = f64::from(self.examples[at].touches[horizon]);
        deviance(log, touches) * weigh(self.naives[at])[horizon]
    }

    /// What the network's forecasts of each example cost.
    pub(crate) fn costs(&self, weights: &Weights) -> Result<Vec<[f64; HORIZONS]>, LearnError> {
        let histories: Vec<_> = self.examples.iter().map(|one| &one.codes).collect();
        let logs = Net::fixed(weights)?.forecast(&histories)?;
        let cost = |(at, logs): (usize, &[f32; HORIZONS])| {
            std::array::from_fn(|horizon| self.cost(at, horizon, logs[horizon].into()))
        };
        Ok(logs.iter().enumerate().map(cost).collect())
    }

    /// The score of forecasts that cost this, beside the naive forecast with these floors.
    pub(crate) fn score(&self, costs: &[[f64; HORIZONS]], floors: Floors) -> Score {
        let sum = |horizon: usize| costs.iter().map(|costs| costs[horizon]).sum::<f64>();
        Score {
            examples: self.examples.len(),
            network: std::array::from_fn(|at| sum(at) / count(costs.len().max(1))),
            naive: std::array::from_fn(|at| self.naive_loss(at, floors.0[at])),
        }
    }
}

/// Judges weights by examples.
///
/// # Errors
/// When the arithmetic fails.
pub fn score(weights: &Weights, examples: &[Example]) -> Result<Score, LearnError> {
    let judge = Judge::of(examples);
    Ok(judge.score(&judge.costs(weights)?, judge.floors()))
}
