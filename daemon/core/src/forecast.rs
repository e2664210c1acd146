//! What use of each region is expected, and who is believed.
//!
//! Owns: [`Expected`], the experts behind one trait, and the choice between them. May not: say what
//! a move is worth, or move anything.

mod calibration;
mod class;
mod contest;
mod drift;
mod examples;
mod following;
pub mod history;
mod keep;
mod lasting;
mod learned;
mod name;
mod nearby;
mod rhythm;
mod shadow;
mod shapes;
mod timing;
mod touch;
mod windows;

use serde::Serialize;

use crate::engine::NetworkStatus;
use crate::heat::{Heat, LASTING, SPANS, View};
use crate::policy::PolicyConfig;
use crate::units::{Now, VolumeRegion, nanos};
use calibration::Calibration;
pub(crate) use calibration::Chances;
pub use class::{ClassCounts, ForecastClass};
pub(crate) use class::{Classes, pays_from};
use contest::Contest;
pub use examples::{Drifted, Example};
use following::Following;
pub(crate) use following::FollowingMemory;
use history::GROUP_REGIONS;
pub(crate) use keep::ForecastMemory;
use lasting::Lasting;
pub(crate) use learned::Asked;
pub use learned::{GroupForecast, GroupHistory};
use learned::{Known, Learned};
pub use name::ExpertName;
use nearby::Nearby;
use rhythm::Rhythm;
pub use rhythm::series::autocorrelation;
use shadow::Shadow;
pub(crate) use shadow::{Stakes, copies};
pub(crate) use timing::{Demand, Timing};
use touch::Touch;
pub(crate) use touch::TouchMemory;
pub use windows::{code, touches};

/// How far ahead is looked, in half-lives: for one of 10,000 s, a minute, ten, an hour, six hours,
/// and for good.
const HORIZONS_HALF_LIVES: [f64; HORIZONS] = [0.006, 0.06, 0.36, 2.16, f64::INFINITY];
/// Number of horizons.
pub(crate) const HORIZONS: usize = 5;
/// The one that is farthest ahead.
pub(crate) const LAST: usize = HORIZONS - 1;
/// Number of horizons that have an end.
pub const FINITE: usize = LAST;

/// How far ahead each horizon is, in seconds; the last is for good.
pub(crate) fn horizons_seconds(half_life_seconds: f64) -> [f64; HORIZONS] {
    HORIZONS_HALF_LIVES.map(|horizon| horizon * half_life_seconds)
}

/// Touches that are expected from now until each horizon; the farther, the more.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Expected(pub(crate) [f64; HORIZONS]);

impl Expected {
    pub(crate) fn at(&self, horizon: usize) -> f64 {
        self.0.get(horizon).copied().unwrap_or(0.0)
    }

    /// Until the first horizon: the time in which a move is made.
    pub(crate) fn soon(&self) -> f64 {
        self.at(0)
    }

    /// Until the last horizon.
    pub(crate) fn in_all(&self) -> f64 {
        self.at(LAST)
    }
}

/// What experts rest on.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) heat: &'a Heat,
    pub(crate) now: Now,
}

