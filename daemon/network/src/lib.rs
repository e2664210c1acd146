//! The recurrent network that forecasts how often groups of regions will be touched: what the
//! daemon, the simulator and the trainer have in common.
//!
//! The engine tells histories ([`tier_core::forecast::history`]) and takes forecasts in; it knows
//! nothing of networks. What trains one is a process of its own (`daemon/learn`).

pub mod contract;
