//! Running the program.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A command that talks to `socket`, with nothing of the surroundings in it.
pub(crate) fn command(socket: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tierctl"));
    command
        .args(args)
        .env("TIERD_SOCKET", socket)
        .env("COLUMNS", "100")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

pub(crate) fn run(socket: &Path, args: &[&str]) -> Ran {
    ended(command(socket, args).output().unwrap())
}

pub(crate) fn ended(output: Output) -> Ran {
    Ran {
        code: output.status.code().expect("ended by a signal"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}
