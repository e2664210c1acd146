//! The one place that writes: data on stdout, everything else on stderr.
//!
//! Owns: both streams, the choice between tables and JSON, colours and the width of the terminal.
//! Invariants: with `--json`, stdout holds JSON and nothing else; a reader that has gone away
//! (a broken pipe) ends the run in silence; colours only on a terminal, and never with `NO_COLOR`.

use std::io::{self, ErrorKind, IsTerminal, Stdout, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;

/// How text for people is to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    /// Columns there are; `None` where lines may be as long as they like (a pipe, a file).
    pub(crate) columns: Option<u16>,
    /// Whether colours may be used.
    pub(crate) colours: bool,
}

/// Writes for one run of tierctl.
pub(crate) struct Printer {
    json: bool,
    look: Look,
    stdout: Stdout,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
}

/// ANSI: cursor to the top left, clear from there.
const CLEAR: &str = "\x1b[H\x1b[2J";

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        let stdout = io::stdout();
        let stdout_is_terminal = stdout.is_terminal();
        // https://no-color.org: present and not empty.
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            json,
            look: Look {
                columns: columns(stdout_is_terminal),
                colours: stdout_is_terminal && !no_color,
            },
            stdout,
            stdout_is_terminal,
            stderr_is_terminal: io::stderr().is_terminal(),
        }
    }

    /// How text is to look here.
    pub(crate) const fn look(&self) -> Look {
        self.look
    }

    /// Shows data: as JSON, or as the text that `human` makes of it.
    pub(crate) fn show<T: Serialize>(
        &mut self,
        data: &T,
        human: impl FnOnce(&T, Look) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json {
            format!(
                "{}\n",
                serde_json::to_string_pretty(data).map_err(|e| no_json(&e))?
            )
        } else {
            human(data, self.look)
        };
        self.write(&text)
    }

    /// Shows data again and again: on a terminal each covers the one before; elsewhere they follow
    /// one another, as lines of JSON or separated by an empty line.
    pub(crate) fn show_again<T: Serialize>(
        &mut self,
        data: &T,
        is_first: bool,
        human: impl FnOnce(&T, Look) -> String,
    ) -> Result<(), Failure> {
        let text = if self.json {
            format!(
                "{}\n",
                serde_json::to_string(data).map_err(|e| no_json(&e))?
            )
        } else {
            let between = match (self.stdout_is_terminal, is_first) {
                (true, _) => CLEAR,
                (false, true) => "",
                (false, false) => "\n",
            };
            format!("{between}{}", human(data, self.look))
        };
        self.write(&text)
    }

    /// Writes bytes that are what they are (a completion script, a man page).
    pub(crate) fn raw(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        if self.json {
            let mut object = serde_json::Map::new();
            object.insert(name.to_owned(), text.into());
            return self.show(&object, |_, _| String::new());
        }
        self.write(text)
    }

    /// Says something beside the data.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            say(text);
        }
    }

    /// Says why the run failed: a JSON object in one line, or a message and a hint.
    pub(crate) fn failure(&self, failure: &Failure) {
        if failure.exit == Exit::Done {
            return;
        }
        if self.json
            && let Ok(text) = serde_json::to_string(&serde_json::json!({ "error": failure }))
        {
            return say(&text);
        }
        let paint = self.stderr_is_terminal && self.look.colours;
        let label = if paint {
            "\x1b[1;31mtierctl:\x1b[0m"
        } else {
            "tierctl:"
        };
        say(&format!("{label} {}", failure.message));
        if let Some(hint) = &failure.hint {
            say(&format!("         {hint}"));
        }
    }

    /// A bar on stderr for long work; hidden where stderr is no terminal or JSON is wanted.
    pub(crate) fn bar(&self, bytes: u64) -> ProgressBar {
        let target = if self.json || !self.stderr_is_terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        if let Ok(style) = ProgressStyle::with_template(
            "{wide_bar} {binary_bytes} of {binary_total_bytes} {elapsed} {msg}",
        ) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
    }

    fn write(&mut self, text: &str) -> Result<(), Failure> {
        let mut stdout = self.stdout.lock();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
            .map_err(|error| {
                // The reader has what it wanted (`tierctl moves | head`).
                let exit = if error.kind() == ErrorKind::BrokenPipe {
                    Exit::Done
                } else {
                    Exit::Output
                };
                Failure::new(exit, format!("cannot write the output: {error}"))
                    .with_errno(error.raw_os_error())
            })
    }
}

/// Writes a line on stderr. Where that cannot be done there is nobody left to tell.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// `COLUMNS` if it is set, so that tests and scripts can fix it; else the terminal's.
fn columns(stdout_is_terminal: bool) -> Option<u16> {
    let set = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    set.filter(|&columns| columns > 0).or_else(|| {
        let (terminal_size::Width(columns), _) = terminal_size::terminal_size()?;
        stdout_is_terminal.then_some(columns)
    })
}

fn no_json(error: &serde_json::Error) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("cannot write the answer as JSON: {error}"),
    )
}
