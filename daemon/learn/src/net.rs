//! The network, in candle.

use candle_core::{Device, Result, Tensor, Var};

use crate::cell::Cell;
use crate::error::LearnError;
use crate::weights::{SHAPES, Weights};
use tier_network::contract::{
    Codes, FEATURES, HIDDEN, HORIZONS, LOG_RANGE, NETWORK_STEPS, features, naive_logs,
};

/// Examples that are looked at together where nothing is learned.
const BATCH: usize = 1_024;

/// A network: tensors in the order of [`SHAPES`].
#[derive(Clone, Debug)]
pub(crate) struct Net([Tensor; 6]);

/// What the network is told of a batch of histories.
pub(crate) struct Inputs {
    /// Step by step, each `[batch, 12]`.
    steps: Vec<Tensor>,
    /// Logarithms of the naive forecast, `[batch, 4]`.
    naive: Tensor,
}

impl Inputs {
    pub(crate) fn of(histories: &[&Codes]) -> Result<Self> {
        let tensor = |numbers: Vec<f32>, width: usize| {
            Tensor::from_vec(numbers, (histories.len(), width), &Device::Cpu)
        };
        let step = |at: usize| {
            let batch = histories.iter();
            tensor(
                batch.flat_map(|codes| features(at, codes)).collect(),
                FEATURES,
            )
        };
        let naive = histories.iter().flat_map(|codes| naive_logs(codes));
        Ok(Self {
            steps: (0..NETWORK_STEPS).map(step).collect::<Result<_>>()?,
            naive: tensor(naive.collect(), HORIZONS)?,
        })
    }
}

impl Net {
    /// A network that learns nothing.
    pub(crate) fn fixed(weights: &Weights) -> Result<Self> {
        Self::by(weights, Ok)
    }

    /// A network that learns, and what is learned of it.
    pub(crate) fn learning(weights: &Weights) -> Result<(Self, Vec<Var>)> {
        let mut vars = Vec::new();
        let net = Self::by(weights, |tensor| {
            let var = Var::from_tensor(&tensor)?;
            vars.push(var.clone());
            Ok(var.into_inner())
        })?;
        Ok((net, vars))
    }

    fn by(weights: &Weights, mut make: impl FnMut(Tensor) -> Result<Tensor>) -> Result<Self> {
        let mut tensor = |(_, shape, numbers): (&str, &[usize], &[f32])| {
            make(Tensor::from_slice(numbers, shape, &Device::Cpu)?)
        };
        let [gates, recurrent, gate_bias, state_bias, head, head_bias] = weights.named();
        Ok(Self([
            tensor(gates)?,
            tensor(recurrent)?,
            tensor(gate_bias)?,
            tensor(state_bias)?,
            tensor(head)?,
            tensor(head_bias)?,
        ]))
    }

    /// Its numbers as they are now.
    pub(crate) fn weights(&self) -> Result<Weights> {
        let mut parts = SHAPES.map(|_| Vec::new());
        for (part, tensor) in parts.iter_mut().zip(&self.0) {
            *part = tensor.flatten_all()?.to_vec1()?;
        }
        Ok(Weights::of(parts))
    }

    /// Logarithms of what is expected, `[batch, 4]`, within their range.
    pub(crate) fn logs(&self, inputs: &Inputs) -> Result<Tensor> {
        let [
            input,
            recurrent,
            input_bias,
            recurrent_bias,
            head,
            head_bias,
        ] = &self.0;
        let (input, recurrent) = (input.t()?, recurrent.t()?);
        let batch = inputs.naive.dim(0)?;
        let mut state = Tensor::zeros((batch, HIDDEN), candle_core::DType::F32, &Device::Cpu)?;
        for step in &inputs.steps {
            let from_input = step.matmul(&input)?.broadcast_add(input_bias)?;
            let from_state = state.matmul(&recurrent)?.broadcast_add(recurrent_bias)?;
            state = from_input.apply_op3(&from_state, &state, Cell)?;
        }
        let off = state.matmul(&head.t()?)?.broadcast_add(head_bias)?;
        (&inputs.naive + off)?.clamp(LOG_RANGE[0], LOG_RANGE[1])
    }

    /// Logarithms of the touches that are expected after each history.
    pub(crate) fn forecast(&self, histories: &[&Codes]) -> Result<Vec<[f32; HORIZONS]>> {
        let mut all = Vec::with_capacity(histories.len());
        for batch in histories.chunks(BATCH) {
            let logs = self.logs(&Inputs::of(batch)?)?;
            for row in logs.to_vec2::<f32>()? {
                let mut one = [0.0; HORIZONS];
                for (one, log) in one.iter_mut().zip(row) {
                    *one = log;
                }
                all.push(one);
            }
        }
        Ok(all)
    }
}

/// Touches that are expected after each history until each horizon.
///
/// # Errors
/// When the arithmetic fails.
pub fn forecast(
    weights: &Weights,
    histories: &[Codes],
) -> std::result::Result<Vec<[f64; HORIZONS]>, LearnError> {
    let histories: Vec<_> = histories.iter().collect();
    let logs = Net::fixed(weights)?.forecast(&histories)?;
    Ok(logs
        .into_iter()
        .map(|logs| logs.map(|log| f64::from(log).exp()))
        .collect())
}
