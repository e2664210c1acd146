//! Tests that cannot run here: named, counted, and an error in CI.
//!
//! Owns: the record of what was skipped. `libtest` has no skipped outcome, so a skipped test
//! passes for cargo, and `tests/run` takes the record into its sum. A run with `CI` set in its
//! environment skips nothing: what is missing fails there.

use std::fs::File;
use std::io::Write;

/// The file to which each skip appends one line, `TEST: REASON`. Set by `tests/run`.
pub const RECORD_VARIABLE: &str = "TIER_TESTS_SKIPPED";

/// Records that `test` cannot run here, and why.
///
/// # Panics
/// When `CI` is set in the environment, or the record cannot be written.
pub fn record(test: &str, reason: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value.is_empty() || value == "false"),
        "{test} cannot run here: {reason} (with CI set, that is a failure)"
    );
    // Written past libtest's capture of print macros, so that it shows even where tests pass.
    writeln!(std::io::stderr(), "SKIPPED {test}: {reason}").expect("standard error is open");
    if let Some(path) = std::env::var_os(RECORD_VARIABLE) {
        let mut file = File::options()
            .append(true)
            .create(true)
            .open(&path)
            .expect("skip record");
        // One write of one line: other test processes append to the same file.
        file.write_all(format!("{test}: {reason}\n").as_bytes())
            .expect("skip record");
    }
}
