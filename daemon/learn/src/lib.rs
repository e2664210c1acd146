//! Learns to forecast how often groups of regions will be touched.
//!
//! The library of `tierd-learn`, a process of its own: the daemon runs networks and never links
//! what trains them. Examples go in, an ONNX file comes out, and beside it how it compares with the
//! naive forecast on examples that it has not learned from.
//!
//! `model/base.onnx` is the model that comes with tierd. It was made by
//!
//! ```text
//! tierd-learn base --out daemon/learn/model/base.onnx --seeds 64 --epochs 10
//! ```
//!
//! in three and a half minutes of one processor, and says so itself (`metadata_props`), with
//! its loss beside the naive forecast's. On loads of seeds that it had not learned from, the loss was
//! so much of the naive forecast's, which was given the best floor for all of them by hindsight
//! ([`score::Score`]):
//!
//! | recipe  | 60 s  | 600 s | 3600 s | 21600 s |
//! |---------|-------|-------|--------|---------|
//! | all     | 0.663 | 0.810 | 0.841  | 0.847   |
//! | bursts  | 0.989 | 0.922 | 0.920  | 0.858   |
//! | daily   | 0.652 | 0.653 | 0.666  | 0.807   |
//! | drift   | 0.794 | 0.650 | 0.756  | 1.112   |
//! | hot     | 0.762 | 0.296 | 0.187  | 0.247   |
//! | mixed   | 0.696 | 0.870 | 0.959  | 0.820   |
//! | phases  | 0.361 | 0.617 | 0.831  | 0.836   |
//! | streams | 0.429 | 0.940 | 0.958  | 0.889   |
//! | turns   | 0.486 | 0.498 | 0.684  | 0.797   |
//! | weekly  | 0.417 | 0.627 | 0.629  | 0.768   |
//!
//! Only on six hours of a load that drifts is it worse. A group's history does not say of which recipe
//! it is, and what is best for all of them together need not be for each. A handful of settings (size,
//! rate, weights of examples) was chosen by such loads, too, so that some of it is luck.

// The words.
mod error;
mod file;

// What is learned from.
pub mod example;
pub mod dataset;

// What is learned.
mod weights;
mod cell;
mod net;
pub mod onnx;

// How.
pub mod score;
mod gain;
pub mod train;
pub mod idle;
pub mod command;

pub use error::LearnError;
pub use example::Example;
pub use gain::Gain;
pub use net::forecast;
pub use onnx::Model;
pub use score::Score;
pub use weights::Weights;
