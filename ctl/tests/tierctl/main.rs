//! tierctl as its users have it: the built program, against a fake tierd on a real socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on stops"
)]

mod behaviour;
mod contract;
mod fake;
mod golden;
mod offline;
mod record;
mod run;
mod simulate;
mod terminal;
