use candle_core::{D, DType, Device, Result, Tensor, Var};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::*;

const BATCH: usize = 5;

/// The step, of candle's own operations.
fn composed(input: &Tensor, from_state: &Tensor, state: &Tensor) -> Result<Tensor> {
    let gate = |of: &Tensor, at: usize| of.narrow(D::Minus1, at * HIDDEN, HIDDEN);
    let sigmoid = |of: Tensor| (of.neg()?.exp()? + 1.0)?.recip();
    let stay = sigmoid((gate(input, 0)? + gate(from_state, 0)?)?)?;
    let look = sigmoid((gate(input, 1)? + gate(from_state, 1)?)?)?;
    let new = (gate(input, 2)? + (look * gate(from_state, 2)?)?)?.tanh()?;
    &new + (stay * (state - &new)?)?
}

fn args() -> Vec<Var> {
    let mut random = Pcg64Mcg::seed_from_u64(7);
    let mut var = |width: usize| {
        let numbers = (0..BATCH * width).map(|_| random.random_range(-3.0_f32..3.0));
        let tensor = Tensor::from_vec(numbers.collect(), (BATCH, width), &Device::Cpu).unwrap();
        Var::from_tensor(&tensor).unwrap()
    };
    vec![var(GATE_ROWS), var(GATE_ROWS), var(HIDDEN)]
}

fn farthest(one: &Tensor, other: &Tensor) -> f32 {
    let off = (one - other).unwrap().abs().unwrap();
    off.flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn the_cell_and_its_slopes_are_those_of_the_composed_step() {
    let args = args();
    let next = args[0].apply_op3(&args[1], &args[2], Cell).unwrap();
    let wanted = composed(&args[0], &args[1], &args[2]).unwrap();
    assert!(farthest(&next, &wanted) < 1e-6);
    // A loss to which each unit matters differently.
    let weights = Tensor::arange(1_u32, 241, &Device::Cpu).unwrap();
    let weights = weights
        .to_dtype(DType::F32)
        .unwrap()
        .reshape((BATCH, HIDDEN))
        .unwrap();
    let slopes = |next: Tensor| {
        (next * &weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap()
    };
    let (own, wanted) = (slopes(next), slopes(wanted));
    for arg in &args {
        let (own, wanted) = (own.get(arg).unwrap(), wanted.get(arg).unwrap());
        // Slopes are up to 240.
        assert!(farthest(own, wanted) < 1e-4, "{}", farthest(own, wanted));
    }
}

#[test]
fn the_exponential_is_one() {
    for step in -7_900_i16..=7_900 {
        let of = f32::from(step) / 100.0;
        let off = (f64::from(exp(of)) / f64::from(of).exp() - 1.0).abs();
        assert!(off < 3e-7, "exp({of}) is off by {off}");
    }
    assert!((tanh(50.0) - 1.0).abs() < 1e-7 && (tanh(-50.0) + 1.0).abs() < 1e-7);
    assert!(sigmoid(-90.0) >= 0.0 && sigmoid(f32::INFINITY) <= 1.0);
}
