//! What was touched for the n-th time lately will be used as much as such regions were seen to be.
//!
//! A region that was touched once may be part of a scan, and one that comes back is likely to come
//! back again: in how many intervals it was touched within a minute and within an hour says more
//! than how often in one of them (2Q: T. Johnson and D. Shasha, VLDB 1994; LRU-K: E. O'Neil et al.,
//! SIGMOD 1993). How much that is worth is not set but learned: for each number of touches, and each
//! silence since the last, how many times what the reactive expert had expected of such regions
//! came, until each horizon. A region whose past is longer than the hour has more to go by than
//! that, and is expected to go on as it was.
//!
//! Owns: [`Touch`]. Invariants: bounded memory, [`BYTES_PER_REGION`] a region and what is awaited of
//! at most [`CHOSEN_MAX`] regions a window; which regions it learns from does not depend on what
//! comes to them.

mod counts;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::counts::{Counts, NUMBERS, SILENCES, State, WindowNanos};
use super::calibration::spread;
use super::lasting::Lasting;
use super::{Expected, Expert, ExpertName, FINITE, HORIZONS, Scene, Spans, Touched};
use crate::heat::View;
use crate::units::{Now, VolumeRegion, nanos};

/// Memory that a region takes here.
const BYTES_PER_REGION: usize = 4;
/// Regions from which it is learned in a window, at most: half of them are chosen from those that
/// are touched, the others from all that ever were.
const CHOSEN_MAX: usize = 128;
/// Regions that are looked at for the latter, at most.
const LOOKS_MAX: u64 = 4_096;
/// The horizons that are the windows of touches.
const SHORT: usize = 0;
const LONG: usize = 2;
/// An outcome that is looked at later than it was due by more than one part of its horizon in so
/// many tells nothing.
const LATE_PART: u64 = 4;
/// Outcomes after which what was learned weighs half.
const HALVED_AT: f64 = 400.0;
/// Outcomes that what is coarser says is worth.
const COARSER_WEIGHT: f64 = 8.0;
/// Degrees of how much alike regions are that are taken together.
const LEVELS: usize = 3;
/// Kinds of regions, the coarse ones included.
const KINDS: usize = NUMBERS * (SILENCES + 1) * (NUMBERS + 1);

/// A region as it was, whose touches since then will tell.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    since: Now,
    region: VolumeRegion,
    state: State,
    total: f64,
    /// What the reactive expert expected.
    lasting: Expected,
}

/// What came to regions of one kind, beside what the reactive expert had expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Came {
    touches: f64,
    expected: f64,
    count: f64,
}

impl Came {
    fn note(&mut self, touches: f64, expected: f64) {
        self.touches += touches;
        self.expected += expected;
        self.count += 1.0;
        if self.count > HALVED_AT {
            self.touches /= 2.0;
            self.expected /= 2.0;
            self.count /= 2.0;
        }
    }

    /// How many times what was expected comes, where this is what something coarser says.
    fn times(&self, coarser: f64) -> f64 {
        if self.expected <= 0.0 {
            return coarser;
        }
        let weight = COARSER_WEIGHT / self.count;
        (self.touches / self.expected + weight * coarser) / (1.0 + weight)
    }
}

/// What is kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TouchMemory {
    /// By number of the kind.
    came: Vec<(u16, [Came; FINITE])>,
    /// By region.
    counts: Vec<(u32, Counts)>,
}

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Touch {
    lasting: Lasting,
    horizons_nanos: Spans,
    counts: Vec<Counts>,
    /// By kind, what came until each horizon.
    came: Vec<[Came; FINITE]>,
    /// By horizon, oldest first.
    awaited: [VecDeque<Chosen>; FINITE],
    window: u64,
    /// Regions that were chosen in this window because they were touched.
    chosen: usize,
    /// Number of the next region to look at.
    next: u64,
}

