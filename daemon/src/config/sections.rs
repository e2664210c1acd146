//! The sections: what each key means, its default, and its range.
//!
//! Owns: the types of all sections but `[policy]`, which is the engine's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tier_config::OutOfRange;
use tier_core::units::Bytes;

use super::{DeviceScan, human};
use crate::logging::{Format, Level};

/// `[daemon]`: the process itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonConfig {
    /// UNIX socket of the control API. It must not lie on a volume of this daemon.
    pub socket: PathBuf,
    /// How much is logged.
    pub log_level: Level,
    /// In which form.
    pub log_format: Format,
    /// On which devices labels are looked for.
    pub scan: DeviceScan,
}

/// `[probe]`: counting I/O in the kernel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeConfig {
    /// Whether to count with eBPF. Without it, or where it cannot be loaded, the kernel's
    /// device-mapper statistics are used.
    pub enabled: bool,
    /// Kernel memory that the counts of one volume may take.
    #[serde(with = "human::size")]
    pub memory: Bytes,
    /// The latency of one bio in this many is measured.
    pub latency_one_in: u32,
}

/// `[intervals]`: how often things happen. What the policy does with time stands in its own section.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intervals {
    /// Between two drains of the counts.
    #[serde(with = "human::duration")]
    pub sample: Duration,
    /// Between two readings of the load.
    #[serde(with = "human::duration")]
    pub monitor: Duration,
    /// Between two turns of the engine in which nothing else happens.
    #[serde(with = "human::duration")]
    pub tick: Duration,
    /// By which all of these, and all times of the policy, are multiplied: a demonstration runs in
    /// minutes what takes hours in production. It shortens waiting, not devices.
    pub scale: f64,
}

/// `[forecast]`: the network that forecasts, and how it is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ForecastConfig {
    /// Whether to ask a network what will be used. It takes ONNX Runtime; without it the other
    /// experts go on.
    pub network: bool,
    /// ONNX Runtime's library; looked for unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// Folder for what is learned: a folder in it for each volume. Nothing is kept where it lies
    /// on a volume of this daemon.
    pub state: PathBuf,
    /// The program that trains; `tierd-learn` beside this one unless named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trainer: Option<PathBuf>,
    /// Between two trainings; 0 for none but those that are asked for.
    #[serde(with = "human::duration")]
    pub retrain: Duration,
}

/// `[record]`: recording what happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// File to which every event of the engine is appended, for replay; none unless named. Nothing
    /// is recorded where it lies on a volume of this daemon: writing it would be counted as demand,
    /// and might wait for what only the daemon can free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<PathBuf>,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/tierd/tierd.sock"),
            log_level: Level::Info,
            log_format: Format::Auto,
            scan: DeviceScan::default(),
        }
    }
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            memory: Bytes(64 << 20),
            latency_one_in: 64,
        }
    }
}

impl Default for ForecastConfig {
    fn default() -> Self {
        Self {
            network: true,
            library: None,
            state: PathBuf::from("/var/lib/tierd"),
            trainer: None,
            retrain: Duration::from_hours(24),
        }
    }
}

impl Default for Intervals {
    fn default() -> Self {
        Self {
            sample: Duration::from_secs(2),
            monitor: Duration::from_secs(2),
            tick: Duration::from_secs(1),
            scale: 1.0,
        }
    }
}

impl Intervals {
    /// The intervals with the scale applied, which is then 1. None is shorter than a millisecond.
    #[must_use]
    pub fn scaled(self) -> Self {
        let scaled = |time: Duration| time.mul_f64(self.scale).max(INTERVAL_MIN);
        Self {
            sample: scaled(self.sample),
            monitor: scaled(self.monitor),
            tick: scaled(self.tick),
            scale: 1.0,
        }
    }

    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        for (key, time) in [
            ("intervals.sample", self.sample),
            ("intervals.monitor", self.monitor),
            ("intervals.tick", self.tick),
        ] {
            if time < INTERVAL_MIN || time > INTERVAL_MAX {
                let value = humantime::format_duration(time).to_string();
                return Err(OutOfRange::new(key, value, "between 1ms and 1h"));
            }
        }
        within("intervals.scale", self.scale, SCALE_MIN, SCALE_MAX, "")?;
        let tick = self.scaled().tick;
        if tick > TICK_MAX {
            let value = format!("{} with the scale", humantime::format_duration(tick));
            return Err(OutOfRange::new(
                "intervals.tick",
                value,
                "20s or less, for the watchdog",
            ));
        }
        Ok(())
    }
}

