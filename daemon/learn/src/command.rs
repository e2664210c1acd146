//! What the command does: train anew, train on, judge.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::dataset::{self, Amount, OfRecipe};
use crate::error::LearnError;
use crate::example::{self, Example};
use crate::gain::Gain;
use crate::onnx::Model;
use crate::score::{Judge, Score, score};
use crate::train::{Schedule, train};
use crate::weights::Weights;
use tier_network::contract::{HORIZON_SECONDS, HORIZONS};

/// Examples between two changes of the weights.
const BATCH: usize = 256;
/// Size of a change at first, when training anew.
const BASE_RATE: f64 = 8e-3;
/// And when training on: what is known already is not to be forgotten at once.
const RETRAIN_RATE: f64 = 1e-3;
/// Fewest examples to train on with, of which so many must be left to learn from.
pub const RETRAIN_MIN: usize = 500;
const LEARNED_MIN: usize = 300;
/// Of ten local examples, the newest, by which is judged.
const JUDGED_TENTHS: usize = 2;
/// What comes after an example is known so much later.
const OUTCOME_SECONDS: u64 = HORIZON_SECONDS[HORIZONS - 1] as u64;

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

/// What training anew came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trained {
    /// On loads of all recipes.
    #[serde(flatten)]
    pub all: Score,
    /// On those of each, by name; beside a naive forecast that does not know of which it is, either.
    pub recipes: BTreeMap<&'static str, Score>,
}

/// What training on came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retrained {
    /// Examples that were learned from.
    pub learned: usize,
    /// Of the old model, on the newest examples.
    pub old: Score,
    /// Of the new one, on the same.
    pub new: Score,
    /// How much better the new one is.
    #[serde(flatten)]
    pub gain: Gain,
    /// Whether it was written.
    pub is_written: bool,
    /// Why not, if it was not.
    pub reason: Option<String>,
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
) -> Result<Trained, LearnError> {
    let recipes = dataset::make(how.amount, |done, of| progress(Progress::Loads(done, of)));
    let sets: Vec<_> = recipes.iter().map(|one| one.learned.as_slice()).collect();
    let schedule = Schedule {
        epochs: how.epochs,
        batch: BATCH,
        rate: BASE_RATE,
        seed: how.seed,
    };
    let fresh = Weights::fresh(how.seed);
    let learned = train(&fresh, &sets, schedule, |epoch, loss| {
        progress(Progress::Epoch(epoch, loss));
    })?;
    let scores = by_recipe(&learned.weights, &recipes)?;
    let trained = format!(
        "made-up loads of every recipe, seeds 0 to {}, {} examples of each load at most, {} in \
         all; {} epochs, {} steps of {BATCH}; seed {}",
        how.amount.seeds.saturating_sub(1),
        how.amount.of_each_load,
        sets.iter().map(|set| set.len()).sum::<usize>(),
        how.epochs,
        learned.steps,
        how.seed
    );
    let mut model = Model {
        weights: learned.weights,
        facts: [("tierd.trained".to_owned(), trained)].into(),
    };
    judged(&mut model, "made-up loads of other seeds", &scores.all);
    model.write(out)?;
    Ok(scores)
}

/// Judges weights by the examples of all recipes, and of each.
fn by_recipe(weights: &Weights, recipes: &[OfRecipe]) -> Result<Trained, LearnError> {
    let all: Vec<_> = recipes
        .iter()
        .flat_map(|one| one.judged.iter().cloned())
        .collect();
    let judge = Judge::of(&all);
    let floors = judge.floors();
    let mut scores = BTreeMap::new();
    for recipe in recipes {
        let judge = Judge::of(&recipe.judged);
        let score = judge.score(&judge.costs(weights)?, floors);
        scores.insert(recipe.name, score);
    }
    Ok(Trained {
        all: judge.score(&judge.costs(weights)?, floors),
        recipes: scores,
    })
}

/// Goes on training a model with local examples: learns from the older ones, judges old and new by
/// the newest fifth, and writes the new one if it is better there ([`Gain`]).
///
/// Examples between, whose outcome was not known yet when the judged ones began, are left out: what
/// is judged by is not to be learned from.
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
    let mut all = example::read(examples)?;
    all.sort_by_key(|one| one.at_seconds);
    let (older, newest) = apart(&all);
    for (found, wanted) in [(all.len(), RETRAIN_MIN), (older.len(), LEARNED_MIN)] {
        if found < wanted {
            return Err(too_few(examples, (found, wanted)));
        }
    }
    let learned = train(&model.weights, &[older], how, |epoch, loss| {
        progress(Progress::Epoch(epoch, loss));
    })?;
    let judge = Judge::of(newest);
    let (old, new) = (judge.costs(&model.weights)?, judge.costs(&learned.weights)?);
    let floors = judge.floors();
    let gain = Gain::of(&old, &new, judge.naive_losses(floors));
    let (old, new) = (judge.score(&old, floors), judge.score(&new, floors));
    let reason = gain.reason_against(&new);
    if reason.is_none() {
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
        learned: older.len(),
        old,
        new,
        gain,
        is_written: reason.is_none(),
        reason,
    })
}

/// Examples in the order of time become those to learn from and those to judge by.
fn apart(all: &[Example]) -> (&[Example], &[Example]) {
    let (older, newest) = all.split_at(all.len() - all.len() * JUDGED_TENTHS / 10);
    let judged_from = newest.first().map_or(0, |one| one.at_seconds);
    let is_known = |one: &Example| one.at_seconds.saturating_add(OUTCOME_SECONDS) <= judged_from;
    (&older[..older.partition_point(is_known)], newest)
}

fn too_few(examples: &Path, (found, wanted): (usize, usize)) -> LearnError {
    LearnError::TooFew {
        path: examples.to_owned(),
        found,
        wanted,
    }
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
        return Err(too_few(examples, (0, 1)));
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
