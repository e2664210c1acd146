//! `tierctl man`: manual pages, made from the command line's own definition.

use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::Printer;

#[derive(Args, Debug)]
pub(crate) struct Man {
    /// Write a page for tierctl and one for each verb into this directory, and print their names
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

impl Man {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        if let Some(directory) = &self.directory {
            return write_pages(directory, printer);
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| failed(Path::new("the page"), &error))?;
        printer.raw("man", &String::from_utf8_lossy(&page))
    }
}

fn write_pages(directory: &Path, printer: &mut Printer) -> Result<(), Failure> {
    let list = |directory: &Path| -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| name.starts_with("tierctl"));
        names.sort();
        Ok(names)
    };
    let names = std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), directory))
        .and_then(|()| list(directory))
        .map_err(|error| failed(directory, &error))?;
    printer.show(&names, |names, _| {
        names
            .iter()
            .map(|name| format!("{}\n", directory.join(name).display()))
            .collect()
    })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Io,
        format!("cannot write manual pages to {}: {error}", path.display()),
    )
    .with_device(path.display().to_string())
    .with_errno(error.raw_os_error())
}
