//! How long guests run: what makes a whole run of the tests long.
//!
//! Owns: the record of it, one line `SECONDS TEST` for each test that ran in guests.

use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

/// The file to which the lines are added. Set by `tests/run`.
const RECORD_VARIABLE: &str = "TIER_GUEST_TIMES";

/// The time of one test's guests, without the wait for a place; recorded when it is dropped.
pub(super) struct Time<'test> {
    test: &'test str,
    began: Instant,
}

impl<'test> Time<'test> {
    pub(super) fn of(test: &'test str) -> Self {
        let began = Instant::now();
        Self { test, began }
    }
}

impl Drop for Time<'_> {
    fn drop(&mut self) {
        let Some(path) = std::env::var_os(RECORD_VARIABLE) else {
            return;
        };
        let line = format!("{:5} {}\n", self.began.elapsed().as_secs(), self.test);
        // One write of one line, as others add theirs. A figure that is lost fails no test.
        let file = File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}
