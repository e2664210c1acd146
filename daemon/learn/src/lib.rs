//! Learns to forecast how often groups of regions will be touched.
//!
//! The library of `tierd-learn`, a process of its own: the daemon runs networks and never links
//! what trains them. Examples go in, an ONNX file comes out, and beside it how it compares with the
//! naive forecast on examples that it has not learned from.
//!
//! `model/base.onnx` is the model that comes with tierd. It was made by
//!
//! ```text
//! tierd-learn base --out daemon/learn/model/base.onnx --seeds 20 --epochs 10
//! ```
//!
//! and says so itself (`metadata_props`), with its loss beside the naive forecast's.

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
pub use net::forecast;
pub use onnx::Model;
pub use score::Score;
pub use weights::Weights;
