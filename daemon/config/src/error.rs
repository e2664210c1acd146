//! What is wrong with a configuration, said so that it can be mended.
//!
//! Owns: [`ConfigError`], [`OutOfRange`] and how a place in the file is found for it.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Why there is no usable configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file says something that cannot be followed.
    #[error("{}: {problem}", place(path, *line))]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// In which line, counted from 1, if the error has a place.
        line: Option<usize>,
        /// Which key, with its section, if the error is about one.
        key: Option<String>,
        /// What is wrong and what would be right.
        problem: String,
    },
    /// The configuration cannot be written as TOML.
    #[error("cannot show the configuration as TOML")]
    Write(#[source] toml::ser::Error),
}

fn place(path: &Path, line: Option<usize>) -> String {
    line.map_or_else(
        || path.display().to_string(),
        |line| format!("{}:{line}", path.display()),
    )
}

/// A value of the right type that makes no sense.
#[derive(Debug)]
pub struct OutOfRange {
    key: String,
    value: String,
    wanted: String,
}

impl OutOfRange {
    /// The value of `key` is `value`, and has to be `wanted`.
    #[must_use]
    pub fn new(key: impl Into<String>, value: String, wanted: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value,
            wanted: wanted.into(),
        }
    }
}

/// The error for a value out of range, with the line that holds it.
pub(crate) fn invalid_range(path: &Path, text: &str, wrong: OutOfRange) -> ConfigError {
    let OutOfRange { key, value, wanted } = wrong;
    ConfigError::Invalid {
        path: path.to_owned(),
        line: span_of_key(text, &key).map(|span| line_of(text, span.start)),
        problem: format!("`{key}` is {value}, and has to be {wanted}"),
        key: Some(key),
    }
}

/// The error for text that is no TOML, an unknown key or a value of a wrong type.
pub(crate) fn invalid_syntax(
    path: &Path,
    text: &str,
    key: &str,
    error: &toml::de::Error,
) -> ConfigError {
    let key = (!key.is_empty() && key != ".").then(|| key.to_owned());
    let message = error.message().trim_end();
    let problem = match unknown_key(message) {
        Some((unknown, valid)) => describe_unknown(&section_of(key.as_deref()), unknown, &valid),
        None => key
            .as_ref()
            .map_or_else(|| message.to_owned(), |key| format!("`{key}`: {message}")),
    };
    let line = error.span().map(|span| line_of(text, span.start));
    ConfigError::Invalid {
        path: path.to_owned(),
        line,
        key,
        problem,
    }
}

/// The section that a dotted key lies in; empty for the top level.
fn section_of(key: Option<&str>) -> String {
    key.and_then(|key| key.rsplit_once('.'))
        .map_or_else(String::new, |(s, _)| s.to_owned())
}

/// The unknown key and those that would be known, out of serde's message for `deny_unknown_fields`
/// ("unknown field `a`, expected one of `b`, `c`"). serde gives them in no other form; should the
/// wording change, the message is shown as it is, and a test fails.
fn unknown_key(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field ")?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    Some((quoted.next()?, quoted.collect()))
}

fn describe_unknown(section: &str, unknown: &str, valid: &[&str]) -> String {
    let mut text = if section.is_empty() {
        format!("there is no section or key `{unknown}`")
    } else {
        format!("there is no key `{unknown}` in [{section}]")
    };
    let nearest = valid
        .iter()
        .min_by_key(|candidate| strsim::damerau_levenshtein(unknown, candidate));
    if let Some(nearest) = nearest {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "; the nearest is `{nearest}` (all: {})",
            valid.join(", ")
        );
    }
    text
}

/// Where the value of a dotted key stands in the file, if it does.
fn span_of_key(text: &str, key: &str) -> Option<Range<usize>> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let value = table.get(part)?;
        if parts.peek().is_none() {
            return Some(value.span());
        }
        let DeValue::Table(inner) = value.get_ref() else {
            return None;
        };
        table = inner;
    }
    None
}

/// The line, counted from 1, that holds this byte.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}
