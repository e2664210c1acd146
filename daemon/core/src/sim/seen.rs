//! What simulated lives reached: how often each rare thing happened, and which never did.

/// How often the rare things happened.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen([(&'static str, u64); 16]);

impl Seen {
    pub(super) fn note(&mut self, what: &'static str) {
        let slot = self
            .0
            .iter_mut()
            .find(|(name, _)| *name == what || name.is_empty());
        let slot = slot.expect("a slot for each kind");
        *slot = (what, slot.1 + 1);
    }

    pub(super) fn add(&mut self, other: &Self) {
        for &(what, count) in other.0.iter().filter(|(name, _)| !name.is_empty()) {
            for _ in 0..count {
                self.note(what);
            }
        }
    }

    pub(super) fn missing(&self) -> Vec<&'static str> {
        let wanted = [
            "done",
            "undone",
            "failed",
            "power cut",
            "daemon death",
            "parked write",
            "released write",
            "home taken back",
            "drop refused",
            "adopted mirror",
            "adopted linear",
            "fell back",
            "no replica",
            "promotion",
            "demotion",
        ];
        let reached = |what: &&str| {
            self.0
                .iter()
                .any(|(name, count)| name == what && *count > 0)
        };
        wanted.into_iter().filter(|what| !reached(what)).collect()
    }
}
