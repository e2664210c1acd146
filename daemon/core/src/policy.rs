//! What is moved without anybody asking: promotion of what is hot, demotion of what must make
//! room for it.
//!
//! Owns: [`Policy`]: heat, loads, pace, account, and the list of promotions that wait. Invariants:
//! a promotion leaves its tier's headroom free; nothing is begun that costs more than the account
//! holds, unless it is free; nothing moves that does not pay. May not: move anything itself; it
//! proposes to `migrate`, where a move by hand goes the same way.

mod config;
mod deadlines;
mod dispatch;
mod headroom;
mod shed;
mod trial;
mod victims;

pub(crate) use config::bounded;
pub use config::{ConfigError, PolicyConfig};
pub use trial::TrialPolicy;

use crate::budget::{Account, Blame, Pace};
use crate::command::{Command, Stage};
use crate::event::{HotRegion, Resources, Samples};
use crate::forecast::{Forecasts, GroupForecast, Scene, Stakes, Touched};
use crate::heat::{Heat, Touches};
use crate::memory::{Memory, MemoryError};
use crate::migrate::{Ended, Migrate};
use crate::plan::{Candidate, Known};
use crate::resource::Loads;
use crate::units::{Bytes, MoveId, Now, VolumeRegion, nanos};
use crate::volume::{Class, Member};
use crate::wear::Wear;
use victims::Victims;

/// Most touches that are asked for before a region is reported.
const HOT_THRESHOLD_MAX: u32 = 1 << 16;
/// The threshold is set anew only when it changes by more than one part in so many.
const HOT_THRESHOLD_STEP: u32 = 4;
/// Share of the requests in flight on a member below which copies are not why the others wait.
const SHARE_THAT_MATTERS: f64 = 0.1;
/// Longest time that passes for the account between two looks at the members.
const RESOURCES_SECONDS_MAX: f64 = 60.0;

/// Weight of the newest promotion in the time that they take.
const NEWEST_COPY: f64 = 0.1;

/// A promotion that waits for room, budget or a turn.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) id: MoveId,
    pub(crate) candidate: Candidate,
    pub(crate) since: Now,
}

/// What the policy knows and wants.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) config: PolicyConfig,
    pub(crate) heat: Heat,
    pub(crate) forecasts: Forecasts,
    pub(crate) loads: Loads,
    pub(crate) pace: Pace,
    pub(crate) account: Account,
    pub(crate) wear: Wear,
    /// By region; at most `pending_max`.
    pub(crate) wants: Vec<Want>,
    /// Time in which promotions lately came to their end.
    copy_seconds: f64,
    victims: Vec<Victims>,
    pub(crate) hot_threshold: Option<u32>,
    next_plan: Now,
    resources_at: Option<Now>,
    /// Bounds of pace do not hold: for a preview.
    unbounded: bool,
    /// A tier whose headroom a promotion took in this step, which must not be.
    headroom_taken: Option<Class>,
    /// Whether people know that the volume is cut into as many extents as may be.
    told_of_extents: bool,
}

impl Policy {
    pub(crate) fn new(config: PolicyConfig) -> Self {
        let heat = Heat::new(nanos(config.half_life_seconds));
        Self {
            forecasts: Forecasts::new(&config, &heat),
            heat,
            loads: Loads::default(),
            pace: Pace::new(
                config.copy_bytes_per_second_max,
                config.foreground_target_seconds,
            ),
            account: Account::new(
                config.insurance_start_seconds,
                config.insurance_share,
                config.insurance_max_seconds,
            ),
            wear: Wear::default(),
            wants: Vec::new(),
            copy_seconds: 0.0,
            victims: Vec::new(),
            hot_threshold: None,
            next_plan: Now(0),
            resources_at: None,
            unbounded: false,
            headroom_taken: None,
            told_of_extents: false,
            config,
        }
    }

    fn known<'a>(&'a self, migrate: &'a Migrate, now: Now) -> Known<'a> {
        Known {
            config: &self.config,
            heat: &self.heat,
            forecasts: &self.forecasts,
            loads: &self.loads,
            wear: &self.wear,
            migrate,
            now,
        }
    }

