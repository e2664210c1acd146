//! What became active after something else will do so again: association.
//!
//! Adjacent regions are followed in small runs, by the moments at which a run becomes active after a
//! silence: a set that is used after another, at whatever time, has runs that follow those of the
//! other. Each run keeps a few candidates for what comes before it, drawn from those that became
//! active lately, and how often each was right. Those that are mostly wrong make room for others, so
//! that the rules with support and confidence remain (R. Agrawal and R. Srikant, "Fast Algorithms for
//! Mining Association Rules", VLDB 1994; between blocks, Z. Li et al., "C-Miner", FAST 2004), in
//! memory that is bounded as in A. Metwally et al., "Efficient Computation of Frequent and Top-k
//! Elements in Data Streams", ICDT 2005.
//!
//! Invariants: [`RUNS_MAX`] runs are followed at most, of [`BYTES_PER_RUN`] bytes each, with which the
//! map's nodes are half full: 36 MB in all. Those that were silent for longest are forgotten. An
//! interval costs a look for each run that it touched, and some dozens for each of at most
//! [`BEGUN_MAX`] that became active. What was learned is kept over a restart, in 16 MB at most.

mod links;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use self::links::Run;
use super::lasting::Lasting;
use super::{Expected, Expert, ExpertName, LAST, Scene, Spans, Touched};
use crate::heat::{LASTING, View};
use crate::units::{Now, VolumeRegion};

/// Adjacent regions that are followed together.
const RUN_REGIONS: u32 = 8;
/// Runs that are followed, at most.
const RUNS_MAX: usize = 1 << 16;
/// Memory that one takes, its key included.
const BYTES_PER_RUN: usize = 280;
/// Runs that became active in an interval of which it is asked what they follow, at most: where more
/// do, everything is read, and nothing follows from that.
const BEGUN_MAX: usize = 512;
/// Runs that became active lately that are kept in mind.
const RECENT_MAX: usize = 1_024;
/// Runs that are due, at most.
const DUE_MAX: usize = 1 << 12;
/// Of so many draws, one that can be linked is taken.
const DRAWS: u32 = 4;

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Following {
    lasting: Lasting,
    horizons_nanos: Spans,
    runs: BTreeMap<u32, Run>,
    /// What became active lately, oldest first.
    recent: VecDeque<(Now, u32)>,
    due: Vec<u32>,
    names: Vec<VolumeRegion>,
    window: u64,
}

/// What was learned, and what is under way, as it is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FollowingMemory {
    runs: Vec<(u32, Run)>,
    recent: Vec<(Now, u32)>,
    due: Vec<u32>,
}

/// Times, all in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// In which a run must be touched some times to be active.
    pub(super) window: u64,
    /// After which what follows was foreseen in time.
    pub(super) lag_min: u64,
    /// From which on it does not follow, but comes later.
    pub(super) lag_max: u64,
}

