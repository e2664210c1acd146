//! What-if: traces of block I/O, and what tiering would have made of them.
//!
//! May not: decide anything. What moves, and when, is the engine's to say.

pub mod generate;
pub mod trace;

// The world in which a trace runs.
mod device;
mod outcome;
mod world;

// Who takes part.
mod bounds;
mod counts;
mod engine;
mod future;
mod rivals;
mod still;

mod field;
mod simulate;

// What came of it, beside what was aimed at.
pub mod goals;

pub use counts::each_touch;
pub use engine::Forecaster;
pub use field::{Devices, MemberSetup};
pub use tier_core::PolicyConfig;
pub use tier_core::forecast::{GroupForecast, GroupHistory};
pub use tier_core::units::{Bytes, Micros};
pub use tier_core::volume::{Class, Profile};
pub use tier_core::wear::{MemberWearStatus, MoneyStatus, WearStatus};

pub use outcome::{Outcome, Part};
pub use simulate::{Kind, Params, PolicyOutcome, Setup, SimulateError, simulate};
