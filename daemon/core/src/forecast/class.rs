//! Whether what is expected of a region makes it hot, warm or cold.
//!
//! Owns: [`ForecastClass`], which says what the expected use would be worth, whatever the region's
//! tier is now: a region that is hot and not on the fastest tier is one to fetch, one that is cold
//! and is there is one to let go. It rests on the believed expert, on the price of a copy between
//! the slowest tier and the fastest, and on how often what was expected came. May not: move
//! anything; room, budget and what else is wanted decide on that.

use std::fmt;

use serde::Serialize;

use super::{Chances, Expected, Forecasts, Stakes};

/// From which chance on something is taken to come.
const LIKELY: f64 = 0.5;

/// What the use that is expected of a region would be worth.
///
/// Touches *pay for a move* when what they take less on the fastest tier than on the slowest is as
/// much as the copy has to earn; fewer than `policy.promote_touches_min` never do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ForecastClass {
    /// Neither: its place on the fastest tier is better given to another.
    Cold,
    /// Not worth a move, but worth its place where it is on the fastest tier already: touches that
    /// would pay for a move if they were `policy.hysteresis` times as many are expected, and come
    /// with even odds at least. A region displaces only one that is that much colder, so that what
    /// is just hot would not displace it.
    Warm,
    /// Worth a move to the fastest tier: as many touches are expected as pay for one, and with even
    /// odds at least so many come until the farthest horizon that has an end.
    Hot,
}

impl fmt::Display for ForecastClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::Warm => "warm",
            Self::Hot => "hot",
        })
    }
}

/// Regions by the class of their forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassCounts {
    /// Hot ones.
    pub hot: u32,
    /// Warm ones.
    pub warm: u32,
    /// Cold ones.
    pub cold: u32,
}

impl ClassCounts {
    /// Takes in one region.
    pub(crate) fn count(&mut self, class: ForecastClass) {
        match class {
            ForecastClass::Hot => self.hot += 1,
            ForecastClass::Warm => self.warm += 1,
            ForecastClass::Cold => self.cold += 1,
        }
    }

    /// What so many of so many others would have, rounded down.
    pub(crate) fn scaled(self, to: u32, from: u32) -> Self {
        let scaled = |count: u32| {
            let scaled = u64::from(count) * u64::from(to) / u64::from(from.max(1));
            u32::try_from(scaled).unwrap_or(u32::MAX)
        };
        Self {
            hot: scaled(self.hot),
            warm: scaled(self.warm),
            cold: scaled(self.cold),
        }
    }
}

/// How many touches pay for a move between the slowest tier and the fastest: infinitely many where
/// the fastest is no faster. Fewer than `least` never do.
pub(crate) fn pays_from(stakes: &Stakes, least: u32) -> f64 {
    if stakes.gain_seconds > 0.0 {
        (stakes.copy_seconds / stakes.gain_seconds).max(f64::from(least))
    } else {
        f64::INFINITY
    }
}

/// What makes a region hot or warm now.
#[derive(Clone, Debug)]
pub(crate) struct Classes {
    /// Touches that pay for a move.
    touches: f64,
    hysteresis: f64,
    /// That at least so many come.
    pays: Chances,
    /// That at least so many come as make it worth its place.
    stays: Chances,
}

impl Classes {
    pub(crate) fn of(&self, expected: &Expected) -> ForecastClass {
        let touches = expected.in_all();
        if touches * self.hysteresis < self.touches || self.stays.in_all(expected) < LIKELY {
            ForecastClass::Cold
        } else if touches < self.touches || self.pays.in_all(expected) < LIKELY {
            ForecastClass::Warm
        } else {
            ForecastClass::Hot
        }
    }
}

impl Forecasts {
    /// How likely it is that at least so many touches come, by what the believed expert expects.
    pub(crate) fn chances(&self, touches: f64) -> Chances {
        self.calibration.chances(self.contest.believed(), touches)
    }