impl Following {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        const { assert!(size_of::<(u32, Run)>() <= BYTES_PER_RUN) };
        Self {
            lasting,
            horizons_nanos,
            runs: BTreeMap::new(),
            recent: VecDeque::new(),
            due: Vec::new(),
            names: Vec::new(),
            window: 0,
        }
    }

    /// What was learned.
    pub(super) fn remember(&self) -> FollowingMemory {
        let runs = self.runs.iter();
        FollowingMemory {
            runs: runs.map(|(at, run)| (*at, run.clone())).collect(),
            recent: self.recent.iter().copied().collect(),
            due: self.due.clone(),
        }
    }

    /// Takes in what is remembered, as far as there is room. While nobody counted, all was silent:
    /// what should have followed then did not.
    pub(super) fn recall(&mut self, memory: &FollowingMemory) {
        let runs = memory.runs.iter().take(RUNS_MAX).cloned();
        self.runs = runs.collect();
        self.recent = memory.recent.iter().take(RECENT_MAX).copied().collect();
        self.due = memory.due.iter().take(DUE_MAX).copied().collect();
    }

    fn times(&self) -> Times {
        let window = self.horizons_nanos[0].max(4);
        Times {
            window,
            lag_min: window / 4,
            lag_max: self.horizons_nanos[1].saturating_mul(2),
        }
    }

    /// Counts touches, and gives the runs that became active by them.
    fn count(&mut self, touched: &[Touched], scene: Scene<'_>) -> Vec<u32> {
        let (now, times) = (scene.now, self.times());
        let mut begun = Vec::new();
        let same = |one: &Touched, other: &Touched| {
            one.region.0 / RUN_REGIONS == other.region.0 / RUN_REGIONS
        };
        for of_run in touched.chunk_by(same) {
            let Some(at) = of_run.first().map(|one| one.region.0 / RUN_REGIONS) else {
                continue;
            };
            let sum: f64 = of_run.iter().map(|one| one.touches).sum();
            let run = if self.runs.len() < RUNS_MAX {
                self.runs.entry(at).or_insert_with(|| Run::new(now))
            } else if let Some(run) = self.runs.get_mut(&at) {
                run
            } else {
                continue;
            };
            let left = scene.heat.left(now.nanos_since(run.last()))[LASTING];
            if run.touched(sum, f64::from(left), now, &times) {
                begun.push(at);
            }
        }
        begun.truncate(BEGUN_MAX);
        begun
    }

    /// A run became active: what came before it, and what comes after it.
    fn begun(&mut self, at: u32, scene: Scene<'_>) {
        let (now, times) = (scene.now, self.times());
        let Some(mut run) = self.runs.remove(&at) else {
            return;
        };
        run.note_announced(now);
        run.judge(now, &times, |from| {
            let from = self.runs.get(&from)?;
            from.leads(at).then(|| from.began())
        });
        self.link(at, &mut run, now, &times);
        // Those that were forgotten, or found better ones, are told no longer.
        let runs = &self.runs;
        run.keep_followers(|follower| runs.get(&follower).is_some_and(|one| one.follows(at)));
        let followers = run.followers();
        self.runs.insert(at, run);
        for follower in followers {
            let run = self.runs.get_mut(&follower);
            if !run.is_some_and(|run| run.announce(at, now, &times)) {
                continue;
            }
            if self.due.len() < DUE_MAX && !self.due.contains(&follower) {
                self.due.push(follower);
            }
            self.name(follower, scene);
        }
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back((now, at));
    }

    /// Fills the places of a run that are free with what became active lately.
    fn link(&mut self, at: u32, run: &mut Run, now: Now, times: &Times) {
        let is_since = |nanos: u64| move |one: &(Now, u32)| now.nanos_since(one.0) > nanos;
        // Oldest first.
        let oldest = self.recent.partition_point(is_since(times.lag_max));
        let middle = self.recent.partition_point(is_since(times.window));
        let newest = self.recent.partition_point(is_since(times.lag_min));
        for place in run.free_places() {
            // Half of what is linked came a while before, so that there is time to copy.
            let (from, until) = if place % 2 == 0 {
                (oldest, middle)
            } else {
                (middle, newest)
            };
            for draw in 0..DRAWS {
                let Some((_, candidate)) = drawn(from, until, run.seed(at, place, draw))
                    .and_then(|drawn| self.recent.get(drawn))
                else {
                    break;
                };
                let Some(other) = self.runs.get_mut(candidate) else {
                    continue;
                };
                if !run.follows(*candidate) && other.lead(at) {
                    run.link(place, *candidate, other.began(), now);
                    break;
                }
            }
        }
    }

    /// Names the regions of a run that are due.
    fn name(&mut self, at: u32, scene: Scene<'_>) {
        for region in regions(at) {
            let view = scene.heat.view(region, scene.now);
            let expected = view.map(|view| self.expected(region, &view, 0.0, scene));
            if expected.is_some_and(|expected| expected.at(1) >= 1.0) {
                self.names.push(region);
            }
        }
    }

    /// Looks at all that is followed, once a window.
    fn sweep(&mut self, scene: Scene<'_>) {
        let (now, times) = (scene.now, self.times());
        self.runs.retain(|_, run| run.swept(now, &times));
        if self.runs.len() > RUNS_MAX / 8 * 7 {
            let mut last: Vec<Now> = self.runs.values().map(Run::last).collect();
            let (_, bound, _) = last.select_nth_unstable(RUNS_MAX / 4);
            let bound = *bound;
            self.runs.retain(|_, run| run.last() > bound);
        }
        let runs = &self.runs;
        self.due
            .retain(|at| runs.get(at).is_some_and(|run| run.due().is_some()));
        for at in self.due.clone() {
            self.name(at, scene);
        }
    }

    /// What is expected of a share of what is to come of a run.
    fn of(&self, share: f64, (touches, begins, seconds): (f64, f64, f64)) -> Expected {
        #[allow(clippy::cast_precision_loss, reason = "some minutes")]
        let until = |nanos: u64| {
            let part = ((nanos as f64 / 1e9 - begins) / seconds).clamp(0.0, 1.0);
            touches * share * part
        };
        Expected(self.horizons_nanos.map(until))
    }
}

fn regions(at: u32) -> impl Iterator<Item = VolumeRegion> {
    let first = at.saturating_mul(RUN_REGIONS);
    (first..first.saturating_add(RUN_REGIONS)).map(VolumeRegion)
}

/// One of these places, by a number in no order.
fn drawn(from: usize, until: usize, seed: u64) -> Option<usize> {
    let count = u64::try_from(until.checked_sub(from)?).ok()?;
    let at = seed.checked_rem(count)?;
    Some(from + usize::try_from(at).ok()?)
}

impl Expert for Following {
    fn name(&self) -> ExpertName {
        ExpertName::Following
    }

    fn touched(&mut self, touched: &[Touched], scene: Scene<'_>) {
        for at in self.count(touched, scene) {
            self.begun(at, scene);
        }
    }

    fn expected(
        &self,
        region: VolumeRegion,
        view: &View,
        running: f64,
        scene: Scene<'_>,
    ) -> Expected {
        let lasting = self.lasting.of(view, running);
        let Some(run) = self.runs.get(&(region.0 / RUN_REGIONS)) else {
            return lasting;
        };
        let times = self.times();
        let mut all = lasting;
        if let Some(to_come) = run.to_come(scene.now, &times) {
            let left = scene.heat.left(scene.now.nanos_since(run.last()))[LASTING];
            let heat = (run.heat() * f64::from(left)).max(f64::EPSILON);
            all = self.of((view.spans[LASTING] / heat).min(1.0), to_come);
        } else if run.is_silent(scene.now, &times) {
            let unforeseen = run.unforeseen();
            for all in &mut all.0 {
                *all *= unforeseen;
            }
        }
        all.0[LAST] = lasting.in_all().max(all.at(LAST - 1));
        all
    }

    fn names(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion> {
        let window = scene.now.0 / self.times().window;
        if window != self.window {
            self.window = window;
            self.sweep(scene);
        }
        let mut names = std::mem::take(&mut self.names);
        names.sort_unstable();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests;
