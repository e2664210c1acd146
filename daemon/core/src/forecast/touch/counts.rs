//! In how many intervals a region was touched lately, and since when it was not.
//!
//! Owns: [`Counts`], four bytes a region, and [`State`], what they come to at some time. Of a window
//! the running half and the one before are counted, so that it reaches back by a half to a whole of
//! its length. Which halves they were is known from when the region was counted last.

use serde::{Deserialize, Serialize};

use crate::units::Now;

/// The windows in which touches are counted, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowNanos {
    pub(super) short: u64,
    pub(super) long: u64,
}

/// Intervals with a touch in the running half of each window, and in the half before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::forecast) struct Counts {
    short: [u8; 2],
    long: [u8; 2],
}

/// From how many touches on a count is another one for this expert.
const FROM: [u8; NUMBERS - 1] = [1, 2, 3, 5, 10];
/// Numbers of touches that are told apart.
pub(super) const NUMBERS: usize = 6;
/// The shortest silence that is told from none is one part in so many of the short window.
const SILENCE_PART: u64 = 8;
/// Silences that are told apart, each twice as long as the one before.
pub(super) const SILENCES: usize = 15;

/// What is known of a region's touches at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Which of the [`NUMBERS`] of touches there were within the long window.
    pub(super) long: usize,
    /// Which of the [`SILENCES`] there was since the last.
    pub(super) silence: usize,
    /// Which of the numbers there were within the short window.
    pub(super) short: usize,
}

fn number(counts: [u8; 2]) -> usize {
    let count = counts[0].saturating_add(counts[1]);
    FROM.partition_point(|from| *from <= count)
}

/// The counts of two halves, some halves later.
fn passed(counts: [u8; 2], nanos: u64, now: Now, window_nanos: u64) -> [u8; 2] {
    let half = (window_nanos / 2).max(1);
    match now.0 / half - now.0.saturating_sub(nanos) / half {
        0 => counts,
        1 => [0, counts[0]],
        _ => [0; 2],
    }
}

impl Counts {
    /// Those of a region that was counted last so many nanoseconds ago.
    pub(super) fn after(self, silent_nanos: u64, now: Now, windows: &WindowNanos) -> Self {
        Self {
            short: passed(self.short, silent_nanos, now, windows.short),
            long: passed(self.long, silent_nanos, now, windows.long),
        }
    }

    /// With one more touch.
    pub(super) fn touched(self) -> Self {
        let more = |counts: [u8; 2]| [counts[0].saturating_add(1), counts[1]];
        Self {
            short: more(self.short),
            long: more(self.long),
        }
    }

    /// Whether there is none.
    pub(super) fn is_none(self) -> bool {
        self == Self::default()
    }

    /// What they come to, that long after the region was counted last.
    pub(super) fn state(self, silent_nanos: u64, windows: &WindowNanos) -> State {
        let silences = silent_nanos / (windows.short / SILENCE_PART).max(1);
        let silence = silences.checked_ilog2().map_or(0, |times| times + 1);
        State {
            long: number(self.long),
            silence: (silence as usize).min(SILENCES - 1),
            short: number(self.short),
        }
    }
}
