//! What people may see of the engine. Nothing here changes anything.

use serde::Serialize;

use super::Engine;
use crate::budget::Turnover;
use crate::command::{Reason, Stage};
use crate::event::{Priority, Trial};
use crate::forecast::Score;
use crate::map::Map;
use crate::migrate::Move;
use crate::plan::Known;
use crate::policy::Policy;
use crate::units::{Bytes, Generation, MoveId, Now, VolumeRegion};
use crate::volume::{Class, Leg};
use crate::wear::WearStatus;

/// The engine's state at a glance.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// The tiers that have members, from fast to slow.
    pub tiers: Vec<TierStatus>,
    /// The newest durable generation.
    pub generation: Generation,
    /// Extents of the volume, coalesced.
    pub extents: usize,
    /// Former homes that are not freed yet, in regions.
    pub retired_regions: u64,
    /// Moves under way.
    pub moves: usize,
    /// Moves that wait for their turn, with their target reserved.
    pub pending: usize,
    /// Promotions that wait for room or budget.
    pub wanted: usize,
    /// Foreground seconds that moves may cost before only free ones are made.
    pub insurance_seconds: f64,
    /// What the account earned and spent since the start.
    pub turnover: Turnover,
    /// Who forecasts what will be used, and how well.
    pub experts: Vec<Score>,
    /// How the network does.
    pub network: NetworkStatus,
    /// How much of the budget of wear is used, and what it costs.
    pub wear: WearStatus,
    /// Bytes that moves of the policy were given since the start.
    pub moved_bytes: f64,
    /// Bytes per second that moves of the policy may copy now.
    pub copy_bytes_per_second: f64,
    /// Mirrors that the policy may have under way now.
    pub mirrors_allowed: u32,
    /// Whether a person stopped the policy.
    pub paused: bool,
    /// Whether the configuration lets the policy move anything.
    pub enabled: bool,
    /// Touches within an interval at which the probe reports a region; zero: never.
    pub hot_threshold: u32,
    /// Whether a metadata replica is left.
    pub can_commit: bool,
    /// Why nothing more is begun, if an invariant was found violated.
    pub latched: Option<String>,
}

/// How the network does whose forecasts the engine is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct NetworkStatus {
    /// Whether its forecasts are asked for.
    pub is_asked: bool,
    /// How far the logarithm of what it forecast was from that of what came, in powers of e: a
    /// mean of the horizons and of late. `None` before the first forecast has come to its end.
    pub error: Option<f64>,
    /// The same of the reactive expert.
    pub naive_error: Option<f64>,
}

/// A promotion that the policy wants and that waits for room or budget.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WantedMove {
    /// The number it will bear.
    pub id: MoveId,
    /// Which region.
    pub region: VolumeRegion,
    /// Class it is on.
    pub from: Class,
    /// Class it is wanted on.
    pub to: Class,
    /// Touches within the last half-life or so.
    pub touches: f64,
    /// Foreground seconds that it is expected to save.
    pub benefit_seconds: f64,
    /// Foreground seconds that it is expected to cost.
    pub cost_seconds: f64,
    /// Since when it waits.
    pub since: Now,
}

/// A move that the policy would make.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlannedMove {
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The home.
    pub source: Leg,
    /// Where it would go.
    pub target: Leg,
    /// Class it is on.
    pub from: Class,
    /// Class it would go to.
    pub to: Class,
    /// Bytes to copy.
    pub bytes: Bytes,
    /// Device seconds that the copy takes on the slower of both members.
    pub seconds: f64,
    /// Why.
    pub reason: Reason,
}

/// A move, as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MoveView {
    /// Its number.
    pub id: MoveId,
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The home when it began.
    pub source: Leg,
    /// Where it goes.
    pub target: Leg,
    /// Class of the source's member.
    pub from: Class,
    /// Class of the target's member.
    pub to: Class,
    /// Where it stands.
    pub stage: Stage,
    /// Chunks copied, of `total_chunks`; zero before the first look at the mirror.
    pub in_sync_chunks: u64,
    /// Chunks in all; zero before the first look at the mirror.
    pub total_chunks: u64,
    /// What is done with its target before its source is given up, by backends that do anything.
    pub trial: Option<Trial>,
    /// By which its pace is chosen.
    pub priority: Priority,
    /// Why it was chosen.
    pub reason: Reason,
    /// When it was chosen.
    pub since: Now,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

impl From<&Move> for MoveView {
    fn from(one: &Move) -> Self {
        Self {
            id: one.id,
            first: one.first,
            count: one.count,
            source: one.source,
            target: one.target,
            from: one.from,
            to: one.to,
            stage: one.stage(),
            in_sync_chunks: one.mirror.map_or(0, |state| state.in_sync_chunks),
            total_chunks: one.mirror.map_or(0, |state| state.total_chunks),
            trial: one.mirror.and_then(|state| state.trial),
            priority: one.priority,
            reason: one.reason.clone(),
            since: one.since,
            error: one.error.clone(),
        }
    }
}

