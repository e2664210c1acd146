//! What a tier would hold, and what that would have saved, had one expert been believed.
//!
//! Owns: [`Shadow`]. No data moves: copies are charged at their price, and arrive after the time
//! that copies take. What leaves is the best to leave of a few that a hand points at in turn, so
//! that a look costs the same however large the tier is. Large volumes are looked at in part.

use std::collections::BTreeMap;

use super::{Expected, HORIZONS, LAST};
use crate::units::{Now, VolumeRegion};

/// Regions under the hand that are compared.
const HAND: usize = 32;
/// Looks under the hand in an interval, at most.
const LOOKS_MAX: u32 = 1 << 10;

/// What is at stake, in foreground seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stakes {
    /// What a touch takes less on the fastest tier than on the slowest.
    pub(crate) gain_seconds: f64,
    /// Price of a region's copy.
    pub(crate) copy_seconds: f64,
    /// How many times more a region must be worth than the one it displaces.
    pub(crate) hysteresis: f64,
    /// Regions that the fastest tier holds.
    pub(crate) capacity: u32,
    /// Time after which a copy arrives.
    pub(crate) delay_nanos: u64,
    /// Time after its arrival in which a region stays.
    pub(crate) residency_nanos: u64,
}

/// Copies that are paid for each that is made until a horizon: what changes places for a while
/// changes back.
pub(crate) fn copies(horizon: usize) -> f64 {
    if horizon == LAST { 1.0 } else { 2.0 }
}

impl Stakes {
    /// What it is worth in all to have a region on the fast tier until each horizon.
    fn worth(&self, expected: &Expected) -> [f64; HORIZONS] {
        std::array::from_fn(|horizon| {
            self.gain_seconds * expected.at(horizon) - self.copy_seconds * copies(horizon)
        })
    }

    /// What displacing a region costs until a horizon.
    fn bar(&self, expected: &Expected, horizon: usize) -> f64 {
        let loss = self.gain_seconds * expected.at(horizon) * self.hysteresis;
        loss + self.copy_seconds * copies(horizon)
    }
}

#[derive(Clone, Copy, Debug)]
struct Resident {
    region: VolumeRegion,
    arrives: Now,
    /// Touches of the running interval that were before it was wanted.
    missed: f64,
}

/// The tier of one expert.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shadow {
    residents: Vec<Resident>,
    places: BTreeMap<VolumeRegion, usize>,
    hand: usize,
    saved_seconds: f64,
    /// Looks under the hand that are left in this interval.
    looks: u32,
}

impl Shadow {
    /// Begins an interval.
    pub(crate) fn begin(&mut self) {
        self.saved_seconds = 0.0;
        self.looks = LOOKS_MAX;
    }

    /// What was saved in this interval, copies paid.
    pub(crate) const fn saved_seconds(&self) -> f64 {
        self.saved_seconds
    }

    /// So much was saved, for tests of who is believed.
    #[cfg(test)]
    pub(super) fn save(&mut self, seconds: f64) {
        self.saved_seconds += seconds;
    }

    /// A region was touched. Tells whether it is here or on its way.
    pub(crate) fn touched(
        &mut self,
        region: VolumeRegion,
        touches: f64,
        stakes: &Stakes,
        now: Now,
    ) -> bool {
        let place = self.places.get(&region).copied();
        let Some(resident) = place.and_then(|place| self.residents.get_mut(place)) else {
            return false;
        };
        if resident.arrives <= now {
            let served = (touches - resident.missed).max(0.0);
            self.saved_seconds += served * stakes.gain_seconds;
        }
        resident.missed = 0.0;
        true
    }

    /// Brings a region that is not here, if that pays, after the first `missed` touches of the
    /// running interval; `of` tells what is expected of those here, and `rests` whether one is known
    /// to rest for as long as what has come stays.
    pub(crate) fn consider(
        &mut self,
        (region, missed): (VolumeRegion, f64),
        expected: &Expected,
        stakes: &Stakes,
        now: Now,
        of: impl Fn(VolumeRegion) -> Expected,
        rests: impl Fn(VolumeRegion) -> bool,
    ) {
        let worth = stakes.worth(expected);
        if worth[LAST] <= 0.0 || self.places.contains_key(&region) {
            return;
        }
        let arrives = Now(now.0.saturating_add(stakes.delay_nanos));
        let newcomer = Resident {
            region,
            arrives,
            missed,
        };
        if self.residents.len() < stakes.capacity as usize {
            self.places.insert(region, self.residents.len());
            self.residents.push(newcomer);
            self.saved_seconds -= stakes.copy_seconds;
            return;
        }
        let settled = |one: &&Resident| {
            now.nanos_since(one.arrives) >= stakes.residency_nanos || rests(one.region)
        };
        if let Some(place) = self.leaves(expected, stakes, of, settled)
            && let Some(resident) = self.residents.get_mut(place)
        {
            self.places.remove(&resident.region);
            *resident = newcomer;
            self.places.insert(region, place);
            self.saved_seconds -= 2.0 * stakes.copy_seconds;
        }
    }

