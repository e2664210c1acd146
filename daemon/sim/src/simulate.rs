//! A trace, run by the engine and by its rivals.
//!
//! Owns: who takes part, and what they are called.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::Serialize;
use tier_core::PolicyConfig;
use tier_core::units::{Bytes, MemberIndex, RegionSize};
use tier_core::volume::Class;
use tier_core::wear::WearStatus;

use crate::bounds::{Belady, Clairvoyant, MoveCost, Names};
use crate::engine::{EngineDriver, Forecaster};
use crate::field::{Devices, Field};
use crate::future::Future;
use crate::outcome::Outcome;
use crate::rivals::Chooser;
use crate::rivals::arc::Arc;
use crate::rivals::epochs::Epochs;
use crate::rivals::s3fifo::S3Fifo;
use crate::rivals::smq::Smq;
use crate::rivals::stock::{Stock, Tiers};
use crate::rivals::touches::{Rule, Touches};
use crate::still::Still;
use crate::trace::Trace;
use crate::world::{Driver, MemberSpec, World};

/// The slow member, beside the fast member 0.
const SLOW: MemberIndex = MemberIndex(1);
/// Touches at which the rivals promote, and the windows in which these must lie.
const TOUCHES: [u32; 4] = [2, 3, 5, 10];
const WINDOWS: [(&str, u32); 2] = [("minute", 60), ("hour", 3600)];
/// Epochs of the one that counts.
const EPOCHS: [(&str, u32); 3] = [("5-minutes", 300), ("hour", 3600), ("day", 86_400)];
/// Epochs of those that know the future.
const FORESEEN: [(&str, u32); 5] = [
    ("10-seconds", 10),
    ("minute", 60),
    ("5-minutes", 300),
    ("hour", 3600),
    ("day", 86_400),
];
const SECOND_NANOS: u64 = 1_000_000_000;

/// Numbers that a policy was given, by name.
pub type Params = BTreeMap<&'static str, f64>;

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
    /// One that knows the future, and that no policy can be.
    Bound,
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
    pub params: Params,
    /// How much of its budgets of wear it used, and what wear cost it in the end; the engine's only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wear: Option<WearStatus>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// How a trace is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Setup {
    /// Size of a region.
    pub region_size: RegionSize,
    /// Which devices there are.
    pub devices: Devices,
    /// The engine's parameters.
    pub policy: PolicyConfig,
    /// Whether those that react and those that know the future are left out, which takes the
    /// most of the time.
    pub alone: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            region_size: RegionSize::MIN,
            devices: Devices::FastShare(0.10),
            policy: PolicyConfig::default(),
            alone: false,
        }
    }
}

/// Why a trace could not be run to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    /// There is no member.
    #[error("no member was named")]
    NoMembers,
    /// All members are of one class.
    #[error(
        "all members are of class {0}, so that nothing could be moved; name two classes at least"
    )]
    OneClass(Class),
    /// The trace reaches beyond the volume.
    #[error(
        "the trace reaches to byte {wanted}, and a volume of these members ends at byte {have}: of \
         each member, {headroom_percent} % are left free; name larger members, or more of them"
    )]
    TooSmall {
        /// The end of the trace.
        wanted: Bytes,
        /// The end of the volume.
        have: Bytes,
        /// What is left free.
        headroom_percent: u8,
    },
    /// A defect of the engine.
    #[error("the engine found one of its rules broken and stopped moving: {0}; please report this")]
    Latched(String),
}

/// Runs a trace by everyone, and tells how each fared. The engine asks `forecaster`, if there is
/// one.
///
/// # Errors
/// When the trace does not fit the members, or the engine finds one of its own rules broken.
pub fn simulate<'a>(
    trace: &Trace,
    setup: &Setup,
    forecaster: Option<&'a mut Forecaster<'a>>,
) -> Result<Vec<PolicyOutcome>, SimulateError> {
    let field = Field::new(trace, setup)?;
    let mut all = vec![
        field.run("all-slow", Kind::Static, Still::all_on(SLOW)).0,
        field
            .run("all-fast", Kind::Static, Still::all_on(MemberIndex(0)))
            .0,
        field
            .run(
                "best-static",
                Kind::Static,
                Still::best(trace, field.region_bytes, field.fast_regions(), SLOW),
            )
            .0,
    ];
    let (mut engine, driver) = field.run_engine(setup, forecaster);
    engine.wear = Some(driver.wear());
    if let Some(why) = driver.latched() {
        return Err(SimulateError::Latched(why.to_owned()));
    }
    all.push(engine);
    if !setup.alone {
        all.extend(field.run_others());
    }
    if let Some(all_slow) = all.first().map(|one| one.outcome) {
        for one in &mut all {
            one.outcome.compare(&all_slow);
        }
    }
    Ok(all)
}

