//! `tierctl simulate`: what tiering would make of a recorded load.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use tier_config::{ConfigError, load_policy};
use tier_network::{BASE_MODEL, Network, Runtime};
use tier_sim::generate::{Recipe, recipes};
use tier_sim::trace::{Trace, TraceError};
use tier_sim::{
    Bytes, Class, Devices, GroupHistory, Kind, MemberSetup, MemberWearStatus, MoneyStatus,
    PolicyConfig, PolicyOutcome, Profile, Setup, SimulateError, simulate,
};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{parse_size, percent, seconds, size};

#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// Traces: tierd's own CSV, an MSR Cambridge CSV, blkparse text or a fio iolog; plain or zstd
    ///
    /// The first line of tierd's own is `timestamp_us,op,offset_bytes,length_bytes`, and `op` is R
    /// or W.
    #[arg(
        long = "trace",
        value_name = "FILE",
        required_unless_present = "made_up",
        num_args = 1..
    )]
    traces: Vec<PathBuf>,
    /// Loads that are made up: hot, daily, weekly, phases, turns, jobs, streams, bursts, drift or
    /// mixed; the same seed gives the same load
    #[arg(long, value_name = "RECIPE[:SEED]", num_args = 1.., value_parser = parse_recipe)]
    made_up: Vec<MadeUp>,
    /// How much of what a trace touches fits on an NVMe device before a hard disk
    #[arg(long, value_name = "SHARE", default_value = "0.10", value_parser = parse_share)]
    fast_share: f64,
    /// A member instead, as in nvme:400G: class, capacity and, if it is known, how fast it is
    ///
    /// Classes are nvme, ssd and hdd. A profile that was measured is written as microseconds of a
    /// read, of a write, and MB per second: hdd:8T:9000/11000/210. Without one, members are taken
    /// to be as fast as most of their class: nvme an NVMe drive, 90/30/2000; ssd one on SATA,
    /// 200/100/500; hdd a disk of 7,200 turns a minute, 8000/8000/180.
    #[arg(
        long = "member",
        value_name = "CLASS:SIZE[:PROFILE]",
        value_parser = parse_member,
        conflicts_with = "fast_share"
    )]
    members: Vec<MemberSetup>,
    /// Let the engine ask a network too, run by ONNX Runtime: `base` for the one that comes with
    /// tierd, or an ONNX file that `tierd-learn` has written
    #[arg(long, value_name = "base|FILE")]
    model: Option<PathBuf>,
    /// Let the engine go by the policy of this file: the sections [policy] and [policy.wear] of the
    /// daemon's configuration, and no others
    ///
    /// What it does not say is as in a daemon that was told nothing. Members of a simulation have no
    /// UUIDs, so that endurance and prices are given by their class.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Leave out the policies that react and the bounds, which take the most of the time
    #[arg(long)]
    alone: bool,
}

/// A load that is made up.
#[derive(Clone, Debug)]
struct MadeUp {
    recipe: Recipe,
    seed: u64,
}

/// What came of one trace.
#[derive(Debug, Serialize)]
struct Simulated {
    trace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fast_share: Option<f64>,
    /// Name of the best of those that know the future: nobody who does not can reach it.
    #[serde(skip_serializing_if = "Option::is_none")]
    bound: Option<String>,
    policies: Vec<PolicyOutcome>,
}

impl Simulate {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let fast_share = self.members.is_empty().then_some(self.fast_share);
        let devices = match fast_share {
            Some(share) => Devices::FastShare(share),
            None => Devices::Members(self.members),
        };
        let policy = match &self.policy {
            Some(path) => load_policy(path).map_err(|error| unusable(&error))?,
            None => PolicyConfig::default(),
        };
        let setup = Setup {
            region_size: devices.region_size(),
            devices,
            policy,
            alone: self.alone,
        };
        let mut network = self.model.as_deref().map(network).transpose()?;
        let read = self.traces.iter().map(|path| -> Result<_, Failure> {
            let trace = Trace::read(path).map_err(|error| unreadable(&error))?;
            Ok((path.display().to_string(), trace))
        });
        let made_up = self.made_up.iter().map(|MadeUp { recipe, seed }| {
            let name = format!("{}:{seed}", recipe.name);
            Ok((name, recipe.make(*seed)))
        });
        for named in read.chain(made_up) {
            let (name, trace) = named?;
            let policies =
                run(&trace, &setup, network.as_mut()).map_err(|error| impossible(&name, &error))?;
            let simulated = Simulated {
                trace: name,
                fast_share,
                bound: best_bound(&policies).map(str::to_owned),
                policies,
            };
            printer.show(&simulated, |simulated, look| shown(simulated, &trace, look))?;
        }
        Ok(())
    }
}