/// A tier, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TierStatus {
    /// Which.
    pub class: Class,
    /// Regions that its members have.
    pub regions: u32,
    /// Of these, free ones.
    pub free: u32,
    /// Regions that the policy leaves free.
    pub headroom: u32,
    /// Regions set aside because a copy to them failed.
    pub failed: u32,
    /// Loaded latency of one read, in seconds.
    pub read_seconds: f64,
    /// Loaded latency of one write, in seconds.
    pub write_seconds: f64,
}

impl Engine {
    /// Who lives where, as of the newest durable generation.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.migrate.map
    }

    /// The newest durable generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.migrate.generation
    }

    /// Moves under way, then those that wait for their turn.
    pub fn moves(&self) -> impl Iterator<Item = MoveView> + '_ {
        self.migrate
            .live
            .values()
            .chain(self.migrate.pending.values())
            .map(MoveView::from)
    }

    /// Promotions that wait for room or budget, by region.
    pub fn wanted(&self) -> impl Iterator<Item = WantedMove> + '_ {
        self.policy.wants.iter().map(|want| WantedMove {
            id: want.id,
            region: want.candidate.region,
            from: want.candidate.from,
            to: want.candidate.to,
            touches: want.candidate.touches,
            benefit_seconds: want.candidate.benefit_seconds,
            cost_seconds: want.candidate.price.seconds,
            since: want.since,
        })
    }

    /// The engine's state at a glance.
    #[must_use]
    pub fn status(&self) -> Status {
        let Self {
            migrate, policy, ..
        } = self;
        let retired = migrate
            .retired
            .iter()
            .map(|former| u64::from(former.retired.count));
        Status {
            tiers: policy
                .loads
                .classes()
                .into_iter()
                .map(|class| self.tier(class))
                .collect(),
            generation: migrate.generation,
            extents: migrate.map.len(),
            retired_regions: retired.sum(),
            moves: migrate.live.len(),
            pending: migrate.pending.len(),
            wanted: policy.wants.len(),
            insurance_seconds: policy.account.seconds(),
            turnover: policy.account.turnover(),
            experts: policy.forecasts.scores().collect(),
            network: self.policy.forecasts.network(),
            wear: policy.wear.status(),
            moved_bytes: policy.pace.moved_bytes(),
            copy_bytes_per_second: policy.pace.bytes_per_second(),
            mirrors_allowed: policy.pace.mirrors(policy.config.mirrors_max),
            paused: self.paused,
            enabled: policy.config.enabled,
            hot_threshold: policy.hot_threshold.unwrap_or(0),
            can_commit: migrate.can_commit,
            latched: migrate.latched.clone(),
        }
    }

    pub(crate) fn known(&self) -> Known<'_> {
        let Policy {
            config,
            heat,
            forecasts,
            loads,
            wear,
            ..
        } = &self.policy;
        Known {
            config,
            heat,
            forecasts,
            loads,
            wear,
            migrate: &self.migrate,
            now: self.now,
        }
    }

    fn tier(&self, class: Class) -> TierStatus {
        let spaces = self.migrate.alloc.tier(class);
        let latency = self.policy.loads.latency(class);
        TierStatus {
            class,
            regions: self.migrate.alloc.regions_in(class),
            free: self.migrate.alloc.free_in(class),
            headroom: self.known().headroom(class),
            failed: spaces.map(crate::alloc::Space::failed).sum(),
            read_seconds: latency.read_seconds,
            write_seconds: latency.write_seconds,
        }
    }

    /// Heat of a range, summed into `buckets` parts of about equal length: touches within the
    /// last half-life or so, sequential ones left out. Fewer parts where there are fewer regions.
    #[must_use]
    pub fn heat(&self, first: VolumeRegion, count: u32, buckets: u32) -> Vec<f64> {
        let count = count.min(self.migrate.map.regions().saturating_sub(first.0));
        let buckets = buckets.min(count);
        let border = |bucket: u32| {
            let offset = u64::from(count) * u64::from(bucket) / u64::from(buckets.max(1));
            first.0 + u32::try_from(offset).unwrap_or(count)
        };
        let touches = |region| {
            let view = self.policy.heat.view(VolumeRegion(region), self.now);
            view.map_or(0.0, |view| view.touches.sum())
        };
        (0..buckets)
            .map(|at| (border(at)..border(at + 1)).map(touches).sum())
            .collect()
    }

    /// What the policy would move now if its pace set no bounds: a dry run of the very code that
    /// moves. Changes nothing, and does not ask whether the policy is paused.
    #[must_use]
    pub fn plan_preview(&self) -> Vec<PlannedMove> {
        if !self.migrate.may_begin() {
            return Vec::new();
        }
        let planned = self.policy.preview(&self.migrate, self.now);
        let known = self.known();
        let bytes_of = |count| self.migrate.region_size.bytes_of(count);
        let plan = planned.pending.values().map(|one| PlannedMove {
            first: one.first,
            count: one.count,
            source: one.source,
            target: one.target,
            from: one.from,
            to: one.to,
            bytes: bytes_of(one.count),
            seconds: known.price(one.source, one.to).device_seconds * f64::from(one.count),
            reason: one.reason.clone(),
        });
        plan.collect()
    }

    /// Why nothing more is begun, if an invariant was found violated.
    #[must_use]
    pub fn latched(&self) -> Option<&str> {
        self.migrate.latched.as_deref()
    }
}
