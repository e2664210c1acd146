//! Examples from loads that are made up.
//!
//! Owns: which loads, which moments of them, and which groups. Each recipe of
//! [`tier_sim::generate::recipes`] is made with each seed; with each second seed as it stands, and
//! with the others at other paces and rates, so that no day of 24 hours is learned by heart. Traces
//! for judging have seeds of their own.
//!
//! Whether a moment of a group is taken depends on its history alone. If it depended on what came
//! after, forecasts would be off by what was left out.

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tier_core::heat;
use tier_core::units::Micros;
use tier_core::volume::{Class, Profile};
use tier_sim::generate::{Part, Recipe, recipes};
use tier_sim::trace::Trace;

use crate::example::Example;
use tier_network::contract::{
    Codes, GROUP_REGIONS, HORIZON_SECONDS, HORIZONS, SCALES, STEPS, WINDOW_SECONDS, WINDOWS, code,
};

const REGION_BYTES: u64 = 1 << 20;
/// Windows of the finest scale are the grain of all.
const GRAIN_SECONDS: u32 = WINDOW_SECONDS[SCALES - 1];
const GRAIN_MICROS: u64 = GRAIN_SECONDS as u64 * 1_000_000;
/// Grains of the coarsest window.
const GRAINS_MAX: usize = (WINDOW_SECONDS[0] / GRAIN_SECONDS) as usize;
/// Grains of the farthest horizon.
const AHEAD: usize = (HORIZON_SECONDS[HORIZONS - 1] / GRAIN_SECONDS) as usize;
/// Shortest load: a history is 34 hours long, and what comes after it another six.
const SECONDS_MIN: f64 = 54.0 * 3_600.0;
/// Of ten examples of a load, those in whose history nothing was used.
const SILENT_TENTHS: usize = 1;
/// And those in which something was, but not in the last half hour.
const PAST_TENTHS: usize = 3;
/// Draws for each example that is wanted, at most: rare kinds, as the first minutes of a load, are
/// taken so many times as often as they come, and no more.
const DRAWS: usize = 4;
/// Seeds from which examples to judge by are made; those for learning are below.
const JUDGED_SEEDS: u64 = 1 << 32;

/// Examples of one recipe.
#[derive(Clone, Debug)]
pub struct OfRecipe {
    /// Name of the recipe.
    pub name: &'static str,
    /// To learn from.
    pub learned: Vec<Example>,
    /// To judge by: loads of other seeds.
    pub judged: Vec<Example>,
}

/// How many there are to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Seeds to learn from. For each four of them, there is one to judge by, and two at least.
    pub seeds: u64,
    /// Examples of each load.
    pub of_each_load: usize,
}

/// What the network learns from: all recipes but those whose sets follow one another at times that
/// nothing in their own past tells.
fn foreseeable() -> Vec<Recipe> {
    let mut recipes = recipes();
    recipes.retain(|recipe| {
        let mut parts = recipe.parts.iter();
        !parts.any(|part| matches!(part, Part::Jobs(_)))
    });
    recipes
}

/// Makes the examples of all recipes. Tells `progress` of each load that is done, and of how many.
#[must_use]
pub fn make(amount: Amount, mut progress: impl FnMut(usize, usize)) -> Vec<OfRecipe> {
    let judged = (amount.seeds / 4).max(2);
    let recipes = foreseeable();
    let loads = usize::try_from(amount.seeds + judged).unwrap_or(usize::MAX);
    let loads = loads.saturating_mul(recipes.len());
    let mut done = 0;
    let mut of_seeds = |recipe: &Recipe, seeds: Range<u64>| {
        let mut examples = Vec::new();
        for seed in seeds {
            examples.append(&mut of_load(recipe, seed, amount.of_each_load));
            done += 1;
            progress(done, loads);
        }
        examples
    };
    let of_recipe = |recipe: &Recipe| OfRecipe {
        name: recipe.name,
        learned: of_seeds(recipe, 0..amount.seeds),
        judged: of_seeds(recipe, JUDGED_SEEDS..JUDGED_SEEDS + judged),
    };
    recipes.iter().map(of_recipe).collect()
}

/// Examples of one recipe and seed: `count` at most, in no order.
#[must_use]
pub fn of_load(recipe: &Recipe, seed: u64, count: usize) -> Vec<Example> {
    let mut random = Pcg64Mcg::seed_from_u64(seed);
    let mut recipe = recipe.clone();
    recipe.seconds = recipe.seconds.max(SECONDS_MIN);
    if !seed.is_multiple_of(2) {
        for part in &mut recipe.parts {
            *part = varied(*part, &mut random);
        }
    }
    let phase = random.random_range(0..GRAINS_MAX);
    let counts = Counts::of(&recipe.make(seed), recipe.regions, phase);
    draw(&counts, phase, count, &mut random)
}

