//! What is measured: names, kinds, units and meanings.

use metrics::Unit;

/// The kind of a metric, as its description has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A metric's name, kind, unit and meaning.
pub(super) struct Metric(
    pub(super) &'static str,
    pub(super) Kind,
    pub(super) Unit,
    pub(super) &'static str,
);

pub(super) const BIOS: &str = "tierd_bios_total";
pub(super) const BIO_BYTES: &str = "tierd_bio_bytes_total";
pub(super) const SEQUENTIAL: &str = "tierd_sequential_bios_total";
pub(super) const LOST_BIOS: &str = "tierd_lost_bios_total";
pub(super) const TOUCHED: &str = "tierd_touched_regions";
pub(super) const HOT: &str = "tierd_hot_reports_total";
pub(super) const FOREGROUND: &str = "tierd_foreground_latency_seconds";
pub(super) const MEMBER_BUSY: &str = "tierd_member_busy_ratio";
pub(super) const MEMBER_IN_FLIGHT: &str = "tierd_member_in_flight_requests";
pub(super) const MEMBER_LATENCY: &str = "tierd_member_latency_seconds";
pub(super) const CPU_BUSY: &str = "tierd_host_cpu_busy_ratio";
pub(super) const PRESSURE: &str = "tierd_host_pressure_ratio";
pub(super) const MEMORY: &str = "tierd_host_memory_available_bytes";
pub(super) const NETWORK: &str = "tierd_host_network_bytes_per_second";
pub(super) const MOVES: &str = "tierd_moves_total";
pub(super) const MOVED: &str = "tierd_moved_bytes_total";
pub(super) const ACTIVE: &str = "tierd_active_moves";
pub(super) const PENDING: &str = "tierd_pending_moves";
pub(super) const HOLDS: &str = "tierd_hold_seconds";
pub(super) const DRAINS: &str = "tierd_hold_drain_seconds";
pub(super) const OWN: &str = "tierd_hold_own_seconds";
pub(super) const HELD_MOVES: &str = "tierd_held_moves_total";
pub(super) const STEPS: &str = "tierd_engine_step_seconds";
pub(super) const COMMITS: &str = "tierd_commits_total";
pub(super) const GENERATION: &str = "tierd_generation";
pub(super) const REPLICAS: &str = "tierd_live_replicas";
pub(super) const FREE: &str = "tierd_tier_free_bytes";
pub(super) const SIZE: &str = "tierd_tier_size_bytes";
pub(super) const FORECAST: &str = "tierd_tier_forecast_regions";
pub(super) const WRITTEN: &str = "tierd_wear_written_bytes";
pub(super) const ALLOWED: &str = "tierd_wear_allowed_bytes";
pub(super) const WEAR_PRICE: &str = "tierd_wear_price_per_gib_seconds";
pub(super) const DROPPED_LINES: &str = "tierd_dropped_log_lines_total";

pub(super) use Kind::{Counter, Gauge, Histogram};

/// Everything that is measured.
pub(super) const METRICS: [Metric; 33] = [
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