/// Who expects something.
pub(crate) trait Expert {
    /// What people know it by.
    fn name(&self) -> ExpertName;
    /// Whether it has anything to say of its own.
    fn is_heard(&self) -> bool {
        true
    }
    /// Takes in the regions touched in an interval, ascending, their heat having been counted.
    fn touched(&mut self, touched: &[Touched], scene: Scene<'_>);
    /// What it expects of a region, of which its counts do not have the last `running` touches.
    fn expected(
        &self,
        region: VolumeRegion,
        view: &View,
        running: f64,
        scene: Scene<'_>,
    ) -> Expected;
    /// When what it expects of a region begins, and when that is over, if it knows.
    fn timing(&self, _region: VolumeRegion, _scene: Scene<'_>) -> Timing {
        Timing::default()
    }
    /// Regions beside those touched since the last time of which it expects something.
    fn names(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion>;
    /// How many times more than what it displaces a region must be worth by what this one expects,
    /// where so much is set: less for who learns from what came how much to expect.
    fn hysteresis(&self, set: f64) -> f64 {
        set
    }
}

/// Horizons, in nanoseconds.
type Spans = [u64; HORIZONS];

/// From so many regions that were ever touched on, a part of them is looked at.
const LOOKED_AT_MAX: u32 = 1 << 16;
/// A region's touches of an interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touched {
    pub(crate) region: VolumeRegion,
    pub(crate) touches: f64,
    /// Of these, those that the fastest tier did not serve.
    pub(crate) missed: f64,
    /// Since it was counted before.
    pub(crate) silent_nanos: u64,
}

#[derive(Clone, Debug)]
struct Experts {
    lasting: [Lasting; SPANS],
    touch: Touch,
    nearby: Nearby,
    following: Following,
    rhythm: Rhythm,
    learned: Learned,
}

const EXPERTS: usize = SPANS + 5;
/// Where the one that reacts, those of touches and rhythm and that of the network stand among them.
const REACTIVE: usize = LASTING;
const TOUCH: usize = SPANS;
const RHYTHM: usize = EXPERTS - 2;
const LEARNED: usize = EXPERTS - 1;

impl Experts {
    fn all(&self) -> [&dyn Expert; EXPERTS] {
        let [recent, lasting, long] = &self.lasting;
        [
            recent,
            lasting,
            long,
            &self.touch,
            &self.nearby,
            &self.following,
            &self.rhythm,
            &self.learned,
        ]
    }

    fn all_mut(&mut self) -> [&mut dyn Expert; EXPERTS] {
        let [recent, lasting, long] = &mut self.lasting;
        [
            recent,
            lasting,
            long,
            &mut self.touch,
            &mut self.nearby,
            &mut self.following,
            &mut self.rhythm,
            &mut self.learned,
        ]
    }
}

/// Whether the shadows hold a region, of which they hold one part in `part`.
fn looks_at(region: VolumeRegion, part: u32) -> bool {
    // Multiplying by the golden ratio spreads neighbouring groups evenly (Knuth, 6.4).
    let spread = (region.0 / GROUP_REGIONS).wrapping_mul(0x9e37_79b9) >> 16;
    spread.is_multiple_of(part.max(1))
}

/// What is at stake for who goes by an expert.
fn stakes_of(expert: &dyn Expert, stakes: &Stakes) -> Stakes {
    Stakes {
        hysteresis: expert.hysteresis(stakes.hysteresis),
        ..*stakes
    }
}

fn consider(
    shadow: &mut Shadow,
    expert: &dyn Expert,
    (region, running): (VolumeRegion, f64),
    stakes: &Stakes,
    scene: Scene<'_>,
) {
    let of = |region: VolumeRegion, running: f64| {
        let view = scene.heat.view(region, scene.now);
        view.map_or_else(Expected::default, |view| {
            expert.expected(region, &view, running, scene)
        })
    };
    let expected = of(region, running);
    let residency_seconds = Now(stakes.residency_nanos).seconds_since(Now(0));
    shadow.consider(
        (region, running),
        &expected,
        stakes,
        scene.now,
        |other| of(other, 0.0),
        |other| expert.timing(other, scene).rests(residency_seconds),
    );
}

/// The experts, and who is believed.
#[derive(Clone, Debug)]
pub(crate) struct Forecasts {
    experts: Experts,
    shadows: [Shadow; EXPERTS],
    contest: Contest,
    /// Whether any but the reactive expert may be.
    foresight: bool,
    /// Whether what is expected has changed at once: who is believed, or what that one names.
    is_anew: bool,
    /// Whether the network was heard since the last interval.
    is_told_anew: bool,
    /// As of the last interval, for the part that the shadows hold.
    stakes: Stakes,
    part: u32,
    /// What others are to be asked and told.
    asked: Option<Asked>,
    /// What came of what each expected.
    calibration: Calibration,
}

/// How an expert stands.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The expert.
    pub name: ExpertName,
    /// Foreground seconds that a tier of its own would have saved more lately, copies paid, than
    /// that of the reactive expert, within bounds.
    pub lead_seconds: f64,
    /// Whether the policy goes by it.
    pub is_believed: bool,
}

