//! What a move is worth, and which regions are worth one.
//!
//! Owns: the prices, all in expected foreground seconds, and the choice of candidates; pure
//! functions of what is known ([`Known`]). May not: order anything or spend anything.
//!
//! What use is to come is the forecast's to say. With the reactive expert it is the use of the last
//! hours: a region is promoted when what it cost on the slow tier exceeds what the move costs.

use crate::alloc::Space;
use crate::forecast::{
    Demand, Expected, Forecasts, HORIZONS, LAST, Scene, copies, horizons_seconds,
};
use crate::heat::{Heat, Touches, View};
use crate::migrate::Migrate;
use crate::policy::PolicyConfig;
use crate::resource::Loads;
use crate::units::{MemberIndex, Now, VolumeRegion};
use crate::volume::{Class, Extent, Leg};
use crate::wear::Wear;

/// A move costs nothing if its members are idle but for this share of the copy's device time.
const FREE_SHARE: f64 = 0.02;
/// Members of a tier on which wear costs so many times more than on the cheapest are passed over.
const DEARER_MAX: f64 = 2.0;
/// Coldest regions of a tier that are kept in mind.
const VICTIMS_MAX: usize = 1_024;

/// All that a plan rests on.
#[derive(Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) config: &'a PolicyConfig,
    pub(crate) heat: &'a Heat,
    pub(crate) forecasts: &'a Forecasts,
    pub(crate) loads: &'a Loads,
    pub(crate) wear: &'a Wear,
    pub(crate) migrate: &'a Migrate,
    pub(crate) now: Now,
}

/// Price of a copy.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Price {
    /// Busy seconds of the slower member.
    pub(crate) device_seconds: f64,
    /// What it has to earn, in foreground seconds.
    pub(crate) seconds: f64,
    /// Of the latter, for wear.
    pub(crate) wear_seconds: f64,
    /// What requests wait for it.
    pub(crate) waiting_seconds: f64,
}

impl Price {
    /// Of so many regions.
    pub(crate) fn times(self, regions: u32) -> Self {
        let regions = f64::from(regions);
        Self {
            device_seconds: self.device_seconds * regions,
            seconds: self.seconds * regions,
            wear_seconds: self.wear_seconds * regions,
            waiting_seconds: self.waiting_seconds * regions,
        }
    }

    pub(crate) fn is_free(self) -> bool {
        self.seconds <= self.device_seconds * FREE_SHARE
    }

    /// Whether the members are idle, so that nothing waits.
    pub(crate) fn is_idle(self) -> bool {
        self.waiting_seconds <= self.device_seconds * FREE_SHARE
    }
}

/// A region that is worth promoting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) region: VolumeRegion,
    pub(crate) from: Class,
    pub(crate) to: Class,
    pub(crate) touches: f64,
    /// Of these, those until the first horizon.
    pub(crate) touches_soon: f64,
    /// And those until each.
    pub(crate) expected: Expected,
    /// When they begin to come, and when they have come.
    pub(crate) demand: Demand,
    /// What each of them is expected to take less there.
    pub(crate) gain_seconds: f64,
    /// What these are worth there, less the wear of those that write.
    pub(crate) benefit_seconds: f64,
    /// That wear.
    pub(crate) writes_wear_seconds: f64,
    /// What it is worth in all to have it there until each horizon.
    pub(crate) worth_seconds: [f64; HORIZONS],
    pub(crate) price: Price,
}

impl Candidate {
    /// What it is worth in all to have it there until a horizon.
    pub(crate) fn worth(&self, horizon: usize) -> f64 {
        self.worth_seconds
            .get(horizon)
            .copied()
            .unwrap_or(f64::NEG_INFINITY)
    }

    pub(crate) fn net_seconds(&self) -> f64 {
        self.benefit_seconds - self.price.seconds
    }

    /// How likely it is that as many touches come as pay for it.
    pub(crate) fn confidence(&self, forecasts: &Forecasts) -> f64 {
        let pays_from = if self.gain_seconds > 0.0 {
            self.price.seconds / self.gain_seconds
        } else {
            f64::INFINITY
        };
        forecasts.chances(pays_from).in_all(&self.expected)
    }

    /// Until which horizon it is worth most more than what it would displace, and how much.
    pub(crate) fn advantage(&self, bars_seconds: &[f64; HORIZONS]) -> (usize, f64) {
        let more = self.worth_seconds.iter().zip(bars_seconds);
        let more = more.map(|(worth, bar)| worth - bar).enumerate();
        more.max_by(|one, other| one.1.total_cmp(&other.1))
            .unwrap_or((LAST, f64::NEG_INFINITY))
    }
}

