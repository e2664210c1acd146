//! What moves may cost: a pace that yields to the foreground, and an insurance account.
//!
//! Owns: [`Pace`] (how many mirrors, how many bytes per second) and [`Account`]. May not: touch
//! moves that people asked for; they only use up the same bytes.

use crate::units::Now;

/// Pace at the start, as a share of the most.
const PACE_START: f64 = 0.25;
/// What a good interval adds.
const PACE_STEP: f64 = 1.0 / 16.0;
/// What a bad interval leaves.
const PACE_CUT: f64 = 0.5;
/// The pace never falls below this share, or a busy volume would never mend.
const PACE_MIN: f64 = 1.0 / 64.0;
/// A bad latency where nothing else is said: so many times that without moves.
const TARGET_OVER_BASELINE: f64 = 1.5;
/// Latencies below this are never bad, in seconds.
const TARGET_MIN_SECONDS: f64 = 0.001;
/// Weight of the newest latency seen without moves.
const NEWEST: f64 = 0.2;
/// Bytes may be saved up for so many seconds.
const SAVED_SECONDS: f64 = 2.0;

/// How fast moves of the policy may go: grows by steps while the foreground does not suffer, and
/// is halved when it does.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bytes_per_second_max: f64,
    target_seconds: f64,
    level: f64,
    baseline_seconds: Option<f64>,
    /// Bytes that may be moved now; below zero after a large move.
    bytes: f64,
    filled_at: Option<Now>,
    /// Bytes of all moves so far.
    moved_bytes: f64,
}

/// What moves have to do with a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blame {
    /// None was under way.
    NoMoves,
    /// Their copies were few among the requests that waited: the members are given more to do than
    /// they can, and moves are what relieves them.
    LittleShare,
    /// They may be why requests waited.
    Moves,
}

impl Pace {
    pub(crate) fn new(bytes_per_second_max: f64, target_seconds: f64) -> Self {
        Self {
            bytes_per_second_max,
            target_seconds,
            level: PACE_START,
            baseline_seconds: None,
            bytes: 0.0,
            filled_at: None,
            moved_bytes: 0.0,
        }
    }

    /// Takes in the 99th percentile of foreground latency.
    pub(crate) fn observe(&mut self, latency_seconds: f64, blame: Blame) {
        if blame == Blame::NoMoves {
            let baseline = self.baseline_seconds.get_or_insert(latency_seconds);
            *baseline += NEWEST * (latency_seconds - *baseline);
        }
        if blame == Blame::Moves && latency_seconds > self.target() {
            self.level = (self.level * PACE_CUT).max(PACE_MIN);
        } else {
            self.step_up();
        }
    }

    /// Takes in an interval in which nobody asked for anything: nobody suffered either, and there
    /// is no latency that could tell so.
    pub(crate) fn observe_silence(&mut self) {
        self.step_up();
    }

    fn step_up(&mut self) {
        self.level = (self.level + PACE_STEP).min(1.0);
    }

    fn target(&self) -> f64 {
        if self.target_seconds > 0.0 {
            return self.target_seconds;
        }
        let baseline = self.baseline_seconds.unwrap_or(f64::INFINITY);
        (baseline * TARGET_OVER_BASELINE).max(TARGET_MIN_SECONDS)
    }

    /// Bytes per second that moves may copy.
    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.bytes_per_second_max * self.level
    }

    /// Mirrors that may be under way, of `most`; one at least.
    pub(crate) fn mirrors(&self, most: u32) -> u32 {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u32 is one"
        )]
        let mirrors = (f64::from(most) * self.level).ceil() as u32;
        mirrors.clamp(1, most.max(1))
    }

    /// Lets time pass.
    pub(crate) fn fill(&mut self, now: Now) {
        let rate = self.bytes_per_second();
        let passed = self
            .filled_at
            .map_or(SAVED_SECONDS, |at| now.seconds_since(at));
        self.bytes = (self.bytes + rate * passed).min(rate * SAVED_SECONDS);
        self.filled_at = Some(now);
    }

    /// Bytes that moves have been given so far.
    pub(crate) fn moved_bytes(&self) -> f64 {
        self.moved_bytes
    }

    pub(crate) fn has_bytes(&self) -> bool {
        self.bytes > 0.0
    }

    pub(crate) fn spend(&mut self, bytes: f64) {
        self.bytes -= bytes;
        self.moved_bytes += bytes;
    }
}

/// Foreground seconds that moves may cost. It earns a small share of what the members do anyway,
/// and what moves saved; when it is empty, only moves that cost nothing are made. So the policy
/// can never cost more than that share, whatever the workload.
#[derive(Clone, Debug)]
pub(crate) struct Account {
    seconds: f64,
    share: f64,
    most: f64,
    /// What came in and went out since the start, for people.
    turnover: Turnover,
}

/// What an account earned and spent since the start, in foreground seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
#[allow(clippy::struct_field_names, reason = "names end in their unit")]
pub struct Turnover {
    /// Earned from the share of the members' busy time.
    pub earned_seconds: f64,
    /// Saved by moves; below zero where they cost more than they saved.
    pub saved_seconds: f64,
    /// Spent on moves.
    pub spent_seconds: f64,
}

impl Account {
    pub(crate) fn new(start: f64, share: f64, most: f64) -> Self {
        Self {
            seconds: start.min(most),
            share,
            most,
            turnover: Turnover::default(),
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }

    /// The members were busy for so long.
    pub(crate) fn earn_baseline(&mut self, busy_seconds: f64) {
        let earned = busy_seconds * self.share;
        self.turnover.earned_seconds += finite(earned);
        self.add(earned);
    }

    /// Moves saved so much, or cost it, where the slower tier was the faster one after all.
    pub(crate) fn save(&mut self, seconds: f64) {
        self.turnover.saved_seconds += finite(seconds);
        self.add(seconds);
    }

    /// A move is begun at this price.
    pub(crate) fn spend(&mut self, seconds: f64) {
        self.turnover.spent_seconds += finite(seconds);
        self.add(-seconds);
    }

    pub(crate) fn turnover(&self) -> Turnover {
        self.turnover
    }

    fn add(&mut self, seconds: f64) {
        if seconds.is_finite() {
            self.seconds = (self.seconds + seconds).clamp(-self.most, self.most);
        }
    }

    /// Whether a move of that cost may be made.
    pub(crate) fn affords(&self, cost_seconds: f64) -> bool {
        cost_seconds <= self.seconds
    }
}

fn finite(seconds: f64) -> f64 {
    if seconds.is_finite() { seconds } else { 0.0 }
}

#[cfg(test)]
mod tests;
