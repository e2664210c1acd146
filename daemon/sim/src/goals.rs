//! How the engine stands beside its goals: in the second halves of runs, beside the best rival in
//! hindsight, the fair one, and what may be learned.
//!
//! Owns: [`Standing`], a run's, and [`Goals`], those of all. May not: run anything.

use std::collections::BTreeMap;

use crate::{Kind, PolicyOutcome};

/// More than the best rival by this much is missed.
const WITHIN: f64 = 1.03;
/// And more than doing nothing by this much.
const NEVER_ABOVE: f64 = 1.05;

/// A load, run by everyone.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// What people know it by.
    pub load: String,
    /// Which share of what it touches fits on the fast device.
    pub fast_share: f64,
    /// What came of it.
    pub outcomes: Vec<PolicyOutcome>,
}

/// Somebody's slow-device time in the second half, as a share of what it would be with everything
/// on the slow device.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Whose.
    pub name: String,
    /// The share.
    pub slow_time: f64,
}

/// How the engine stands in a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The load.
    pub load: String,
    /// The share of it that fits on the fast device.
    pub fast_share: f64,
    /// The engine's slow-device time.
    pub engine: f64,
    /// The best timed rival, in hindsight.
    pub best: Figure,
    /// The timed rival that is best, by the mean of its ratios to the best, in the runs of other loads
    /// with the same share: what one would have configured. `None` if there are no others.
    pub fair: Option<Figure>,
    /// The best of those that know the future and may name only what can be learned.
    pub learnable: Figure,
    /// The best of all that know the future: nobody who does not can reach it.
    pub bound: Figure,
}

impl Standing {
    /// The engine's time beside the best rival's.
    #[must_use]
    pub fn beside_best(&self) -> f64 {
        self.engine / self.best.slow_time
    }

    /// How much of the way from the best rival to what may be learned the engine came.
    #[must_use]
    pub fn way(&self) -> f64 {
        (self.best.slow_time - self.engine) / (self.best.slow_time - self.learnable.slow_time)
    }
}

fn slow_time(one: &PolicyOutcome) -> f64 {
    one.outcome.second_half.slow_time
}

fn rivals(run: &Run) -> impl Iterator<Item = &PolicyOutcome> {
    let outcomes = run.outcomes.iter();
    outcomes.filter(|one| one.kind == Kind::Reactive && one.timed)
}

fn least<'a>(all: impl Iterator<Item = &'a PolicyOutcome>) -> Option<Figure> {
    let least = all.min_by(|one, other| slow_time(one).total_cmp(&slow_time(other)))?;
    Some(Figure {
        name: least.name.clone(),
        slow_time: slow_time(least),
    })
}

#[allow(clippy::cast_precision_loss, reason = "a few runs")]
fn mean(of: impl Iterator<Item = f64>) -> Option<f64> {
    let of: Vec<f64> = of.collect();
    (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64)
}

/// Who would have been configured for a run by what came of the others.
fn fair(run: &Run, runs: &[Run]) -> Option<Figure> {
    let is_other = |other: &&Run| {
        other.load != run.load && other.fast_share.total_cmp(&run.fast_share).is_eq()
    };
    let mut ratios: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for other in runs.iter().filter(is_other) {
        let best = least(rivals(other))?.slow_time;
        for rival in rivals(other) {
            let of = ratios.entry(&rival.name).or_default();
            of.push(slow_time(rival) / best);
        }
    }
    let means = ratios.into_iter();
    let means = means.filter_map(|(name, of)| Some((mean(of.into_iter())?, name)));
    let (_, name) = means.min_by(|one, other| one.0.total_cmp(&other.0))?;
    least(rivals(run).filter(|one| one.name == name))
}

fn standing(run: &Run, runs: &[Run]) -> Option<Standing> {
    let of = |kind| run.outcomes.iter().filter(move |one| one.kind == kind);
    Some(Standing {
        load: run.load.clone(),
        fast_share: run.fast_share,
        engine: of(Kind::Engine).map(slow_time).next()?,
        best: least(rivals(run))?,
        fair: fair(run, runs),
        learnable: least(of(Kind::Bound).filter(|one| one.name.starts_with("learnable")))?,
        bound: least(of(Kind::Bound))?,
    })
}

/// How the engine stands in all runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Goals {
    /// In each, in their order.
    pub standings: Vec<Standing>,
}

impl Goals {
    /// Runs in which somebody is missing, as of the engine alone, are left out.
    #[must_use]
    pub fn of(runs: &[Run]) -> Self {
        let standings = runs.iter().filter_map(|run| standing(run, runs));
        Self {
            standings: standings.collect(),
        }
    }