/// A region that would be the first to leave its tier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Victim {
    pub(crate) region: VolumeRegion,
    pub(crate) expected: Expected,
    /// Bytes that one of its touches writes, on average.
    pub(crate) bytes_per_touch: f64,
}

impl Known<'_> {
    pub(crate) fn region_bytes(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a power of two")]
        let bytes = self.migrate.region_size.bytes().0 as f64;
        bytes
    }

    /// Regions of a tier that the policy leaves free. Nothing comes to the fastest tier to make
    /// room elsewhere, so that a small one is not asked for a whole region.
    pub(crate) fn headroom(&self, class: Class) -> u32 {
        let regions = f64::from(self.migrate.alloc.regions_in(class)) * self.config.tier_headroom;
        let is_fastest = self.loads.classes().first() == Some(&class);
        let regions = if is_fastest {
            regions.floor()
        } else {
            regions.ceil()
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u32 is one"
        )]
        let headroom = regions as u32;
        headroom
    }

    /// Free regions of a tier beyond its headroom.
    pub(crate) fn room(&self, class: Class) -> u32 {
        self.migrate
            .alloc
            .free_in(class)
            .saturating_sub(self.headroom(class))
    }

    /// Members of a tier.
    pub(crate) fn members(&self, class: Class) -> impl Iterator<Item = MemberIndex> {
        let spaces = self.migrate.alloc.tier(class);
        spaces.map(Space::member)
    }

    /// Those members of a tier to which something may be brought: with room, and on which wear is
    /// about as cheap as it can be had there; where none has room, all of them. It is asked for each
    /// region that is looked at, and so allocates nothing.
    pub(crate) fn targets(&self, class: Class) -> impl Iterator<Item = MemberIndex> {
        let cost = |space: &Space| self.wear.seconds_per_byte(space.member());
        let with_room = self.migrate.alloc.tier(class).filter(|one| one.free() > 0);
        let least = with_room.map(cost).reduce(f64::min);
        let is_target = move |space: &&Space| {
            least.is_none_or(|least| space.free() > 0 && cost(space) <= least * DEARER_MAX)
        };
        let targets = self.migrate.alloc.tier(class).filter(is_target);
        targets.map(Space::member)
    }

    /// What writing a byte costs on a tier, in foreground seconds.
    fn wear_of(&self, class: Class) -> f64 {
        let costs = self
            .targets(class)
            .map(|one| self.wear.seconds_per_byte(one));
        costs.fold(0.0, f64::max)
    }

    /// The price of what makes room: of wear, no more than while no budget is ahead, so that a
    /// budget that is used up never keeps anything from leaving.
    pub(crate) fn price_to_leave(&self, source: Leg, to: Class) -> Price {
        let price = self.price(source, to);
        let most = self.region_bytes() * self.wear.base_seconds_per_byte();
        let wear_seconds = price.wear_seconds.min(most);
        Price {
            seconds: price.seconds - price.wear_seconds + wear_seconds,
            wear_seconds,
            ..price
        }
    }

    /// The price of copying one region from where it is to a tier.
    pub(crate) fn price(&self, source: Leg, to: Class) -> Price {
        let bytes = self.region_bytes();
        let mut price = Price::default();
        let cheapest = self
            .targets(to)
            .map(|member| self.loads.copy(member, bytes))
            .min_by(|one, other| one.1.total_cmp(&other.1));
        for (device, seconds) in [self.loads.copy(source.member, bytes)]
            .into_iter()
            .chain(cheapest)
        {
            price.device_seconds = price.device_seconds.max(device);
            price.seconds += device * self.config.device_price;
            price.waiting_seconds += seconds;
        }
        price.wear_seconds = bytes * self.wear_of(to);
        price.seconds += price.wear_seconds;
        price
    }

    /// The one home of a region that may be moved: there, not mirrored, not moving, not resting.
    pub(crate) fn movable(&self, region: VolumeRegion) -> Option<Leg> {
        if self.migrate.mover_of(region, 1).is_some() || self.migrate.rests(region, 1) {
            return None;
        }
        let piece = self.migrate.map.pieces(region, 1).next()?;
        match piece.legs.as_slice() {
            [leg] => self.migrate.is_present(leg.member).then_some(*leg),
            _ => None,
        }
    }

    /// The promotion that is best for a region, if one pays; `burst`: touches of the running
    /// interval, which samples do not have yet.
    pub(crate) fn candidate(
        &self,
        region: VolumeRegion,
        burst: Option<Touches>,
    ) -> Option<Candidate> {
        let view = self.heat.view(region, self.now)?;
        let running = burst.unwrap_or_default();
        let expected = self.expected(region, &view, running.sum());
        if expected.in_all() < f64::from(self.config.promote_touches_min) {
            return None;
        }
        let settled = self.is_settled(view);
        if !settled && burst.is_none() {
            return None;
        }
        let source = self.movable(region)?;
        let surplus = if settled { 1.0 } else { self.config.hysteresis };
        let use_of_it = (expected, view.touches.plus(running));
        let offers = self.offers((region, &view), source, use_of_it);
        offers
            .into_iter()
            .filter(|one| one.benefit_seconds > one.price.seconds * surplus)
            .max_by(|one, other| one.net_seconds().total_cmp(&other.net_seconds()))
    }

    /// What the touches of one region cost in wear on a tier more than where it is, on average of
    /// one of them.
    fn wear_of_touch(&self, bytes: f64, source: Leg, to: Class) -> f64 {
        let there = self.wear_of(to);
        bytes * (there - self.wear.seconds_per_byte(source.member))
    }

    /// What it would be worth to have a region on each of the tiers that are faster than its own.
    pub(crate) fn offers(
        &self,
        (region, view): (VolumeRegion, &View),
        source: Leg,
        (expected, touches): (Expected, Touches),
    ) -> Vec<Candidate> {
        let (from, one) = (view.class, touches.of_one());
        let classes = self.loads.classes().into_iter();
        let faster = classes.filter(|class| *class < from);
        let offer = |to| {
            let wear = self.wear_of_touch(one.writes * view.bytes_per_write, source, to);
            let gain = self.loads.benefit(one, from, to) - wear;
            let price = self.price(source, to);
            let worth = |horizon| gain * expected.at(horizon) - price.seconds * copies(horizon);
            let worth_seconds = std::array::from_fn(worth);
            Candidate {
                region,
                from,
                to,
                touches: expected.in_all(),
                touches_soon: expected.soon(),
                expected,
                demand: self.demand(region, &worth_seconds),
                gain_seconds: gain,
                benefit_seconds: gain * expected.in_all(),
                writes_wear_seconds: wear * expected.in_all(),
                worth_seconds,
                price,
            }
        };
        faster.map(offer).collect()
    }

    pub(crate) fn expected(&self, region: VolumeRegion, view: &View, running: f64) -> Expected {
        self.forecasts.expected(region, view, running, self.scene())
    }

    /// When the use of a region is to come for which it is wanted. It has begun where what comes
    /// before that pays as well.
    fn demand(&self, region: VolumeRegion, worth_seconds: &[f64; HORIZONS]) -> Demand {
        let demand = self.forecasts.timing(region, self.scene()).demand(self.now);
        let Some(begins) = demand.begins else {
            return demand;
        };
        let horizons = horizons_seconds(self.config.half_life_seconds).into_iter();
        let pays_before = horizons
            .zip(worth_seconds)
            .any(|(seconds, worth)| seconds <= begins.seconds_since(self.now) && *worth > 0.0);
        if pays_before {
            return Demand::default();
        }
        demand
    }

    pub(crate) fn scene(&self) -> Scene<'_> {
        Scene {
            heat: self.heat,
            now: self.now,
        }
    }

    /// Whether a region may be moved again: what has just come stays for a while, so that nothing
    /// goes to and fro on every whim.
    pub(crate) fn is_settled(&self, view: View) -> bool {
        view.resident_seconds
            .is_none_or(|seconds| seconds >= self.config.residency_seconds)
    }

    /// Whether a region may leave its tier: also where it has just come, if it is known to rest for
    /// as long as it would have to stay.
    fn may_leave(&self, region: VolumeRegion, view: View) -> bool {
        let rests = || {
            let timing = self.forecasts.timing(region, self.scene());
            timing.rests(self.config.residency_seconds)
        };
        self.is_settled(view) || rests()
    }

    /// The regions of a tier that should leave it first: for each horizon, those of which least is
    /// expected until then.
    pub(crate) fn victims(&self, class: Class) -> [Vec<Victim>; HORIZONS] {
        let mut lists: [Vec<Victim>; HORIZONS] = Default::default();
        let regions = self.heat.of_class(class, self.now);
        for (region, view) in regions.filter(|(region, view)| self.may_leave(*region, *view)) {
            let expected = self.expected(region, &view, 0.0);
            for (horizon, list) in lists.iter_mut().enumerate() {
                list.push(Victim {
                    region,
                    expected,
                    bytes_per_touch: view.touches.of_one().writes * view.bytes_per_write,
                });
                if list.len() >= 2 * VICTIMS_MAX {
                    keep_least(list, horizon);
                }
            }
        }
        for (horizon, list) in lists.iter_mut().enumerate() {
            keep_least(list, horizon);
            list.sort_unstable_by(order_until(horizon));
        }
        lists
    }

    /// Where what leaves a tier goes: the next slower one that keeps half of its headroom. What
    /// leaves to make room comes back from there, so that all of it would be too strict where
    /// every tier is full. One on which wear costs more than the time of the copy is passed over
    /// where another has room.
    pub(crate) fn demotes_to(&self, class: Class) -> Option<(Class, u32)> {
        let slower = self
            .loads
            .classes()
            .into_iter()
            .filter(|slower| *slower > class);
        let with_room: Vec<(Class, u32)> = slower
            .map(|to| {
                let kept = self.headroom(to).div_ceil(2);
                (to, self.migrate.alloc.free_in(to).saturating_sub(kept))
            })
            .filter(|&(_, room)| room > 0)
            .collect();
        let is_dear = |to: Class| {
            let bytes = self.region_bytes();
            let copies = self.targets(to).map(|one| self.loads.copy(one, bytes).0);
            bytes * self.wear_of(to) > copies.fold(0.0, f64::max) * self.config.device_price
        };
        let cheap = with_room.iter().find(|(to, _)| !is_dear(*to));
        cheap.or(with_room.first()).copied()
    }

    /// Regions that are leaving a tier: their room comes free without more being done.
    pub(crate) fn leaving(&self, class: Class) -> u32 {
        let moves = self
            .migrate
            .live
            .values()
            .chain(self.migrate.pending.values());
        let moving: u32 = moves
            .filter(|one| one.from == class && one.to != class)
            .map(|one| one.count)
            .sum();
        let retired = self.migrate.retired.iter().map(|former| former.retired);
        let freeing: u32 = retired
            .filter(|retired| self.migrate.class_of(retired.leg.member) == Some(class))
            .filter(|retired| {
                // A live move's former home is counted with the move.
                !self
                    .migrate
                    .live
                    .values()
                    .any(|one| one.source == retired.leg)
            })
            .map(|retired| retired.count)
            .sum();
        moving + freeing
    }

    /// The longest run around `region` that one move may take: adjacent regions with one home
    /// without a gap, all of which `takes` accepts, `most` at most.
    pub(crate) fn run_around(
        &self,
        region: VolumeRegion,
        most: u32,
        takes: impl Fn(VolumeRegion) -> bool,
    ) -> Option<Extent> {
        let home = self.migrate.map.home(region)?;
        let most = most.min(self.migrate.regions_per_move());
        let (mut first, mut count, mut leg) = (region.0, 1, home);
        while count < most {
            let Some(before) = first.checked_sub(1).map(VolumeRegion) else {
                break;
            };
            let joins = self
                .migrate
                .map
                .home(before)
                .is_some_and(|home| home.plus(1) == leg);
            if !joins || !takes(before) {
                break;
            }
            (first, count) = (before.0, count + 1);
            leg = self.migrate.map.home(before)?;
        }
        while count < most {
            let after = VolumeRegion(first + count);
            let joins = self.migrate.map.home(after) == Some(leg.plus(count));
            if !joins || !takes(after) {
                break;
            }
            count += 1;
        }
        let legs = crate::volume::Legs::from_slice(&[leg]);
        Some(Extent {
            first: VolumeRegion(first),
            count,
            legs,
        })
    }
}

fn order_until(horizon: usize) -> impl Fn(&Victim, &Victim) -> std::cmp::Ordering {
    move |one, other| {
        let expected = |victim: &Victim| victim.expected.at(horizon);
        let order = expected(one).total_cmp(&expected(other));
        order.then(one.region.cmp(&other.region))
    }
}

fn keep_least(list: &mut Vec<Victim>, horizon: usize) {
    if list.len() > VICTIMS_MAX {
        list.select_nth_unstable_by(VICTIMS_MAX, order_until(horizon));
        list.truncate(VICTIMS_MAX);
    }
}

#[cfg(test)]
mod tests;