impl DaemonConfig {
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        absolute("daemon.socket", &self.socket)?;
        // sun_path of sockaddr_un holds 108 bytes with the closing zero (unix(7)).
        let length = self.socket.as_os_str().len();
        within(
            "daemon.socket",
            length,
            1,
            SOCKET_PATH_BYTES_MAX,
            "bytes long",
        )
    }
}

impl ProbeConfig {
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        // Below 64 KiB not even the hash for a handful of regions fits; above 16 GiB somebody has
        // mistaken a unit.
        if self.memory < Bytes(64 << 10) || self.memory > Bytes(16 << 30) {
            return Err(OutOfRange::new(
                "probe.memory",
                human::size::format(self.memory),
                "between 64KiB and 16GiB",
            ));
        }
        within("probe.latency_one_in", self.latency_one_in, 1, 65_536, "")
    }
}

impl ForecastConfig {
    /// The program that trains.
    #[must_use]
    pub fn trainer(&self) -> PathBuf {
        self.trainer.clone().unwrap_or_else(|| {
            let own = std::env::current_exe();
            let beside = own.map(|own| own.with_file_name("tierd-learn"));
            beside.unwrap_or_else(|_| PathBuf::from("tierd-learn"))
        })
    }

    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        absolute("forecast.state", &self.state)?;
        let named = [
            ("forecast.library", &self.library),
            ("forecast.trainer", &self.trainer),
        ];
        for (key, path) in named {
            path.as_deref().map_or(Ok(()), |path| absolute(key, path))?;
        }
        if self.retrain.is_zero() || (RETRAIN_MIN..=RETRAIN_MAX).contains(&self.retrain) {
            return Ok(());
        }
        let value = humantime::format_duration(self.retrain).to_string();
        let range = "0s, or between 1m and 1 year";
        Err(OutOfRange::new("forecast.retrain", value, range))
    }
}

impl RecordConfig {
    pub(super) fn check(&self) -> Result<(), OutOfRange> {
        self.events
            .as_deref()
            .map_or(Ok(()), |path| absolute("record.events", path))
    }
}

/// Shortest time between two trainings: each takes about as long.
const RETRAIN_MIN: Duration = Duration::from_mins(1);
/// Longest.
const RETRAIN_MAX: Duration = Duration::from_hours(366 * 24);

/// Shortest interval: below this the daemon would do nothing else.
pub(super) const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Longest interval: a plan that is older than this says nothing.
const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// Longest tick, with the scale applied: the run loop beats once a tick at least, and has to within
/// half of `WatchdogSec=60` of the unit file.
pub(super) const TICK_MAX: Duration = Duration::from_secs(20);
/// Smallest scale: a day in a minute and a half.
const SCALE_MIN: f64 = 0.001;
/// Largest scale.
const SCALE_MAX: f64 = 100.0;

/// Longest path that a UNIX socket can be bound to.
const SOCKET_PATH_BYTES_MAX: usize = 107;

fn absolute(key: &'static str, path: &Path) -> Result<(), OutOfRange> {
    if path.is_absolute() {
        return Ok(());
    }
    Err(OutOfRange::new(
        key,
        format!("{:?}", path.display().to_string()),
        "an absolute path",
    ))
}

fn within<T>(key: &'static str, value: T, low: T, high: T, unit: &str) -> Result<(), OutOfRange>
where
    T: PartialOrd + Copy + std::fmt::Display,
{
    if value >= low && value <= high {
        return Ok(());
    }
    let range = format!("between {low} and {high} {unit}");
    Err(OutOfRange::new(key, value.to_string(), range.trim_end()))
}
