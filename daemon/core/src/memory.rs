//! What was learned of a volume's use, so that it outlives the daemon.
//!
//! Owns: [`Memory`], which the shell keeps in a file and gives back by `Event::Remembered`. Losing
//! it loses no data. Times in it are the engine's, which the shell lets go on where they stood, so
//! that what comes back each week comes back at its hour; what was asked for while nobody counted
//! is not known, and taken for silence. May not: hold anything about where data are.

use serde::{Deserialize, Serialize};

use crate::forecast::{FollowingMemory, ForecastMemory, TouchMemory};
use crate::heat::KnownRegion;
use crate::units::Now;
use crate::wear::WearMemory;

/// Version of its layout. What is of another one is of no use, but for the one before: see
/// [`Memory::BEFORE`].
const VERSION: u32 = 3;

/// After so many half-lives without anybody counting, nothing that is remembered is of use: it is
/// more than the coarsest windows of a rhythm reach back to.
const USEFUL_HALF_LIVES: u64 = 400;
/// The engine's time begins anew before it is so many half-lives old, which is half of what heat
/// can count: forty years of the default, unless a calendar was wrong.
const TIME_HALF_LIVES_MAX: u64 = 1 << 17;

/// What was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    version: u32,
    /// When, in the engine's time.
    pub now: Now,
    pub(crate) regions: u32,
    pub(crate) half_life_nanos: u64,
    pub(crate) heat: Vec<KnownRegion>,
    pub(crate) forecasts: ForecastMemory,
    pub(crate) wear: WearMemory,
    /// At first version 2 ended before it.
    pub(crate) following: FollowingMemory,
    /// Version 2 ended before it.
    pub(crate) touches: TouchMemory,
}

/// Why a memory is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// It was written by another version.
    #[error(
        "it is of version {0}, and this tierd knows version {VERSION}; the year of the wear budget \
             begins anew"
    )]
    Version(u32),
    /// The volume has another number of regions now.
    #[error("it is of a volume of {0} regions")]
    Regions(u32),
    /// The half-life was changed, and with it the windows in which use is counted.
    #[error("it was counted with another half-life (policy.half_life_seconds, intervals.scale)")]
    HalfLife,
    /// It is of a time that has not come yet.
    #[error("it is of a time to come; the year of the wear budget begins anew")]
    Future,
}

impl Memory {
    /// The version that knew nothing of n-th touches, nor at first of what follows what, and is else the
    /// same: it is taken over without.
    pub const BEFORE: u32 = 2;
    /// What stands in a file, whose form has no names, for what that version may lack at its end, where
    /// nothing is known of it: three empty lists of what follows what, and two of touches.
    pub const WITHOUT: [u8; 5] = [0; 5];

    pub(crate) fn new(
        now: Now,
        (regions, half_life_nanos): (u32, u64),
        (heat, wear): (Vec<KnownRegion>, WearMemory),
        (forecasts, following, touches): (ForecastMemory, FollowingMemory, TouchMemory),
    ) -> Self {
        Self {
            version: VERSION,
            now,
            regions,
            half_life_nanos,
            heat,
            forecasts,
            wear,
            following,
            touches,
        }
    }

    /// Where the engine's time goes on, so many nanoseconds after this was told; `None` if that is
    /// so long, or so late, that an engine had better begin anew without it.
    #[must_use]
    pub fn resume(&self, passed_nanos: u64) -> Option<Now> {
        let half_life_nanos = self.half_life_nanos.max(1);
        let now = self.now.0.checked_add(passed_nanos)?;
        let is_useful = passed_nanos / half_life_nanos <= USEFUL_HALF_LIVES;
        let has_time = now / half_life_nanos <= TIME_HALF_LIVES_MAX;
        (is_useful && has_time).then_some(Now(now))
    }

    /// Whether anything of it can be used at this time.
    pub(crate) fn check_time(&self, now: Now) -> Result<(), MemoryError> {
        if self.version != VERSION && self.version != Self::BEFORE {
            return Err(MemoryError::Version(self.version));
        }
        if self.now > now {
            return Err(MemoryError::Future);
        }
        Ok(())
    }

    /// Whether what was counted of regions fits an engine over so many.
    pub(crate) fn check_basis(
        &self,
        (regions, half_life_nanos): (u32, u64),
    ) -> Result<(), MemoryError> {
        if self.regions != regions {
            return Err(MemoryError::Regions(self.regions));
        }
        if self.half_life_nanos != half_life_nanos {
            return Err(MemoryError::HalfLife);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
