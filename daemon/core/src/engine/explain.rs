//! Why a region is where it is, and what would move it. Nothing here changes anything.

use serde::Serialize;

use super::Engine;
use crate::forecast::{
    Chances, Expected, ForecastClass, HORIZONS, Score, horizons_seconds, pays_from,
};
use crate::heat::View;
use crate::plan::{Candidate, Known};
use crate::units::{MoveId, VolumeRegion};
use crate::volume::{Class, Leg};

/// What an expert expects of a region.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Opinion {
    /// Who, and how it stands.
    pub score: Score,
    /// Touches from now until each of the engine's horizons.
    pub touches: [f64; HORIZONS],
    /// How likely it is, by what came of such forecasts, that until each horizon at least as many
    /// touches come as pay for a move ([`Explanation::pays_from_touches`]); for good, until the
    /// farthest that has an end.
    pub confidence: [f64; HORIZONS],
}

/// What it would be worth to have a region on a faster tier.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Offer {
    /// Which tier.
    pub to: Class,
    /// Foreground seconds that its expected touches would take less there, less the wear of those
    /// that write.
    pub benefit_seconds: f64,
    /// Foreground seconds that the move has to earn: its device time and wear at their prices.
    pub cost_seconds: f64,
    /// Of these, for the wear of the copy.
    pub wear_seconds: f64,
    /// What the benefit is less by: the wear of the touches that write.
    pub writes_wear_seconds: f64,
    /// What writing a GiB there costs in wear, in foreground seconds.
    pub wear_seconds_per_gib: f64,
    /// Busy seconds of the slower member.
    pub device_seconds: f64,
    /// What requests would wait for it under the load of now.
    pub waiting_seconds: f64,
    /// How likely it is, by what came of such forecasts, that at least as many touches come as pay
    /// for it until the farthest horizon that has an end.
    pub confidence: f64,
}

/// Why a region is not on its way to a faster tier, or that it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub enum Verdict {
    /// It is moving.
    Moving(MoveId),
    /// A move of it failed a little while ago.
    Resting,
    /// Its member is missing, or it has more homes than one.
    NotMovable,
    /// It is on the fastest tier there is.
    OnFastest,
    /// Less is expected of it than this many touches.
    TooFewTouches(u32),
    /// It came less than this many seconds ago, and stays.
    JustCame {
        /// Seconds for which it stays yet.
        left_seconds: f64,
    },
    /// A move costs more than it is expected to save.
    DoesNotPay,
    /// It waits for room, budget or a turn.
    Waits(MoveId),
    /// It waits for its latest start.
    WaitsUntil {
        /// The move that is to be made.
        id: MoveId,
        /// Seconds until that begins at the latest.
        begins_in_seconds: f64,
        /// Seconds until the use begins for which it is made.
        due_in_seconds: f64,
    },
    /// A move pays: the next samples want it.
    Pays,
}

/// What the policy makes of a region.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Its home and that one's class, if it has one.
    pub home: Option<(Leg, Class)>,
    /// Touches within the last half-life or so, sequential ones left out.
    pub touches: f64,
    /// Touches since the start of the engine.
    pub touches_in_all: f64,
    /// Seconds since its first touch, if there was one.
    pub age_seconds: Option<f64>,
    /// Seconds since a move brought it to its home, if one did.
    pub resident_seconds: Option<f64>,
    /// What the use that the believed expert expects would be worth.
    pub class: ForecastClass,
    /// How many touches pay for a move between the slowest tier and the fastest; infinite where
    /// none would.
    pub pays_from_touches: f64,
    /// What each expert expects.
    pub opinions: Vec<Opinion>,
    /// What faster tiers would be worth, by the expert who is believed.
    pub offers: Vec<Offer>,
    /// What comes of it.
    pub verdict: Verdict,
}

impl Offer {
    fn new(one: &Candidate, region_bytes: f64, confidence: f64) -> Self {
        let gib = region_bytes / f64::from(1 << 30);
        Self {
            to: one.to,
            benefit_seconds: one.benefit_seconds,
            cost_seconds: one.price.seconds,
            wear_seconds: one.price.wear_seconds,
            writes_wear_seconds: one.writes_wear_seconds,
            wear_seconds_per_gib: one.price.wear_seconds / gib,
            device_seconds: one.price.device_seconds,
            waiting_seconds: one.price.waiting_seconds,
            confidence,
        }
    }
}

