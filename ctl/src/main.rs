//! `tierctl`, the command of tierd.
//!
//! Owns: the process: arguments in, exit code out. What a verb does stands in its file under
//! `verbs/`; what it prints goes through [`printer::Printer`]. Holds no logic of the daemon.

#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "text for people is short and built once; `+=` reads better than a dropped Result"
)]

mod cli;
mod client;
mod confirm;
mod exit;
mod failure;
mod offline;
mod printer;
mod table;
mod units;
mod verbs;
mod watch;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind as ClapError;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::printer::Printer;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let mut printer = Printer::new(cli.shared.json);
    match verbs::run(cli, &mut printer) {
        Ok(()) => Exit::Done.into(),
        Err(failure) => {
            printer.failure(&failure);
            failure.exit.into()
        }
    }
}

/// What clap prints instead of a verb's work: help (which is data) or what is wrong with the
/// arguments. A value that cannot be right has an exit code of its own.
fn refuse(error: &clap::Error) -> ExitCode {
    // A reader that has gone needs no help.
    let _ = error.print();
    match error.kind() {
        ClapError::DisplayHelp | ClapError::DisplayVersion => Exit::Done,
        ClapError::ValueValidation | ClapError::InvalidValue => Exit::Invalid,
        _ => Exit::Usage,
    }
    .into()
}
