//! When what is expected of a region begins, and when it is over.
//!
//! Owns: [`StartsIn`] and [`Timing`], which an expert tells from now on, and [`Demand`], the same in
//! the engine's time. May not: say when a move is to begin.

use crate::units::{Now, nanos};

/// When the use that is expected begins.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum StartsIn {
    /// It goes on, or nobody knows when it begins: a move is as good now as it will be.
    #[default]
    Now,
    /// In so many seconds.
    Seconds(f64),
}

/// The time of the use that is expected next, from now on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Timing {
    pub(crate) starts_in: StartsIn,
    /// Seconds until it is over, if that is known.
    pub(crate) over_in_seconds: Option<f64>,
}

/// The same, in the engine's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    /// When it begins, if that is known and has not come yet: by then a move has to have ended.
    pub(crate) begins: Option<Now>,
    /// When it is over, if that is known.
    pub(crate) ends: Option<Now>,
}

impl Timing {
    /// Of use that begins and ends at these times.
    pub(crate) fn of(begins: Now, ends: Now, now: Now) -> Self {
        let starts_in = if begins <= now {
            StartsIn::Now
        } else {
            StartsIn::Seconds(begins.seconds_since(now))
        };
        Self {
            starts_in,
            over_in_seconds: Some(ends.seconds_since(now)),
        }
    }

    /// Whether it is known that nothing begins for so many seconds.
    pub(crate) fn rests(self, seconds: f64) -> bool {
        matches!(self.starts_in, StartsIn::Seconds(starts) if starts >= seconds)
    }

    /// In the engine's time.
    pub(crate) fn demand(self, now: Now) -> Demand {
        let at = |seconds: f64| Now(now.0.saturating_add(nanos(seconds)));
        Demand {
            begins: match self.starts_in {
                StartsIn::Now => None,
                StartsIn::Seconds(seconds) => Some(at(seconds)),
            },
            ends: self.over_in_seconds.map(at),
        }
    }
}
