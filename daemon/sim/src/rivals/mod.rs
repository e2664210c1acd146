//! The rivals: how others decide what the fast tier holds.
//!
//! Owns: [`Chooser`], which decides, and [`stock`], which carries out what any of them decides,
//! timed or ideal.

use crate::trace::Op;

pub(crate) mod arc;
pub(crate) mod epochs;
mod levels;
mod order;
pub(crate) mod s3fifo;
pub(crate) mod smq;
pub(crate) mod stock;
pub(crate) mod touches;

/// A touch of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) at_nanos: u64,
    pub(crate) region: u32,
    pub(crate) op: Op,
}

/// Who decides what comes to the fast tier and what leaves it.
pub(crate) trait Chooser {
    /// A region of the slow tier was touched. Whether it is to come.
    fn wants(&mut self, asked: Asked) -> bool;
    /// A region of the fast tier was touched.
    fn hit(&mut self, asked: Asked);
    /// A region has come to the fast tier, or is on its way.
    fn came(&mut self, region: u32);
    /// Which region is to leave for another; it is counted as gone. Those that `stays` names cannot
    /// leave just now.
    fn leaves(&mut self, stays: &dyn Fn(u32) -> bool) -> Option<u32>;
    /// How often it is to be given a turn, if at all.
    fn period_nanos(&self) -> Option<u64> {
        None
    }
    /// Its turn: the regions that are to come.
    fn turn(&mut self, _now_nanos: u64) -> Vec<u32> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
