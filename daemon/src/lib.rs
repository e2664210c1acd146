//! The shell of tierd: it waits for something, asks the engine, and does what the engine says.
//!
//! Modules are declared in the order of the flow. The shell holds no `if` about tiering.

pub mod api;
pub mod backend;
pub mod boot;
pub mod cli;
pub mod config;
pub mod dmstats;
pub mod exit;
pub mod logging;
pub mod manager;
pub mod member;
pub mod metrics;
pub mod monitor;
pub mod notify;
pub mod program;
pub mod run;
pub mod stop_point;
pub mod udev;
pub mod volume;