    /// Which of those under the hand should make room, if that pays.
    fn leaves(
        &mut self,
        newcomer: &Expected,
        stakes: &Stakes,
        of: impl Fn(VolumeRegion) -> Expected,
        settled: impl Fn(&&Resident) -> bool,
    ) -> Option<usize> {
        self.looks = self.looks.checked_sub(1)?;
        let count = self.residents.len();
        let places = (self.hand..self.hand + HAND.min(count)).map(|place| place % count);
        let worth = stakes.worth(newcomer);
        let best = places
            .filter_map(|place| {
                let expected = of(self.residents.get(place).filter(&settled)?.region);
                // What is wanted sooner than the newcomer leaves later.
                if expected.soon() > newcomer.soon() * stakes.hysteresis {
                    return None;
                }
                let more = |horizon: usize| worth[horizon] - stakes.bar(&expected, horizon);
                Some((place, (0..HORIZONS).map(more).fold(f64::MIN, f64::max)))
            })
            .max_by(|one, other| one.1.total_cmp(&other.1));
        self.hand = (self.hand + HAND) % count.max(1);
        best.filter(|(_, more)| *more > 0.0).map(|(place, _)| place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAKES: Stakes = Stakes {
        gain_seconds: 0.01,
        copy_seconds: 0.02,
        hysteresis: 2.0,
        capacity: 2,
        delay_nanos: 0,
        residency_nanos: 10,
    };

    /// As much by each horizon.
    fn expected(touches: f64) -> Expected {
        Expected([touches; HORIZONS])
    }

    fn of(_: VolumeRegion) -> Expected {
        expected(10.0)
    }

    fn never(_: VolumeRegion) -> bool {
        false
    }

    fn full() -> Shadow {
        let mut shadow = Shadow::default();
        shadow.begin();
        for region in [1, 2] {
            let region = VolumeRegion(region);
            shadow.consider((region, 0.0), &expected(10.0), &STAKES, Now(0), of, never);
        }
        assert!((shadow.saved_seconds() + 0.04).abs() < 1e-12, "two copies");
        shadow
    }

    fn is_here(shadow: &mut Shadow, region: u32, now: u64) -> bool {
        shadow.touched(VolumeRegion(region), 0.0, &STAKES, Now(now))
    }

    #[test]
    fn what_does_not_pay_for_its_copy_stays_where_it_is() {
        let mut shadow = Shadow::default();
        shadow.begin();
        let region = VolumeRegion(1);
        shadow.consider((region, 0.0), &expected(2.0), &STAKES, Now(0), of, never);
        assert!(!is_here(&mut shadow, 1, 0) && shadow.saved_seconds().abs() < 1e-12);
    }

    #[test]
    fn touches_are_saved_from_the_arrival_on_and_those_before_it_are_not() {
        let stakes = Stakes {
            delay_nanos: 5,
            ..STAKES
        };
        let mut shadow = Shadow::default();
        shadow.begin();
        let region = VolumeRegion(1);
        shadow.consider((region, 4.0), &expected(10.0), &stakes, Now(0), of, never);
        shadow.begin();
        assert!(shadow.touched(region, 6.0, &stakes, Now(4)));
        assert!(shadow.saved_seconds().abs() < 1e-12, "on its way");
        shadow.consider(
            (VolumeRegion(2), 4.0),
            &expected(10.0),
            &STAKES,
            Now(4),
            of,
            never,
        );
        shadow.begin();
        assert!(shadow.touched(VolumeRegion(2), 6.0, &STAKES, Now(5)));
        assert!((shadow.saved_seconds() - 0.02).abs() < 1e-12, "6 less 4");
    }

    #[test]
    fn one_makes_room_only_for_what_is_worth_it_with_a_surplus_and_both_copies() {
        // Ten touches twice, and two copies: 24 touches and more, until the last horizon.
        let mut shadow = full();
        let newcomer = VolumeRegion(3);
        shadow.consider(
            (newcomer, 0.0),
            &expected(23.9),
            &STAKES,
            Now(20),
            of,
            never,
        );
        assert!(!is_here(&mut shadow, 3, 20));
        shadow.consider(
            (newcomer, 0.0),
            &expected(24.1),
            &STAKES,
            Now(20),
            of,
            never,
        );
        assert!(is_here(&mut shadow, 3, 20));
        assert!(
            (shadow.saved_seconds() + 0.08).abs() < 1e-12,
            "two more copies"
        );
    }

    #[test]
    fn what_changes_places_for_a_while_pays_to_change_back() {
        // Until the first horizon nothing is expected of those here.
        let later = |_| Expected([0.0, 10.0, 10.0, 10.0, 10.0]);
        for (touches, moves) in [(7.9, false), (8.1, true)] {
            let mut shadow = full();
            let newcomer = VolumeRegion(3);
            shadow.consider(
                (newcomer, 0.0),
                &expected(touches),
                &STAKES,
                Now(20),
                later,
                never,
            );
            assert_eq!(is_here(&mut shadow, 3, 20), moves, "{touches}");
        }
    }

    #[test]
    fn what_has_just_come_stays_unless_it_is_known_to_rest() {
        let first = |region: VolumeRegion| region == VolumeRegion(1);
        let mut shadow = full();
        let mut newcomer_comes = |rests: fn(VolumeRegion) -> bool| {
            let newcomer = (VolumeRegion(3), 0.0);
            shadow.consider(newcomer, &expected(99.0), &STAKES, Now(9), of, rests);
            [1, 3].map(|region| is_here(&mut shadow, region, 9))
        };
        assert_eq!(newcomer_comes(never), [true, false]);
        assert_eq!(newcomer_comes(first), [false, true]);
    }
}
