//! What Prometheus sees.
//!
//! Owns: the names, units and descriptions of all metrics, and one function per fact that reports
//! it. Nothing else in the daemon names a metric. Invariants: names begin with `tierd_` and end in
//! their unit (counters in `_total`, as the Prometheus conventions ask); every described metric is
//! emitted by a function here (a test calls them all and compares). Labels have few values: a
//! volume's name, a member's index, a class, a stage; never a region.

mod names;

use std::time::Duration;

use metrics::{
    Label, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tier_core::command::{MoveReport, Stage};
use tier_core::engine::TierForecast;
use tier_core::event::{Resources, Samples};
use tier_core::forecast::{ClassCounts, ForecastClass};
use tier_core::units::{Bytes, Generation, Micros};
use tier_core::volume::Class;
use tier_core::wear::MemberWearStatus;

use self::names::{
    ACTIVE, ALLOWED, BIO_BYTES, BIOS, COMMITS, CPU_BUSY, Counter, DRAINS, DROPPED_LINES, FORECAST,
    FOREGROUND, FREE, GENERATION, Gauge, HELD_MOVES, HOLDS, HOT, Histogram, LOST_BIOS, MEMBER_BUSY,
    MEMBER_IN_FLIGHT, MEMBER_LATENCY, MEMORY, METRICS, MOVED, MOVES, Metric, NETWORK, OWN, PENDING,
    PRESSURE, REPLICAS, SEQUENTIAL, SIZE, STEPS, TOUCHED, WEAR_PRICE, WRITTEN,
};
use crate::backend::Hold;

/// Upper bounds of the buckets of the holds, in seconds: the goal is a p99 under 2 ms.
const HOLD_BUCKETS_SECONDS: [f64; 12] = [
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0,
];

/// Upper bounds of the buckets of engine steps, in seconds: the goal is 100 ms at a million regions.
const STEP_BUCKETS_SECONDS: [f64; 8] = [0.000_01, 0.000_1, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0];

/// Sets the recorder of this process up. The handle renders what the metrics endpoint shows.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    let recorder = builder()?.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|_| MetricsError::AlreadySet)?;
    describe();
    Ok(handle)
}

/// Why nothing is measured.
#[derive(Debug, thiserror::Error)]
pub enum MetricsError {
    /// The buckets of a histogram are wrong.
    #[error("the metrics cannot be set up")]
    Build(#[from] BuildError),
    /// A recorder was set before.
    #[error("the metrics of the process are set up already")]
    AlreadySet,
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(HOLDS.to_owned()), &HOLD_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full(DRAINS.to_owned()), &HOLD_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full(OWN.to_owned()), &HOLD_BUCKETS_SECONDS)?
        .set_buckets_for_metric(Matcher::Full(STEPS.to_owned()), &STEP_BUCKETS_SECONDS)
}

fn describe() {
    for Metric(name, kind, unit, meaning) in METRICS {
        match kind {
            Counter => describe_counter!(name, unit, meaning),
            Gauge => describe_gauge!(name, unit, meaning),
            Histogram => describe_histogram!(name, unit, meaning),
        }
    }
}

/// The metrics of one volume.
#[derive(Clone, Debug)]
pub struct VolumeMetrics {
    volume: Label,
}

/// How a metadata commit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// Durable on every live replica.
    Durable,
    /// Not durable on all; a replica was dropped, or none is left.
    Failed,
}

impl VolumeMetrics {
    /// The metrics of the volume of this name.
    #[must_use]
    pub fn new(volume: &str) -> Self {
        Self {
            volume: Label::new("volume", volume.to_owned()),
        }
    }

    fn label(&self) -> Vec<Label> {
        vec![self.volume.clone()]
    }

