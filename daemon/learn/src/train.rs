//! Learning: Adam over the examples in an order drawn from a seed.
//!
//! The same weights, examples and seed give the same weights on the same machine: one thread works,
//! as sums of floats depend on their order, and nothing is drawn but from the seed. Another machine
//! may have wider arithmetic, and other last digits.

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use candle_nn::{AdamW, Optimizer, ParamsAdamW};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use crate::error::LearnError;
use crate::example::Example;
use crate::net::{Inputs, Net};
use crate::score::{Judge, weigh};
use crate::weights::Weights;
use tier_network::contract::{HORIZONS, naive};

/// How long and how fast is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Times that all examples are gone through.
    pub epochs: usize,
    /// Examples between two changes of the weights.
    pub batch: usize,
    /// Size of a change at first; it falls to nothing, as half a wave of a cosine.
    pub rate: f64,
    /// What the order is drawn from.
    pub seed: u64,
}

/// What learning came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Learned {
    /// The weights.
    pub weights: Weights,
    /// Changes of the weights that were made.
    pub steps: usize,
}

/// Longest that the slope of a batch may be: one strange example is not to undo the others.
const SLOPE_MAX: f64 = 1.0;

/// So much of what the network itself expects is added to what an example's loss is divided by. With
/// none of it and with all of it, the base model became worse.
const OWN_PART: f64 = 0.2;

/// An example, and what its loss counts: `share`, divided by the sum of `scale` and a part of what is
/// expected.
struct Weighed<'a> {
    example: &'a Example,
    share: [f32; HORIZONS],
    scale: [f32; HORIZONS],
}

/// Goes on learning from `weights`. Of the `sets`, each counts as much as each other, and so does
/// each horizon: what counts is the loss in relation to the naive forecast's on the same set. Tells
/// `progress` after each epoch its number and mean loss (of which a constant is left out: it
/// compares epochs, and nothing else).
///
/// An example counts less the more the network itself expects of it, as the judge lets it count less
/// the more the naive forecast expects: what comes after strays the wider the more it is, and a few
/// great surprises would drown the rest.
///
/// # Errors
/// When the arithmetic fails, or its results are no numbers any more.
pub fn train(
    weights: &Weights,
    sets: &[&[Example]],
    schedule: Schedule,
    mut progress: impl FnMut(usize, f64),
) -> Result<Learned, LearnError> {
    // Work that is shared out is not worth it here, and would be summed in another order.
    gemm::set_threading_threshold(usize::MAX);
    let (net, vars) = Net::learning(weights)?;
    let params = ParamsAdamW {
        lr: schedule.rate,
        weight_decay: 0.0,
        ..ParamsAdamW::default()
    };
    let mut adam = AdamW::new(vars.clone(), params)?;
    let mut random = Pcg64Mcg::seed_from_u64(schedule.seed);
    let mut order = weighed(sets);
    let batches = order.len().div_ceil(schedule.batch.max(1)) * schedule.epochs;
    let mut steps = 0;
    for epoch in 0..schedule.epochs {
        order.shuffle(&mut random);
        let mut sum = 0.0;
        for batch in order.chunks(schedule.batch.max(1)) {
            adam.set_learning_rate(schedule.rate * falling(steps, batches));
            let loss = loss(&net, batch)?;
            sum += f64::from(loss.judged.to_scalar::<f32>()?) * count(batch.len());
            let mut slopes = loss.learned.backward()?;
            bound(&mut slopes, &vars)?;
            adam.step(&slopes)?;
            steps += 1;
        }
        let mean = sum / count(order.len().max(1));
        if !mean.is_finite() {
            return Err(LearnError::Astray);
        }
        progress(epoch + 1, mean);
    }
    let weights = net.weights()?;
    if !weights.are_finite() {
        return Err(LearnError::Astray);
    }
    Ok(Learned { weights, steps })
}

/// The examples of all sets, in their order.
fn weighed<'a>(sets: &[&'a [Example]]) -> Vec<Weighed<'a>> {
    let all: usize = sets.iter().map(|set| set.len()).sum();
    let mut weighed = Vec::with_capacity(all);
    for set in sets {
        let share = count(all) / count(sets.len() * set.len().max(1));
        let judge = Judge::of(set);
        let losses = judge.naive_losses(judge.floors());
        #[allow(clippy::cast_possible_truncation, reason = "a weight needs no 53 bits")]
        weighed.extend(set.iter().map(|example| Weighed {
            example,
            share: losses.map(|loss| (share / loss) as f32),
            scale: weigh(naive(&example.codes)).map(|weight| weight.recip() as f32),
        }));
    }
    weighed
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a count of examples or of steps"
)]
fn count(of: usize) -> f64 {
    of as f64
}

/// Half a wave from one to zero.
fn falling(step: usize, of: usize) -> f64 {
    let part = count(step) / count(of.max(1));
    0.5 * (1.0 + (std::f64::consts::PI * part).cos())
}

/// Mean loss of a batch, without the part that no forecast changes.
struct Loss {
    /// What is to become less.
    learned: Tensor,
    /// The same as the judge weighs it.
    judged: Tensor,
}

fn loss(net: &Net, batch: &[Weighed<'_>]) -> candle_core::Result<Loss> {
    let histories: Vec<_> = batch.iter().map(|one| &one.example.codes).collect();
    let logs = net.logs(&Inputs::of(&histories)?)?;
    let tensor = |numbers| Tensor::from_vec(numbers, (batch.len(), HORIZONS), &Device::Cpu);
    let touches = tensor(batch.iter().flat_map(|one| one.example.touches).collect())?;
    let share = tensor(batch.iter().flat_map(|one| one.share).collect())?;
    let scale = tensor(batch.iter().flat_map(|one| one.scale).collect())?;
    let expected = logs.exp()?;
    let cost = (&expected - (touches * &logs)?)?;
    let judged = (cost.detach() * (&share / &scale)?)?.mean_all()?;
    // What an example counts is given beforehand: no slope goes through it.
    let own = (expected.detach() * OWN_PART)?;
    let counts = (share / (scale + own)?)?;
    let learned = (cost * counts)?.mean_all()?;
    Ok(Loss { learned, judged })
}

/// Shortens the slopes to [`SLOPE_MAX`].
fn bound(slopes: &mut GradStore, vars: &[Var]) -> candle_core::Result<()> {
    let mut square = 0.0;
    for var in vars {
        if let Some(slope) = slopes.get(var) {
            square += f64::from(slope.sqr()?.sum_all()?.to_scalar::<f32>()?);
        }
    }
    let length = square.sqrt();
    if length <= SLOPE_MAX {
        return Ok(());
    }
    for var in vars {
        if let Some(slope) = slopes.remove(var) {
            slopes.insert(var, (slope * (SLOPE_MAX / length))?);
        }
    }
    Ok(())
}
