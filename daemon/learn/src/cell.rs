//! One step of the recurrent layer, as one operation of candle.
//!
//! Composed of candle's own operations, a step would be some twenty tensors and the time would go
//! into making them. Both directions are checked against that composition by a test.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

use crate::weights::GATE_ROWS;
use tier_network::contract::HIDDEN;

/// From what the input says to the gates `[batch, 144]`, what the state says to them
/// `[batch, 144]` and the state `[batch, 48]` to the next state `[batch, 48]`.
pub(crate) struct Cell;

/// The gates of one unit.
struct Gates {
    /// How much of the state stays.
    stay: f32,
    /// How much of the state is looked at.
    look: f32,
    /// What is new.
    new: f32,
}

/// The exponential: Taylor's series to the sixth power around the nearest power of two, which a
/// compiler can do for many at a time. Off by less than 3e-7 of itself.
fn exp(of: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the last bits.
    const ROUND: f32 = 12_582_912.0;
    /// The logarithm of two, in two parts so that little is lost.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let of = of.clamp(-80.0, 80.0);
    let rounded = of * std::f32::consts::LOG2_E + ROUND;
    let whole = rounded - ROUND;
    let rest = (of - whole * LN_2[0]) - whole * LN_2[1];
    let series = 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = series * rest + 1.0;
    let series = series * rest + 1.0;
    let power = f32::from_bits((rounded.to_bits() << 23).wrapping_add(1.0_f32.to_bits()));
    series * power
}

fn sigmoid(of: f32) -> f32 {
    1.0 / (1.0 + exp(-of))
}

fn tanh(of: f32) -> f32 {
    1.0 - 2.0 / (1.0 + exp(2.0 * of))
}

/// A row of three gates, taken apart.
fn apart(row: &[f32]) -> [&[f32]; 3] {
    let (first, rest) = row.split_at(HIDDEN);
    let (second, third) = rest.split_at(HIDDEN);
    [first, second, third]
}

fn apart_mut(row: &mut [f32]) -> [&mut [f32]; 3] {
    let (first, rest) = row.split_at_mut(HIDDEN);
    let (second, third) = rest.split_at_mut(HIDDEN);
    [first, second, third]
}

fn gates(input: [f32; 3], state: [f32; 3]) -> Gates {
    let look = sigmoid(input[1] + state[1]);
    Gates {
        stay: sigmoid(input[0] + state[0]),
        look,
        new: tanh(input[2] + look * state[2]),
    }
}

/// The next state of one row.
fn forward(input: &[f32], from_state: &[f32], state: &[f32], next: &mut [f32]) {
    let ([iz, ir, ih], [sz, sr, sh]) = (apart(input), apart(from_state));
    let (state, next) = (&state[..HIDDEN], &mut next[..HIDDEN]);
    for at in 0..HIDDEN {
        let gates = gates([iz[at], ir[at], ih[at]], [sz[at], sr[at], sh[at]]);
        next[at] = gates.new + gates.stay * (state[at] - gates.new);
    }
}

/// What the loss changes by with each of the three, given what it changes by with the next state.
struct Slopes<'a> {
    input: &'a mut [f32],
    from_state: &'a mut [f32],
    state: &'a mut [f32],
}

fn backward(
    (input, from_state, state): (&[f32], &[f32], &[f32]),
    slope: &[f32],
    into: &mut Slopes<'_>,
) {
    let ([iz, ir, ih], [sz, sr, sh]) = (apart(input), apart(from_state));
    let [into_stay, into_look, into_new] = apart_mut(into.input);
    let [from_stay, from_look, from_new] = apart_mut(into.from_state);
    let (state, slope) = (&state[..HIDDEN], &slope[..HIDDEN]);
    let to_state = &mut into.state[..HIDDEN];
    for at in 0..HIDDEN {
        let Gates { stay, look, new } = gates([iz[at], ir[at], ih[at]], [sz[at], sr[at], sh[at]]);
        let of_new = slope[at] * (1.0 - stay) * (1.0 - new * new);
        let of_stay = slope[at] * (state[at] - new) * stay * (1.0 - stay);
        let of_look = of_new * sh[at] * look * (1.0 - look);
        (into_stay[at], into_look[at], into_new[at]) = (of_stay, of_look, of_new);
        (from_stay[at], from_look[at], from_new[at]) = (of_stay, of_look, of_new * look);
        to_state[at] = slope[at] * stay;
    }
}

/// The numbers of a tensor that lies in one piece.
fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let (begin, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| candle_core::Error::msg("the cell wants tensors that lie in one piece"))?;
    Ok(&storage.as_slice::<f32>()?[begin..end])
}

impl CustomOp3 for Cell {
    fn name(&self) -> &'static str {
        "recurrent-cell"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        from_state: &CpuStorage,
        from_state_layout: &Layout,
        state: &CpuStorage,
        state_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let inputs = slice(input, input_layout)?.chunks_exact(GATE_ROWS);
        let from_states = slice(from_state, from_state_layout)?.chunks_exact(GATE_ROWS);
        let states = slice(state, state_layout)?.chunks_exact(HIDDEN);
        let mut next = vec![0.0; states.len() * HIDDEN];
        let rows = inputs.zip(from_states).zip(states);
        for (((input, from_state), state), next) in rows.zip(next.chunks_exact_mut(HIDDEN)) {
            forward(input, from_state, state, next);
        }
        Ok((CpuStorage::F32(next), state_layout.shape().clone()))
    }

    fn bwd(
        &self,
        input: &Tensor,
        from_state: &Tensor,
        state: &Tensor,
        _: &Tensor,
        slope: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<f32>();
        let args = (numbers(input)?, numbers(from_state)?, numbers(state)?);
        let slope = numbers(slope)?;
        let mut of_input = vec![0.0; args.0.len()];
        let mut of_from_state = vec![0.0; args.1.len()];
        let mut of_state = vec![0.0; args.2.len()];
        let slopes = of_input
            .chunks_exact_mut(GATE_ROWS)
            .zip(of_from_state.chunks_exact_mut(GATE_ROWS))
            .zip(of_state.chunks_exact_mut(HIDDEN));
        let rows = (args.0.chunks_exact(GATE_ROWS))
            .zip(args.1.chunks_exact(GATE_ROWS))
            .zip(args.2.chunks_exact(HIDDEN))
            .zip(slope.chunks_exact(HIDDEN));
        for ((((input, from_state), state), slope), into) in rows.zip(slopes) {
            let mut into = Slopes {
                input: into.0.0,
                from_state: into.0.1,
                state: into.1,
            };
            backward((input, from_state, state), slope, &mut into);
        }
        let tensor =
            |numbers, like: &Tensor| Tensor::from_vec(numbers, like.shape(), like.device());
        Ok((
            Some(tensor(of_input, input)?),
            Some(tensor(of_from_state, from_state)?),
            Some(tensor(of_state, state)?),
        ))
    }
}

#[cfg(test)]
mod tests;
