//! How often what was expected came true.
//!
//! Owns: [`Calibration`], which chooses some regions in each window, puts down what each expert
//! expects of them, and, when a horizon has passed, what came; and [`Chances`], which reads from
//! that how likely it is that at least so many touches come. Invariants: bounded memory; which
//! regions are chosen depends neither on what is expected of them nor on how they are used, so that
//! what came of them is what comes of all of which as much is expected. May not: change what is
//! expected.
//!
//! What came is kept as a histogram beside what was expected, not as a yes or no: prices change, and
//! with them how many touches pay for a move, but not what came.
//!
//! Where little was seen, what goes on for so long is taken to go on for as long again with even
//! odds: of `e` expected touches at least `n` come with a chance of `e / (e + n)` (J. R. Gott,
//! "Implications of the Copernican principle for our future prospects", Nature 363, 1993). That is
//! the mean of a Beta prior that weighs as much as one outcome in each bin, as Jeffreys' does (H.
//! Jeffreys, "Theory of Probability", 3.1); what came makes the posterior's of it. As more is
//! expected, more comes: where what was seen says otherwise, neighbours are pooled until it no
//! longer does (M. Ayer et al., "An Empirical Distribution Function for Sampling with Incomplete
//! Information", Annals of Mathematical Statistics 26, 1955; for calibration, B. Zadrozny and C.
//! Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates", KDD
//! 2002).

mod pool;
mod table;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use self::pool::pooled;
pub(super) use self::table::Cell;
use self::table::{EXPECTED_BINS, Table, expected_bin, expected_until};
use super::{EXPERTS, Expected, Expert, ExpertName, FINITE, HORIZONS, LAST, Scene, Spans};
use crate::heat::SPANS;
use crate::units::{Now, VolumeRegion};

/// Regions that are chosen in a window, at most.
const CHOSEN_MAX: usize = 64;
/// Regions that are looked at for that, at most: those that nobody ever touched are passed over.
const LOOKS_MAX: u64 = 4_096;
/// Outcomes that weigh as much as what is taken to be so where none was seen. Bins in which nothing
/// is seen are pooled with others, and many: they are not to outweigh those.
const PRIOR_OUTCOMES: f64 = 1.0;
/// A horizon that is looked at later than it ended by more than one part in so many tells nothing.
const LATE_PART: u64 = 16;
/// Of an expert that had nothing to say.
const NOTHING: u8 = u8::MAX;

/// A region of which it is awaited what comes.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    region: VolumeRegion,
    /// Its touches until then.
    total: f64,
    /// By expert and horizon, in which bin it is what was expected.
    bins: [[u8; FINITE]; EXPERTS],
}

/// Those that were chosen in one window.
#[derive(Clone, Debug)]
struct Batch {
    window: u64,
    /// Horizons that have passed.
    passed: usize,
    chosen: Vec<Chosen>,
}

/// What came of what was expected.
#[derive(Clone, Debug)]
pub(super) struct Calibration {
    horizons_nanos: Spans,
    /// By expert and horizon.
    tables: [[Table; FINITE]; EXPERTS],
    /// Oldest first.
    awaited: VecDeque<Batch>,
    looked_in: u64,
    /// Number of the next region to look at.
    next: u64,
}

/// What came of what one expert expected until one horizon, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CalibrationMemory {
    expert: ExpertName,
    horizon: u8,
    cells: Vec<Cell>,
}

/// How likely it is that at least so many touches come, by what one expert expects.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Chances {
    /// By horizon and bin of what is expected; the more is expected, the likelier.
    of_bins: [[f64; EXPECTED_BINS]; FINITE],
}

/// A region of so many, by its number in an order in which any few that follow one another are
/// spread evenly: multiples of the golden ratio (Knuth, 6.4).
pub(super) fn spread(number: u64, regions: u32) -> VolumeRegion {
    let fraction = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let region = (fraction * u64::from(regions)) >> 32;
    VolumeRegion(u32::try_from(region).unwrap_or(0))
}

impl Calibration {
    pub(super) fn new(horizons_nanos: Spans) -> Self {
        Self {
            horizons_nanos,
            tables: Default::default(),
            awaited: VecDeque::new(),
            looked_in: 0,
            next: 0,
        }
    }

    fn window(&self, now: Now) -> u64 {
        now.0 / self.window_nanos()
    }

    fn window_nanos(&self) -> u64 {
        self.horizons_nanos[0].max(1)
    }

    /// Puts down what came and what is expected, once a window, when all experts know what was
    /// counted until now.
    pub(super) fn look(&mut self, experts: &[&dyn Expert; EXPERTS], scene: Scene<'_>) {
        let window = self.window(scene.now);
        if window == self.looked_in {
            return;
        }
        self.fade(window, scene);
        self.looked_in = window;
        self.settle(window, scene);
        self.begin(window, experts, scene);
    }

    /// What came long ago counts for less, as touches of the longest span do.
    fn fade(&mut self, window: u64, scene: Scene<'_>) {
        let passed = window.saturating_sub(self.looked_in);
        let left = scene.heat.left(passed.saturating_mul(self.window_nanos()))[SPANS - 1];
        for table in self.tables.as_flattened_mut() {
            table.fade(left);
        }
    }

