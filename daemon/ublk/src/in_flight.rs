//! Whether requests are left unanswered.
//!
//! Owns: [`InFlight`], which counts requests under way in two generations. Invariant: a generation begins
//! only when none of the one before the last is under way any more; so whatever is of an older one has
//! been for as long as the newest lasts, at least. Counted by any number of threads, without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    since: Instant,
    /// When the newest generation began, in milliseconds since then, times two; and in the last bit which
    /// of the two it is.
    newest: AtomicU64,
    counts: [AtomicU32; 2],
}

/// One of them, until it is dropped.
#[derive(Debug)]
#[must_use = "it is under way until it is dropped"]
pub(crate) struct Asked<'a>(&'a AtomicU32);

impl Default for InFlight {
    fn default() -> Self {
        Self {
            since: Instant::now(),
            newest: AtomicU64::new(0),
            counts: Default::default(),
        }
    }
}

impl InFlight {
    /// A request begins.
    pub(crate) fn ask(&self) -> Asked<'_> {
        let [even, odd] = &self.counts;
        let is_odd = self.newest.load(Ordering::SeqCst) & 1 == 1;
        let count = if is_odd { odd } else { even };
        count.fetch_add(1, Ordering::SeqCst);
        Asked(count)
    }

    /// Whether one is under way for longer than that; seen at the latest when it is so for twice as long, if
    /// somebody looks often.
    pub(crate) fn has_waited(&self, limit: Duration) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX >> 1);
        self.has_waited_at(millis(self.since.elapsed()), millis(limit))
    }

    fn has_waited_at(&self, now_millis: u64, limit_millis: u64) -> bool {
        let newest = self.newest.load(Ordering::SeqCst);
        if now_millis.saturating_sub(newest >> 1) < limit_millis {
            return false;
        }
        let [even, odd] = &self.counts;
        let older = if newest & 1 == 1 { even } else { odd };
        if older.load(Ordering::SeqCst) > 0 {
            return true;
        }
        // Somebody else may have looked at the same time, and begun it.
        let next = now_millis << 1 | newest & 1 ^ 1;
        let _ = self
            .newest
            .compare_exchange(newest, next, Ordering::SeqCst, Ordering::SeqCst);
        false
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: u64 = 100;

    #[test]
    fn what_is_answered_in_time_never_seems_to_wait() {
        let all = InFlight::default();
        for now in (0..10_000).step_by(10) {
            let asked = all.ask();
            assert!(!all.has_waited_at(now, LIMIT));
            drop(asked);
        }
    }

    #[test]
    fn one_that_waits_is_seen_whatever_else_is_answered() {
        let all = InFlight::default();
        let hangs = all.ask();
        let mut seen = Vec::new();
        for now in (0..500).step_by(10) {
            drop(all.ask());
            if all.has_waited_at(now, LIMIT) {
                seen.push(now);
            }
        }
        let [first, .., last] = seen[..] else {
            panic!("{seen:?}");
        };
        assert!((LIMIT..=2 * LIMIT).contains(&first), "{seen:?}");
        assert_eq!(last, 490);
        drop(hangs);
        assert!(!all.has_waited_at(500, LIMIT));
    }

    proptest! {
        /// Against the times at which each began, until one is found: not before it has waited for the limit,
        /// and not much after twice that.
        #[test]
        fn it_waits_as_long_as_it_says(steps in prop::collection::vec((0..3_u8, 0..40_u64), 1..200)) {
            let all = InFlight::default();
            let mut under_way = Vec::new();
            let mut now = 0;
            for (what, later) in steps {
                now += later;
                match what {
                    0 => under_way.push((now, all.ask())),
                    1 if !under_way.is_empty() => drop(under_way.swap_remove(0)),
                    _ => {}
                }
                let longest = under_way.iter().map(|(began, _)| now - began).max();
                let longest = longest.unwrap_or(0);
                if all.has_waited_at(now, LIMIT) {
                    prop_assert!(longest >= LIMIT, "{longest}");
                    break;
                }
                prop_assert!(longest <= 2 * (LIMIT + 40), "{longest}");
            }
        }
    }
}
