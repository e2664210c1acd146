//! A running volume: its loop, the threads that obey it, and how it is brought up and let go.
//!
//! Modules stand in the order of a volume's life: found, assembled, served, settled.

pub(crate) mod discover;
pub(crate) mod claimed;
pub(crate) mod assemble;
pub(crate) mod bring_up;
pub(crate) mod facts;
pub(crate) mod start;
pub(crate) mod handle;
pub(crate) mod runtime;
mod pace;
pub(crate) mod kernel;
pub(crate) mod memory;
pub(crate) mod metadata;
mod flusher;
mod sampler;
mod watch;
mod recorder;
pub(crate) mod history;
pub(crate) mod hold_stats;
pub(crate) mod problems;
pub(crate) mod served;
pub(crate) mod view;
pub(crate) mod settle;

// Test builds.
mod canary;
