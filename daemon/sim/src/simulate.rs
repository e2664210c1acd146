//! A trace, run by the engine and by its rivals.
//!
//! Owns: who takes part, and on what members. Everyone gets the same devices and the same fast
//! regions; the engine leaves its headroom free of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tier_core::PolicyConfig;
use tier_core::units::{MemberIndex, RegionSize};
use tier_core::volume::{Class, Profile};

use crate::engine::EngineDriver;
use crate::outcome::Outcome;
use crate::reactive::{Reactive, Rule};
use crate::still::Still;
use crate::trace::Trace;
use crate::world::{Driver, MemberSpec, World};

/// The slow member, beside the fast member 0.
const SLOW: MemberIndex = MemberIndex(1);
/// Touches at which the rivals promote, and the windows in which these must lie.
const TOUCHES: [usize; 4] = [2, 3, 5, 10];
const WINDOWS: [(&str, u64); 2] = [("minute", 60), ("hour", 3600)];

/// What a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ours.
    Engine,
    /// One that reacts.
    Reactive,
    /// One that moves nothing.
    Static,
}

/// A policy, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyOutcome {
    /// How it is called.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Whether its moves take time and load the devices.
    pub timed: bool,
    /// What it was told, by name.
    pub params: BTreeMap<&'static str, f64>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a trace is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Size of a region.
    pub region_size: RegionSize,
    /// Share of the touched regions that the fast tier holds.
    pub fast_share: f64,
    /// The engine's parameters.
    pub policy: PolicyConfig,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            region_size: RegionSize::MIN,
            fast_share: 0.10,
            policy: PolicyConfig::default(),
        }
    }
}

/// Why a trace could not be run to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// A defect of the engine.
    #[error("the engine found one of its rules broken and stopped moving: {0}; please report this")]
    Latched(String),
}

/// Runs a trace by everyone, and tells how each fared.
///
/// # Errors
/// When the engine finds one of its own rules broken.
pub fn simulate(trace: &Trace, setup: &Setup) -> Result<Vec<PolicyOutcome>, SimulateError> {
    let field = Field::new(trace, setup);
    let mut all = vec![
        field.run("all-slow", Kind::Static, Still::all_on(SLOW)).0,
        field
            .run("all-fast", Kind::Static, Still::all_on(MemberIndex(0)))
            .0,
        field
            .run(
                "best-static",
                Kind::Static,
                Still::best(trace, field.region_bytes, field.fast_regions, SLOW),
            )
            .0,
    ];
    let (engine, driver) = field.run("engine", Kind::Engine, field.engine(setup));
    if let Some(why) = driver.latched() {
        return Err(SimulateError::Latched(why.to_owned()));
    }
    all.push(engine);
    for is_timed in [true, false] {
        for (name, rule) in rules() {
            let driver =
                Reactive::new(rule, is_timed, field.fast_regions, field.region_bytes, SLOW);
            let (mut one, _) = field.run(&name, Kind::Reactive, driver);
            one.timed = is_timed;
            one.params = params(rule);
            all.push(one);
        }
    }
    if let Some(all_slow) = all.first().map(|one| one.outcome) {
        for one in &mut all {
            one.outcome.compare(&all_slow);
        }
    }
    Ok(all)
}

/// A rule as people read it. A window that never ends is not named.
#[allow(clippy::cast_precision_loss, reason = "small counts and whole seconds")]
fn params(rule: Rule) -> BTreeMap<&'static str, f64> {
    let mut params = BTreeMap::from([("touches", rule.touches as f64)]);
    if rule.window_nanos < u64::MAX {
        params.insert("window_seconds", rule.window_nanos as f64 / 1e9);
    }
    params
}

/// The rules of the rivals that react.
fn rules() -> Vec<(String, Rule)> {
    let lru = Rule {
        touches: 1,
        window_nanos: u64::MAX,
    };
    let mut rules = vec![("lru".to_owned(), lru)];
    for touches in TOUCHES {
        for (name, seconds) in WINDOWS {
            let rule = Rule {
                touches,
                window_nanos: seconds * 1_000_000_000,
            };
            rules.push((format!("touch-{touches}-{name}"), rule));
        }
    }
    rules
}

/// The members for a trace.
struct Field<'trace> {
    trace: &'trace Trace,
    region_bytes: u64,
    regions: u32,
    fast_regions: u32,
    members: [MemberSpec; 2],
}

impl<'trace> Field<'trace> {
    fn new(trace: &'trace Trace, setup: &Setup) -> Self {
        let region_bytes = setup.region_size.bytes_of(1).0;
        let touched: BTreeSet<u64> = trace
            .requests
            .iter()
            .flat_map(|one| {
                one.offset.0 / region_bytes..=(one.offset.0 + one.length.0 - 1) / region_bytes
            })
            .collect();
        let regions = u32::try_from(trace.end().0.div_ceil(region_bytes)).unwrap_or(u32::MAX);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a share of a small count"
        )]
        let fast_regions = ((touched.len() as f64 * setup.fast_share).round() as u32).max(1);
        let member = |class, regions| MemberSpec {
            class,
            regions,
            profile: Profile::typical(class),
        };
        Self {
            trace,
            region_bytes,
            regions,
            fast_regions,
            // The slow member has room beside the data, as a volume's members have.
            members: [
                member(Class::Nvme, fast_regions),
                member(
                    Class::Hdd,
                    regions.saturating_add(regions / 4).saturating_add(64),
                ),
            ],
        }
    }

    fn engine(&self, setup: &Setup) -> EngineDriver {
        let (size, policy) = (setup.region_size, setup.policy.clone());
        EngineDriver::new(policy, size, self.regions, &self.members)
    }

    fn run<D: Driver>(&self, name: &str, kind: Kind, driver: D) -> (PolicyOutcome, D) {
        let world = World::new(self.trace, &self.members, self.region_bytes, driver);
        let (outcome, driver) = world.run();
        let outcome = PolicyOutcome {
            name: name.to_owned(),
            kind,
            timed: true,
            params: BTreeMap::new(),
            outcome,
        };
        (outcome, driver)
    }
}

#[cfg(test)]
mod tests;