    fn labels<const N: usize>(&self, more: [(&'static str, String); N]) -> Vec<Label> {
        let more = more.into_iter().map(|(key, value)| Label::new(key, value));
        self.label().into_iter().chain(more).collect()
    }

    fn direction(&self, name: &str) -> Vec<Label> {
        self.labels([("direction", name.to_owned())])
    }

    /// The counts of one interval.
    pub fn samples(&self, samples: &Samples) {
        let (mut reads, mut writes, mut sequential) = (0, 0, 0);
        let (mut read_bytes, mut written_bytes) = (0, 0);
        for region in &samples.regions {
            reads += u64::from(region.reads);
            writes += u64::from(region.writes);
            sequential += u64::from(region.sequential);
            read_bytes += region.read_bytes.0;
            written_bytes += region.written_bytes.0;
        }
        counter!(BIOS, self.direction("read")).increment(reads);
        counter!(BIOS, self.direction("write")).increment(writes);
        counter!(BIO_BYTES, self.direction("read")).increment(read_bytes);
        counter!(BIO_BYTES, self.direction("write")).increment(written_bytes);
        counter!(SEQUENTIAL, self.label()).increment(sequential);
        counter!(LOST_BIOS, self.label()).increment(samples.lost);
        gauge!(TOUCHED, self.label()).set(real(samples.regions.len() as u64));
    }

    /// A region was reported within an interval.
    pub fn hot(&self) {
        counter!(HOT, self.label()).increment(1);
    }

    /// The load of the volume's members, and of the machine.
    pub fn resources(&self, resources: &Resources) {
        for (quantile, latency) in [
            ("0.5", resources.foreground_p50),
            ("0.99", resources.foreground_p99),
        ] {
            if let Some(latency) = latency {
                let labels = self.labels([("quantile", quantile.to_owned())]);
                gauge!(FOREGROUND, labels).set(seconds(latency));
            }
        }
        for load in &resources.members {
            let member = ("member", load.member.to_string());
            gauge!(MEMBER_BUSY, self.labels([member.clone()])).set(load.busy);
            gauge!(MEMBER_IN_FLIGHT, self.labels([member.clone()])).set(load.in_flight);
            for (direction, latency) in [("read", load.read_latency), ("write", load.write_latency)]
            {
                if let Some(latency) = latency {
                    let direction = ("direction", direction.to_owned());
                    let labels = self.labels([member.clone(), direction]);
                    gauge!(MEMBER_LATENCY, labels).set(seconds(latency));
                }
            }
        }
        host(resources);
    }

    /// A move has changed its stage. Only endings are counted.
    pub fn moved(&self, report: &MoveReport, bytes: Bytes) {
        let outcome = match report.stage {
            Stage::Done => "done",
            Stage::Undone => "undone",
            Stage::Failed => "failed",
            Stage::Pending | Stage::Copying | Stage::Committing | Stage::Swapping => return,
        };
        let way = [
            ("from", report.from.to_string()),
            ("to", report.to.to_string()),
        ];
        if report.stage == Stage::Done {
            counter!(MOVED, self.labels(way.clone())).increment(bytes.0);
        }
        let [from, to] = way;
        let labels = self.labels([from, to, ("outcome", outcome.to_owned())]);
        counter!(MOVES, labels).increment(1);
    }

    /// How many moves are under way, and how many wait.
    pub fn moves(&self, active: u32, pending: u32) {
        gauge!(ACTIVE, self.label()).set(f64::from(active));
        gauge!(PENDING, self.label()).set(f64::from(pending));
    }

    /// One hold, begun for this verb of the backend.
    pub fn hold(&self, verb: &'static str, hold: &Hold) {
        let labels = self.labels([("verb", verb.to_owned())]);
        histogram!(HOLDS, labels.clone()).record(hold.total.as_secs_f64());
        histogram!(DRAINS, labels.clone()).record(hold.drain.as_secs_f64());
        let own = hold.total.saturating_sub(hold.drain);
        histogram!(OWN, labels.clone()).record(own.as_secs_f64());
        counter!(HELD_MOVES, labels).increment(u64::from(hold.moves));
    }

    /// One step of the engine.
    pub fn step(&self, took: Duration) {
        histogram!(STEPS, self.label()).record(took.as_secs_f64());
    }

    /// A commit ended so.
    pub fn commit(&self, outcome: CommitOutcome) {
        let outcome = match outcome {
            CommitOutcome::Durable => "durable",
            CommitOutcome::Failed => "failed",
        };
        counter!(COMMITS, self.labels([("outcome", outcome.to_owned())])).increment(1);
    }

    /// The newest durable state, and on how many replicas it is.
    pub fn metadata(&self, generation: Generation, live_replicas: usize) {
        gauge!(GENERATION, self.label()).set(real(generation.0));
        gauge!(REPLICAS, self.label()).set(real(live_replicas as u64));
    }

    /// How much of a member's endurance is used.
    pub fn wear(&self, wear: &MemberWearStatus) {
        let labels = self.labels([("member", wear.member.to_string())]);
        gauge!(WRITTEN, labels.clone()).set(wear.written_bytes);
        gauge!(ALLOWED, labels.clone()).set(wear.allowed_bytes);
        gauge!(WEAR_PRICE, labels).set(wear.seconds_per_gib);
    }

    /// How full a tier is.
    pub fn tier(&self, class: Class, free: Bytes, size: Bytes) {
        let labels = self.labels([("tier", class.to_string())]);
        gauge!(FREE, labels.clone()).set(real(free.0));
        gauge!(SIZE, labels).set(real(size.0));
    }

    /// What is expected of a tier's regions.
    pub fn forecast(&self, tier: &TierForecast) {
        let ClassCounts { hot, warm, cold } = tier.regions;
        let all = [
            (ForecastClass::Hot, hot),
            (ForecastClass::Warm, warm),
            (ForecastClass::Cold, cold),
        ];
        for (class, regions) in all {
            let labels = [
                ("tier", tier.class.to_string()),
                ("class", class.to_string()),
            ];
            gauge!(FORECAST, self.labels(labels)).set(f64::from(regions));
        }
    }
}

/// What the log has lost so far.
pub fn dropped_log_lines(total: u64) {
    counter!(DROPPED_LINES).absolute(total);
}

fn host(resources: &Resources) {
    gauge!(CPU_BUSY).set(resources.cpu_busy);
    gauge!(PRESSURE, "resource" => "io").set(resources.io_pressure);
    gauge!(PRESSURE, "resource" => "memory").set(resources.memory_pressure);
    gauge!(MEMORY).set(real(resources.memory_available.0));
    gauge!(NETWORK).set(resources.network_bytes_per_second);
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; 53 bits are enough"
)]
const fn real(count: u64) -> f64 {
    count as f64
}

fn seconds(latency: Micros) -> f64 {
    real(latency.0) / 1e6
}

#[cfg(test)]
mod tests;
