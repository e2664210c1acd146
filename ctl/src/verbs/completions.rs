//! `tierctl completions`: a completion script, made from the command line's own definition.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tierctl", &mut script);
        let script = String::from_utf8(script).map_err(|error| {
            Failure::new(
                Exit::Internal,
                format!("the completion script is not UTF-8: {error}"),
            )
        })?;
        printer.raw("completions", &script)
    }
}
