//! The shell of tierd: it waits for something, asks the engine, and does what the engine says.
//!
//! Modules are declared in the order of the flow. The shell holds no `if` about tiering.

pub mod api;
pub mod backend;
pub mod cli;
pub mod config;
pub mod exit;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod dmstats;
pub mod monitor;
pub mod udev;