    /// Takes in what came until the horizons that have passed.
    fn settle(&mut self, window: u64, scene: Scene<'_>) {
        let horizons = self.horizons_nanos;
        let end = |horizon: usize| horizons[horizon] / horizons[0].max(1);
        for batch in &mut self.awaited {
            let passed = window.saturating_sub(batch.window);
            while batch.passed < FINITE && passed >= end(batch.passed) {
                let horizon = batch.passed;
                batch.passed += 1;
                if passed > end(horizon) + end(horizon) / LATE_PART {
                    continue;
                }
                for one in &batch.chosen {
                    let view = scene.heat.view(one.region, scene.now);
                    let total = view.map_or(0.0, |view| view.total);
                    let came = (total - one.total).max(0.0);
                    for (tables, bins) in self.tables.iter_mut().zip(one.bins) {
                        if bins[horizon] != NOTHING {
                            tables[horizon].count(bins[horizon], came);
                        }
                    }
                }
            }
        }
        self.awaited.retain(|batch| batch.passed < FINITE);
    }

    /// Chooses regions that were ever touched, and puts down what is expected of them.
    fn begin(&mut self, window: u64, experts: &[&dyn Expert; EXPERTS], scene: Scene<'_>) {
        let regions = scene.heat.regions();
        let mut chosen = Vec::new();
        for _ in 0..LOOKS_MAX.min(u64::from(regions)) {
            if chosen.len() >= CHOSEN_MAX {
                break;
            }
            let region = spread(self.next, regions);
            self.next = self.next.wrapping_add(1);
            if scene.heat.is_untouched(region) {
                continue;
            }
            let Some(view) = scene.heat.view(region, scene.now) else {
                continue;
            };
            let bins = experts.map(|expert| {
                if !expert.is_heard() {
                    return [NOTHING; FINITE];
                }
                let expected = expert.expected(region, &view, 0.0, scene);
                std::array::from_fn(|horizon| expected_bin(expected.at(horizon)))
            });
            let total = view.total;
            chosen.push(Chosen {
                region,
                total,
                bins,
            });
        }
        if !chosen.is_empty() {
            self.awaited.push_back(Batch {
                window,
                passed: 0,
                chosen,
            });
        }
    }

    /// How likely it is that at least so many touches come, by what the expert at this place
    /// expects. Fewer than one are taken for one; infinitely many never come.
    pub(super) fn chances(&self, expert: usize, touches: f64) -> Chances {
        let tables = self.tables.get(expert);
        let of = |horizon: usize| {
            let table = tables.map(|tables| &tables[horizon]);
            curve(table, touches.max(1.0))
        };
        Chances {
            of_bins: std::array::from_fn(of),
        }
    }

    /// What came of what the first expert expected until every horizon, for tests of classes.
    #[cfg(test)]
    pub(super) fn came(&mut self, expected: f64, came: f64) {
        for table in &mut self.tables[0] {
            table.count(expected_bin(expected), came);
        }
    }

    /// What was seen.
    pub(super) fn remember(&self, names: &[ExpertName]) -> Vec<CalibrationMemory> {
        let experts = names.iter().zip(&self.tables);
        let all = experts.flat_map(|(name, tables)| (0_u8..).zip(tables).map(move |of| (name, of)));
        all.map(|(name, (horizon, table))| CalibrationMemory {
            expert: *name,
            horizon,
            cells: table.cells(),
        })
        .filter(|one| !one.cells.is_empty())
        .collect()
    }

    /// Takes in what is remembered. What was awaited is not, as nobody counted meanwhile; nor has
    /// what came before faded in that time.
    pub(super) fn recall(&mut self, memory: &[CalibrationMemory], names: &[ExpertName], now: Now) {
        for (tables, name) in self.tables.iter_mut().zip(names) {
            for one in memory.iter().filter(|one| one.expert == *name) {
                if let Some(table) = tables.get_mut(usize::from(one.horizon)) {
                    *table = Table::of_cells(&one.cells);
                }
            }
        }
        self.awaited.clear();
        self.looked_in = self.window(now);
    }
}

/// For each bin of what is expected, how likely at least so many touches come.
fn curve(table: Option<&Table>, touches: f64) -> [f64; EXPECTED_BINS] {
    if !touches.is_finite() {
        return [0.0; EXPECTED_BINS];
    }
    let points = std::array::from_fn(|bin| {
        let (came, all) = table.map_or((0.0, 0.0), |table| table.at_least(bin, touches));
        // The most that the bin holds: where nothing was seen, what pays is likely to come.
        let expected = expected_until(bin);
        let before = expected / (expected + touches);
        let weight = all + PRIOR_OUTCOMES;
        ((came + before * PRIOR_OUTCOMES) / weight, weight)
    });
    pooled(points)
}

impl Chances {
    /// Until each horizon: what comes until one has come until the next, too. What is for good is
    /// as likely as what comes until the farthest that has an end, at least.
    pub(crate) fn of(&self, expected: &Expected) -> [f64; HORIZONS] {
        let mut chances = [0.0; HORIZONS];
        let mut likeliest: f64 = 0.0;
        for (horizon, (chance, bins)) in chances.iter_mut().zip(&self.of_bins).enumerate() {
            likeliest = likeliest.max(bins[usize::from(expected_bin(expected.at(horizon)))]);
            *chance = likeliest;
        }
        chances[LAST] = likeliest;
        chances
    }

    /// Until the last horizon.
    pub(crate) fn in_all(&self, expected: &Expected) -> f64 {
        self.of(expected)[LAST]
    }
}

#[cfg(test)]
mod tests;
