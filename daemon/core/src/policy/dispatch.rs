//! From what is wanted to what is proposed: room, budget and turns.

use super::deadlines::{Schedule, Standing, order};
use super::victims::Victims;
use super::{Policy, Want};
use crate::command::{Command, Reason};
use crate::forecast::copies;
use crate::migrate::Migrate;
use crate::plan::{Candidate, Price, Victim};
use crate::units::{MoveId, Now, VolumeRegion, nanos};
use crate::volume::{Class, Extent};

/// The list of the coldest regions is made anew this often per plan, at most.
const VICTIMS_PER_PLAN: f64 = 6.0;
/// Touches at and below which a region is cold enough to leave for headroom's sake alone, or for
/// somebody who could wait.
pub(super) const COLD: f64 = 0.5;

/// What it costs to displace what must stay.
const NEVER_SECONDS: f64 = 1e9;

/// What a region's place is wanted for.
#[derive(Clone, Copy)]
pub(super) struct Wanting {
    /// What it is worth until the horizon.
    pub(super) worth_seconds: f64,
    /// Touches that are expected soon.
    pub(super) touches_soon: f64,
}

/// Room that is wanted on a tier.
pub(super) struct Need {
    pub(super) class: Class,
    /// Until when what leaves is not to be wanted.
    pub(super) horizon: usize,
    /// Who wants it, from whom it is worth most to on.
    pub(super) wants: Vec<Wanting>,
    pub(super) room_for: Option<MoveId>,
    /// If it is not to cost anybody anything: only what is cold until this horizon leaves.
    pub(super) cold_until: Option<usize>,
}

impl Policy {
    /// Proposes what is wanted, as far as room, budget and turns allow.
    pub(crate) fn dispatch(&mut self, migrate: &mut Migrate, now: Now) {
        self.pace.fill(now);
        if self.turns(migrate) == 0 || self.wants.is_empty() {
            return;
        }
        self.weigh(migrate, now);
        let schedule = self.schedule(migrate, now);
        let regions = self.wants.iter().map(|want| {
            let (region, gain) = (want.candidate.region, self.advantage(&want.candidate).1);
            ((schedule.of(region), gain), region)
        });
        let mut regions: Vec<((Standing, f64), VolumeRegion)> = regions.collect();
        regions.retain(|((standing, _), _)| *standing != Standing::TooLate);
        regions.sort_by(|one, other| order(one.0, other.0).then(one.1.cmp(&other.1)));
        let mut crowded: Vec<Class> = Vec::new();
        for ((standing, gain_seconds), region) in regions {
            if self.turns(migrate) == 0 {
                return;
            }
            let Some(want) = self.want(region).cloned() else {
                continue;
            };
            let to = want.candidate.to;
            if crowded.contains(&to) {
                continue;
            }
            let is_early = matches!(standing, Standing::Waits(_));
            if is_early && !want.candidate.price.is_idle() {
                continue;
            }
            let known = self.known(migrate, now);
            if known.room(to) == 0 {
                crowded.push(to);
                self.make_room_for(&want, &schedule, migrate, now);
                continue;
            }
            let places = match standing {
                // Who comes first is said by the deadlines, but who comes at all by what is gained.
                Standing::Due(_) => known.room(to).saturating_add(self.yielding(to, &schedule)),
                Standing::Open | Standing::Waits(_) | Standing::TooLate => known.room(to),
            };
            let least_seconds = self.least_that_fits((to, places), standing, &schedule);
            if standing == Standing::Open || gain_seconds >= least_seconds {
                self.promote(&want, (&schedule, least_seconds), migrate, now);
            }
        }
    }

    /// Places of a tier that those would make free who leave it for what may have its turn.
    fn yielding(&self, class: Class, schedule: &Schedule) -> u32 {
        let Some(known) = self.victims.iter().find(|known| known.class == class) else {
            return 0;
        };
        let wants = self.wants.iter().map(|want| &want.candidate);
        let wants = wants
            .filter(|one| one.to == class && schedule.has_turn(one.region, Standing::Open))
            .map(|one| (self.advantage(one), one));
        let mut wants: Vec<((usize, f64), &Candidate)> = wants.collect();
        wants.sort_by(|one, other| other.0.1.total_cmp(&one.0.1));
        let pairs = wants.into_iter().enumerate();
        let yields = |(place, ((horizon, _), want)): &(usize, ((usize, f64), &Candidate))| {
            let victim = known.lists.get(*horizon).and_then(|list| list.get(*place));
            victim.is_some_and(|victim| {
                let copies = want.price.seconds * copies(*horizon);
                want.worth(*horizon) > self.loss(victim, *horizon, class, want.from) + copies
            })
        };
        let yielding = pairs.take_while(yields).count();
        u32::try_from(yielding).unwrap_or(u32::MAX)
    }

