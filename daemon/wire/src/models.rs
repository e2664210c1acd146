//! The models by which a volume's network forecasts.
//!
//! Owns: the requests and replies of `models`, `retrain` and `rollback`.

use serde::{Deserialize, Serialize};

use crate::name::VolumeName;

/// The models of a volume, and how the one in use does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelList {
    /// The volume.
    pub volume: VolumeName,
    /// The network.
    pub network: Network,
    /// The models, by number; 0 is the one that comes with tierd.
    pub models: Vec<Model>,
    /// Examples of local history that are kept to train with.
    pub examples: u64,
    /// Training.
    pub training: Training,
}

/// The network: whether it runs, and how it does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Network {
    /// Whether it forecasts.
    pub runs: bool,
    /// The library that runs it, if it does.
    pub library: Option<String>,
    /// Why it does not, if it does not.
    pub problem: Option<String>,
    /// Whether the policy goes by it now.
    pub is_believed: bool,
    /// How far the logarithm of what it forecast was from that of what came, in powers of e: a mean
    /// of the horizons and of late. `null` before the first forecast has come to its end.
    pub error: Option<f64>,
    /// The same of the reactive expert.
    pub naive_error: Option<f64>,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Its number.
    pub number: u32,
    /// Whether it is the one in use.
    pub is_current: bool,
    /// The model that it was trained on from; `null` for the one that comes with tierd.
    pub from: Option<u32>,
    /// Seconds since it was made; `null` for the one that comes with tierd.
    pub age_seconds: Option<f64>,
    /// Examples by which it was judged, and that it had not learned from.
    pub judged_by: Option<u64>,
    /// Its mean loss on these by horizon, the less the better; empty if it is not known.
    pub loss: Vec<f64>,
    /// That of the model it came from, on the same.
    pub loss_before: Vec<f64>,
    /// That of the naive forecast, on the same.
    pub loss_naive: Vec<f64>,
}

/// Training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Whether one is under way.
    pub runs: bool,
    /// Seconds until the next one is due, if there is a schedule.
    pub next_seconds: Option<f64>,
    /// How the last one ended, if there was one since the volume was taken up.
    pub last: Option<TrainingEnd>,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingEnd {
    /// Seconds ago.
    pub ended_seconds_ago: f64,
    /// Number of the model that came of it, if one did.
    pub made: Option<u32>,
    /// For people.
    pub text: String,
}

/// Asks for a training. Answered by [`ModelList`] as soon as it has begun.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retrain {}

/// Asks for another model to be used. Answered by [`ModelList`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rollback {
    /// Which; the one before the one in use unless given.
    #[serde(default)]
    pub to: Option<u32>,
}
