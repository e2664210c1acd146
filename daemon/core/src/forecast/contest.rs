//! Who of several experts is believed, by what each would have saved.
//!
//! Owns: [`Contest`]. What is saved is added up between two bounds, so that who was good for long
//! and is no longer is given up soon (Page, "Continuous inspection schemes", Biometrika 1954), and
//! who was bad can return (fixed share: Herbster and Warmuth, "Tracking the best expert", Machine
//! Learning 1998, of whose weights these sums are the logarithms).

use super::{EXPERTS, REACTIVE};

/// A lead over the reactive expert is bounded by what so many changes of all that the tier holds
/// cost: who was ahead for days is not given up for one bad night.
const LEAD_CHANGES: f64 = 6.0;
/// A lead over who is believed is bounded by so many.
const DUEL_CHANGES: f64 = 2.0;
/// And must be larger than so many: what it costs to go over.
const STEP_CHANGES: f64 = 1.0;

/// Seconds that each saved in an interval; `None` of who has nothing to say.
pub(super) type Saved = [Option<f64>; EXPERTS];

/// Who is believed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contest {
    /// What each saved more than the reactive one, in seconds, at most [`LEAD_CHANGES`].
    leads: [f64; EXPERTS],
    /// What each saved more than the one who is believed, since that one is, at most
    /// [`DUEL_CHANGES`]: of two that are both far ahead of the reactive one, the leads do not tell
    /// who is better.
    duels: [f64; EXPERTS],
    believed: usize,
}

fn add(sums: &mut [f64; EXPERTS], saved: &Saved, than: f64, most: f64) {
    for (sum, saved) in sums.iter_mut().zip(saved) {
        *sum = saved.map_or(0.0, |saved| (*sum + saved - than).clamp(-most, most));
    }
}

impl Contest {
    /// Nobody is ahead, and this one is believed.
    pub(super) const fn new(believed: usize) -> Self {
        Self {
            leads: [0.0; EXPERTS],
            duels: [0.0; EXPERTS],
            believed,
        }
    }

    pub(super) const fn believed(&self) -> usize {
        self.believed
    }

    /// What each saved more than the reactive one lately, in seconds.
    pub(super) const fn leads(&self) -> &[f64; EXPERTS] {
        &self.leads
    }

    /// Takes over what leads were known.
    pub(super) const fn lead(&mut self, at: usize, lead_seconds: f64) {
        self.leads[at] = lead_seconds;
    }

    /// Takes in what each saved, where a change of all that is contended for costs so much.
    pub(super) fn saved(&mut self, saved: &Saved, change_seconds: f64) {
        let of = |at: usize| saved[at].unwrap_or(0.0);
        let (reactive, believed) = (of(REACTIVE), of(self.believed));
        add(
            &mut self.leads,
            saved,
            reactive,
            change_seconds * LEAD_CHANGES,
        );
        add(
            &mut self.duels,
            saved,
            believed,
            change_seconds * DUEL_CHANGES,
        );
    }

    /// Takes in what one would have saved more than who was believed, had it known before what it has
    /// just found out.
    pub(super) fn hindsight(&mut self, at: usize, seconds: f64, change_seconds: f64) {
        self.leads[at] = (self.leads[at] + seconds).min(change_seconds * LEAD_CHANGES);
        let most = change_seconds * DUEL_CHANGES;
        if at != self.believed {
            self.duels[at] = (self.duels[at] + seconds).min(most);
            return;
        }
        let others = self.duels.iter_mut().enumerate();
        for (_, duel) in others.filter(|(other, _)| *other != at) {
            *duel = (*duel - seconds).max(-most);
        }
    }

    /// The reactive one is believed if who is is not ahead of it.
    pub(super) fn fall_back(&mut self) {
        if self.leads[self.believed] <= 0.0 && self.believed != REACTIVE {
            self.react();
        }
    }

    const fn react(&mut self) {
        self.believed = REACTIVE;
        self.duels = self.leads;
    }

    /// Whether one may be believed that has nothing to go by but what the reactive one has, and whose
    /// tier in the shadow promised more than the engine then kept: in place of the reactive one only,
    /// with all the lead that counts, and while nobody else is ahead by what it costs to go over; else
    /// it gives way.
    pub(super) fn stands_in(&mut self, at: usize, change_seconds: f64) -> bool {
        let mut others = self.leads.iter().enumerate().filter(|one| one.0 != at);
        let is_other_ahead = others.any(|(_, lead)| *lead > change_seconds * STEP_CHANGES);
        if self.believed == at && is_other_ahead {
            self.react();
        }
        let is_far_ahead = self.leads[at] >= change_seconds * LEAD_CHANGES;
        self.believed == REACTIVE && !is_other_ahead && is_far_ahead
    }

    /// Who would have saved so much more than the one who is believed that it is worth going over,
    /// among those that `may` be.
    pub(super) fn better(&self, change_seconds: f64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let duels = self.duels.iter().copied().enumerate();
        let worth = duels.filter(|(at, duel)| *duel > change_seconds * STEP_CHANGES && may(*at));
        let best = worth.max_by(|one, other| one.1.total_cmp(&other.1));
        best.map(|(at, _)| at)
    }

