//! What-if: traces of block I/O, and what tiering would have made of them.
//!
//! May not: decide anything. What moves, and when, is the engine's to say.

pub mod trace;

// The world in which a trace runs.
mod device;
mod outcome;
mod world;

// Who takes part.
mod bounds;
mod engine;
mod future;
mod rivals;
mod still;

mod simulate;

pub use outcome::{Outcome, Part};
pub use simulate::{Kind, Params, PolicyOutcome, Setup, SimulateError, simulate};
