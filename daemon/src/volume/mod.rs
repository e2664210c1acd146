//! A running volume: its loop, the threads that obey it, and how it is brought up and let go.
//!
//! Modules stand in the order of a volume's life: found, assembled, served, settled.

pub(crate) mod assemble;
pub(crate) mod discover;
pub(crate) mod facts;
mod flusher;
pub(crate) mod handle;
pub(crate) mod history;
pub(crate) mod hold_stats;
mod kernel;
mod metadata;
pub(crate) mod problems;
mod recorder;
pub(crate) mod runtime;
mod sampler;
pub(crate) mod served;
pub(crate) mod settle;
pub(crate) mod start;
pub(crate) mod view;
mod watch;
