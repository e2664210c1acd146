//! The pure engine of tierd: facts in ([`event::Event`]), decisions out ([`command::Command`]).
//!
//! No I/O, clock, threads, randomness or unordered iteration lives here, so that the same events
//! give the same commands, byte for byte. Modules are declared in the order of the flow.

// The words.
pub mod units;
mod power;
pub mod volume;
pub mod event;
pub mod command;

// What is known.
pub mod heat;
mod resource;

// What is expected.
pub mod forecast;

// What outlives the daemon.
pub mod memory;

// What it is worth, and what it may cost.
mod plan;
mod budget;
pub mod wear;

// How it is done, and who lives where.
pub mod alloc;
mod migrate;
pub mod version;
pub mod map;
mod check;

// The whole.
pub mod policy;
pub mod engine;
pub mod record;

#[cfg(test)]
mod sim;
#[cfg(test)]
mod testing;

pub use engine::Engine;
pub use policy::PolicyConfig;
