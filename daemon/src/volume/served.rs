//! Which tier served how much, and what the load was: for people, not for the engine.

use std::collections::BTreeMap;

use tier_core::event::{Resources, Samples};
use tier_core::units::{Now, VolumeRegion};
use tier_core::volume::Class;

/// Reads and writes that each tier served, and the newest load.
#[derive(Debug, Default)]
pub(crate) struct Served {
    tiers: BTreeMap<Class, (u64, u64)>,
    pub(super) load: Resources,
    pub(super) lost: u64,
    /// What moves of the policy copied, over the last monitoring interval.
    pub(super) moved_bytes_per_second: f64,
    moved: Option<(Now, f64)>,
}

impl Served {
    /// Counts an interval's samples for the tiers on which the regions live now.
    pub(crate) fn note(
        &mut self,
        samples: &Samples,
        class_of: impl Fn(VolumeRegion) -> Option<Class>,
    ) {
        self.lost += samples.lost;
        // Shares are of the recent past: each interval halves what came before a few of them.
        for (reads, writes) in self.tiers.values_mut() {
            *reads -= *reads / 8;
            *writes -= *writes / 8;
        }
        for count in &samples.regions {
            let Some(class) = class_of(count.region) else {
                continue;
            };
            let (reads, writes) = self.tiers.entry(class).or_default();
            *reads += u64::from(count.reads) * 8;
            *writes += u64::from(count.writes) * 8;
        }
    }

    /// Takes note of how much moves of the policy have copied since the start.
    pub(crate) fn note_moved(&mut self, now: Now, bytes: f64) {
        if let Some((then, before)) = self.moved {
            let seconds = now.seconds_since(then);
            self.moved_bytes_per_second = if seconds > 0.0 {
                (bytes - before) / seconds
            } else {
                0.0
            };
        }
        self.moved = Some((now, bytes));
    }

    /// Takes note of the newest load.
    pub(crate) fn note_load(&mut self, load: &Resources) {
        self.load = load.clone();
    }

    /// Shares of reads and of writes that `class` served, if there were any.
    pub(crate) fn shares(&self, class: Class) -> (Option<f64>, Option<f64>) {
        let (reads, writes) = self.tiers.get(&class).copied().unwrap_or_default();
        let all_reads: u64 = self.tiers.values().map(|(reads, _)| reads).sum();
        let all_writes: u64 = self.tiers.values().map(|(_, writes)| writes).sum();
        (share(reads, all_reads), share(writes, all_writes))
    }
}

#[allow(
    clippy::cast_precision_loss,
    reason = "a share for people needs no 53 bits"
)]
fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}