/// The kinds that a region is of, from coarse to fine: by its touches within the long window, also
/// by the silence since the last, and also by its touches within the short window.
fn kinds(state: State) -> [usize; LEVELS] {
    let kind = |silence: usize, short: usize| {
        (state.long * (SILENCES + 1) + silence) * (NUMBERS + 1) + short
    };
    [
        kind(SILENCES, NUMBERS),
        kind(state.silence, NUMBERS),
        kind(state.silence, state.short),
    ]
}

impl Touch {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        const { assert!(size_of::<Counts>() == BYTES_PER_REGION) };
        Self {
            lasting,
            horizons_nanos,
            counts: Vec::new(),
            came: vec![Default::default(); KINDS],
            awaited: Default::default(),
            window: 0,
            chosen: 0,
            next: 0,
        }
    }

    fn windows(&self) -> WindowNanos {
        WindowNanos {
            short: self.horizons_nanos[SHORT],
            long: self.horizons_nanos[LONG],
        }
    }

    /// The counts of a region as of now.
    fn counts(&self, region: VolumeRegion, silent_nanos: u64, now: Now) -> Counts {
        let counts = self.counts.get(region.0 as usize).copied();
        let counts = counts.unwrap_or_default();
        counts.after(silent_nanos, now, &self.windows())
    }

    fn count(&mut self, touched: &[Touched], scene: Scene<'_>) {
        let regions = scene.heat.regions() as usize;
        if self.counts.len() != regions {
            self.counts.resize(regions, Counts::default());
        }
        for one in touched {
            let mut counts = self.counts(one.region, one.silent_nanos, scene.now);
            if one.touches > 0.0 {
                counts = counts.touched();
            }
            if let Some(known) = self.counts.get_mut(one.region.0 as usize) {
                *known = counts;
            }
        }
    }

    /// Chooses regions to learn from.
    fn choose(&mut self, touched: &[Touched], scene: Scene<'_>) {
        let window = scene.now.0 / self.horizons_nanos[SHORT].max(1);
        if window != self.window {
            self.window = window;
            self.chosen = 0;
            self.choose_any(scene);
        }
        let left = (CHOSEN_MAX / 2).saturating_sub(self.chosen);
        if left == 0 || touched.is_empty() {
            return;
        }
        // Spread over all of them, beginning elsewhere each time.
        let step = touched.len().div_ceil(left);
        let first = usize::try_from(self.next).unwrap_or(0) % step;
        self.next = self.next.wrapping_add(1);
        for one in touched.iter().skip(first).step_by(step) {
            self.await_of(one.region, scene);
            self.chosen += 1;
        }
    }

    /// Of all that were ever touched.
    fn choose_any(&mut self, scene: Scene<'_>) {
        let regions = scene.heat.regions();
        let mut chosen = 0;
        for _ in 0..LOOKS_MAX.min(u64::from(regions)) {
            let region = spread(self.next, regions);
            self.next = self.next.wrapping_add(1);
            if !scene.heat.is_untouched(region) {
                self.await_of(region, scene);
                chosen += 1;
            }
            if chosen >= CHOSEN_MAX / 2 {
                return;
            }
        }
    }

    /// Whether all that is known of a region lies within the long window.
    fn is_young(&self, view: &View) -> bool {
        let window = self.horizons_nanos[LONG];
        view.age_seconds.is_some_and(|age| nanos(age) < window)
    }

    fn await_of(&mut self, region: VolumeRegion, scene: Scene<'_>) {
        let view = scene.heat.view(region, scene.now);
        let Some(view) = view.filter(|view| self.is_young(view)) else {
            return;
        };
        let chosen = Chosen {
            since: scene.now,
            region,
            state: self.state(region, &view, 0.0, scene.now),
            total: view.total,
            lasting: self.lasting.of(&view, 0.0),
        };
        for awaited in &mut self.awaited {
            awaited.push_back(chosen);
        }
    }

    /// Takes in what came until horizons that have passed.
    fn learn(&mut self, scene: Scene<'_>) {
        for (horizon, awaited) in self.awaited.iter_mut().enumerate() {
            let nanos = self.horizons_nanos[horizon];
            while let Some(one) = awaited.front().copied() {
                let passed = scene.now.nanos_since(one.since);
                if passed < nanos {
                    break;
                }
                awaited.pop_front();
                let view = scene.heat.view(one.region, scene.now);
                let Some(view) = view.filter(|_| passed - nanos <= nanos / LATE_PART) else {
                    continue;
                };
                for kind in kinds(one.state) {
                    if let Some(of_kind) = self.came.get_mut(kind) {
                        let touches = (view.total - one.total).max(0.0);
                        of_kind[horizon].note(touches, one.lasting.at(horizon));
                    }
                }
            }
        }
    }

    fn state(&self, region: VolumeRegion, view: &View, running: f64, now: Now) -> State {
        let counts = self.counts(region, view.silent_nanos, now);
        if running > 0.0 {
            counts.touched().state(0, &self.windows())
        } else {
            counts.state(view.silent_nanos, &self.windows())
        }
    }

    /// What was learned, and what was counted within the windows that are running.
    pub(super) fn remember(&self, scene: Scene<'_>) -> TouchMemory {
        let came = (0..).zip(&self.came);
        let is_known =
            |of_kind: &[Came; FINITE]| of_kind.iter().any(|came| *came != Came::default());
        let known = came.filter(|(_, of_kind)| is_known(of_kind));
        let counted = (0..).zip(&self.counts).filter(|(at, _)| {
            let region = VolumeRegion(*at);
            let view = scene.heat.view(region, scene.now);
            let silent = view.map_or(u64::MAX, |view| view.silent_nanos);
            !self.counts(region, silent, scene.now).is_none()
        });
        TouchMemory {
            came: known.map(|(kind, of_kind)| (kind, *of_kind)).collect(),
            counts: counted.map(|(at, counts)| (at, *counts)).collect(),
        }
    }

    /// Takes in what is remembered. What was awaited is not, as nobody counted meanwhile.
    pub(super) fn recall(&mut self, memory: &TouchMemory, scene: Scene<'_>) {
        for (kind, of_kind) in &memory.came {
            if let Some(came) = self.came.get_mut(usize::from(*kind)) {
                *came = *of_kind;
            }
        }
        self.counts = vec![Counts::default(); scene.heat.regions() as usize];
        for (at, counts) in &memory.counts {
            if let Some(known) = self.counts.get_mut(*at as usize) {
                *known = *counts;
            }
        }
        self.awaited = Default::default();
    }
}

impl Expert for Touch {
    fn name(&self) -> ExpertName {
        ExpertName::Touch
    }

    fn touched(&mut self, touched: &[Touched], scene: Scene<'_>) {
        self.learn(scene);
        self.count(touched, scene);
        self.choose(touched, scene);
    }

    fn expected(
        &self,
        region: VolumeRegion,
        view: &View,
        running: f64,
        scene: Scene<'_>,
    ) -> Expected {
        let lasting = self.lasting.of(view, running);
        if !self.is_young(view) {
            return lasting;
        }
        let state = self.state(region, view, running, scene.now);
        let kinds = kinds(state).map(|kind| self.came.get(kind));
        let (mut expected, mut times, mut until) = ([0.0; HORIZONS], 1.0, 0.0_f64);
        for (horizon, touches) in expected.iter_mut().enumerate() {
            // Where it is not known yet, it is as until the horizon before.
            let known = kinds.iter().flatten();
            let known = known.filter_map(|of_kind| of_kind.get(horizon));
            times = known.fold(times, |coarser, came| came.times(coarser));
            until = until.max(times * lasting.at(horizon));
            *touches = until;
        }
        Expected(expected)
    }

    fn names(&mut self, _: Scene<'_>) -> Vec<VolumeRegion> {
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