    /// Believes one from now on. That another was further ahead before says no more than that it was
    /// better for longer; but what this one has won by lately, the other has to make up for.
    pub(super) fn believe(&mut self, at: usize) {
        let (lead, won) = (self.leads[at], self.duels[at]);
        let others = self.leads.into_iter().zip(&mut self.duels);
        for (other, duel) in others {
            *duel = (*duel - won).min(other - lead).min(0.0);
        }
        self.believed = at;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGE: f64 = 0.5;

    /// Everyone saves as much as the reactive one, but for these.
    fn saved(more: &[(usize, f64)]) -> Saved {
        let mut all = [Some(1.0); EXPERTS];
        for &(at, seconds) in more {
            all[at] = Some(1.0 + seconds);
        }
        all
    }

    #[test]
    fn sums_have_bounds() {
        let mut contest = Contest::new(REACTIVE);
        for _ in 0..100 {
            contest.saved(&saved(&[(0, 1.0), (2, -1.0)]), CHANGE);
        }
        assert!((contest.leads()[0] - 3.0).abs() < 1e-12, "{contest:?}");
        assert!((contest.leads()[2] + 3.0).abs() < 1e-12, "{contest:?}");
        // The bad one returns after as much as it costs to make up for three seconds, and a step.
        let mut tries = 0;
        while contest.better(CHANGE, |at| at == 2).is_none() {
            contest.saved(&saved(&[(2, 0.25)]), CHANGE);
            tries += 1;
        }
        assert_eq!(tries, 7, "from -1 to above 0.5");
    }

    #[test]
    fn who_is_further_ahead_in_the_duel_but_may_not_be_believed_hides_nobody() {
        let mut contest = Contest::new(REACTIVE);
        contest.saved(&saved(&[(0, 0.9), (2, 0.8)]), CHANGE);
        assert_eq!(contest.better(CHANGE, |_| true), Some(0));
        assert_eq!(contest.better(CHANGE, |at| at != 0), Some(2));
        assert_eq!(contest.better(CHANGE, |at| at == 3), None);
    }

    #[test]
    fn what_was_found_out_afterwards_counts_as_if_it_had_been_known() {
        let mut contest = Contest::new(REACTIVE);
        contest.hindsight(2, 0.4, CHANGE);
        assert_eq!(contest.better(CHANGE, |_| true), None);
        contest.hindsight(2, 0.4, CHANGE);
        assert_eq!(contest.better(CHANGE, |_| true), Some(2));
        contest.hindsight(2, 99.0, CHANGE);
        assert!((contest.leads()[2] - CHANGE * LEAD_CHANGES).abs() < 1e-12);
        // Of who is believed it takes from what the others are ahead by.
        contest.believe(2);
        contest.saved(&saved(&[(0, 1.5)]), CHANGE);
        contest.saved(&saved(&[(0, 1.5)]), CHANGE);
        let ahead = contest.duels[0];
        contest.hindsight(2, 0.3, CHANGE);
        assert!(
            (contest.duels[0] - (ahead - 0.3)).abs() < 1e-12,
            "{contest:?}"
        );
        assert!(contest.duels[2].abs() < 1e-12);
    }

    #[test]
    fn of_two_that_are_as_far_ahead_as_may_be_the_newly_believed_one_keeps_what_it_won_by() {
        let mut contest = Contest::new(REACTIVE);
        for _ in 0..10 {
            contest.saved(&saved(&[(0, 1.0), (2, 1.0)]), CHANGE);
        }
        contest.believe(0);
        contest.saved(&saved(&[(0, 1.0), (2, 1.6)]), CHANGE);
        assert_eq!(contest.better(CHANGE, |_| true), Some(2));
        contest.believe(2);
        assert!((contest.duels[0] + 0.6).abs() < 1e-12, "{contest:?}");
    }

    #[test]
    fn who_stands_in_for_the_reactive_one_gives_way_to_any_other_that_is_ahead() {
        let mut contest = Contest::new(REACTIVE);
        contest.saved(&saved(&[(2, 0.6), (3, 2.0)]), CHANGE);
        assert!(!contest.stands_in(3, CHANGE), "another is ahead");
        contest.saved(&saved(&[(2, -0.2)]), CHANGE);
        assert!(!contest.stands_in(3, CHANGE), "not far ahead yet");
        contest.saved(&saved(&[(3, 1.0)]), CHANGE);
        assert!(
            contest.stands_in(3, CHANGE),
            "the other by less than a step"
        );
        contest.believe(3);
        assert!(!contest.stands_in(3, CHANGE));
        assert_eq!(contest.believed(), 3, "nobody is ahead");
        contest.saved(&saved(&[(2, 0.2)]), CHANGE);
        assert!(!contest.stands_in(3, CHANGE));
        assert_eq!(contest.believed(), REACTIVE);
        // However far it is ahead itself, the other is not to be beaten by it.
        assert_eq!(contest.better(CHANGE, |at| at != 3), Some(2));
        contest.believe(2);
        contest.saved(&saved(&[(2, -0.5), (3, 2.0)]), CHANGE);
        assert!(!contest.stands_in(3, CHANGE), "in place of nobody else");
    }

    #[test]
    fn who_has_nothing_to_say_any_longer_is_not_believed_any_longer() {
        let mut contest = Contest::new(REACTIVE);
        contest.saved(&saved(&[(0, 2.0)]), CHANGE);
        contest.believe(0);
        let mut silent = saved(&[]);
        silent[0] = None;
        contest.saved(&silent, CHANGE);
        contest.fall_back();
        assert_eq!(contest.believed(), REACTIVE);
    }
}
