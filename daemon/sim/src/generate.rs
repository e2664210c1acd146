//! Loads that are made up, from a seed: the same seed gives the same load.
//!
//! Owns: [`Recipe`], which says of what parts a load consists, and the recipes that tests and
//! comparisons use. Each part draws from a generator of its own, so that one more part leaves the
//! others as they were.

mod make;
#[cfg(test)]
mod tests;

use crate::trace::Trace;
use make::Maker;

/// What goes on in a load. Sets are of regions of 1 MiB that lie in runs, as files do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// Requests of no order, everywhere.
    Noise {
        /// How many a second, on average.
        per_second: f64,
    },
    /// A set that is used all the time, few of it for the most part (Zipf). With drift, it is one
    /// of its regions after the other that is exchanged for another one.
    Hot {
        /// Regions of the set.
        regions: u32,
        /// Requests a second, on average.
        per_second: f64,
        /// Seconds until one of the regions is exchanged.
        drift_seconds: f64,
    },
    /// A set that is used for a while in each period, at about the same time.
    Rhythm {
        /// How long a period is.
        period_seconds: f64,
        /// For how long of it the set is used.
        busy_seconds: f64,
        /// How much earlier or later that may begin.
        jitter_seconds: f64,
        /// In how many of seven periods it is used at all: five for the days of work.
        of_seven: u32,
        /// Regions of the set.
        regions: u32,
        /// Requests a second while it is used.
        per_second: f64,
    },
    /// Sets that take turns.
    Turns {
        /// How many.
        sets: u32,
        /// Regions of each.
        regions: u32,
        /// How long a turn takes, on average.
        turn_seconds: f64,
        /// And how long nothing happens between two.
        pause_seconds: f64,
        /// How much longer or shorter both may be, as a share.
        jitter: f64,
        /// Requests a second.
        per_second: f64,
    },
    /// Sets of which one is used at a time, for a while. Each has another that mostly follows it,
    /// and now and then any other one does.
    Phases {
        /// How many sets.
        sets: u32,
        /// Regions of each.
        regions: u32,
        /// How long a phase takes, on average.
        phase_seconds: f64,
        /// How much longer or shorter it may be, as a share.
        jitter: f64,
        /// How often the usual set follows, as a share.
        regularity: f64,
        /// Requests a second.
        per_second: f64,
    },
    /// Jobs, each of which uses some sets one after the other.
    Jobs(Jobs),
    /// Something is written, or read, from its beginning to its end, a little at a time.
    Streams {
        /// Seconds from one to the next, on average.
        every_seconds: f64,
        /// Regions of one.
        regions: u32,
        /// Requests of 16 KiB a second.
        per_second: f64,
        /// Share of them that are written.
        write_share: f64,
    },
    /// Everything is read once, in large requests: a backup, a search.
    Scans {
        /// Seconds from the beginning of one to that of the next.
        every_seconds: f64,
        /// Regions that one reads.
        regions: u32,
        /// Bytes a second.
        bytes_per_second: f64,
    },
    /// Sets of which nobody knew are used for a moment, and never again.
    Bursts {
        /// Seconds from one to the next, on average.
        every_seconds: f64,
        /// Regions of one.
        regions: u32,
        /// Requests that each region gets.
        touches: u32,
        /// Requests a second.
        per_second: f64,
    },
}

/// Jobs, each of which uses some sets one after the other. Which of them runs next, and when, is
/// anybody's guess.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jobs {
    /// How many jobs.
    pub jobs: u32,
    /// Sets of each.
    pub sets: u32,
    /// Regions of each set.
    pub regions: u32,
    /// Seconds from the beginning of one to that of the next, on average.
    pub every_seconds: f64,
    /// How long a set is used, on average.
    pub use_seconds: f64,
    /// And how long nothing happens before the next.
    pub pause_seconds: f64,
    /// How much longer or shorter both may be, as a share.
    pub jitter: f64,
    /// Requests a second.
    pub per_second: f64,
}

/// Of what a load consists.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How it is called.
    pub name: &'static str,
    /// How long it lasts.
    pub seconds: f64,
    /// How large the volume is, in regions of 1 MiB.
    pub regions: u32,
    /// What goes on.
    pub parts: Vec<Part>,
}