/// The network of a model.
fn network(model: &Path) -> Result<Network, Failure> {
    let bytes = if model == Path::new("base") {
        BASE_MODEL.to_vec()
    } else {
        let unreadable = |error| Failure::new(Exit::Io, format!("{}: {error}", model.display()));
        std::fs::read(model).map_err(unreadable)?
    };
    let runtime =
        Runtime::load(None).map_err(|error| Failure::new(Exit::Unavailable, error.to_string()))?;
    Network::new(&runtime, &bytes)
        .map_err(|error| Failure::new(Exit::Invalid, format!("{}: {error}", model.display())))
}

fn run(
    trace: &Trace,
    setup: &Setup,
    network: Option<&mut Network>,
) -> Result<Vec<PolicyOutcome>, SimulateError> {
    let Some(network) = network else {
        return simulate(trace, setup, None);
    };
    // What the network cannot forecast is left to the other experts, as in the daemon.
    let mut ask = |groups: &[GroupHistory]| network.forecast_groups(groups).unwrap_or_default();
    simulate(trace, setup, Some(&mut ask))
}

fn best_bound(policies: &[PolicyOutcome]) -> Option<&str> {
    let slow_time = |one: &&PolicyOutcome| one.outcome.whole.slow_time;
    let bounds = policies.iter().filter(|one| one.kind == Kind::Bound);
    let best = bounds.min_by(|one, other| slow_time(one).total_cmp(&slow_time(other)));
    best.map(|best| best.name.as_str())
}

fn unusable(error: &ConfigError) -> Failure {
    match error {
        ConfigError::Read { source, .. } => {
            Failure::new(Exit::Io, format!("{error}: {source}")).with_errno(source.raw_os_error())
        }
        ConfigError::Invalid { .. } | ConfigError::Write(_) => {
            Failure::new(Exit::Invalid, error.to_string())
        }
    }
}

fn unreadable(error: &TraceError) -> Failure {
    let exit = match error {
        TraceError::Io { .. } => Exit::Io,
        TraceError::Unknown { .. } | TraceError::Line { .. } | TraceError::Empty(_) => {
            Exit::Invalid
        }
    };
    Failure::new(exit, error.to_string())
}

fn impossible(name: &str, error: &SimulateError) -> Failure {
    let exit = match error {
        SimulateError::Latched(_) => Exit::Internal,
        SimulateError::NoMembers | SimulateError::OneClass(_) | SimulateError::TooSmall { .. } => {
            Exit::Invalid
        }
    };
    Failure::new(exit, format!("{name}: {error}"))
}

fn parse_recipe(text: &str) -> Result<MadeUp, String> {
    let (name, seed) = text.split_once(':').unwrap_or((text, "1"));
    let seed = seed
        .parse()
        .map_err(|_| format!("{seed:?} is no seed; write a whole number"))?;
    let recipe = recipes().into_iter().find(|recipe| recipe.name == name);
    recipe.map(|recipe| MadeUp { recipe, seed }).ok_or_else(|| {
        let names: Vec<&str> = recipes().iter().map(|recipe| recipe.name).collect();
        format!("no recipe {name:?}; there are {}", names.join(", "))
    })
}

fn parse_member(text: &str) -> Result<MemberSetup, String> {
    let wrong = || {
        format!("{text:?} is no member; write CLASS:SIZE, as in nvme:400G, or CLASS:SIZE:PROFILE")
    };
    let mut parts = text.splitn(3, ':');
    let class = parts.next().and_then(class).ok_or_else(wrong)?;
    let capacity = parse_size(parts.next().ok_or_else(wrong)?)?;
    let profile = match parts.next() {
        Some(profile) => parse_profile(profile)?,
        None => Profile::typical(class),
    };
    Ok(MemberSetup {
        class,
        capacity: Bytes(capacity),
        profile,
    })
}

