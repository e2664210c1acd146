//! Whether the halves of a group are used at other times, and how one group becomes two, and two
//! one.

use super::{Group, SCALES, Scale};
use crate::forecast::shapes::Run;
use crate::forecast::windows::Windows;

/// Touches below which nothing is known of when a half is used.
const DIFFER_TOUCHES_MIN: f64 = 64.0;

/// Use of one half of a group.
pub(super) type Half = [Windows; SCALES];

/// By how much more the times differ at which two halves are used than they would by chance: the
/// distance in total variation between where in time the touches of each are, at most 1, on the
/// scale on which it is largest.
pub(super) fn differ(one: &Half, other: &Half) -> f64 {
    let scales = one.iter().zip(other);
    scales
        .map(|(one, other)| differ_on(one, other))
        .fold(0.0, f64::max)
}

fn differ_on(one: &Windows, other: &Windows) -> f64 {
    let (all, others) = (one.total(), other.total());
    // Of what is hardly used, nothing is known; that it is used less is told by its heat.
    if all.min(others) < DIFFER_TOUCHES_MIN {
        return 0.0;
    }
    let pairs = one.ended().zip(other.ended());
    let (mut distance, mut chance) = (0.0, 0.0);
    for (touches, other) in pairs {
        distance += (touches / all - other / others).abs() / 2.0;
        let share = (touches + other) / (all + others);
        // Half of the mean distance between two counts of Poisson, sqrt(2 / pi) of their deviation.
        chance += 0.4 * (share * (1.0 / all + 1.0 / others)).sqrt();
    }
    distance - 2.0 * chance
}

impl Group {
    /// Of what was one half of another.
    fn of_half(half: &Half, run: Run) -> Self {
        let running = half.each_ref().map(Windows::running);
        let mut group = Self::new(running.map(Windows::new), run);
        for (scale, windows) in group.scales.iter_mut().zip(half) {
            scale.windows = windows.clone();
            scale.period = scale.find_period();
        }
        group
    }

    /// Its halves, each a group of its own.
    pub(super) fn split(&self, run: Run) -> [Self; 2] {
        let runs = run.halves().unwrap_or([run, run]);
        match &self.halves {
            Some(halves) => std::array::from_fn(|at| {
                let mut half = Self::of_half(&halves[at], runs[at]);
                half.had_period = self.had_period;
                half
            }),
            None => [self.clone(), self.clone()],
        }
    }

    /// Of two that were its halves, and how each was used.
    pub(super) fn joined([one, other]: [&Self; 2], halves: [Half; 2]) -> Self {
        let [first, second] = &halves;
        let sum: Half = std::array::from_fn(|scale| first[scale].sum(&second[scale]));
        let scale = |windows: Windows| {
            let mut scale = Scale {
                windows,
                period: None,
            };
            scale.period = scale.find_period();
            scale
        };
        Self {
            scales: sum.map(scale),
            halves: Some(Box::new(halves)),
            total: one.total + other.total,
            missed: one.missed + other.missed,
            had_period: one.had_period || other.had_period,
            heat: 0.0,
            expected: None,
            demand: None,
            foreseen: f64::INFINITY,
            is_out: false,
        }
    }

    pub(super) fn windows(&self) -> Half {
        self.scales.each_ref().map(|scale| scale.windows.clone())
    }
}