    /// Takes in where everything is.
    pub(crate) fn start(&mut self, migrate: &Migrate, now: Now) {
        self.loads = Loads::new(&migrate.members);
        self.wear = Wear::new(
            (&self.config.wear, self.config.wear_seconds_per_gib),
            &migrate.members,
            migrate.region_size,
            now,
        );
        let slowest = self.loads.classes().last().copied();
        let is_slowest = |member: &&Member| Some(member.class) == slowest;
        let slowest = migrate.members.iter().find(is_slowest);
        let slowest = slowest.map(|member| member.profile);
        self.heat.start(migrate.map.regions(), slowest);
        for extent in migrate.map.iter() {
            if let Some(class) = extent.home().and_then(|leg| migrate.class_of(leg.member)) {
                self.heat.place(extent.first, extent.count, class);
            }
        }
    }

    /// What was learned so far.
    pub(crate) fn remember(&self, now: Now) -> Memory {
        let basis = self.memory_basis();
        let scene = Scene {
            heat: &self.heat,
            now,
        };
        let forecasts = self.forecasts.remember();
        let following = self.forecasts.remember_following();
        let touches = self.forecasts.remember_touches(scene);
        let counted = (self.heat.remember(), self.wear.remember());
        Memory::new(now, basis, counted, (forecasts, following, touches))
    }

    /// Takes in what is remembered.
    pub(crate) fn recall(&mut self, memory: &Memory, now: Now) -> Result<(), MemoryError> {
        memory.check_time(now)?;
        // What was written is so whatever else has changed.
        self.wear.recall(&memory.wear, now);
        memory.check_basis(self.memory_basis())?;
        self.heat.recall(&memory.heat);
        self.forecasts.recall(&memory.forecasts, now);
        self.forecasts.recall_following(&memory.following);
        let scene = Scene {
            heat: &self.heat,
            now,
        };
        self.forecasts.recall_touches(&memory.touches, scene);
        Ok(())
    }

    /// Whether a memory is of use.
    pub(crate) fn fits(&self, memory: &Memory, now: Now) -> Result<(), MemoryError> {
        memory.check_time(now)?;
        memory.check_basis(self.memory_basis())
    }

    /// What a memory must agree with.
    fn memory_basis(&self) -> (u32, u64) {
        (self.heat.regions(), nanos(self.config.half_life_seconds))
    }

    /// Takes in an interval's counts; regions that are worth it are wanted on a faster tier.
    pub(crate) fn samples(&mut self, samples: &Samples, migrate: &mut Migrate, now: Now) {
        let fastest = self.loads.classes().first().copied();
        let least = f64::from(self.config.promote_touches_min);
        let mut warm: Vec<(f64, VolumeRegion)> = Vec::new();
        let mut touched = Vec::with_capacity(samples.regions.len());
        let mut saved = 0.0;
        for count in &samples.regions {
            let Some(counted) = self.heat.count(count, now) else {
                continue;
            };
            let all = counted.touches.sum();
            let is_fastest = Some(counted.class) == fastest;
            touched.push(Touched {
                region: count.region,
                touches: all,
                missed: if is_fastest { 0.0 } else { all },
                silent_nanos: counted.silent_nanos,
            });
            if let Some(origin) = counted.origin {
                saved += self.loads.benefit(counted.touches, origin, counted.class);
                saved -= self.wear_of_writes(count.written_bytes, origin, counted.class);
            }
        }
        self.account.save(saved);
        if samples.regions.is_empty() && samples.lost == 0 {
            self.pace.observe_silence();
        }
        let stakes = self.stakes(migrate, now);
        let scene = Scene {
            heat: &self.heat,
            now,
        };
        let mut regions = self.forecasts.touched(&touched, &stakes, scene);
        if self.forecasts.is_anew() {
            // Who comes and who leaves was chosen by what was expected before: compared with what is
            // expected now, a part of a set that is due would make room for the rest of it.
            self.victims.clear();
            self.next_plan = now;
        }
        regions.extend(touched.iter().map(|one| one.region));
        regions.sort_unstable();
        regions.dedup();
        self.ask_and_tell(migrate);
        let known = self.known(migrate, now);
        for region in regions {
            let Some(view) = self.heat.view(region, now) else {
                continue;
            };
            let expected = known.expected(region, &view, 0.0).in_all();
            if Some(view.class) != fastest && expected >= least {
                warm.push((expected, region));
            }
        }
        let most = self.config.pending_max as usize;
        let order = |one: &(f64, VolumeRegion), other: &(f64, VolumeRegion)| {
            other.0.total_cmp(&one.0).then(one.1.cmp(&other.1))
        };
        if warm.len() > most {
            warm.select_nth_unstable_by(most, order);
            warm.truncate(most);
        }
        warm.sort_unstable_by(order);
        for (_, region) in warm {
            self.consider(region, None, migrate, now);
        }
    }

