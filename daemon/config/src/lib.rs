//! How a configuration is read, and what is said of its mistakes.
//!
//! Owns: [`parse`], which the daemon reads its configuration with, and the section `[policy]`, which
//! is also tried without a daemon. Invariants: an unknown key, a wrong type or a value out of range
//! is an error that names the file, the line and the key, and then nothing of the file is used. May
//! not: know the daemon's other sections.

mod error;

use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tier_core::policy::{self, PolicyConfig};

pub use self::error::{ConfigError, OutOfRange};
use self::error::{invalid_range, invalid_syntax};

/// A file that holds the sections of the policy and no others.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFile {
    policy: PolicyConfig,
}

/// Reads a configuration from `text`, of which `check` says what lies where it makes no sense;
/// `path` is where it came from, for the errors.
pub fn parse<T: DeserializeOwned>(
    text: &str,
    path: &Path,
    check: impl FnOnce(&T) -> Result<(), OutOfRange>,
) -> Result<T, ConfigError> {
    let parsed = toml::Deserializer::parse(text)
        .map_err(|error| invalid_syntax(path, text, "", &error))
        .and_then(|deserializer| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                let key = error.path().to_string();
                invalid_syntax(path, text, &key, error.inner())
            })
        });
    let config: T = parsed?;
    check(&config).map_err(|wrong| invalid_range(path, text, wrong))?;
    Ok(config)
}

/// Whether every value of `[policy]` lies where it makes sense; the first that does not.
pub fn check_policy(policy: &PolicyConfig) -> Result<(), OutOfRange> {
    policy.check().map_err(|wrong| match wrong {
        policy::ConfigError::OutOfBounds { key, value, bounds } => {
            OutOfRange::new(format!("policy.{key}"), value.to_string(), bounds)
        }
        policy::ConfigError::NoUuid(name) => {
            let key = format!("policy.wear.members.{name}");
            let bounds = "the UUID of a member, as `tierctl member list --json` shows it";
            OutOfRange::new(key, format!("said of {name:?}"), bounds)
        }
    })
}

/// The policy of a file that holds `[policy]` and its sections, to be tried on members that have no
/// UUIDs.
pub fn load_policy(path: &Path) -> Result<PolicyConfig, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    let check = |file: &PolicyFile| {
        check_policy(&file.policy)?;
        let named = file.policy.wear.members.keys().next();
        named.map_or(Ok(()), |uuid| {
            Err(OutOfRange::new(
                format!("policy.wear.members.{uuid}"),
                "said of one member".to_owned(),
                "left out where members have no UUIDs; give the ratings of their class",
            ))
        })
    };
    parse(&text, path, check).map(|file| file.policy)
}
