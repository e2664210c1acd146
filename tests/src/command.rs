//! Programs as tests call them.
//!
//! Owns: running a program to its end and failing the test with everything it said. May not:
//! retry, or hide an exit status.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// Runs `program` and returns what it printed on standard output, without the last newline.
///
/// # Panics
/// When it cannot be started or exits with another status than 0.
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    match attempt(program, arguments) {
        Ok(said) => said,
        Err(why) => panic!("{why}"),
    }
}

/// Runs `program`; `Err` holds its exit status and all it printed on standard error.
///
/// # Panics
/// When it cannot be started.
pub fn attempt<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}; run tests/setup"));
    let said = String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(complaint(program, arguments, &said, &output))
}

fn complaint<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    said: &str,
    output: &Output,
) -> String {
    let words: Vec<_> = arguments
        .iter()
        .map(|word| word.as_ref().to_string_lossy())
        .collect();
    format!(
        "`{program} {}` failed ({}): {}{said}",
        words.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Whether a program of this name is on the search path.
#[must_use]
pub fn exists(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else {
        return false;
    };
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
