//! The shell of tierd: it waits for something, asks the engine, and does what the engine says.
//!
//! Modules are declared in the order of the flow. The shell holds no `if` about tiering.

// The program: what starts it, and how it ends.
pub mod program;
pub mod cli;
pub mod config;
pub mod exit;
pub mod logging;
pub mod notify;

// The daemon, the boot, and what udev asks.
pub mod run;
pub mod boot;
pub mod serve;
pub mod turn;
pub mod udev;

// The volumes: all of them, their devices, how data is mapped, one that runs.
pub mod manager;
pub mod member;
pub mod backend;
pub mod volume;

// What is measured, and what is shown.
pub mod monitor;
mod model;
mod beneath;
mod patience;
mod state;
pub mod dmstats;
pub mod metrics;
pub mod api;

// Test builds.
pub mod stop_point;
