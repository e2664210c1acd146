//! What tierd's tests are made of: guests, disks that fail, device-mapper by hand.
//!
//! Owns: everything a suite needs to run the real thing on a real kernel. Nothing here simulates
//! the system under test; disks are simulated, since their faults cannot be ordered.
//! May not: skip a test silently. Where something is missing, [`skip`] records it by name.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a harness fails the test that uses it, and a panic is how a test fails"
)]

pub mod api;
pub mod command;
pub mod demo;
pub mod disk;
pub mod dm;
pub mod guest;
pub mod io;
pub mod load;
pub mod loopdev;
pub mod outage;
pub mod rig;
pub mod server;
pub mod skip;
pub mod tierd;
