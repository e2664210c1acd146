//! The numbers that are learned.

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use tier_network::contract::{FEATURES, HIDDEN, HORIZONS};

/// Gates of the recurrent layer: z (how much of the state stays), r (how much of it is looked at),
/// h (what is new), in this order, as in ONNX.
pub(crate) const GATES: usize = 3;
/// Rows of the recurrent layer's matrices.
pub(crate) const GATE_ROWS: usize = GATES * HIDDEN;

/// The numbers of a network, each matrix row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// What an input does to each gate: `[144, 12]`.
    pub input: Vec<f32>,
    /// What the state does to each gate: `[144, 48]`.
    pub recurrent: Vec<f32>,
    /// Biases beside the input: `[144]`.
    pub input_bias: Vec<f32>,
    /// Biases beside the state: `[144]`.
    pub recurrent_bias: Vec<f32>,
    /// From the last state to the logarithm of the factor by which the naive forecast of each horizon
    /// is off: `[4, 48]`.
    pub head: Vec<f32>,
    /// Its biases: `[4]`.
    pub head_bias: Vec<f32>,
}

impl Weights {
    /// Weights to begin with, from a seed, even between -1 / sqrt(48) and 1 / sqrt(48) as those of
    /// `PyTorch`. The head is zero: it leaves the naive forecast as it is.
    #[must_use]
    pub fn fresh(seed: u64) -> Self {
        let mut random = Pcg64Mcg::seed_from_u64(seed);
        #[allow(clippy::cast_precision_loss, reason = "48")]
        let bound = (HIDDEN as f32).sqrt().recip();
        let mut some = |count: usize| -> Vec<f32> {
            (0..count)
                .map(|_| random.random_range(-bound..bound))
                .collect()
        };
        Self {
            input: some(GATE_ROWS * FEATURES),
            recurrent: some(GATE_ROWS * HIDDEN),
            input_bias: some(GATE_ROWS),
            recurrent_bias: some(GATE_ROWS),
            head: vec![0.0; HORIZONS * HIDDEN],
            head_bias: vec![0.0; HORIZONS],
        }
    }

    /// The matrices and biases with their names and shapes, in one order.
    pub(crate) fn named(&self) -> [(&'static str, &'static [usize], &[f32]); 6] {
        let [
            input,
            recurrent,
            input_bias,
            recurrent_bias,
            head,
            head_bias,
        ] = SHAPES;
        [
            (input.0, input.1, &self.input),
            (recurrent.0, recurrent.1, &self.recurrent),
            (input_bias.0, input_bias.1, &self.input_bias),
            (recurrent_bias.0, recurrent_bias.1, &self.recurrent_bias),
            (head.0, head.1, &self.head),
            (head_bias.0, head_bias.1, &self.head_bias),
        ]
    }

    /// From what [`Self::named`] gave, in its order.
    pub(crate) fn of(parts: [Vec<f32>; 6]) -> Self {
        let [
            input,
            recurrent,
            input_bias,
            recurrent_bias,
            head,
            head_bias,
        ] = parts;
        Self {
            input,
            recurrent,
            input_bias,
            recurrent_bias,
            head,
            head_bias,
        }
    }

    /// Whether all of them are numbers.
    #[must_use]
    pub fn are_finite(&self) -> bool {
        let mut all = self.named().into_iter();
        all.all(|(_, _, values)| values.iter().all(|value| value.is_finite()))
    }
}

/// Names and shapes, in the order of the fields.
pub(crate) const SHAPES: [(&str, &[usize]); 6] = [
    ("input", &[GATE_ROWS, FEATURES]),
    ("recurrent", &[GATE_ROWS, HIDDEN]),
    ("input_bias", &[GATE_ROWS]),
    ("recurrent_bias", &[GATE_ROWS]),
    ("head", &[HORIZONS, HIDDEN]),
    ("head_bias", &[HORIZONS]),
];