impl Recipe {
    /// Makes the load.
    #[must_use]
    pub fn make(&self, seed: u64) -> Trace {
        let mut requests = Vec::new();
        for (number, part) in (1_u64..).zip(&self.parts) {
            let mut maker = Maker::new(self.seconds, self.regions, (seed, number));
            maker.part(part);
            requests.append(&mut maker.requests);
        }
        requests.sort_by_key(|request| request.at);
        let first = requests.first().map_or(0, |request| request.at.0);
        for request in &mut requests {
            request.at.0 -= first;
        }
        Trace {
            requests,
            lines_passed_over: 0,
        }
    }
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 3_600.0;
const DAY: f64 = 86_400.0;
const WEEK: f64 = 7.0 * DAY;

/// The recipes by which policies are compared: each has one thing to it, and the last has all.
#[must_use]
pub fn recipes() -> Vec<Recipe> {
    let recipe = |name, seconds, parts: &[Part]| Recipe {
        name,
        seconds,
        regions: 4_096,
        parts: parts.to_vec(),
    };
    vec![
        recipe("hot", 4.0 * HOUR, &[HOT, NOISE]),
        recipe("daily", 7.0 * DAY, &[DAILY, BACKUP, QUIET]),
        recipe("weekly", 4.0 * WEEK, &[WORKDAYS, WEEKLY_BACKUP, QUIET]),
        recipe("phases", 12.0 * HOUR, &[PHASES, NOISE]),
        recipe("turns", 6.0 * HOUR, &[TURNS, NOISE]),
        recipe("jobs", 12.0 * HOUR, &[JOBS, QUIET]),
        recipe("streams", 12.0 * HOUR, &[STREAMS, QUIET]),
        recipe("bursts", 6.0 * HOUR, &[HOT, BURSTS]),
        recipe("drift", 12.0 * HOUR, &[DRIFT, QUIET]),
        recipe(
            "mixed",
            2.0 * DAY,
            &[DAILY, STREAMS, BURSTS, BACKUP, DRIFT, QUIET],
        ),
    ]
}

const NOISE: Part = Part::Noise { per_second: 0.5 };
const QUIET: Part = Part::Noise { per_second: 0.02 };
const HOT: Part = Part::Hot {
    regions: 400,
    per_second: 4.0,
    drift_seconds: f64::INFINITY,
};
const DRIFT: Part = Part::Hot {
    regions: 300,
    per_second: 1.0,
    drift_seconds: 2.0 * MINUTE,
};
const DAILY: Part = Part::Rhythm {
    period_seconds: DAY,
    busy_seconds: HOUR,
    jitter_seconds: 10.0 * MINUTE,
    of_seven: 7,
    regions: 300,
    per_second: 3.0,
};
const WORKDAYS: Part = Part::Rhythm {
    period_seconds: DAY,
    busy_seconds: HOUR,
    jitter_seconds: 15.0 * MINUTE,
    of_seven: 5,
    regions: 300,
    per_second: 3.0,
};
const PHASES: Part = Part::Phases {
    sets: 6,
    regions: 150,
    phase_seconds: 10.0 * MINUTE,
    jitter: 0.5,
    regularity: 0.8,
    per_second: 5.0,
};
const TURNS: Part = Part::Turns {
    sets: 3,
    regions: 200,
    turn_seconds: 5.0 * MINUTE,
    pause_seconds: MINUTE,
    jitter: 0.2,
    per_second: 5.0,
};
const JOBS: Part = Part::Jobs(Jobs {
    jobs: 3,
    sets: 3,
    regions: 80,
    every_seconds: 25.0 * MINUTE,
    use_seconds: 4.0 * MINUTE,
    pause_seconds: 2.0 * MINUTE,
    jitter: 0.25,
    per_second: 12.0,
});
const STREAMS: Part = Part::Streams {
    every_seconds: 20.0 * MINUTE,
    regions: 12,
    per_second: 2.0,
    write_share: 0.8,
};
const BACKUP: Part = Part::Scans {
    every_seconds: DAY,
    regions: 3_000,
    bytes_per_second: 1e8,
};
const WEEKLY_BACKUP: Part = Part::Scans {
    every_seconds: WEEK,
    regions: 3_000,
    bytes_per_second: 1e8,
};
const BURSTS: Part = Part::Bursts {
    every_seconds: 10.0 * MINUTE,
    regions: 20,
    touches: 12,
    per_second: 20.0,
};
