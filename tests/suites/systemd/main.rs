//! The units and the udev rules with the real systemd and udevd, in User-Mode Linux.
//!
//! Everything is installed by the very lines that `systemd/README.md` tells people to type, before
//! systemd starts. What a test changes besides, it changes by a drop-in, as an administrator would.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]

mod boot;
mod machine;
mod rules;
mod units;
mod writer;