impl Engine {
    /// How far ahead the horizons of forecasts are, in seconds; the last is for good: infinite.
    #[must_use]
    pub fn horizons_seconds(&self) -> [f64; HORIZONS] {
        horizons_seconds(self.policy.config.half_life_seconds)
    }

    /// Touches of a range since the start of the engine.
    #[must_use]
    pub fn touches_in_all(&self, first: VolumeRegion, count: u32) -> f64 {
        let regions = first.0..first.0.saturating_add(count);
        let views = regions.filter_map(|at| self.policy.heat.view(VolumeRegion(at), self.now));
        views.map(|view| view.total).sum()
    }

    /// How many touches pay for a move between the slowest tier and the fastest.
    pub(super) fn pays_from_touches(&self) -> f64 {
        let stakes = self.policy.stakes(&self.migrate, self.now);
        pays_from(&stakes, self.policy.config.promote_touches_min)
    }

    /// What so many touches, as those of a region mostly are, take less on one tier than on
    /// another, in foreground seconds.
    #[must_use]
    pub fn saved_seconds(&self, region: VolumeRegion, touches: f64, from: Class, to: Class) -> f64 {
        let view = self.policy.heat.view(region, self.now);
        let one = view.map(|view| view.touches).unwrap_or_default().of_one();
        touches * self.policy.loads.benefit(one, from, to)
    }

    /// Why a region is where it is; `None` beyond the volume's end.
    #[must_use]
    pub fn explain(&self, region: VolumeRegion) -> Option<Explanation> {
        let view = self.policy.heat.view(region, self.now)?;
        let known = self.known();
        let home = self.migrate.map.home(region);
        let class_of = |leg: Leg| Some((leg, self.migrate.class_of(leg.member)?));
        let pays_from_touches = self.pays_from_touches();
        let opinions = known.forecasts.opinions(region, &view, known.scene());
        let opinions = opinions.zip(known.forecasts.chances_of_each(pays_from_touches));
        let opinion = |((score, expected), chances): ((Score, Expected), Chances)| Opinion {
            score,
            touches: expected.0,
            confidence: chances.of(&expected),
        };
        let expected = known.expected(region, &view, 0.0);
        let offers = home.map_or_else(Vec::new, |home| {
            let use_of_it = (expected, view.touches);
            let offers = known.offers((region, &view), home, use_of_it);
            let region_bytes = known.region_bytes();
            let offer =
                |one: &Candidate| Offer::new(one, region_bytes, one.confidence(known.forecasts));
            offers.iter().map(offer).collect()
        });
        Some(Explanation {
            home: home.and_then(class_of),
            touches: view.touches.sum(),
            touches_in_all: view.total,
            age_seconds: view.age_seconds,
            resident_seconds: view.resident_seconds,
            class: self.forecast_classes().of(&expected),
            pays_from_touches,
            opinions: opinions.map(opinion).collect(),
            verdict: self.verdict(region, view, known, &offers),
            offers,
        })
    }

    fn verdict(
        &self,
        region: VolumeRegion,
        view: View,
        known: Known<'_>,
        offers: &[Offer],
    ) -> Verdict {
        if let Some((_, id)) = self.migrate.mover_of(region, 1) {
            return Verdict::Moving(id);
        }
        if self.migrate.rests(region, 1) {
            return Verdict::Resting;
        }
        if known.movable(region).is_none() {
            return Verdict::NotMovable;
        }
        if offers.is_empty() {
            return Verdict::OnFastest;
        }
        let wants = &self.policy.wants;
        if let Some(want) = wants.iter().find(|want| want.candidate.region == region) {
            let appointment = self.policy.appointment(region, &self.migrate, self.now);
            return appointment.map_or(Verdict::Waits(want.id), |one| Verdict::WaitsUntil {
                id: want.id,
                begins_in_seconds: one.begins.seconds_since(self.now),
                due_in_seconds: one.due.seconds_since(self.now),
            });
        }
        let least = known.config.promote_touches_min;
        if known.expected(region, &view, 0.0).in_all() < f64::from(least) {
            return Verdict::TooFewTouches(least);
        }
        if !known.is_settled(view) {
            let resident = view.resident_seconds.unwrap_or(0.0);
            return Verdict::JustCame {
                left_seconds: (known.config.residency_seconds - resident).max(0.0),
            };
        }
        match known.candidate(region, None) {
            Some(_) => Verdict::Pays,
            None => Verdict::DoesNotPay,
        }
    }
}

#[cfg(test)]
mod tests;