impl Forecasts {
    pub(crate) fn new(config: &PolicyConfig, heat: &Heat) -> Self {
        let half_life_seconds = config.half_life_seconds;
        let horizons = HORIZONS_HALF_LIVES.map(|horizon| nanos(horizon * half_life_seconds));
        let lasting = std::array::from_fn(|span| Lasting::new(span, horizons, heat));
        let experts = Experts {
            touch: Touch::new(lasting[LASTING].clone(), horizons),
            nearby: Nearby::new(lasting[LASTING].clone(), horizons),
            following: Following::new(lasting[LASTING].clone(), horizons),
            rhythm: Rhythm::new(lasting[LASTING].clone(), horizons),
            learned: Learned::new(lasting[LASTING].clone(), horizons),
            lasting,
        };
        Self {
            experts,
            shadows: Default::default(),
            contest: Contest::new(REACTIVE),
            stakes: Stakes::default(),
            part: 1,
            foresight: config.foresight,
            asked: None,
            calibration: Calibration::new(horizons),
            is_anew: false,
            is_told_anew: false,
        }
    }

    /// Takes in the regions touched in an interval, their heat having been counted. Gives those
    /// that are to be looked at besides.
    pub(crate) fn touched(
        &mut self,
        touched: &[Touched],
        stakes: &Stakes,
        scene: Scene<'_>,
    ) -> Vec<VolumeRegion> {
        // By powers of two, so that what is looked at in a smaller part was in the larger one.
        let part = (scene.heat.known_regions() / LOOKED_AT_MAX).next_power_of_two();
        self.part = part;
        self.stakes = Stakes {
            capacity: stakes.capacity / part,
            ..*stakes
        };
        let (stakes, believed) = (self.stakes, self.contest.believed());
        let mut besides = Vec::new();
        let window = self.experts.rhythm.refreshed_in();
        let experts = self.experts.all_mut().into_iter().zip(&mut self.shadows);
        let heard = experts.enumerate();
        for (at, (expert, shadow)) in heard.filter(|(_, (expert, _))| expert.is_heard()) {
            expert.touched(touched, scene);
            let named = expert.names(scene);
            let stakes = stakes_of(expert, &stakes);
            for one in touched.iter().filter(|one| looks_at(one.region, part)) {
                if !shadow.touched(one.region, one.touches, &stakes, scene.now) {
                    consider(shadow, expert, (one.region, 0.0), &stakes, scene);
                }
            }
            for region in named.iter().filter(|region| looks_at(**region, part)) {
                consider(shadow, expert, (*region, 0.0), &stakes, scene);
            }
            if at == believed {
                besides = named;
            }
        }
        self.choose(&stakes);
        self.calibration.look(&self.experts.all(), scene);
        let Experts {
            rhythm, learned, ..
        } = &mut self.experts;
        if let Some(asked) = learned.ask(rhythm, &stakes, scene) {
            self.asked = Some(asked);
        }
        let turned = match self.contest.believed() {
            RHYTHM => window != self.experts.rhythm.refreshed_in(),
            LEARNED => std::mem::take(&mut self.is_told_anew),
            // What follows something is named run by run, and is looked at with what was touched. To
            // choose anew each time who leaves was tried: the slow device worked 3 to 6 % longer on
            // `jobs`, and as long on other loads.
            _ => false,
        };
        self.is_anew = turned || believed != self.contest.believed();
        for shadow in &mut self.shadows {
            shadow.begin();
        }
        besides
    }

    /// Whether the newest interval changed at once what is expected of regions that it did not
    /// touch.
    pub(crate) const fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Takes in a burst, whose touches are not counted yet.
    pub(crate) fn hot(&mut self, region: VolumeRegion, touches: f64, scene: Scene<'_>) {
        if looks_at(region, self.part) {
            let experts = self.experts.all().into_iter().zip(&mut self.shadows);
            for (expert, shadow) in experts.filter(|(expert, _)| expert.is_heard()) {
                let stakes = stakes_of(expert, &self.stakes);
                consider(shadow, expert, (region, touches), &stakes, scene);
            }
        }
    }

    /// Whether somebody outside forecasts groups.
    pub(crate) fn forecaster(&mut self, ready: bool) {
        self.experts.learned.forecaster(ready && self.foresight);
        for (expert, shadow) in self.experts.all().into_iter().zip(&mut self.shadows) {
            if !expert.is_heard() {
                *shadow = Shadow::default();
            }
        }
    }

    /// Takes in what somebody outside forecasts of groups.
    pub(crate) fn told(&mut self, window: u64, groups: &[GroupForecast], scene: Scene<'_>) {
        let Experts {
            rhythm, learned, ..
        } = &mut self.experts;
        learned.told(window, groups, rhythm, scene);
        self.is_told_anew = true;
    }