/// The same at another pace, up to sixteen times as fast and twice as slow, and at a rate between a
/// quarter and four times.
fn varied(part: Part, random: &mut Pcg64Mcg) -> Part {
    let mut slower = |less: f64, more: f64| random.random_range(less..more).exp2();
    let (pace, rate) = (slower(-4.0, 1.0), slower(-2.0, 2.0));
    let mut part = part;
    match &mut part {
        Part::Noise { per_second } => *per_second *= rate,
        Part::Hot {
            per_second,
            drift_seconds,
            ..
        } => {
            *per_second *= rate;
            *drift_seconds *= pace;
        }
        Part::Rhythm {
            period_seconds,
            busy_seconds,
            jitter_seconds,
            per_second,
            ..
        } => {
            *period_seconds *= pace;
            *busy_seconds *= pace;
            *jitter_seconds *= pace;
            *per_second *= rate;
        }
        Part::Turns {
            turn_seconds,
            pause_seconds,
            per_second,
            ..
        } => {
            // Turns are short as they stand.
            *turn_seconds *= 8.0 * pace;
            *pause_seconds *= 8.0 * pace;
            *per_second *= rate;
        }
        Part::Phases {
            phase_seconds,
            per_second,
            ..
        } => {
            *phase_seconds *= 4.0 * pace;
            *per_second *= rate;
        }
        Part::Scans {
            every_seconds,
            bytes_per_second,
            ..
        } => {
            *every_seconds *= pace.max(0.25);
            *bytes_per_second *= rate;
        }
        Part::Jobs(jobs) => {
            jobs.every_seconds *= pace;
            jobs.per_second *= rate;
        }
        Part::Streams {
            every_seconds,
            per_second,
            ..
        }
        | Part::Bursts {
            every_seconds,
            per_second,
            ..
        } => {
            *every_seconds *= pace;
            *per_second *= rate;
        }
    }
    part
}

/// Touches of each group, grain by grain.
struct Counts {
    /// Of each group, the touches before each grain.
    before: Vec<Vec<f64>>,
    grains: usize,
}

impl Counts {
    /// Of a trace that begins so many grains after a window of every scale did.
    fn of(trace: &Trace, regions: u32, phase: usize) -> Self {
        let slowest = Profile::typical(Class::Hdd);
        let grain = |at: Micros| phase + usize::try_from(at.0 / GRAIN_MICROS).unwrap_or(0);
        let grains = grain(trace.span()) + 1;
        let groups = regions.div_ceil(GROUP_REGIONS) as usize;
        let mut before = vec![vec![0.0; grains + 1]; groups];
        tier_sim::each_touch(trace, REGION_BYTES, |at, count| {
            let group = before.get_mut((count.region.0 / GROUP_REGIONS) as usize);
            if let Some(sum) = group.and_then(|group| group.get_mut(grain(at) + 1)) {
                *sum += heat::touches(count, slowest);
            }
        });
        for group in &mut before {
            let mut sum = 0.0;
            for one in group {
                sum += *one;
                *one = sum;
            }
        }
        Self { before, grains }
    }

    /// Touches of a group from one grain to before another.
    fn between(&self, group: usize, from: usize, until: usize) -> f64 {
        let Some(before) = self.before.get(group) else {
            return 0.0;
        };
        let at = |grain: usize| before.get(grain).or(before.last()).copied().unwrap_or(0.0);
        (at(until) - at(from)).max(0.0)
    }

    /// A group's history when a grain begins.
    fn codes(&self, group: usize, now: usize) -> Codes {
        let mut codes = [0; STEPS];
        let scales = codes.chunks_exact_mut(WINDOWS).zip(WINDOW_SECONDS);
        for (codes, seconds) in scales {
            let grains = (seconds / GRAIN_SECONDS) as usize;
            let ended = now / grains;
            for (at, own) in codes.iter_mut().enumerate() {
                // Windows before the first one are silent.
                if let Some(window) = (ended + at).checked_sub(WINDOWS) {
                    let from = window * grains;
                    *own = code(self.between(group, from, from + grains));
                }
            }
        }
        codes
    }

    /// What comes after it.
    fn touches(&self, group: usize, now: usize) -> [f32; HORIZONS] {
        HORIZON_SECONDS.map(|seconds| {
            let until = now + (seconds / GRAIN_SECONDS) as usize;
            #[allow(clippy::cast_possible_truncation, reason = "a count needs no 53 bits")]
            let touches = self.between(group, now, until) as f32;
            touches
        })
    }
}

/// Kinds of histories: nothing in it, nothing in its last half hour, all others.
fn kind(codes: &Codes) -> usize {
    let is_silent = |codes: &[u8]| codes.iter().all(|code| *code == 0);
    if is_silent(codes) {
        0
    } else if is_silent(&codes[STEPS - WINDOWS..]) {
        1
    } else {
        2
    }
}

/// Draws moments of groups until there are enough of each kind, or it takes too long.
fn draw(counts: &Counts, phase: usize, count: usize, random: &mut Pcg64Mcg) -> Vec<Example> {
    let Some(last) = counts
        .grains
        .checked_sub(AHEAD)
        .filter(|last| *last > phase + 1)
    else {
        return Vec::new();
    };
    let mut left = [
        count * SILENT_TENTHS / 10,
        count * PAST_TENTHS / 10,
        count * (10 - SILENT_TENTHS - PAST_TENTHS) / 10,
    ];
    let mut examples = Vec::with_capacity(count);
    for _ in 0..count * DRAWS {
        let group = random.random_range(0..counts.before.len());
        let now = random.random_range(phase + 1..last);
        let codes = counts.codes(group, now);
        let left = &mut left[kind(&codes)];
        if *left > 0 {
            *left -= 1;
            let touches = counts.touches(group, now);
            examples.push(Example {
                at_seconds: now as u64 * u64::from(GRAIN_SECONDS),
                codes,
                touches,
            });
        }
        if examples.len() == count {
            break;
        }
    }
    examples
}

#[cfg(test)]
mod tests;
