//! The program: arguments in, exit code out.
//!
//! It stands in the library so that the harness can build the same program with the places at which
//! it may be made to die ([`crate::stop_point`]).

use std::io::{self, Write as _};
use std::path::Path;

use crate::cli::{Cli, Command};
use crate::config::Config;
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
    let config = Config::load(cli.config.as_deref())?;
    if cli.check_config {
        write!(io::stdout().lock(), "ok\n\n{}", config.to_toml()?)?;
        return Ok(ExitCode::Done);
    }
    let _log = crate::logging::init(
        cli.log_level,
        config.daemon.log_level,
        config.daemon.log_format,
    )?;
    match cli.command() {
        Some(Command::Run) => crate::run::run(config),
        Some(Command::Activate(what)) => crate::boot::activate(&config, what),
        Some(Command::Settle) => crate::boot::settle(&config),
        Some(Command::MemberProperties { .. }) | None => Ok(ExitCode::Done),
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
