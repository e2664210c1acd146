//! Which of the policy's parameters would have been chosen without the trace they are judged on.
//!
//! Each parameter is tried at half and at twice its default, or thereabouts, alone. For each trace
//! that one is chosen which is best on the other traces and on made-up loads, and its figure on the
//! trace left out is shown beside the default's. Two files or more, as `tierctl simulate` takes:
//!
//! ```text
//! cargo run --release -p tier-sim --example choose -- TRACE TRACE...
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table for people, and how far it is"
)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, thread};

use tier_sim::generate::recipes;
use tier_sim::trace::Trace;
use tier_sim::{Devices, Kind, PolicyConfig, Setup, simulate};

/// Shares of what a trace touches that fit on the fast device.
const SHARES: [f64; 3] = [0.05, 0.10, 0.20];
/// The same for made-up loads.
const MADE_UP_SHARES: [f64; 1] = [0.10];

/// A parameter at another value than its default.
struct Setting {
    name: String,
    policy: PolicyConfig,
}

/// Loads that are left out together, or not at all.
struct Group {
    name: String,
    loads: Vec<Trace>,
    shares: &'static [f64],
}

type Parameter = (&'static str, fn(&mut PolicyConfig) -> &mut f64, [f64; 2]);

const PARAMETERS: [Parameter; 3] = [
    (
        "half_life_seconds",
        |of| &mut of.half_life_seconds,
        [5_000.0, 20_000.0],
    ),
    ("hysteresis", |of| &mut of.hysteresis, [1.4, 3.0]),
    ("device_price", |of| &mut of.device_price, [0.5, 2.0]),
];

fn settings() -> Vec<Setting> {
    let mut settings = vec![Setting {
        name: "defaults".to_owned(),
        policy: PolicyConfig::default(),
    }];
    for (name, of, values) in PARAMETERS {
        for value in values {
            let mut policy = PolicyConfig::default();
            *of(&mut policy) = value;
            settings.push(Setting {
                name: format!("{name} {value}"),
                policy,
            });
        }
    }
    settings
}

fn groups() -> Result<Vec<Group>, Box<dyn Error>> {
    let mut groups = Vec::new();
    for path in env::args_os().skip(1).map(PathBuf::from) {
        groups.push(Group {
            name: path.file_stem().unwrap_or_default().display().to_string(),
            loads: vec![Trace::read(&path)?],
            shares: &SHARES,
        });
    }
    if groups.len() < 2 {
        return Err(
            "name two traces or more: each is judged by what the others would choose".into(),
        );
    }
    groups.push(Group {
        name: "made-up loads".to_owned(),
        loads: recipes().iter().map(|recipe| recipe.make(1)).collect(),
        shares: &MADE_UP_SHARES,
    });
    Ok(groups)
}

/// The slow device's time in the second half, as a share of what it would be with everything on it,
/// for each load and share.
fn slow_times(group: &Group, policy: &PolicyConfig) -> Result<Vec<f64>, String> {
    let mut slow_times = Vec::new();
    for load in &group.loads {
        for &share in group.shares {
            let setup = Setup {
                devices: Devices::FastShare(share),
                policy: policy.clone(),
                alone: true,
                ..Setup::default()
            };
            let outcomes = simulate(load, &setup, None).map_err(|error| error.to_string())?;
            let engine = outcomes.iter().find(|one| one.kind == Kind::Engine);
            slow_times.extend(engine.map(|one| one.outcome.second_half.slow_time));
        }
    }
    Ok(slow_times)
}

/// Runs every group by every setting, and gives for each setting and group how much slower it was
/// than with the defaults: the geometric mean over loads and shares.
fn try_all(settings: &[Setting], groups: &[Group]) -> Result<Vec<Vec<f64>>, String> {
    let jobs = settings.len() * groups.len();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![Ok(Vec::new()); jobs]));
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let (Some(setting), Some(group)) = (
                settings.get(job / groups.len()),
                groups.get(job % groups.len()),
            ) else {
                return;
            };
            eprintln!("{job} of {jobs}: {} by {}", group.name, setting.name);
            let slow_times = slow_times(group, &setting.policy);
            let mut done = done
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            if let Some(place) = done.get_mut(job) {
                *place = slow_times;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let done = done.into_iter().collect::<Result<Vec<_>, _>>()?;
    let rows: Vec<&[Vec<f64>]> = done.chunks(groups.len()).collect();
    let defaults = rows.first().copied().unwrap_or_default();
    Ok(rows
        .iter()
        .map(|row| {
            row.iter()
                .zip(defaults)
                .map(|(of, default)| ratio(of, default))
                .collect()
        })
        .collect())
}

fn ratio(of: &[f64], than: &[f64]) -> f64 {
    mean(of.iter().zip(than).map(|(of, than)| of / than))
}

/// The geometric mean.
fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = of.fold((0.0, 0.0), |(sum, count), one| {
        (sum + one.ln(), count + 1.0)
    });
    f64::exp(sum / count)
}

/// The setting that is best without one of the groups.
fn chosen_without(left_out: usize, ratios: &[Vec<f64>]) -> usize {
    let without = |row: &Vec<f64>| {
        let others = row.iter().enumerate().filter(|(at, _)| *at != left_out);
        mean(others.map(|(_, ratio)| *ratio))
    };
    let scores = ratios.iter().map(without).enumerate();
    let best = scores.min_by(|one, other| one.1.total_cmp(&other.1));
    best.map_or(0, |(at, _)| at)
}

fn shown(settings: &[Setting], groups: &[Group], ratios: &[Vec<f64>]) {
    let names: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    println!("Slow device's time in the second half, beside that with the defaults\n");
    println!("| Setting | {} |", names.join(" | "));
    println!("|---|{}", "---|".repeat(names.len()));
    for (setting, row) in settings.iter().zip(ratios) {
        let row: Vec<String> = row.iter().map(|ratio| format!("{ratio:.3}")).collect();
        println!("| {} | {} |", setting.name, row.join(" | "));
    }
    println!("\n| Left out | Chosen by the others | On the one left out |\n|---|---|---|");
    for (left_out, name) in names.iter().enumerate() {
        let chosen = chosen_without(left_out, ratios);
        let row = settings.get(chosen).zip(ratios.get(chosen));
        if let Some((setting, ratio)) = row.and_then(|(one, row)| Some((one, row.get(left_out)?))) {
            println!("| {name} | {} | {ratio:.3} |", setting.name);
        }
    }
}

fn main() -> ExitCode {
    let outcome = groups().and_then(|groups| {
        let settings = settings();
        let ratios = try_all(&settings, &groups)?;
        shown(&settings, &groups, &ratios);
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("choose: {error}");
            ExitCode::FAILURE
        }
    }
}