    /// Finds out what would have to leave the tiers that have no room for all that is wanted there.
    fn weigh(&mut self, migrate: &Migrate, now: Now) {
        for class in self.loads.classes() {
            let wants = self.wants.iter().filter(|want| want.candidate.to == class);
            if wants.count() > self.known(migrate, now).room(class) as usize {
                self.know_victims(class, self.config.plan_seconds, migrate, now);
            }
        }
    }

    /// Until which horizon a want is worth most more than what it would displace, and how much.
    fn advantage(&self, candidate: &Candidate) -> (usize, f64) {
        let known = self.victims.iter().find(|one| one.class == candidate.to);
        // What is wanted sooner leaves later.
        let soon = candidate.touches_soon * self.hysteresis();
        let bar = |horizon: usize| {
            let is_filled =
                |one: &&Victims| one.lists.get(horizon).is_some_and(|of| !of.is_empty());
            let Some(known) = known.filter(is_filled) else {
                return 0.0;
            };
            let coldest = known.coldest(horizon, soon);
            coldest.map_or(NEVER_SECONDS, |coldest| {
                self.loss(coldest, horizon, candidate.to, candidate.from)
                    + candidate.price.seconds * copies(horizon)
            })
        };
        candidate.advantage(&std::array::from_fn(bar))
    }

    /// How many times more a region must be worth than what it displaces.
    pub(super) fn hysteresis(&self) -> f64 {
        self.forecasts.hysteresis(self.config.hysteresis)
    }

    /// Moves that may be proposed now.
    pub(super) fn turns(&self, migrate: &Migrate) -> usize {
        if self.unbounded {
            return usize::MAX;
        }
        if !self.pace.has_bytes() {
            return 0;
        }
        let mirrors = self
            .pace
            .mirrors(self.config.mirrors_max)
            .saturating_sub(migrate.mirrors());
        (mirrors as usize).saturating_sub(migrate.pending.len())
    }

    fn want(&self, region: VolumeRegion) -> Option<&Want> {
        let at = self
            .wants
            .binary_search_by_key(&region, |want| want.candidate.region)
            .ok()?;
        self.wants.get(at)
    }

    pub(super) fn forget(&mut self, first: VolumeRegion, count: u32) {
        let range = first.0..first.0.saturating_add(count);
        self.wants
            .retain(|want| !range.contains(&want.candidate.region.0));
    }

    /// Whether the account allows a cost; what is free is always allowed.
    pub(super) fn affords(&self, price: Price) -> bool {
        price.is_free() || self.account.affords(price.seconds)
    }

    /// Whether the volume may be cut into more extents: a table has a target for each, and some
    /// kernels send a flush to every one of them.
    fn may_cut(&mut self, migrate: &mut Migrate) -> bool {
        // Each move out of the middle of an extent makes two more.
        let moves = migrate.live.len() + migrate.pending.len() + 1;
        let extents = migrate.map.len().saturating_add(2 * moves);
        let most = self.config.extents_max;
        let fits = most == 0 || extents <= most as usize;
        if migrate.map.len() * 4 <= most as usize * 3 {
            self.told_of_extents = false;
        }
        if !fits && !self.told_of_extents {
            self.told_of_extents = true;
            migrate.out.push(Command::Warn(format!(
                "the volume is cut into {} extents, and policy.extents_max is {most}: nothing is \
                 promoted until some are one again",
                migrate.map.len()
            )));
        }
        fits
    }

