//! Bounds: what could be saved by who knows the future. No policy can be one of them.
//!
//! Owns: request-level Belady and the clairvoyant per epoch. All of them are carried out as the
//! ideal rivals are: moves at once, and what was not written leaves for nothing.

mod belady;
mod clairvoyant;

pub(crate) use belady::Belady;
pub(crate) use clairvoyant::{Clairvoyant, Names};

/// What the slow member works for a move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MoveCost {
    /// To read a region that comes.
    pub(crate) to_come_seconds: f64,
    /// To write one that leaves and was written to.
    pub(crate) to_leave_seconds: f64,
}

#[cfg(test)]
mod tests;
