//! The recurrent network that forecasts how often groups of regions will be touched: what the
//! daemon, the simulator and the trainer have in common, and ONNX Runtime where there is one.
//!
//! The engine tells histories ([`tier_core::forecast::history`]) and takes forecasts in; it knows
//! nothing of networks. What trains one is a process of its own (`daemon/learn`).

pub mod contract;
pub mod example;
mod runtime;

pub use runtime::{LIBRARIES, Network, NetworkError, Runtime};

/// The model that comes with tierd, trained on made-up loads (`tierd-learn base`).
pub const BASE_MODEL: &[u8] = include_bytes!("../../learn/model/base.onnx");
