//! By which steps a target is tried, and which requests a step takes.
//!
//! Owns: [`Ramp`], [`Seen`] and [`is_chosen`]; all of it pure. Time and counts are arguments.

use tier_core::event::Trial;
use tier_core::policy::TrialPolicy;

const NANOS_PER_MILLI: u64 = 1_000_000;
/// Steps of reads and of writes together.
const STEPS: usize = 8;

/// Whether a request is one of so many percent; they are numbered as they come, from 0, which is one of
/// them if any is. Evenly spread: of any hundred in a row, exactly so many are chosen.
#[must_use]
pub const fn is_chosen(number: u64, percent: u8) -> bool {
    (number % 100) * percent as u64 % 100 < percent as u64
}

/// How many of the requests before this one were chosen, of so many percent.
#[must_use]
pub const fn rank(number: u64, percent: u8) -> u64 {
    match number.checked_sub(1) {
        Some(last) if percent > 0 => last.saturating_mul(percent as u64) / 100 + 1,
        _ => 0,
    }
}

/// What has come since the move began of one kind of request, reads or writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Requests.
    pub came: u64,
    /// Of them, those that were given to the target to try it.
    pub begun: u64,
    /// Of those, the ones that are over.
    pub done: u64,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The step goes on.
    Stay,
    /// This step ends, and the next begins.
    Enter(Trial),
    /// This step ends, and was the last.
    Passed,
    /// The target has left requests unanswered for longer than it may.
    Overdue,
}

/// Where a trial stands among its steps.
#[derive(Clone, Debug)]
pub struct Ramp {
    policy: TrialPolicy,
    steps: [Option<Trial>; STEPS],
    /// The step that goes on; none before the first.
    at: Option<usize>,
    began_nanos: u64,
    before: Seen,
    /// Requests that were under way when the step's time was over, which are waited for.
    awaited: Option<u64>,
}

impl Ramp {
    /// Before the first step.
    #[must_use]
    pub fn new(policy: TrialPolicy) -> Self {
        let reads = policy.read_percents.map(Trial::Reads);
        let writes = policy.write_percents.map(Trial::Writes);
        let mut steps = [None; STEPS];
        let all = reads.into_iter().chain(writes);
        let real = all.filter(|step| !matches!(step, Trial::Reads(0) | Trial::Writes(0)));
        for (place, step) in steps.iter_mut().zip(real) {
            *place = Some(step);
        }
        Self {
            policy,
            steps,
            at: None,
            began_nanos: 0,
            before: Seen::default(),
            awaited: None,
        }
    }

    /// The step that goes on.
    #[must_use]
    pub fn step(&self) -> Option<Trial> {
        self.steps.get(self.at?).copied().flatten()
    }

    /// Looks at how things are: at this time, with so many reads and writes so far.
    pub fn look(&mut self, now_nanos: u64, reads: Seen, writes: Seen) -> Next {
        let seen = match self.step() {
            Some(Trial::Reads(_)) => reads,
            Some(_) => writes,
            None => return self.enter(now_nanos, reads, writes),
        };
        let elapsed_nanos = now_nanos.saturating_sub(self.began_nanos);
        let is_past = |millis: u32| elapsed_nanos >= u64::from(millis) * NANOS_PER_MILLI;
        let done = seen.done.saturating_sub(self.before.done);
        let is_idle = seen.came == 0;
        let is_over = done >= u64::from(self.policy.step_requests)
            || is_idle && is_past(self.policy.idle_step_millis);
        if is_over {
            return self.enter(now_nanos, reads, writes);
        }
        if !is_past(self.policy.step_millis_max) {
            return Next::Stay;
        }
        let awaited = *self.awaited.get_or_insert(seen.begun);
        if seen.done >= awaited {
            return self.enter(now_nanos, reads, writes);
        }
        let patience = self.policy.step_millis_max;
        if is_past(patience.saturating_add(self.policy.patience_millis)) {
            return Next::Overdue;
        }
        Next::Stay
    }

