//! The configuration: what it holds, where it comes from, and what is wrong with it.
//!
//! Owns: [`Config`] and its sections, reading `/etc/tierd/tierd.toml`, and the words of every
//! complaint about it. Invariants: an absent default file is the default configuration; an unknown
//! key, a wrong type or a value out of range is an error that names the file, the line and the key,
//! and then nothing of the file is used; every default in `systemd/tierd.toml` equals the code's (a
//! test compares them). It reads one file and does nothing else.

mod error;
mod human;
mod scan;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tier_core::policy::{self, PolicyConfig};
use tier_core::units::Bytes;

pub use self::error::ConfigError;
use self::error::{OutOfRange, invalid_range, invalid_syntax};
pub use self::scan::DeviceScan;
use crate::logging::{Format, Level};

/// Where the configuration is looked for when the command line names no file.
pub const DEFAULT_PATH: &str = "/etc/tierd/tierd.toml";

/// Everything that can be configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The process itself.
    pub daemon: DaemonConfig,
    /// Counting I/O in the kernel.
    pub probe: ProbeConfig,
    /// How often things happen.
    pub intervals: Intervals,
    /// What the engine does of itself. Its times are in seconds, before the scale of `intervals`.
    pub policy: PolicyConfig,
    /// Recording what happened, to replay it.
    pub record: RecordConfig,
}

/// `[daemon]`: the process itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DaemonConfig {
    /// UNIX socket of the control API.
    pub socket: PathBuf,
    /// Directory of what is worth keeping but may be lost: heat history.
    pub state_dir: PathBuf,
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

/// `[record]`: recording what happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordConfig {
    /// File to which every event of the engine is appended, for replay; none unless named. It
    /// must not lie on a volume of this daemon: writing it would be counted as demand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<PathBuf>,
}

impl Default for DaemonConfig {
    fn default() -> Self {
        Self {
            socket: PathBuf::from("/run/tierd/tierd.sock"),
            state_dir: PathBuf::from("/var/lib/tierd"),
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

impl Default for Intervals {
    fn default() -> Self {
        Self {
            sample: Duration::from_secs(10),
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

    fn check(&self) -> Result<(), OutOfRange> {
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

impl Config {
    /// Reads the configuration: from `named` if the command line named a file, which must then
    /// exist; else from [`DEFAULT_PATH`], whose absence means the defaults.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        Self::load_from(named, Path::new(DEFAULT_PATH))
    }

    fn load_from(named: Option<&Path>, default: &Path) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(default);
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// Reads the configuration from `text`; `path` is where it came from, for the errors.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let parsed = toml::Deserializer::parse(text)
            .map_err(|error| invalid_syntax(path, text, "", &error))
            .and_then(|deserializer| {
                serde_path_to_error::deserialize(deserializer).map_err(|error| {
                    let key = error.path().to_string();
                    invalid_syntax(path, text, &key, error.inner())
                })
            });
        let config: Self = parsed?;
        config
            .check()
            .map_err(|wrong| invalid_range(path, text, wrong))?;
        Ok(config)
    }

    /// The engine's parameters with the scale of `intervals` applied.
    #[must_use]
    pub fn scaled_policy(&self) -> PolicyConfig {
        self.policy.clone().scaled(self.intervals.scale)
    }

    /// The configuration as a file that would give it.
    pub fn to_toml(&self) -> Result<String, ConfigError> {
        toml::to_string(self).map_err(ConfigError::Write)
    }

    /// Whether every value lies where it makes sense; the first that does not.
    fn check(&self) -> Result<(), OutOfRange> {
        self.daemon.check()?;
        self.probe.check()?;
        self.intervals.check()?;
        self.policy.check().map_err(
            |policy::ConfigError::OutOfBounds { key, value, bounds }| {
                OutOfRange::new(format!("policy.{key}"), value.to_string(), bounds)
            },
        )?;
        self.record.check()
    }
}

impl DaemonConfig {
    fn check(&self) -> Result<(), OutOfRange> {
        absolute("daemon.socket", &self.socket)?;
        // sun_path of sockaddr_un holds 108 bytes with the closing zero (unix(7)).
        let length = self.socket.as_os_str().len();
        within(
            "daemon.socket",
            length,
            1,
            SOCKET_PATH_BYTES_MAX,
            "bytes long",
        )?;
        absolute("daemon.state_dir", &self.state_dir)
    }
}

impl ProbeConfig {
    fn check(&self) -> Result<(), OutOfRange> {
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

impl RecordConfig {
    fn check(&self) -> Result<(), OutOfRange> {
        self.events
            .as_deref()
            .map_or(Ok(()), |path| absolute("record.events", path))
    }
}

/// Shortest interval: below this the daemon would do nothing else.
const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// Longest interval: a plan that is older than this says nothing.
const INTERVAL_MAX: Duration = Duration::from_hours(1);
/// Longest tick, with the scale applied: the run loop beats once a tick at least, and has to within
/// half of `WatchdogSec=60` of the unit file.
const TICK_MAX: Duration = Duration::from_secs(20);
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
