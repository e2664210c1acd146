//! What Prometheus sees.
//!
//! Owns: the names, units and descriptions of all metrics, and one function per fact that reports
//! it. Nothing else in the daemon names a metric. Invariants: names begin with `tierd_` and end in
//! their unit (counters in `_total`, as the Prometheus conventions ask); every described metric is
//! emitted by a function here (a test calls them all and compares). Labels have few values: a
//! volume's name, a member's index, a class, a stage; never a region.

use std::time::Duration;

use metrics::{
    Label, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tier_core::command::{MoveReport, Stage};
use tier_core::engine::TierForecast;
use tier_core::event::{Resources, Samples};
use tier_core::forecast::{ClassCounts, ForecastClass};
use tier_core::units::{Bytes, Generation, Micros};
use tier_core::volume::Class;
use tier_core::wear::MemberWearStatus;

use crate::backend::Hold;

/// Upper bounds of the buckets of the holds, in seconds: the goal is a p99 under 2 ms.
const HOLD_BUCKETS_SECONDS: [f64; 12] = [
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0,
];

/// Upper bounds of the buckets of engine steps, in seconds: the goal is 100 ms at a million regions.
const STEP_BUCKETS_SECONDS: [f64; 8] = [0.000_01, 0.000_1, 0.001, 0.005, 0.02, 0.1, 0.5, 2.0];

/// The kind of a metric, as its description has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric's name, kind, unit and meaning.
struct Metric(&'static str, Kind, Unit, &'static str);

const BIOS: &str = "tierd_bios_total";
const BIO_BYTES: &str = "tierd_bio_bytes_total";
const SEQUENTIAL: &str = "tierd_sequential_bios_total";
const LOST_BIOS: &str = "tierd_lost_bios_total";
const TOUCHED: &str = "tierd_touched_regions";
const HOT: &str = "tierd_hot_reports_total";
const FOREGROUND: &str = "tierd_foreground_latency_seconds";
const MEMBER_BUSY: &str = "tierd_member_busy_ratio";
const MEMBER_IN_FLIGHT: &str = "tierd_member_in_flight_requests";
const MEMBER_LATENCY: &str = "tierd_member_latency_seconds";
const CPU_BUSY: &str = "tierd_host_cpu_busy_ratio";
const PRESSURE: &str = "tierd_host_pressure_ratio";
const MEMORY: &str = "tierd_host_memory_available_bytes";
const NETWORK: &str = "tierd_host_network_bytes_per_second";
const MOVES: &str = "tierd_moves_total";
const MOVED: &str = "tierd_moved_bytes_total";
const ACTIVE: &str = "tierd_active_moves";
const PENDING: &str = "tierd_pending_moves";
const HOLDS: &str = "tierd_hold_seconds";
const DRAINS: &str = "tierd_hold_drain_seconds";
const OWN: &str = "tierd_hold_own_seconds";
const HELD_MOVES: &str = "tierd_held_moves_total";
const STEPS: &str = "tierd_engine_step_seconds";
const COMMITS: &str = "tierd_commits_total";
const GENERATION: &str = "tierd_generation";
const REPLICAS: &str = "tierd_live_replicas";
const FREE: &str = "tierd_tier_free_bytes";
const SIZE: &str = "tierd_tier_size_bytes";
const FORECAST: &str = "tierd_tier_forecast_regions";
const WRITTEN: &str = "tierd_wear_written_bytes";
const ALLOWED: &str = "tierd_wear_allowed_bytes";
const WEAR_PRICE: &str = "tierd_wear_price_per_gib_seconds";
const DROPPED_LINES: &str = "tierd_dropped_log_lines_total";

use Kind::{Counter, Gauge, Histogram};

/// Everything that is measured.
const METRICS: [Metric; 33] = [
    Metric(
        BIOS,
        Counter,
        Unit::Count,
        "Block I/O requests on a volume, by direction",
    ),
    Metric(
        BIO_BYTES,
        Counter,
        Unit::Bytes,
        "Bytes read from and written to a volume",
    ),
    Metric(
        SEQUENTIAL,
        Counter,
        Unit::Count,
        "Requests that began where the one before ended",
    ),
    Metric(
        LOST_BIOS,
        Counter,
        Unit::Count,
        "Requests that the probe could not count",
    ),
    Metric(
        TOUCHED,
        Gauge,
        Unit::Count,
        "Regions touched in the last sampling interval",
    ),
    Metric(
        HOT,
        Counter,
        Unit::Count,
        "Regions reported within an interval as suddenly hot",
    ),
    Metric(
        FOREGROUND,
        Gauge,
        Unit::Seconds,
        "Latency of sampled requests on a volume",
    ),
    Metric(
        MEMBER_BUSY,
        Gauge,
        Unit::Percent,
        "Share of time with a request in flight, 0 to 1",
    ),
    Metric(
        MEMBER_IN_FLIGHT,
        Gauge,
        Unit::Count,
        "Mean number of requests in flight on a member",
    ),
    Metric(
        MEMBER_LATENCY,
        Gauge,
        Unit::Seconds,
        "Mean latency of a member's requests",
    ),
    Metric(
        CPU_BUSY,
        Gauge,
        Unit::Percent,
        "Busy share of all CPUs, 0 to 1",
    ),
    Metric(
        PRESSURE,
        Gauge,
        Unit::Percent,
        "Share of time in which some task waited, 0 to 1",
    ),
    Metric(
        MEMORY,
        Gauge,
        Unit::Bytes,
        "Memory that can be had without swapping",
    ),
    Metric(
        NETWORK,
        Gauge,
        Unit::CountPerSecond,
        "Traffic over all interfaces but loopback",
    ),
    Metric(
        MOVES,
        Counter,
        Unit::Count,
        "Moves that ended, by how and between which tiers",
    ),
    Metric(
        MOVED,
        Counter,
        Unit::Bytes,
        "Bytes whose move was completed, between which tiers",
    ),
    Metric(ACTIVE, Gauge, Unit::Count, "Moves under way"),
    Metric(
        PENDING,
        Gauge,
        Unit::Count,
        "Moves that wait for room, budget or a turn",
    ),
    Metric(
        HOLDS,
        Histogram,
        Unit::Seconds,
        "Time that new I/O was kept waiting for a table swap",
    ),
    Metric(
        DRAINS,
        Histogram,
        Unit::Seconds,
        "Of a hold, the wait for I/O in flight",
    ),
    Metric(
        OWN,
        Histogram,
        Unit::Seconds,
        "Of a hold, all but the wait for I/O in flight",
    ),
    Metric(
        HELD_MOVES,
        Counter,
        Unit::Count,
        "Moves that took part in a hold",
    ),
    Metric(
        STEPS,
        Histogram,
        Unit::Seconds,
        "Time of one step of the engine",
    ),
    Metric(
        COMMITS,
        Counter,
        Unit::Count,
        "Metadata commits, by outcome",
    ),
    Metric(
        GENERATION,
        Gauge,
        Unit::Count,
        "Number of the newest durable metadata state",
    ),
    Metric(
        REPLICAS,
        Gauge,
        Unit::Count,
        "Metadata replicas that can be written",
    ),
    Metric(
        FREE,
        Gauge,
        Unit::Bytes,
        "Space of a tier that holds no data",
    ),
    Metric(SIZE, Gauge, Unit::Bytes, "Space of a tier"),
    Metric(
        FORECAST,
        Gauge,
        Unit::Count,
        "Regions of a tier by what their expected use would be worth: hot, warm or cold",
    ),
    Metric(
        WRITTEN,
        Gauge,
        Unit::Bytes,
        "Bytes written to a member of flash in this year of its budget",
    ),
    Metric(
        ALLOWED,
        Gauge,
        Unit::Bytes,
        "Bytes that may have been written to it by now",
    ),
    Metric(
        WEAR_PRICE,
        Gauge,
        Unit::Seconds,
        "What writing a GiB to it costs, in foreground seconds",
    ),
    Metric(
        DROPPED_LINES,
        Counter,
        Unit::Count,
        "Log lines dropped because nobody took them",
    ),
];

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
