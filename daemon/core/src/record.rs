//! Recordings: the events an engine was given, one JSON object a line, to be replayed.
//!
//! Owns: the line format and [`replay`]. Invariant: a recording of every event since
//! `Event::Started`, replayed with the same configuration, gives the same commands, byte for byte
//! (the engine has no other input). May not: open files; lines come from the shell and go there.
//!
//! ```text
//! {"now":1000000,"event":{"event":"tick"}}
//! ```

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::engine::Engine;
use crate::event::Event;
use crate::policy::PolicyConfig;
use crate::units::Now;

/// One event and when it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The engine's time.
    pub now: Now,
    /// What happened.
    pub event: Event,
}

/// Why a line cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// An event that JSON cannot hold.
    #[error("an event cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
    /// A line that is no event: torn, or of another version.
    #[error(
        "line {line} of the recording is no event: {source}; it may be torn, or come from another \
         version of tierd"
    )]
    Decode {
        /// Which line, counted from one.
        line: usize,
        /// What is wrong with it, and at which column.
        source: serde_json::Error,
    },
}

/// The line for an event, with its line end.
pub fn encode(now: Now, event: &Event) -> Result<String, RecordError> {
    #[derive(Serialize)]
    struct Borrowed<'a> {
        now: Now,
        event: &'a Event,
    }
    let mut line = serde_json::to_string(&Borrowed { now, event }).map_err(RecordError::Encode)?;
    line.push('\n');
    Ok(line)
}

/// The event of a line; `line` is its number, counted from one, for the error.
pub fn decode(line: usize, text: &str) -> Result<Recorded, RecordError> {
    serde_json::from_str(text).map_err(|source| RecordError::Decode { line, source })
}

/// Gives a new engine these events, and yields the commands of each step.
pub fn replay(
    config: PolicyConfig,
    events: impl IntoIterator<Item = Recorded>,
) -> impl Iterator<Item = Vec<Command>> {
    let mut engine = Engine::new(config);
    events
        .into_iter()
        .map(move |recorded| engine.step(recorded.now, recorded.event))
}

#[cfg(test)]
mod tests;
