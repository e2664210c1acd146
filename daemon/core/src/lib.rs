//! The pure engine of tierd: facts in ([`event::Event`]), decisions out ([`command::Command`]).
//!
//! No I/O, clock, threads, randomness or unordered iteration lives here, so that the same events
//! give the same commands, byte for byte. Modules are declared in the order of the flow.

pub mod alloc;
mod check;
pub mod command;
pub mod engine;
pub mod event;
pub mod map;
mod migrate;
pub mod policy;
#[cfg(test)]
mod sim;
pub mod units;
pub mod volume;

pub use engine::Engine;
pub use policy::PolicyConfig;
