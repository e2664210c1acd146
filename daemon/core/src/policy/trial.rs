//! How a move's target is tried before its source is given up, by backends that can (ublk).
//!
//! Owns: [`TrialPolicy`], which goes with each move ([`crate::command::AddLeg`]). May not: try
//! anything; the data path does, and says how far it is ([`crate::event::Trial`]).

use serde::{Deserialize, Serialize};

use super::config::{ConfigError, bounded};
use crate::event::Priority;

/// How fast a move copies, whether what it copied is read back, and in which steps its target is then
/// tried: first with a part of the reads, some of which are made on both legs and compared; then with
/// a part of the writes, which go to the target first and to the source after it. All of it stays
/// mirrored meanwhile. Unlike the policy's other times, these are not scaled: they are those of
/// devices.
///
/// Without any request, a trial takes, once all is read back, eight times `idle_step_millis`, 160 ms by
/// default; with so few that no step sees enough of them, eight times `step_millis_max`, 4 s by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrialPolicy {
    /// Bytes per second that one move copies at most, and reads back; 0: as many as it can. It can be
    /// changed while the move copies.
    pub copy_bytes_per_second: u64,
    /// The same for moves that a person gave a low priority.
    pub low_bytes_per_second: u64,
    /// Whether all of the target is read back before any of it is believed, and what was written
    /// during the trial once more after it. What was written and not read back since is read from the
    /// target only to be compared.
    pub read_back: bool,
    /// Percent of the reads that go to the target, step by step. A step of 0 is left out.
    pub read_percents: [u8; 4],
    /// Percent of those reads that are made on both legs at once and compared. Reads are measured
    /// by these.
    pub compare_percent: u8,
    /// Percent of the writes that go to the target first, step by step. A step of 0 is left out.
    pub write_percents: [u8; 4],
    /// Requests answered by the target after which a step has shown enough.
    pub step_requests: u32,
    /// Milliseconds after which a step ends with fewer than that, once those under way are answered.
    pub step_millis_max: u32,
    /// Milliseconds after which a step ends as long as no request of its kind has come to what moves,
    /// since the move began.
    pub idle_step_millis: u32,
    /// Milliseconds for which a target that is judged may leave requests unanswered beyond that.
    pub patience_millis: u32,
    /// Milliseconds for which any target, in the copy or later, may leave a request unanswered. Whoever
    /// writes there waits as long, or up to twice that; what comes then waits for the move to be undone, and
    /// not for the target. 0: as long as its device lets it.
    pub hang_millis: u32,
    /// Percent of the source's median latency above which a target is too slow that promised to be
    /// faster, which one of a faster class does. Others are not judged by it.
    pub slower_percent_max: u32,
    /// Microseconds by which it must be slower besides: less matters to nobody.
    pub slower_micros_min: u32,
    /// Requests that must have been measured on both legs before their latency is believed. Besides,
    /// more of them must have been slower on the target than chance explains (a sign test).
    pub samples_min: u32,
}

impl Default for TrialPolicy {
    fn default() -> Self {
        Self {
            copy_bytes_per_second: 0,
            low_bytes_per_second: 8 << 20,
            read_back: true,
            read_percents: [10, 30, 60, 100],
            compare_percent: 50,
            write_percents: [10, 30, 60, 100],
            step_requests: 8,
            step_millis_max: 500,
            idle_step_millis: 20,
            patience_millis: 5_000,
            hang_millis: 15_000,
            slower_percent_max: 200,
            slower_micros_min: 1_000,
            samples_min: 8,
        }
    }
}

impl TrialPolicy {
    /// Bytes per second that a move of this priority copies at most; 0: as many as it can.
    #[must_use]
    pub const fn pace(&self, priority: Priority) -> u64 {
        match priority {
            Priority::Low => self.low_bytes_per_second,
            Priority::Normal => self.copy_bytes_per_second,
            Priority::High => 0,
        }
    }

    /// Says which parameter is outside its bounds, if one is.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let reads = self.read_percents.map(|one| ("trial.read_percents", one));
        let writes = self.write_percents.map(|one| ("trial.write_percents", one));
        let compared = [("trial.compare_percent", self.compare_percent)];
        let percents = reads.into_iter().chain(writes).chain(compared);
        let percents: Vec<_> = percents.map(|(key, one)| (key, f64::from(one))).collect();
        bounded(&percents, "from 0 to 100", |value| value <= 100.0)?;
        let slower = [("trial.slower_percent_max", self.slower_percent_max.into())];
        bounded(&slower, "100 or more", |value| value >= 100.0)?;
        let at_least_one = [
            ("trial.step_requests", self.step_requests.into()),
            ("trial.samples_min", self.samples_min.into()),
        ];
        bounded(&at_least_one, "1 or more", |value| value >= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(policy: TrialPolicy) -> String {
        policy.check().unwrap_err().to_string()
    }

    #[test]
    fn a_policy_that_makes_no_sense_is_refused_by_name() {
        assert_eq!(TrialPolicy::default().check(), Ok(()));
        let reads = TrialPolicy {
            read_percents: [1, 2, 3, 101],
            ..TrialPolicy::default()
        };
        assert!(refusal(reads).contains("policy.trial.read_percents is 101"));
        let faster = TrialPolicy {
            slower_percent_max: 99,
            ..TrialPolicy::default()
        };
        assert!(refusal(faster).contains("must be 100 or more"));
        let never = TrialPolicy {
            samples_min: 0,
            ..TrialPolicy::default()
        };
        assert!(refusal(never).contains("policy.trial.samples_min is 0"));
    }
}