    /// The same by what each expects that has anything to say.
    pub(crate) fn chances_of_each(&self, touches: f64) -> impl Iterator<Item = Chances> + '_ {
        let experts = self.experts.all().into_iter().enumerate();
        let heard = experts.filter(|(_, expert)| expert.is_heard());
        heard.map(move |(at, _)| self.calibration.chances(at, touches))
    }

    /// What makes a region hot or warm where so many touches pay for a move, and what is so many
    /// times warmer displaces it.
    pub(crate) fn classes(&self, touches: f64, hysteresis: f64) -> Classes {
        Classes {
            touches,
            hysteresis,
            pays: self.chances(touches),
            stays: self.chances(touches / hysteresis.max(1.0)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::forecast::{Calibration, HORIZONS};

    fn classes(calibration: &Calibration, touches: f64, hysteresis: f64) -> Classes {
        Classes {
            touches,
            hysteresis,
            pays: calibration.chances(0, touches),
            stays: calibration.chances(0, touches / hysteresis),
        }
    }

    fn class(classes: &Classes, expected: f64) -> ForecastClass {
        classes.of(&Expected([expected; HORIZONS]))
    }

    #[test]
    fn before_anything_came_what_pays_is_hot_and_half_of_it_is_warm() {
        let classes = classes(&Calibration::new([1; HORIZONS]), 10.0, 2.0);
        for (expected, wanted) in [
            (0.0, ForecastClass::Cold),
            (4.9, ForecastClass::Cold),
            (5.0, ForecastClass::Warm),
            (9.9, ForecastClass::Warm),
            (10.0, ForecastClass::Hot),
            (1e9, ForecastClass::Hot),
        ] {
            assert_eq!(class(&classes, expected), wanted, "{expected}");
        }
    }

    #[test]
    fn where_no_tier_is_faster_all_is_cold() {
        let stakes = Stakes {
            copy_seconds: 0.02,
            ..Stakes::default()
        };
        assert!(pays_from(&stakes, 2).is_infinite());
        let classes = classes(&Calibration::new([1; HORIZONS]), f64::INFINITY, 2.0);
        assert_eq!(class(&classes, 1e12), ForecastClass::Cold);
        // Where copies are free, so many touches as are set pay nevertheless.
        let free = Stakes {
            gain_seconds: 0.01,
            ..Stakes::default()
        };
        assert!((pays_from(&free, 2) - 2.0).abs() < 1e-12);
        assert!(
            (pays_from(
                &Stakes {
                    copy_seconds: 0.05,
                    ..free
                },
                2
            ) - 5.0)
                .abs()
                < 1e-12
        );
    }

    proptest! {
        #[test]
        fn what_is_hot_is_worth_its_place_too_and_more_is_never_colder(
            outcomes in prop::collection::vec((0.0_f64..100.0, 0.0_f64..100.0), 0..100),
            (touches, hysteresis) in (1.0_f64..50.0, 1.0_f64..4.0),
            (expected, more) in (0.0_f64..200.0, 0.0_f64..50.0),
        ) {
            let mut calibration = Calibration::new([1; HORIZONS]);
            for (expected, came) in outcomes {
                calibration.came(expected, came);
            }
            let classes = classes(&calibration, touches, hysteresis);
            let of = Expected([expected; HORIZONS]);
            let is = classes.of(&of);
            if is == ForecastClass::Hot {
                prop_assert!(expected >= touches && classes.pays.in_all(&of) >= LIKELY);
            }
            if is != ForecastClass::Cold {
                prop_assert!(expected * hysteresis >= touches);
                prop_assert!(classes.stays.in_all(&of) >= LIKELY);
            }
            prop_assert!(class(&classes, expected + more) >= is);
            // At the price of nothing but what it must be more than, there is no warm.
            let strict = self::classes(&calibration, touches, 1.0);
            prop_assert!(class(&strict, expected) != ForecastClass::Warm);
        }
    }
}
