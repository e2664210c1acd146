//! How often the run loop looks at what does not tell of itself.
//!
//! Owns: its timers. One that was missed is not made up for.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the loop looks at what does not tell of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Between samples.
    pub(crate) sample: Duration,
    /// Between ticks of the engine.
    pub(crate) tick: Duration,
    /// Between readings of the load.
    pub(crate) monitor: Duration,
    /// Between two writings of what was learned.
    pub(crate) keep: Duration,
    /// Between looks at the progress of moves under way. Their end and their failures are told by
    /// device-mapper events; this is for what those might miss.
    pub(crate) look: Duration,
}

/// What wakes the loop up.
pub(super) struct Timers {
    pub(super) sample: Interval,
    pub(super) tick: Interval,
    pub(super) monitor: Interval,
    pub(super) look: Interval,
    pub(super) keep: Interval,
}

impl Timers {
    /// Timers of this pace. All but the last wake it up at once.
    pub(super) fn new(pace: Pace) -> Self {
        let every = |period: Duration| {
            let mut timer = interval(period);
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
            timer
        };
        // There is nothing new to keep at first.
        let mut keep = every(pace.keep);
        keep.reset();
        Self {
            sample: every(pace.sample),
            tick: every(pace.tick),
            monitor: every(pace.monitor),
            look: every(pace.look),
            keep,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn what_is_learned_is_first_written_after_a_period() {
        let pace = Pace {
            sample: Duration::from_hours(1),
            tick: Duration::from_hours(1),
            monitor: Duration::from_hours(1),
            keep: Duration::from_hours(1),
            look: Duration::from_hours(1),
        };
        let mut timers = Timers::new(pace);
        assert!(timeout(Duration::ZERO, timers.tick.tick()).await.is_ok());
        assert!(timeout(Duration::ZERO, timers.keep.tick()).await.is_err());
    }
}
