//! The program: arguments in, exit code out.
//!
//! It stands in the library so that the harness can build the same program with the places at which
//! it may be made to die ([`crate::stop_point`]).

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError, DEFAULT_PATH};
use crate::exit::{ExitCode, Failure};
use crate::patience::{PATIENCE, wait_within};

/// Does what the command line says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::parse_args(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match obey(&cli) {
        Ok(code) => code,
        Err(failure) => failure.tell(),
    }
}

fn obey(cli: &Cli) -> Result<ExitCode, Failure> {
    if let Some(Command::MemberProperties { device }) = cli.command() {
        return member_properties(device);
    }
    if let Some(Command::VolumeProperties { device }) = cli.command() {
        return volume_properties(device);
    }
    let (config, complaint) = configuration(cli, PATIENCE)?;
    if cli.check_config {
        write!(io::stdout().lock(), "ok\n\n{}", config.to_toml()?)?;
        return Ok(ExitCode::Done);
    }
    let log = Arc::new(crate::logging::init(
        cli.log_level,
        config.daemon.log_level,
        config.daemon.log_format,
    )?);
    if let Some(error) = complaint {
        tracing::warn!(%error, "settling without the configuration");
    }
    match cli.command() {
        Some(Command::Run) => crate::run::run(config, log),
        Some(Command::Activate(what)) => crate::boot::activate(&config, what),
        Some(Command::Settle) => crate::boot::settle(&config),
        Some(Command::Serve(what)) => crate::serve::serve(&config, what),
        Some(Command::MemberProperties { .. } | Command::VolumeProperties { .. }) | None => {
            Ok(ExitCode::Done)
        }
    }
}

/// The configuration. `settle` does without one that is wrong, and says so: what a daemon has left
/// parked is freed, whatever was done to the file since that daemon read it. It waits so long at
/// most: the file may lie on the very volume that is to be freed.
fn configuration(
    cli: &Cli,
    patience: Duration,
) -> Result<(Config, Option<ConfigError>), ConfigError> {
    let named = cli.config.clone();
    if cli.check_config || !matches!(cli.command(), Some(Command::Settle)) {
        return Ok((Config::load(named.as_deref())?, None));
    }
    let path = named.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    let loaded = wait_within(patience, "config", move || Config::load(named.as_deref()));
    let loaded = loaded.unwrap_or_else(|source| Err(ConfigError::Read { path, source }));
    Ok(match loaded {
        Ok(config) => (config, None),
        Err(error) => (Config::default(), Some(error)),
    })
}

/// For udev, whose rules go by the exit code and read standard output.
fn member_properties(device: &Path) -> Result<ExitCode, Failure> {
    match crate::udev::member_properties(device) {
        Ok(Some(properties)) => {
            io::stdout().lock().write_all(properties.as_bytes())?;
            Ok(ExitCode::Done)
        }
        Ok(None) => Ok(ExitCode::NotFound),
        Err(error) => Err(Failure::new(ExitCode::DeviceFailed, error)),
    }
}

/// The same for devices of ublk.
fn volume_properties(device: &Path) -> Result<ExitCode, Failure> {
    let Some(name) = crate::serve::volume_of(Path::new(crate::config::RUN), device) else {
        return Ok(ExitCode::NotFound);
    };
    writeln!(io::stdout().lock(), "TIERD_NAME={name}")?;
    Ok(ExitCode::Done)
}

/// What clap prints instead of the work: help, which is data, or what is wrong with the arguments.
fn refuse(error: &clap::Error) -> ExitCode {
    // A reader that has gone needs no help.
    let _ = error.print();
    if error.use_stderr() {
        ExitCode::Usage
    } else {
        ExitCode::Done
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    fn cli(path: &Path, verb: &str) -> Cli {
        let path = path.to_str().unwrap();
        Cli::parse_args(["tierd", "--config", path, verb]).unwrap()
    }

    #[test]
    fn settling_does_without_a_configuration_that_does_not_answer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tierd.toml");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let settle = cli(&path, "settle");
        let (config, complaint) = configuration(&settle, Duration::from_millis(1)).unwrap();
        assert_eq!(config, Config::default());
        assert!(matches!(complaint, Some(ConfigError::Read { .. })));
        std::fs::write(&path, b"").unwrap();
    }

    #[test]
    fn settling_alone_does_without_a_configuration_that_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tierd.toml");
        std::fs::write(&path, b"[rubbish]").unwrap();
        let (config, complaint) = configuration(&cli(&path, "settle"), PATIENCE).unwrap();
        assert_eq!((config, complaint.is_some()), (Config::default(), true));
        assert!(configuration(&cli(&path, "run"), PATIENCE).is_err());
        std::fs::write(&path, b"[daemon]\nlog_level = \"debug\"").unwrap();
        let (config, complaint) = configuration(&cli(&path, "settle"), PATIENCE).unwrap();
        assert!(complaint.is_none() && config != Config::default());
    }
}
