//! The program: arguments in, exit code out.
//!
//! It stands in the library so that the harness can build the same program with the places at which
//! it may be made to die ([`crate::stop_point`]).

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::cli::{Cli, Command};
use crate::config::{Config, ConfigError};
use crate::exit::{ExitCode, Failure};

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
    let (config, complaint) = configuration(cli)?;
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
        Some(Command::MemberProperties { .. }) | None => Ok(ExitCode::Done),
    }
}

/// The configuration. `settle` does without one that is wrong, and says so: what a daemon has left
/// parked is freed, whatever was done to the file since that daemon read it.
fn configuration(cli: &Cli) -> Result<(Config, Option<ConfigError>), ConfigError> {
    match (Config::load(cli.config.as_deref()), cli.command()) {
        (Err(error), Some(Command::Settle)) if !cli.check_config => {
            Ok((Config::default(), Some(error)))
        }
        (loaded, _) => Ok((loaded?, None)),
    }
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
