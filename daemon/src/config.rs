//! The configuration: what it holds, where it comes from, and what is wrong with it.
//!
//! Owns: [`Config`] and its sections, and reading `/etc/tierd/tierd.toml`; the parser and the words of
//! its complaints are `tier-config`'s. Invariants: an absent default file is the default
//! configuration; an unknown key, a wrong type or a value out of range is an error that names the
//! file, the line and the key, and then nothing of the file is used; every default in
//! `systemd/tierd.toml` equals the code's (a test compares them). It reads one file and does nothing
//! else.

mod human;
mod scan;
mod sections;

#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
pub use tier_config::ConfigError;
use tier_config::{OutOfRange, check_policy};
use tier_core::policy::PolicyConfig;

pub use self::scan::DeviceScan;
pub use self::sections::{DaemonConfig, ForecastConfig, Intervals, ProbeConfig, RecordConfig};

/// Where the configuration is looked for when the command line names no file.
pub const DEFAULT_PATH: &str = "/etc/tierd/tierd.toml";

/// Where, by default, what goes with the boot lies.
pub const RUN: &str = "/run/tierd";

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
    /// The network that forecasts.
    pub forecast: ForecastConfig,
    /// Recording what happened, to replay it.
    pub record: RecordConfig,
    /// The file that the command line named, for processes that are to go by the same.
    #[serde(skip)]
    pub source: Option<PathBuf>,
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
            Ok(text) => Ok(Self {
                source: named.map(Path::to_owned),
                ..Self::parse(&text, path)?
            }),
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
        tier_config::parse(text, path, Self::check)
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
        check_policy(&self.policy)?;
        self.forecast.check()?;
        self.record.check()
    }
}