fn class(name: &str) -> Option<Class> {
    Class::ALL.into_iter().find(|class| class.name() == name)
}

fn parse_profile(text: &str) -> Result<Profile, String> {
    let numbers: Vec<f64> = text
        .split('/')
        .filter_map(|number| number.parse().ok())
        .filter(|number: &f64| number.is_finite() && *number > 0.0)
        .collect();
    match (numbers.as_slice(), text.split('/').count()) {
        (&[read_micros, write_micros, megabytes], 3) => Ok(Profile {
            read_seconds: read_micros / 1e6,
            write_seconds: write_micros / 1e6,
            bytes_per_second: megabytes * 1e6,
        }),
        _ => Err(format!(
            "{text:?} is no profile; write microseconds of a read, of a write, and MB per second, \
             as in 8000/8000/180"
        )),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a share is a number above 0 and up to 1, such as 0.1".to_owned()),
    }
}

fn shown(simulated: &Simulated, trace: &Trace, look: Look) -> String {
    let columns = [
        Column::Left("POLICY"),
        Column::Right("SLOW TIME"),
        Column::Right("2ND HALF"),
        Column::Right("MEAN"),
        Column::Right("P99"),
        Column::Right("FAST"),
        Column::Right("MOVED"),
    ];
    let row = |one: &PolicyOutcome| {
        let (whole, second) = (&one.outcome.whole, &one.outcome.second_half);
        vec![
            name(one, simulated.bound.as_deref()),
            percent(whole.slow_time),
            percent(second.slow_time),
            latency(whole.mean_us),
            latency(whole.p99_us),
            percent(whole.fast_requests),
            size(whole.moved_bytes),
        ]
    };
    format!(
        "{}: {} requests in {}{}\n{}\n{}",
        simulated.trace,
        trace.requests.len(),
        seconds(to_seconds(trace.span().0)),
        simulated
            .fast_share
            .map(|share| format!(", {} of what it touches on the fast device", percent(share)))
            .unwrap_or_default(),
        table(look, &columns, simulated.policies.iter().map(row)),
        simulated.policies.iter().map(wear).collect::<String>(),
    )
}

/// What a policy wore flash for, a line for each member and one for money.
fn wear(one: &PolicyOutcome) -> String {
    let name = &one.name;
    let member = |member: &MemberWearStatus| {
        format!(
            "Wear by {name}, member {} ({}): {} written of {} allowed by then, {} a year; in the end {} \
             a GiB\n",
            member.member.0,
            member.class.name(),
            size(whole(member.written_bytes)),
            size(whole(member.allowed_bytes)),
            size(whole(member.bytes_per_year)),
            seconds(member.seconds_per_gib),
        )
    };
    let money = |money: MoneyStatus| {
        let budget = (money.per_year > 0.0).then(|| {
            let (allowed, per_year) = (money.allowed, money.per_year);
            format!(" of {allowed:.2} allowed by then, {per_year:.2} a year")
        });
        let budget = budget.unwrap_or_default();
        format!(
            "Money for wear by {name}: {:.2} spent{budget}\n",
            money.spent
        )
    };
    one.wear.as_ref().map_or_else(String::new, |wear| {
        let members = wear.members.iter().map(member);
        members.chain(wear.money.map(money)).collect()
    })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes that were written or may be, shown with three digits"
)]
fn whole(bytes: f64) -> u64 {
    bytes.max(0.0) as u64
}

fn name(one: &PolicyOutcome, bound: Option<&str>) -> String {
    match (one.kind, one.timed) {
        (Kind::Reactive, false) => format!("{}, ideal", one.name),
        (Kind::Bound, _) if bound == Some(&one.name) => {
            format!("{} (the bound: out of reach)", one.name)
        }
        (Kind::Bound, _) => format!("{} (knows the future)", one.name),
        _ => one.name.clone(),
    }
}

fn latency(micros: f64) -> String {
    seconds(micros / 1e6)
}

#[allow(clippy::cast_precision_loss, reason = "a time for people")]
fn to_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
