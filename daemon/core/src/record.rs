//! Recordings: an engine's parameters and the events it was given, one JSON object a line, to be
//! replayed.
//!
//! Owns: the line format and [`replay`]. Invariant: a recording of the parameters and of every event
//! since `Event::Started`, replayed, gives the same commands, byte for byte (the engine has no other
//! input). May not: open files; lines come from the shell and go there.
//!
//! ```text
//! {"policy":{"enabled":true,...},"ratings":[[0,{"written_bytes_per_year":1e12}]]}
//! {"now":1000000,"event":{"event":"tick"}}
//! ```

use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::engine::Engine;
use crate::event::Event;
use crate::policy::PolicyConfig;
use crate::units::{MemberIndex, Now};
use crate::wear::MemberWear;

/// One event and when it came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// The engine's time.
    pub now: Now,
    /// What happened.
    pub event: Event,
}

/// What a recording begins with. The parameters are those that the engine had, with what the shell
/// filled in for the kernel and for the members of the volume.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Begun {
    policy: PolicyConfig,
    /// What is known of single members, which the configuration knows by their UUIDs only.
    ratings: Vec<(MemberIndex, MemberWear)>,
}

/// Why a line cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something that JSON cannot hold.
    #[error("it cannot be written as JSON: {0}")]
    Encode(#[source] serde_json::Error),
    /// A line that is no event, or the first and no parameters: torn, or of another version.
    #[error(
        "line {line} of the recording is not what belongs there: {source}; it may be torn, or come from another \
         version of tierd"
    )]
    Decode {
        /// Which line, counted from one.
        line: usize,
        /// What is wrong with it, and at which column.
        source: serde_json::Error,
    },
}

/// The line with which the recording of an engine of these parameters begins, with its line end.
pub fn begin(config: &PolicyConfig) -> Result<String, RecordError> {
    let ratings = config.wear.by_index.iter();
    let begun = Begun {
        policy: config.clone(),
        ratings: ratings.map(|(member, rating)| (*member, *rating)).collect(),
    };
    let mut line = serde_json::to_string(&begun).map_err(RecordError::Encode)?;
    line.push('\n');
    Ok(line)
}

/// All of a recording: the engine's parameters, and what it was given.
pub fn read(text: &str) -> Result<(PolicyConfig, Vec<Recorded>), RecordError> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    let begun: Begun =
        serde_json::from_str(first).map_err(|source| RecordError::Decode { line: 1, source })?;
    let mut config = begun.policy;
    config.wear.by_index = begun.ratings.into_iter().collect();
    let events = lines.enumerate().map(|(at, line)| decode(at + 2, line));
    Ok((config, events.collect::<Result<_, _>>()?))
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