    /// The runs in which the engine needs over 3 % more than the best rival.
    pub fn behind_best(&self) -> impl Iterator<Item = &Standing> {
        let all = self.standings.iter();
        all.filter(|one| one.beside_best() > WITHIN)
    }

    /// The runs in which it is not better than the fair rival.
    pub fn behind_fair(&self) -> impl Iterator<Item = &Standing> {
        let all = self.standings.iter();
        all.filter(|one| {
            let fair = one.fair.as_ref();
            fair.is_some_and(|fair| one.engine >= fair.slow_time)
        })
    }

    /// The runs in which it needs over 5 % more than doing nothing.
    pub fn above_nothing(&self) -> impl Iterator<Item = &Standing> {
        let all = self.standings.iter();
        all.filter(|one| one.engine > NEVER_ABOVE)
    }

    /// Its time beside the best rival's, on average; `None` without runs.
    #[must_use]
    pub fn beside_best(&self) -> Option<f64> {
        mean(self.standings.iter().map(Standing::beside_best))
    }

    /// The part of the way to what may be learned, on average of the runs in which there is one.
    #[must_use]
    pub fn way(&self) -> Option<f64> {
        let ways = self.standings.iter().map(Standing::way);
        mean(ways.filter(|way| way.is_finite()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Params, Part};

    fn outcome(name: &str, kind: Kind, timed: bool, slow_time: f64) -> PolicyOutcome {
        let second_half = Part {
            slow_time,
            ..Part::default()
        };
        PolicyOutcome {
            name: name.to_owned(),
            kind,
            timed,
            params: Params::new(),
            wear: None,
            outcome: Outcome {
                second_half,
                ..Outcome::default()
            },
        }
    }

    /// Of two rivals, and of an ideal one that does not count.
    fn run(load: &str, engine: f64, [one, other]: [f64; 2], learnable: f64) -> Run {
        Run {
            load: load.to_owned(),
            fast_share: 0.1,
            outcomes: vec![
                outcome("all-slow", Kind::Static, true, 1.0),
                outcome("engine", Kind::Engine, true, engine),
                outcome("one", Kind::Reactive, true, one),
                outcome("other", Kind::Reactive, true, other),
                outcome("one", Kind::Reactive, false, 0.01),
                outcome("learnable-day", Kind::Bound, false, 0.9),
                outcome("learnable-hour", Kind::Bound, false, learnable),
                outcome("belady", Kind::Bound, false, 0.05),
            ],
        }
    }

    #[test]
    fn the_fair_rival_is_who_was_best_on_the_other_loads() {
        let runs = [
            run("a", 0.4, [0.5, 0.8], 0.3),
            run("b", 0.6, [0.5, 0.6], 0.3),
            run("c", 1.06, [0.9, 0.2], 0.1),
        ];
        let goals = Goals::of(&runs);
        let [a, b, c] = goals.standings.as_slice() else {
            panic!("three runs");
        };
        // On b and c: one 1 and 4.5 times the best, other 1.2 and 1.
        assert_eq!(a.fair.as_ref().unwrap().name, "other");
        // On a and b one was the best.
        assert_eq!(c.fair.as_ref().unwrap().name, "one");
        assert_eq!(
            (a.best.name.as_str(), a.bound.name.as_str()),
            ("one", "belady")
        );
        assert_eq!(a.learnable.name, "learnable-hour");
        assert!((a.beside_best() - 0.8).abs() < 1e-12 && (a.way() - 0.5).abs() < 1e-12);
        assert!((b.way() + 0.5).abs() < 1e-12, "away from it");
        let loads = |of: Vec<&Standing>| of.iter().map(|one| one.load.clone()).collect::<Vec<_>>();
        assert_eq!(loads(goals.behind_best().collect()), ["b", "c"]);
        assert_eq!(loads(goals.behind_fair().collect()), ["b", "c"]);
        assert_eq!(loads(goals.above_nothing().collect()), ["c"]);
        let mean = goals.beside_best().unwrap();
        assert!((mean - (0.8 + 1.2 + 5.3) / 3.0).abs() < 1e-12, "{mean}");
    }

    #[test]
    fn who_is_alone_has_no_fair_rival_and_who_has_none_does_not_stand_anywhere() {
        let mut other_share = run("b", 0.4, [0.5, 0.6], 0.3);
        other_share.fast_share = 0.2;
        let mut alone = run("c", 0.4, [0.5, 0.6], 0.3);
        alone.outcomes.truncate(2);
        let goals = Goals::of(&[run("a", 0.4, [0.5, 0.6], 0.3), other_share, alone]);
        assert_eq!(goals.standings.len(), 2);
        assert!(goals.standings.iter().all(|one| one.fair.is_none()));
        assert_eq!(goals.behind_fair().count(), 0);
        assert_eq!(Goals::of(&[]).beside_best(), None);
    }
}
