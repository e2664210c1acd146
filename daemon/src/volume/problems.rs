//! What a person should know about a running volume until it is restarted.

/// Problems that are kept; later ones only go to the log.
const PROBLEMS_MAX: usize = 32;

/// Distinct problems in the order in which they were first seen.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Takes note of a problem, once.
    pub(crate) fn note(&mut self, text: String) {
        if self.0.len() < PROBLEMS_MAX && !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> &[String] {
        &self.0
    }
}