impl Field<'_> {
    fn run_engine<'a>(
        &self,
        setup: &Setup,
        forecaster: Option<&'a mut Forecaster<'a>>,
    ) -> (PolicyOutcome, EngineDriver<'a>) {
        let policy = setup.policy.clone();
        let driver = EngineDriver::new(policy, setup.region_size, self, forecaster);
        self.run_on("engine", Kind::Engine, &self.members, driver)
    }

    /// Those that react, and those that know the future.
    fn run_others(&self) -> Vec<PolicyOutcome> {
        let mut all = Vec::new();
        for is_timed in [true, false] {
            for (name, params, chooser) in self.rivals() {
                let driver = Stock::new(chooser, is_timed, self.tiers());
                let (mut one, _) = self.run(&name, Kind::Reactive, driver);
                one.timed = is_timed;
                one.params = params;
                all.push(one);
            }
        }
        for (name, params, chooser) in self.bounds() {
            let driver = Stock::new(chooser, false, self.tiers());
            let (mut one, _) = self.run(&name, Kind::Bound, driver);
            one.timed = false;
            one.params = params;
            all.push(one);
        }
        all
    }

    const fn tiers(&self) -> Tiers {
        Tiers {
            fast_regions: self.fast_regions(),
            region_bytes: self.region_bytes,
            slow: SLOW,
        }
    }

    /// The rivals: name, parameters, and who decides.
    fn rivals(&self) -> Vec<(String, Params, Box<dyn Chooser>)> {
        let fast = self.fast_regions();
        let lru = Rule {
            touches: 1,
            window_nanos: u64::MAX,
        };
        let mut all: Vec<(String, Params, Box<dyn Chooser>)> = vec![
            ("lru".into(), Params::new(), Box::new(Touches::new(lru))),
            ("arc".into(), Params::new(), Box::new(Arc::new(fast))),
            ("s3-fifo".into(), Params::new(), Box::new(S3Fifo::new(fast))),
            (
                "smq".into(),
                Params::new(),
                Box::new(Smq::new(fast, self.regions)),
            ),
        ];
        for touches in TOUCHES {
            for (name, seconds) in WINDOWS {
                let rule = Rule {
                    touches: touches as usize,
                    window_nanos: u64::from(seconds) * SECOND_NANOS,
                };
                let params = Params::from([
                    ("touches", f64::from(touches)),
                    ("window_seconds", f64::from(seconds)),
                ]);
                let name = format!("touch-{touches}-{name}");
                all.push((name, params, Box::new(Touches::new(rule))));
            }
        }
        for (name, seconds) in EPOCHS {
            let params = Params::from([("epoch_seconds", f64::from(seconds))]);
            let period = u64::from(seconds) * SECOND_NANOS;
            let name = format!("epoch-{name}");
            all.push((name, params, Box::new(Epochs::new(period, fast))));
        }
        all
    }

    /// Those that know the future.
    fn bounds(&self) -> Vec<(String, Params, Box<dyn Chooser>)> {
        let slow = self.slow();
        let future = Rc::new(Future::of(self.trace, self.region_bytes, slow));
        #[allow(clippy::cast_precision_loss, reason = "a power of two")]
        let transfer_seconds = self.region_bytes as f64 / slow.profile.bytes_per_second;
        let cost = MoveCost {
            to_come_seconds: slow.profile.read_seconds + transfer_seconds,
            to_leave_seconds: slow.profile.write_seconds + transfer_seconds,
        };
        let fast = self.fast_regions();
        let belady = Belady::new(Rc::clone(&future), cost, fast);
        let mut all: Vec<(String, Params, Box<dyn Chooser>)> =
            vec![("belady".into(), Params::new(), Box::new(belady))];
        for (kind, names) in [("clairvoyant", Names::All), ("learnable", Names::Learnable)] {
            for (name, seconds) in FORESEEN {
                let period = u64::from(seconds) * SECOND_NANOS;
                let future = Rc::clone(&future);
                let one = Clairvoyant::new(future, cost, names, period, fast);
                let params = Params::from([("epoch_seconds", f64::from(seconds))]);
                all.push((format!("{kind}-{name}"), params, Box::new(one)));
            }
        }
        all
    }

    fn run<D: Driver>(&self, name: &str, kind: Kind, driver: D) -> (PolicyOutcome, D) {
        self.run_on(name, kind, &self.pair, driver)
    }

    fn run_on<D: Driver>(
        &self,
        name: &str,
        kind: Kind,
        members: &[MemberSpec],
        driver: D,
    ) -> (PolicyOutcome, D) {
        let world = World::new(self.trace, members, self.region_bytes, driver);
        let (outcome, driver) = world.run();
        let outcome = PolicyOutcome {
            name: name.to_owned(),
            kind,
            timed: true,
            params: Params::new(),
            wear: None,
            outcome,
        };
        (outcome, driver)
    }
}

#[cfg(test)]
mod calibration;
#[cfg(test)]
mod deadlines;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod touch;
#[cfg(test)]
mod turns;
#[cfg(test)]
mod wear;
