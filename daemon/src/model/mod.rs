//! The network that forecasts: which model runs, what it forecasts, and how it is trained anew.
//!
//! Owns: for each volume, a folder of models and examples, and a thread that answers the engine's
//! `Command::Forecast`, keeps `Command::Learn`, and has `tierd-learn` train a new model, on
//! schedule and when forecasts have become worse. Invariants: nothing waits for this thread, which
//! is the only one that touches those files; without ONNX Runtime, or with an unusable model, the
//! other experts go on and everybody is told why. May not: train; that is a process of its own.

mod error;
mod examples;
mod library;
mod registry;
mod trainer;
mod worker;

pub(crate) use self::error::ModelError;
pub(crate) use self::registry::{Entry, RegistryError};
pub(crate) use self::worker::{Models, ModelsView};