    fn enter(&mut self, now_nanos: u64, reads: Seen, writes: Seen) -> Next {
        let at = self.at.map_or(0, |at| at + 1);
        self.at = Some(at.min(STEPS));
        self.began_nanos = now_nanos;
        self.awaited = None;
        match self.step() {
            Some(step) => {
                let is_reads = matches!(step, Trial::Reads(_));
                self.before = if is_reads { reads } else { writes };
                Next::Enter(step)
            }
            None => Next::Passed,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLI: u64 = NANOS_PER_MILLI;
    const NONE: Seen = Seen {
        came: 0,
        begun: 0,
        done: 0,
    };

    fn ramp(read_percents: [u8; 4], write_percents: [u8; 4]) -> Ramp {
        Ramp::new(TrialPolicy {
            read_percents,
            write_percents,
            ..TrialPolicy::default()
        })
    }

    proptest! {
        #[test]
        fn of_a_hundred_in_a_row_so_many_are_chosen(first in 0..1_000_000_u64, percent in 0..=100_u8) {
            // The numbering begins anew at each hundred.
            let hundred = first / 100 * 100;
            let chosen = (hundred..hundred + 100).filter(|number| is_chosen(*number, percent));
            prop_assert_eq!(chosen.count(), usize::from(percent));
            let slid = (first..first + 100).filter(|number| is_chosen(*number, percent));
            prop_assert_eq!(slid.count(), usize::from(percent));
            let before = (0..first % 1000).filter(|number| is_chosen(*number, percent));
            prop_assert_eq!(rank(first % 1000, percent), before.count() as u64);
        }

        #[test]
        fn any_trial_without_requests_ends_in_time(
            reads: [u8; 4],
            writes: [u8; 4],
            look_micros in 1..5_000_u64,
        ) {
            let mut ramp = ramp(reads, writes);
            let mut now = 0;
            let policy = TrialPolicy::default();
            let most = u64::from(policy.idle_step_millis) * 8 * MILLI + 9 * look_micros * 1000;
            while ramp.look(now, NONE, NONE) != Next::Passed {
                now += look_micros * 1000;
                prop_assert!(now <= most);
            }
        }
    }

    #[test]
    fn the_first_of_a_step_is_chosen_and_they_are_spread() {
        assert!((1..=100).all(|percent| is_chosen(0, percent)));
        assert!(!is_chosen(0, 0));
        let chosen: Vec<_> = (0..20).filter(|number| is_chosen(*number, 30)).collect();
        assert_eq!(chosen, [0, 4, 7, 10, 14, 17]);
    }

    #[test]
    fn steps_come_in_order_reads_first_and_none_of_zero_percent() {
        let mut ramp = ramp([10, 0, 100, 0], [0, 50, 0, 0]);
        let mut steps = Vec::new();
        for at in 0..3 {
            steps.push(ramp.look(at * 20 * MILLI, NONE, NONE));
            assert_eq!(ramp.look(at * 20 * MILLI + MILLI, NONE, NONE), Next::Stay);
        }
        let wanted = [Trial::Reads(10), Trial::Reads(100), Trial::Writes(50)];
        assert_eq!(steps, wanted.map(Next::Enter));
        assert_eq!(ramp.look(60 * MILLI, NONE, NONE), Next::Passed);
    }

    #[test]
    fn without_steps_nothing_is_tried() {
        assert_eq!(ramp([0; 4], [0; 4]).look(0, NONE, NONE), Next::Passed);
    }

    #[test]
    fn a_step_ends_when_enough_were_answered_or_its_time_is_over() {
        let seen = |came, begun, done| Seen { came, begun, done };
        let mut ramp = ramp([10, 30, 0, 0], [0; 4]);
        assert_eq!(ramp.look(0, NONE, NONE), Next::Enter(Trial::Reads(10)));
        // Those that came but were not given to the target end nothing early.
        assert_eq!(ramp.look(400 * MILLI, seen(70, 7, 7), NONE), Next::Stay);
        let next = ramp.look(401 * MILLI, seen(80, 8, 8), NONE);
        assert_eq!(next, Next::Enter(Trial::Reads(30)));
        assert_eq!(ramp.look(900 * MILLI, seen(81, 9, 9), NONE), Next::Stay);
        assert_eq!(ramp.look(901 * MILLI, seen(81, 9, 9), NONE), Next::Passed);
    }

    #[test]
    fn a_step_waits_for_what_is_under_way_but_not_for_what_comes_later() {
        let seen = |begun, done| Seen {
            came: begun,
            begun,
            done,
        };
        let mut ramp = ramp([0; 4], [10, 0, 0, 0]);
        assert_eq!(ramp.look(0, NONE, NONE), Next::Enter(Trial::Writes(10)));
        assert_eq!(ramp.look(500 * MILLI, NONE, seen(3, 2)), Next::Stay);
        assert_eq!(ramp.look(5_499 * MILLI, NONE, seen(6, 2)), Next::Stay);
        let mut answered = ramp.clone();
        let next = answered.look(5_499 * MILLI, NONE, seen(6, 3));
        assert_eq!(next, Next::Passed);
        assert_eq!(ramp.look(5_500 * MILLI, NONE, seen(6, 2)), Next::Overdue);
    }

    #[test]
    fn what_has_been_used_once_is_given_time_to_be_used_again() {
        let once = Seen {
            came: 1,
            begun: 1,
            done: 1,
        };
        let mut ramp = ramp([10, 30, 0, 0], [10, 0, 0, 0]);
        assert_eq!(ramp.look(0, NONE, NONE), Next::Enter(Trial::Reads(10)));
        let next = ramp.look(500 * MILLI, once, NONE);
        assert_eq!(next, Next::Enter(Trial::Reads(30)));
        assert_eq!(ramp.look(999 * MILLI, once, NONE), Next::Stay);
        let next = ramp.look(1_000 * MILLI, once, NONE);
        assert_eq!(next, Next::Enter(Trial::Writes(10)));
        // No write ever came.
        assert_eq!(ramp.look(1_020 * MILLI, once, NONE), Next::Passed);
    }
}
