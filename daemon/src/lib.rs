//! The shell of tierd: it waits for something, asks the engine, and does what the engine says.
//!
//! Modules are declared in the order of the flow. The shell holds no `if` about tiering.

pub mod cli;
pub mod config;
pub mod exit;
pub mod logging;
pub mod run;
pub mod boot;
pub mod notify;
pub mod metrics;
pub mod api;
pub mod manager;
pub mod volume;
pub mod member;
pub mod monitor;
pub mod dmstats;
pub mod udev;
pub mod backend;
pub mod stop_point;
