//! The probe on this machine's kernel, over loop devices, against fio's own counts.
//!
//! Needs root, BTF and loop devices. Each test has devices of its own, and the probe filters by
//! device, so that tests may run at the same time as each other and as other work.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod counts;
mod hot;
mod latency;
mod lifecycle;
mod members;
mod recorder;
mod rig;