    /// What others are to be asked and told since the last time.
    pub(crate) fn take_asked(&mut self) -> Option<Asked> {
        self.asked.take()
    }

    /// How the network does.
    pub(crate) fn network(&self) -> NetworkStatus {
        self.experts.learned.status()
    }

    /// What each saved in this interval.
    fn saved(&self) -> contest::Saved {
        let mut experts = self.experts.all().into_iter().zip(&self.shadows);
        std::array::from_fn(|_| {
            let (expert, shadow) = experts.next()?;
            expert.is_heard().then_some(shadow.saved_seconds())
        })
    }

    /// What the rhythm would have saved, had it known before the periods that it has just found.
    fn hindsight_seconds(&mut self, stakes: &Stakes) -> f64 {
        let hindsight = self.experts.rhythm.take_hindsight().into_iter();
        let known = hindsight.filter(|one| looks_at(one.region, self.part));
        let copies_seconds = copies(0) * stakes.copy_seconds;
        known
            .map(|one| (one.missed * stakes.gain_seconds - copies_seconds).max(0.0))
            .sum()
    }

    /// Believes who would have saved more than the reactive expert, until another would have saved
    /// more than that one.
    fn choose(&mut self, stakes: &Stakes) {
        let change_seconds = f64::from(stakes.capacity) * stakes.copy_seconds * 2.0;
        let saved = self.saved();
        self.contest.saved(&saved, change_seconds);
        let seconds = self.hindsight_seconds(stakes);
        self.contest.hindsight(RHYTHM, seconds, change_seconds);
        self.contest.fall_back();
        let stands_in = self.contest.stands_in(TOUCH, change_seconds);
        let leads = *self.contest.leads();
        let may = |at: usize| leads[at] > 0.0 && (at != TOUCH || stands_in);
        let better = self.contest.better(change_seconds, may);
        if let Some(at) = better.filter(|_| self.foresight) {
            self.contest.believe(at);
        }
    }

    /// How many times more than what it displaces a region must be worth, where so much is set.
    pub(crate) fn hysteresis(&self, set: f64) -> f64 {
        let expert = self.believed_expert();
        expert.map_or(set, |expert| expert.hysteresis(set))
    }

    fn believed_expert(&self) -> Option<&dyn Expert> {
        self.experts.all().into_iter().nth(self.contest.believed())
    }

    /// Who is believed.
    pub(crate) fn believed(&self) -> ExpertName {
        let expert = self.believed_expert();
        expert.map_or(ExpertName::Lasting, Expert::name)
    }

    /// How the experts stand that have anything to say.
    pub(crate) fn scores(&self) -> impl Iterator<Item = Score> + '_ {
        let leads = *self.contest.leads();
        let experts = self.experts.all().into_iter().zip(leads).enumerate();
        experts
            .filter(|(_, (expert, _))| expert.is_heard())
            .map(|(at, (expert, lead_seconds))| Score {
                name: expert.name(),
                lead_seconds,
                is_believed: at == self.contest.believed(),
            })
    }

    /// What each of them expects of a region.
    pub(crate) fn opinions(
        &self,
        region: VolumeRegion,
        view: &View,
        scene: Scene<'_>,
    ) -> impl Iterator<Item = (Score, Expected)> {
        let experts = self.experts.all().into_iter();
        let heard = experts.filter(|expert| expert.is_heard());
        let expected = heard.map(move |expert| expert.expected(region, view, 0.0, scene));
        self.scores().zip(expected)
    }

    /// What is expected of a region, of which its counts do not have the last `running` touches.
    pub(crate) fn expected(
        &self,
        region: VolumeRegion,
        view: &View,
        running: f64,
        scene: Scene<'_>,
    ) -> Expected {
        let expert = self.believed_expert();
        expert.map_or_else(Expected::default, |expert| {
            expert.expected(region, view, running, scene)
        })
    }

    /// When what is expected of a region begins, and when that is over.
    pub(crate) fn timing(&self, region: VolumeRegion, scene: Scene<'_>) -> Timing {
        let expert = self.believed_expert();
        expert.map_or_else(Timing::default, |expert| expert.timing(region, scene))
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
