//! The real engine as the driver of a run.
//!
//! Owns: the shell that the daemon is otherwise: it counts touches as the probe does, gives events
//! at the daemon's intervals, and answers commands. Copies take the time and the load of the
//! simulated devices; flushes, commits and holds take none. May not: decide.

use std::collections::{BTreeMap, VecDeque};

#[cfg(test)]
use tier_core::command::MoveReport;
use tier_core::command::{AddLeg, Command};
use tier_core::event::{
    Event, HotRegion, MemberLoad, MirrorState, RegionCount, Resources, Samples,
};
use tier_core::forecast::{GroupForecast, GroupHistory};
use tier_core::units::{
    Bytes, Generation, MemberIndex, MemberRegion, Micros, MoveId, Now, RegionSize, VolumeRegion,
};
use tier_core::volume::{Leg, Member, VolumeState};
use tier_core::wear::WearStatus;
use tier_core::{Engine, PolicyConfig};

use crate::counts::{Ends, add};
use crate::field::Field;
use crate::trace::Op;
use crate::world::{Driver, Load, MemberSpec, Order, Route, Seen, Touch};

const SECOND: u64 = 1_000_000_000;
/// The daemon's own intervals.
const TICK_NANOS: u64 = SECOND;
const MONITOR_NANOS: u64 = 2 * SECOND;
const SAMPLE_NANOS: u64 = 2 * SECOND;

/// Who forecasts the use of groups when the engine asks: a network, as in the daemon. What is
/// asked is answered at once.
pub type Forecaster<'a> = dyn FnMut(&[GroupHistory]) -> Vec<GroupForecast> + 'a;

/// The engine, and what its shell knows.
pub(crate) struct EngineDriver<'a> {
    engine: Engine,
    forecaster: Option<&'a mut Forecaster<'a>>,
    live: BTreeMap<u32, AddLeg>,
    by_id: BTreeMap<u64, u32>,
    counts: BTreeMap<u32, RegionCount>,
    ends: Ends,
    hot_threshold: u32,
    next_monitor: u64,
    next_sample: u64,
    members: usize,
    /// What the engine reported of its moves, and when.
    #[cfg(test)]
    pub(crate) reports: Vec<(u64, MoveReport)>,
    #[cfg(test)]
    now: u64,
}

impl<'a> EngineDriver<'a> {
    /// An engine over the members of a field, and its first orders.
    pub(crate) fn new(
        config: PolicyConfig,
        region_size: RegionSize,
        field: &Field<'_>,
        forecaster: Option<&'a mut Forecaster<'a>>,
    ) -> Self {
        let ready = forecaster.is_some();
        let members = &field.members;
        let member = |(index, spec): (u16, &MemberSpec)| Member {
            index: MemberIndex(index),
            class: spec.class,
            regions: spec.regions,
            profile: spec.profile,
            present: true,
        };
        let state = VolumeState {
            region_size,
            regions: field.regions,
            block_bytes: Bytes(512),
            members: (0..).zip(members).map(member).collect(),
            extents: field.homes.clone(),
            retired: Vec::new(),
            generation: Generation(1),
        };
        let mut engine = Engine::new(config);
        engine.set_full_check(false);
        let mut driver = Self {
            engine,
            forecaster,
            live: BTreeMap::new(),
            by_id: BTreeMap::new(),
            counts: BTreeMap::new(),
            ends: Ends::default(),
            hot_threshold: 0,
            next_monitor: MONITOR_NANOS,
            next_sample: SAMPLE_NANOS,
            members: members.len(),
            #[cfg(test)]
            reports: Vec::new(),
            #[cfg(test)]
            now: 0,
        };
        let adopted = Vec::new();
        driver.step(0, Event::Started { state, adopted }, &mut Vec::new());
        driver.step(0, Event::Forecaster { ready }, &mut Vec::new());
        driver
    }

    /// How far ahead the engine looks, in seconds.
    #[cfg(test)]
    pub(crate) fn horizons_seconds(&self) -> [f64; 5] {
        self.engine.horizons_seconds()
    }

    /// What the engine says of a region.
    #[cfg(test)]
    pub(crate) fn explain(&self, region: VolumeRegion) -> Option<tier_core::engine::Explanation> {
        self.engine.explain(region)
    }

    /// Why the engine begins nothing more, if it found a rule broken.
    pub(crate) fn latched(&self) -> Option<&str> {
        self.engine.latched()
    }

    /// How much of the budgets of wear is used, and what it costs.
    pub(crate) fn wear(&self) -> WearStatus {
        self.engine.status().wear
    }

    /// Whom the engine believes.
    #[cfg(test)]
    pub(crate) fn believed(&self) -> Option<tier_core::forecast::ExpertName> {
        let experts = self.engine.status().experts;
        let believed = experts.into_iter().find(|one| one.is_believed);
        believed.map(|one| one.name)
    }

