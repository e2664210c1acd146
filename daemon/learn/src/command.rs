//! What the command does: train anew, train on, judge.

use std::path::Path;

use serde::Serialize;

use crate::dataset::{self, Amount};
use crate::error::LearnError;
use crate::example::{self, Example};
use crate::onnx::Model;
use crate::score::{Score, score};
use crate::train::{Schedule, train};
use crate::weights::Weights;
use tier_network::contract::{HORIZONS, LOG_RANGE};

/// Examples between two changes of the weights.
const BATCH: usize = 256;
/// Size of a change at first, when training anew.
const BASE_RATE: f64 = 4e-3;
/// And when training on: what is known already is not to be forgotten at once.
const RETRAIN_RATE: f64 = 1e-3;
/// Fewest examples to train on with.
pub const RETRAIN_MIN: usize = 500;
/// Of ten local examples, the newest, by which is judged.
const JUDGED_TENTHS: usize = 2;

/// How a base model is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// Seeds of made-up loads and examples of each.
    pub amount: Amount,
    /// Times that all examples are gone through.
    pub epochs: usize,
    /// What the weights to begin with and the order of examples are drawn from.
    pub seed: u64,
}

/// What training on came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retrained {
    /// Of the old model, on the newest examples.
    pub old: Score,
    /// Of the new one, on the same.
    pub new: Score,
    /// Whether the new one is better, and was written.
    pub is_written: bool,
}

/// What is told while it takes its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress {
    /// So many loads of so many were made.
    Loads(usize, usize),
    /// An epoch ended with this mean loss, which compares epochs and nothing else.
    Epoch(usize, f64),
}

/// Trains a model from made-up loads, judges it by others, and writes it.
///
/// # Errors
/// When the arithmetic fails or the file cannot be written.
pub fn base(
    out: &Path,
    how: Base,
    mut progress: impl FnMut(Progress),
) -> Result<Score, LearnError> {
    let examples = dataset::make(how.amount, |done, of| progress(Progress::Loads(done, of)));
    let fresh = Weights::fresh(how.seed, mean_logs(&examples.learned));
    let schedule = Schedule {
        epochs: how.epochs,
        batch: BATCH,
        rate: BASE_RATE,
        seed: how.seed,
    };
    let learned = train(&fresh, &examples.learned, schedule, |epoch, loss| {
        progress(Progress::Epoch(epoch, loss));
    })?;
    let score = score(&learned.weights, &examples.judged)?;
    let trained = format!(
        "made-up loads of every recipe, seeds 0 to {}, {} examples of each load at most, {} in \
         all; {} epochs, {} steps of {BATCH}; seed {}",
        how.amount.seeds.saturating_sub(1),
        how.amount.of_each_load,
        examples.learned.len(),
        how.epochs,
        learned.steps,
        how.seed
    );
    let mut model = Model {
        weights: learned.weights,
        facts: [("tierd.trained".to_owned(), trained)].into(),
    };
    judged(&mut model, "made-up loads of other seeds", &score);
    model.write(out)?;
    Ok(score)
}

/// Goes on training a model with local examples, in the order of time: learns from the older ones,
/// judges old and new by the newest, and writes the new one if it is better there.
///
/// # Errors
/// When a file cannot be read or is not what it should be, there are too few examples, the
/// arithmetic fails, or the new model cannot be written.
pub fn retrain(
    model: &Path,
    examples: &Path,
    out: &Path,
    how: Schedule,
    mut progress: impl FnMut(Progress),
) -> Result<Retrained, LearnError> {
    let mut model = Model::read(model)?;
    let all = example::read(examples)?;
    if all.len() < RETRAIN_MIN {
        return Err(LearnError::TooFew {
            path: examples.to_owned(),
            found: all.len(),
            wanted: RETRAIN_MIN,
        });
    }
    let (older, newest) = all.split_at(all.len() - all.len() * JUDGED_TENTHS / 10);
    let learned = train(&model.weights, older, how, |epoch, loss| {
        progress(Progress::Epoch(epoch, loss));
    })?;
    let old = score(&model.weights, newest)?;
    let new = score(&learned.weights, newest)?;
    let is_written = new.network_mean() < old.network_mean();
    if is_written {
        model.weights = learned.weights;
        let trained = format!(
            "{} local examples, {} epochs, {} steps of {}; seed {}",
            older.len(),
            how.epochs,
            learned.steps,
            how.batch,
            how.seed
        );
        model.facts.insert("tierd.retrained".to_owned(), trained);
        judged(&mut model, "the newest local examples", &new);
        model.write(out)?;
    }
    Ok(Retrained {
        old,
        new,
        is_written,
    })
}

/// How a model is trained on where nothing else is said.
#[must_use]
pub const fn retraining(epochs: usize, seed: u64) -> Schedule {
    Schedule {
        epochs,
        batch: BATCH,
        rate: RETRAIN_RATE,
        seed,
    }
}

/// Judges a model by examples.
///
/// # Errors
/// When a file cannot be read or is not what it should be, holds no example, or the arithmetic
/// fails.
pub fn judge(model: &Path, examples: &Path) -> Result<Score, LearnError> {
    let model = Model::read(model)?;
    let all = example::read(examples)?;
    if all.is_empty() {
        return Err(LearnError::TooFew {
            path: examples.to_owned(),
            found: 0,
            wanted: 1,
        });
    }
    score(&model.weights, &all)
}

/// Writes down in a model how it was judged.
fn judged(model: &mut Model, by: &str, score: &Score) {
    let list = |of: [f64; HORIZONS]| of.map(|one| format!("{one:.4}")).join(" ");
    let mut fact = |key: &str, text: String| {
        model.facts.insert(format!("tierd.{key}"), text);
    };
    fact("judged_by", format!("{} examples of {by}", score.examples));
    fact("loss", list(score.network));
    fact("loss_naive", list(score.naive));
}

/// Logarithms of the mean touches until each horizon: where a fresh network begins.
fn mean_logs(examples: &[Example]) -> [f32; HORIZONS] {
    std::array::from_fn(|horizon| {
        let touches = examples
            .iter()
            .map(|one| (1.0 + f64::from(one.touches[horizon])).ln());
        #[allow(clippy::cast_precision_loss, reason = "a count of examples")]
        let mean = touches.sum::<f64>() / examples.len().max(1) as f64;
        #[allow(clippy::cast_possible_truncation, reason = "a guess to begin with")]
        let mean = mean as f32;
        mean.clamp(LOG_RANGE[0], LOG_RANGE[1])
    })
}
