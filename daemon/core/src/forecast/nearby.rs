//! What lies beside what is in use will be used: streams run on, and files are read to their end.
//!
//! How much a region without a past of its own gets is learned: for each degree of use of its
//! neighbours, the mean of what such regions got within the time that is looked ahead. What has
//! a past is expected to go on as it was.

use std::collections::{BTreeMap, VecDeque};

use super::lasting::Lasting;
use super::{Expected, Expert, ExpertName, Scene, Spans, Touched};
use crate::heat::{RECENT, View};
use crate::units::{Now, VolumeRegion};

/// The horizon for which it is learned.
const LEARNED: usize = 1;
/// A region is young for so many of these.
const YOUNG_SPANS: u64 = 3;
/// Examples of which the outcome is awaited, at most.
const EXAMPLES_MAX: usize = 1 << 14;
/// Examples after which what was learned weighs half.
const HALVED_AT: f64 = 400.0;
/// Examples that what a coarser key says is worth.
const COARSER_WEIGHT: f64 = 8.0;

/// What a region has in common with others, from coarse to fine.
pub(super) type Key = [u8; 3];
const COARSE: u8 = u8::MAX;

/// A region as it was, whose touches since then will tell.
#[derive(Clone, Copy, Debug)]
struct Example {
    due: Now,
    region: VolumeRegion,
    key: Key,
    total: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: f64,
}

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Nearby {
    lasting: Lasting,
    horizons_nanos: Spans,
    means: BTreeMap<Key, Mean>,
    examples: VecDeque<Example>,
    names: Vec<VolumeRegion>,
}

/// Degree of use: 0 for none, then one for each doubling.
fn degree(touches: f64) -> u8 {
    if touches < 0.25 {
        return 0;
    }
    let exponent = (touches * 4.0).to_bits() >> 52 & 0x7ff;
    u8::try_from(exponent.saturating_sub(1023).min(11) + 1).unwrap_or(12)
}

impl Nearby {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        Self {
            lasting,
            horizons_nanos,
            means: BTreeMap::new(),
            examples: VecDeque::new(),
            names: Vec::new(),
        }
    }

    /// What was learned of neighbours.
    pub(super) fn remember(&self) -> Vec<(Key, f64, f64)> {
        let means = self.means.iter();
        means
            .map(|(key, mean)| (*key, mean.sum, mean.count))
            .collect()
    }

    /// Takes in what is remembered.
    pub(super) fn recall(&mut self, means: &[(Key, f64, f64)]) {
        for &(key, sum, count) in means {
            self.means.insert(key, Mean { sum, count });
        }
    }

    /// What is looked at in a region that has no past of its own; `None` if it has one.
    fn key(&self, region: VolumeRegion, view: &View, scene: Scene<'_>) -> Option<Key> {
        let young = self.horizons_nanos[LEARNED].saturating_mul(YOUNG_SPANS);
        #[allow(clippy::cast_precision_loss, reason = "some minutes")]
        let young_seconds = young as f64 / 1e9;
        let recent = |at: Option<u32>| {
            let view = at.and_then(|at| scene.heat.view(VolumeRegion(at), scene.now));
            degree(view.map_or(0.0, |view| view.spans[RECENT]))
        };
        let before = recent(region.0.checked_sub(1));
        let after = recent(region.0.checked_add(1));
        match view.age_seconds {
            None => {
                let sides = 2 * u8::from(before > 0) + u8::from(after > 0);
                Some([
                    200 + before.max(after),
                    sides,
                    recent(region.0.checked_sub(2)),
                ])
            }
            Some(age) if age < young_seconds => {
                Some([100 + before.max(after), degree(view.touches.sum()), COARSE])
            }
            Some(_) => None,
        }
    }

    fn observe(&mut self, region: VolumeRegion, scene: Scene<'_>) {
        if self.examples.len() >= EXAMPLES_MAX {
            return;
        }
        let Some(view) = scene.heat.view(region, scene.now) else {
            return;
        };
        if let Some(key) = self.key(region, &view, scene) {
            let due = Now(scene.now.0.saturating_add(self.horizons_nanos[LEARNED]));
            self.examples.push_back(Example {
                due,
                region,
                key,
                total: view.total,
            });
        }
    }

    fn learn(&mut self, scene: Scene<'_>) {
        while let Some(example) = self.examples.front().copied()
            && example.due <= scene.now
        {
            self.examples.pop_front();
            let Some(view) = scene.heat.view(example.region, scene.now) else {
                continue;
            };
            for key in coarse_to_fine(example.key) {
                let mean = self.means.entry(key).or_default();
                mean.sum += (view.total - example.total).max(0.0);
                mean.count += 1.0;
                if mean.count > HALVED_AT {
                    mean.sum /= 2.0;
                    mean.count /= 2.0;
                }
            }
        }
    }
}

fn coarse_to_fine(key: Key) -> impl Iterator<Item = Key> {
    let known = key.iter().take_while(|part| **part != COARSE).count();
    (1..=known).map(move |known| {
        let mut key = key;
        key[known..].fill(COARSE);
        key
    })
}

impl Expert for Nearby {
    fn name(&self) -> ExpertName {
        ExpertName::Nearby
    }

    fn touched(&mut self, touched: &[Touched], scene: Scene<'_>) {
        self.learn(scene);
        for one in touched {
            let region = one.region;
            self.observe(region, scene);
            let neighbours = [region.0.checked_sub(1), region.0.checked_add(1)];
            for neighbour in neighbours.into_iter().flatten().map(VolumeRegion) {
                if scene.heat.is_untouched(neighbour) {
                    self.observe(neighbour, scene);
                    self.names.push(neighbour);
                }
            }
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
        let Some(key) = self.key(region, view, scene) else {
            return lasting;
        };
        let touches = coarse_to_fine(key).fold(lasting.in_all(), |coarser, key| {
            let mean = self.means.get(&key).copied().unwrap_or_default();
            (mean.sum + COARSER_WEIGHT * coarser) / (mean.count + COARSER_WEIGHT)
        });
        let learned = self.horizons_nanos[LEARNED];
        #[allow(clippy::cast_precision_loss, reason = "a share")]
        let until = |nanos: u64| touches * (nanos.min(learned) as f64 / learned as f64);
        Expected(self.horizons_nanos.map(until))
    }

    fn names(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion> {
        self.learn(scene);
        std::mem::take(&mut self.names)
    }

    /// None: means of what came need no surplus to be believed.
    fn hysteresis(&self, _: f64) -> f64 {
        1.0
    }
}