    /// Gives an event, and those that follow from what the engine orders.
    fn step(&mut self, now: u64, event: Event, orders: &mut Vec<Order>) {
        #[cfg(test)]
        {
            self.now = now;
        }
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            for command in self.engine.step(Now(now), event) {
                self.obey(command, &mut events, orders);
            }
        }
    }

    fn obey(&mut self, command: Command, events: &mut VecDeque<Event>, orders: &mut Vec<Order>) {
        match command {
            Command::AddLegs(adds) => {
                let ids = adds.iter().map(|add| add.id).collect();
                for add in adds {
                    self.live.insert(add.first.0, add);
                    self.by_id.insert(add.id.0, add.first.0);
                    orders.push(Order::Copy {
                        id: add.id.0,
                        from: add.source,
                        to: add.target,
                        regions: add.count,
                    });
                }
                events.push_back(Event::LegsAdded { ids });
            }
            Command::FlushTargets(flushes) => events.push_back(Event::TargetsFlushed {
                ids: flushes.iter().map(|flush| flush.id).collect(),
            }),
            Command::Commit(commit) => events.push_back(Event::Committed {
                generation: commit.generation,
            }),
            Command::MarkActedOn(generation) => events.push_back(Event::Marked { generation }),
            Command::DropLeg(drop) => events.push_back(Event::LegDropped {
                id: drop.id,
                kept: drop.keep,
            }),
            Command::SetMap { fold } => {
                for id in &fold {
                    if let Some(first) = self.by_id.remove(&id.0) {
                        self.live.remove(&first);
                    }
                }
                events.push_back(Event::MapSet { folded: fold });
            }
            Command::SetHotThreshold(touches) => self.hot_threshold = touches,
            Command::Forecast { window, groups } => {
                if let Some(forecaster) = &mut self.forecaster {
                    let groups = forecaster(&groups);
                    events.push_back(Event::Forecast { window, groups });
                }
            }
            #[cfg(test)]
            Command::Report(report) => self.reports.push((self.now, report)),
            #[cfg(not(test))]
            Command::Report(_) => {}
            Command::SetPace { .. }
            | Command::Learn(_)
            | Command::Retrain(_)
            | Command::Reply { .. }
            | Command::Warn(_) => {}
        }
    }

    fn resources(&self, seen: &mut Seen) -> Event {
        #[allow(clippy::cast_precision_loss, reason = "shares and means")]
        let share = |nanos: u64| nanos as f64 / MONITOR_NANOS as f64;
        let members = std::mem::take(&mut seen.members);
        seen.members.resize(self.members, Load::default());
        let load = |(index, load): (u16, &Load)| {
            let mean = |op: Op| {
                let (sum, count) = (load.latency_nanos[op as usize], load.requests[op as usize]);
                (count > 0).then(|| Micros(sum / count / 1000))
            };
            MemberLoad {
                member: MemberIndex(index),
                busy: share(load.busy_nanos).min(1.0),
                in_flight: share(load.latency_nanos.iter().sum()),
                read_latency: mean(Op::Read),
                write_latency: mean(Op::Write),
                written_bytes: Bytes(load.written_bytes),
            }
        };
        let mut latencies = std::mem::take(&mut seen.latencies_nanos);
        latencies.sort_unstable();
        let quantile = |hundredths: usize| {
            let at = (latencies.len() * hundredths / 100).min(latencies.len().checked_sub(1)?);
            latencies.get(at).map(|nanos| Micros(nanos / 1000))
        };
        Event::Resources(Resources {
            members: (0..).zip(&members).map(load).collect(),
            foreground_p50: quantile(50),
            foreground_p99: quantile(99),
            ..Resources::default()
        })
    }
}

impl Driver for EngineDriver<'_> {
    fn route(&self, region: u32) -> Route {
        let home = self.engine.map().home(VolumeRegion(region));
        let home = home.unwrap_or(Leg {
            member: MemberIndex(0),
            first: MemberRegion(0),
        });
        let moving = self.live.range(..=region).next_back();
        let moving = moving.filter(|(first, add)| region - **first < add.count);
        let mirror = moving.map(|(first, add)| {
            let (source, target) = (
                add.source.plus(region - first),
                add.target.plus(region - first),
            );
            if home == source { target } else { source }
        });
        Route { home, mirror }
    }

    fn touched(&mut self, now: u64, touch: Touch, orders: &mut Vec<Order>) {
        let sequential = self.ends.is_sequential(now, &touch);
        let count = self.counts.entry(touch.region).or_insert(RegionCount {
            region: VolumeRegion(touch.region),
            ..RegionCount::default()
        });
        add(count, &touch, sequential);
        let touches = count.reads + count.writes;
        if self.hot_threshold > 0 && touches == self.hot_threshold {
            let hot = HotRegion {
                region: count.region,
                touches,
                writes: count.writes,
                sequential: count.sequential,
            };
            self.step(now, Event::Hot(hot), orders);
        }
    }

    fn copied(&mut self, now: u64, id: u64, orders: &mut Vec<Order>) {
        let state = MirrorState {
            in_sync_chunks: 1,
            total_chunks: 1,
            source_alive: true,
            target_alive: true,
            fault: None,
            trial: None,
        };
        let id = MoveId(id);
        self.step(now, Event::LegState { id, state }, orders);
    }

    fn woken(&mut self, now: u64, seen: &mut Seen, orders: &mut Vec<Order>) -> Option<u64> {
        if now >= self.next_sample {
            self.next_sample = now + SAMPLE_NANOS;
            let regions = std::mem::take(&mut self.counts).into_values().collect();
            let samples = Samples {
                interval: Micros(SAMPLE_NANOS / 1000),
                regions,
                lost: 0,
            };
            self.step(now, Event::Samples(samples), orders);
        }
        if now >= self.next_monitor {
            self.next_monitor = now + MONITOR_NANOS;
            let resources = self.resources(seen);
            self.step(now, resources, orders);
        }
        self.step(now, Event::Tick, orders);
        Some(now + TICK_NANOS)
    }
}