    /// Proposes a promotion, with its neighbours that are wanted on the same tier.
    fn promote(
        &mut self,
        want: &Want,
        (schedule, least_seconds): (&Schedule, f64),
        migrate: &mut Migrate,
        now: Now,
    ) {
        let (region, to) = (want.candidate.region, want.candidate.to);
        if !self.may_cut(migrate) {
            return;
        }
        let known = self.known(migrate, now);
        let Some(leg) = known.movable(region) else {
            self.forget(region, 1);
            return;
        };
        // A neighbour comes along where there is room for it, and not instead of a better one.
        let turn = schedule.of(region);
        let fits = |want: &Want| {
            let is_on = schedule.has_turn(want.candidate.region, turn);
            let is_there = is_on && want.candidate.to == to;
            is_there && self.advantage(&want.candidate).1 >= least_seconds
        };
        let joins = |other: VolumeRegion| {
            known.movable(other).is_some() && self.want(other).is_some_and(fits)
        };
        let Some(run) = known.run_around(region, known.room(to), joins) else {
            return;
        };
        let end = run.end();
        let wants = self.wants.iter().map(|want| &want.candidate);
        let taken: Vec<_> = wants
            .filter(|one| run.first <= one.region && one.region < end)
            .collect();
        // What it cost when it was wanted may have changed while it waited.
        let price = known.price(leg, to).times(run.count);
        let benefit_seconds = taken.iter().map(|one| one.benefit_seconds).sum();
        let touches: f64 = taken.iter().map(|one| one.touches).sum();
        if benefit_seconds <= price.seconds || !self.affords(price) {
            return;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from float to integer saturates"
        )]
        let reason = Reason::Promotion {
            expert: self.forecasts.believed(),
            touches: touches.round() as u32,
            confidence: want.candidate.confidence(&self.forecasts),
            benefit_seconds,
            cost_seconds: price.seconds,
            due_in_seconds: want
                .candidate
                .demand
                .begins
                .map(|due| due.seconds_since(now)),
        };
        let members: Vec<_> = known.targets(to).collect();
        self.propose(&run, &members, &reason, Some(want.id), migrate, now);
        self.account.spend(price.seconds);
        // Looked at now: what is demoted later in this step may use up half of a slower tier's.
        let known = self.known(migrate, now);
        if migrate.alloc.free_in(to) < known.headroom(to) {
            self.headroom_taken = Some(to);
        }
        self.forget(run.first, run.count);
    }

    /// What the least of those is worth for whom a tier has room, and that may have their turn
    /// beside this one.
    fn least_that_fits(
        &self,
        (to, room): (Class, u32),
        turn: Standing,
        schedule: &Schedule,
    ) -> f64 {
        let wants = self.wants.iter().map(|want| &want.candidate);
        let wants = wants
            .filter(|candidate| candidate.to == to && schedule.has_turn(candidate.region, turn));
        let mut seconds: Vec<f64> = wants.map(|want| self.advantage(want).1).collect();
        let Some(last) = (room as usize)
            .checked_sub(1)
            .filter(|last| *last < seconds.len())
        else {
            return f64::NEG_INFINITY;
        };
        *seconds
            .select_nth_unstable_by(last, |one, other| other.total_cmp(one))
            .1
    }

    pub(super) fn propose(
        &mut self,
        run: &Extent,
        members: &[crate::units::MemberIndex],
        reason: &Reason,
        known_as: Option<MoveId>,
        migrate: &mut Migrate,
        now: Now,
    ) {
        let bytes = self.known(migrate, now).region_bytes() * f64::from(run.count);
        self.pace.spend(bytes);
        migrate.propose(run, members, reason, known_as, now);
    }

    fn make_room_for(&mut self, want: &Want, schedule: &Schedule, migrate: &mut Migrate, now: Now) {
        let class = want.candidate.to;
        let (horizon, _) = self.advantage(&want.candidate);
        let turn = schedule.of(want.candidate.region);
        let wants = self.wants.iter().map(|want| &want.candidate);
        let mut wants: Vec<Wanting> = wants
            .filter(|one| one.to == class && schedule.has_turn(one.region, turn))
            .map(|one| Wanting {
                worth_seconds: one.worth_seconds[horizon],
                touches_soon: one.touches_soon,
            })
            .collect();
        wants.sort_by(|one, other| other.worth_seconds.total_cmp(&one.worth_seconds));
        // Room that comes free anyway goes to those to whom it is worth most.
        let leaving = self.known(migrate, now).leaving(class) as usize;
        wants.drain(..leaving.min(wants.len()));
        if !wants.is_empty() {
            let need = Need {
                class,
                horizon,
                wants,
                room_for: Some(want.id),
                cold_until: match turn {
                    Standing::Waits(appointment) => Some(self.horizon_until(appointment.due, now)),
                    Standing::Due(_) | Standing::Open | Standing::TooLate => None,
                },
            };
            self.demote(&need, migrate, now);
        }
    }

    /// Proposes that the coldest regions of a tier leave it, if what that brings is worth more
    /// than what it costs: their own use of the tier, with a surplus, and the copy.
    pub(super) fn demote(&mut self, need: &Need, migrate: &mut Migrate, now: Now) {
        self.refresh_victims(need.class, migrate, now);
        let known = self.known(migrate, now);
        let Some((to, room)) = known.demotes_to(need.class) else {
            return;
        };
        let Some(list) = self.victims.iter().find(|known| known.class == need.class) else {
            return;
        };
        // The list is older than the map: some of it may have left this tier since.
        let leaves = |region| {
            let leg = known.movable(region);
            leg.filter(|leg| migrate.class_of(leg.member) == Some(need.class))
        };
        let list = &list.lists[need.horizon];
        let soon = need.wants.iter().map(|want| want.touches_soon);
        let soon = soon.fold(0.0, f64::max) * self.hysteresis();
        let is_cold = |one: &Victim| {
            let until = need.cold_until;
            until.is_none_or(|until| one.expected.at(until) <= COLD)
        };
        let may_leave = list.iter().filter(|one| {
            one.expected.soon() <= soon && is_cold(one) && leaves(one.region).is_some()
        });
        let may_leave: Vec<Victim> = may_leave.take(need.wants.len()).copied().collect();
        let Some((coldest, leg)) = may_leave
            .first()
            .and_then(|coldest| Some((*coldest, leaves(coldest.region)?)))
        else {
            return;
        };
        let price = known.price_to_leave(leg, to);
        if !self.affords(price) {
            return;
        }
        // The coldest makes room for the one that is worth most, the next for the next.
        let pairs = may_leave.iter().zip(&need.wants);
        let yields = |(victim, want): &(&Victim, &Wanting)| {
            let copies = price.seconds * copies(need.horizon);
            want.worth_seconds > self.loss(victim, need.horizon, need.class, to) + copies
        };
        let mut cold: Vec<VolumeRegion> = pairs
            .take_while(yields)
            .map(|(victim, _)| victim.region)
            .collect();
        let most = u32::try_from(cold.len()).unwrap_or(u32::MAX);
        if most == 0 {
            return;
        }
        cold.sort_unstable();
        let joins = |other| cold.binary_search(&other).is_ok() && leaves(other).is_some();
        let Some(run) = known.run_around(coldest.region, room.min(most), joins) else {
            return;
        };
        let members: Vec<_> = known.targets(to).collect();
        let reason = Reason::Demotion {
            heat: coldest.expected.in_all(),
            room_for: need.room_for,
        };
        self.account.spend(price.seconds * f64::from(run.count));
        self.propose(&run, &members, &reason, None, migrate, now);
    }

    /// What the tier that a region leaves is worth to it until a horizon, with a surplus.
    fn loss(&self, victim: &Victim, horizon: usize, from: Class, to: Class) -> f64 {
        let touches = crate::heat::Touches {
            reads: victim.expected.at(horizon),
            writes: 0.0,
        };
        let written_bytes = touches.reads * victim.bytes_per_touch;
        let wear = self.wear.of_class(from) - self.wear.of_class(to);
        let worth = self.loads.benefit(touches, to, from) - written_bytes * wear;
        worth.max(0.0) * self.hysteresis()
    }

    pub(super) fn refresh_victims(&mut self, class: Class, migrate: &Migrate, now: Now) {
        let pause = self.config.plan_seconds / VICTIMS_PER_PLAN;
        self.know_victims(class, pause, migrate, now);
    }

    /// Knows the victims of a tier, as of so long ago at most.
    fn know_victims(&mut self, class: Class, seconds: f64, migrate: &Migrate, now: Now) {
        let pause = nanos(seconds);
        let fresh = |known: &Victims| known.class == class && now.nanos_since(known.as_of) < pause;
        if !self.victims.iter().any(fresh) {
            let lists = self.known(migrate, now).victims(class);
            self.victims.retain(|known| known.class != class);
            self.victims.push(Victims::new(class, now, lists));
        }
    }

    /// The regular plan: wants that no longer pay are dropped, and a tier without its headroom
    /// lets go of what is cold.
    pub(crate) fn plan(&mut self, migrate: &mut Migrate, now: Now) {
        if now < self.next_plan {
            return;
        }
        self.next_plan = Now(now.0.saturating_add(nanos(self.config.plan_seconds)));
        let mut wants = std::mem::take(&mut self.wants);
        let known = self.known(migrate, now);
        let patience = nanos(self.config.plan_seconds);
        wants.retain_mut(|want| match known.candidate(want.candidate.region, None) {
            Some(candidate) => {
                want.candidate = candidate;
                true
            }
            // A burst that samples have not confirmed by the next plan is forgotten.
            None => {
                now.nanos_since(want.since) < patience
                    && known.movable(want.candidate.region).is_some()
            }
        });
        self.wants = wants;
        self.restore_headroom(migrate, now);
        self.shed(migrate, now);
    }

    /// What would be proposed now if pace set no bounds, on copies of everything.
    pub(crate) fn preview(&self, migrate: &Migrate, now: Now) -> Migrate {
        let (mut policy, mut migrate) = (self.clone(), migrate.clone());
        policy.unbounded = true;
        policy.next_plan = Now(0);
        migrate.pending.clear();
        let classes = policy.loads.classes();
        let mut warm: Vec<(f64, VolumeRegion)> = Vec::new();
        for class in classes.into_iter().skip(1) {
            let least = f64::from(policy.config.promote_touches_min);
            let regions = policy.heat.of_class(class, now);
            let touched = regions.map(|(region, view)| (view.touches.sum(), region));
            warm.extend(touched.filter(|(touches, _)| *touches >= least));
        }
        warm.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        for (_, region) in warm.into_iter().take(policy.config.pending_max as usize) {
            policy.consider(region, None, &mut migrate, now);
        }
        policy.plan(&mut migrate, now);
        policy.dispatch(&mut migrate, now);
        migrate
    }
}