    /// What writing so much costs in wear on one tier more than on another.
    fn wear_of_writes(&self, written: Bytes, from: Class, to: Class) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "an interval's bytes")]
        let bytes = written.0 as f64;
        bytes * (self.wear.of_class(to) - self.wear.of_class(from))
    }

    /// Orders what the forecasts want of others.
    fn ask_and_tell(&mut self, migrate: &mut Migrate) {
        let Some(asked) = self.forecasts.take_asked() else {
            return;
        };
        if !asked.examples.is_empty() {
            migrate.out.push(Command::Learn(asked.examples));
        }
        if let Some(drifted) = asked.drifted {
            migrate.out.push(Command::Retrain(drifted));
        }
        if !asked.groups.is_empty() {
            migrate.out.push(Command::Forecast {
                window: asked.window,
                groups: asked.groups,
            });
        }
    }

    /// Takes in what somebody outside forecasts of groups of regions.
    pub(crate) fn told(&mut self, window: u64, groups: &[GroupForecast], now: Now) {
        let scene = Scene {
            heat: &self.heat,
            now,
        };
        self.forecasts.told(window, groups, scene);
    }

    /// Takes in a burst: answered in the same step.
    pub(crate) fn hot(&mut self, hot: HotRegion, migrate: &mut Migrate, now: Now) {
        let random = hot.touches.saturating_sub(hot.sequential);
        let writes = f64::from(hot.writes.min(random));
        let burst = Touches {
            reads: f64::from(random) - writes,
            writes,
        };
        let scene = Scene {
            heat: &self.heat,
            now,
        };
        self.forecasts.hot(hot.region, burst.sum(), scene);
        if random >= self.config.promote_touches_min {
            self.consider(hot.region, Some(burst), migrate, now);
        }
    }

    /// Wants a region on a faster tier if that pays, and no longer if it does not.
    fn consider(
        &mut self,
        region: VolumeRegion,
        burst: Option<Touches>,
        migrate: &mut Migrate,
        now: Now,
    ) {
        let candidate = self.known(migrate, now).candidate(region, burst);
        let at = self
            .wants
            .binary_search_by_key(&region, |want| want.candidate.region);
        match (at, candidate) {
            (Ok(at), Some(candidate)) => {
                if let Some(want) = self.wants.get_mut(at) {
                    want.candidate = candidate;
                }
            }
            // What a burst wanted is not forgotten because samples, which lag, know less.
            (Ok(_) | Err(_), None) => {}
            (Err(at), Some(candidate)) => {
                if self.wants.len() < self.config.pending_max as usize {
                    let id = migrate.take_id();
                    self.wants.insert(
                        at,
                        Want {
                            id,
                            candidate,
                            since: now,
                        },
                    );
                }
            }
        }
    }

    /// Takes in the load of the members, while so many mirrors are under way.
    pub(crate) fn resources(&mut self, resources: &Resources, mirrors: u32, now: Now) {
        self.loads.observe(resources);
        self.wear.observe(resources, now);
        if let Some(p99) = resources.foreground_p99 {
            #[allow(clippy::cast_precision_loss, reason = "a latency has no 53 bits")]
            let seconds = p99.0 as f64 / 1e6;
            self.pace.observe(seconds, blame(resources, mirrors));
        }
        let passed = self.resources_at.map_or(0.0, |at| now.seconds_since(at));
        self.account
            .earn_baseline(self.loads.busy() * passed.min(RESOURCES_SECONDS_MAX));
        self.resources_at = Some(now);
    }

    /// Says which tier a promotion of this step left without its headroom, if one did.
    pub(crate) fn check_headroom(&mut self) -> Result<(), String> {
        match self.headroom_taken.take() {
            Some(class) => Err(format!("a promotion took the headroom of tier {class}")),
            None => Ok(()),
        }
    }

    /// Takes in how moves ended.
    pub(crate) fn ended(&mut self, ended: &[Ended], now: Now) {
        for one in ended.iter().filter(|one| one.stage == Stage::Done) {
            self.forget(one.first, one.count);
            let origin = one.promoted.then_some(one.from);
            if one.promoted {
                let taken = now.seconds_since(one.since);
                self.copy_seconds += NEWEST_COPY * (taken - self.copy_seconds);
            }
            self.heat
                .arrive((one.first, one.count), one.to, origin, now);
        }
    }

    /// The touches within an interval at which a promotion would pay, as the probe is to know;
    /// `None` if that is what it knows already.
    pub(crate) fn threshold(&mut self, active: bool, migrate: &Migrate, now: Now) -> Option<u32> {
        let wanted = if active {
            self.break_even(migrate, now)
        } else {
            0
        };
        let is_near = |known: u32| {
            wanted != 0 && known != 0 && wanted.abs_diff(known) <= known / HOT_THRESHOLD_STEP
        };
        if self
            .hot_threshold
            .is_some_and(|known| known == wanted || is_near(known))
        {
            return None;
        }
        self.hot_threshold = Some(wanted);
        Some(wanted)
    }

    /// What a forecast is about: a touch and a copy, between the slowest tier and the fastest.
    pub(crate) fn stakes(&self, migrate: &Migrate, now: Now) -> Stakes {
        let classes = self.loads.classes();
        let (Some(&fastest), Some(&slowest)) = (classes.first(), classes.last()) else {
            return Stakes::default();
        };
        let known = self.known(migrate, now);
        let Some(member) = known.members(slowest).next() else {
            return Stakes::default();
        };
        let leg = crate::volume::Leg {
            member,
            first: crate::units::MemberRegion(0),
        };
        let capacity = migrate.alloc.regions_in(fastest);
        let one_read = Touches::default().of_one();
        Stakes {
            gain_seconds: self.loads.benefit(one_read, slowest, fastest).max(0.0),
            copy_seconds: known.price(leg, fastest).seconds,
            hysteresis: self.config.hysteresis,
            capacity: capacity.saturating_sub(known.headroom(fastest)),
            delay_nanos: nanos(self.copy_seconds),
            residency_nanos: nanos(self.config.residency_seconds),
        }
    }

    fn break_even(&self, migrate: &Migrate, now: Now) -> u32 {
        let stakes = self.stakes(migrate, now);
        if stakes.gain_seconds <= 0.0 {
            return 0;
        }
        let touches = (stakes.copy_seconds / stakes.gain_seconds).ceil();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from float to integer saturates"
        )]
        let touches = touches as u32;
        touches.clamp(self.config.promote_touches_min, HOT_THRESHOLD_MAX)
    }
}

/// What moves have to do with the latency that was seen.
fn blame(resources: &Resources, mirrors: u32) -> Blame {
    let in_flight = resources.members.iter().map(|member| member.in_flight);
    let in_flight = in_flight.fold(0.0, f64::max);
    if mirrors == 0 {
        Blame::NoMoves
    } else if f64::from(mirrors) < in_flight * SHARE_THAT_MATTERS {
        Blame::LittleShare
    } else {
        Blame::Moves
    }
}

#[cfg(test)]
mod tests;
