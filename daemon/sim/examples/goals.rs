//! The table of goals: how the engine stands beside rivals and bounds, as FIGURES.md shows it.
//!
//! Traces, as `tierctl simulate` takes them, each with a fast device for 0.05, 0.10 and 0.20 of what
//! it touches; without any, the loads that are made up. All of it takes many minutes:
//!
//! ```text
//! cargo run --release -p tier-sim --example goals -- TRACE...
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table for people, and how far it is"
)]

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::{env, thread};

use tier_sim::generate::recipes;
use tier_sim::goals::{Figure, Goals, Run, Standing};
use tier_sim::trace::Trace;
use tier_sim::{Devices, Setup, simulate};

/// Shares of what a trace touches that fit on the fast device.
const SHARES: [f64; 3] = [0.05, 0.10, 0.20];

fn loads() -> Result<Vec<(String, Trace)>, Box<dyn Error>> {
    let paths: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if paths.is_empty() {
        let made_up = recipes().into_iter();
        return Ok(made_up
            .map(|one| (one.name.to_owned(), one.make(1)))
            .collect());
    }
    let mut loads = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap_or_default().display().to_string();
        loads.push((name.replace(".csv.zst", ""), Trace::read(&path)?));
    }
    Ok(loads)
}

fn run(load: &(String, Trace), fast_share: f64) -> Result<Run, String> {
    let setup = Setup {
        devices: Devices::FastShare(fast_share),
        ..Setup::default()
    };
    let outcomes = simulate(&load.1, &setup, None).map_err(|error| error.to_string())?;
    Ok(Run {
        load: load.0.clone(),
        fast_share,
        outcomes,
    })
}

/// Runs every load with every share, on all processors.
fn run_all(loads: &[(String, Trace)]) -> Result<Vec<Run>, String> {
    let jobs = loads.len() * SHARES.len();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; jobs]));
    let work = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            let (Some(load), Some(&share)) = (
                loads.get(job / SHARES.len()),
                SHARES.get(job % SHARES.len()),
            ) else {
                return;
            };
            eprintln!("{job} of {jobs}: {} at {share}", load.0);
            let run = run(load, share);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = done.get_mut(job) {
                *place = Some(run);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.into_iter().flatten().collect()
}

fn figure(of: &Figure) -> String {
    format!("{:.3} ({})", of.slow_time, of.name)
}

fn row(one: &Standing, runs: &[Run]) -> String {
    let run = runs
        .iter()
        .find(|run| run.load == one.load && run.fast_share.total_cmp(&one.fast_share).is_eq());
    let of = |name: &str| {
        let outcomes = run.map_or(&[][..], |run| &run.outcomes);
        let of = outcomes.iter().find(|of| of.name == name && of.timed);
        of.map_or_else(String::new, |of| {
            format!("{:.2}", of.outcome.second_half.slow_time)
        })
    };
    format!(
        "| {} | {:.2} | {:.3} | {} | {} | {} | {} | {:.3} | {:.3} | {:.2} |",
        one.load,
        one.fast_share,
        one.engine,
        figure(&one.best),
        one.fair.as_ref().map_or_else(String::new, figure),
        of("smq"),
        of("lru"),
        one.learnable.slow_time,
        one.bound.slow_time,
        one.beside_best(),
    )
}

fn named<'a>(runs: impl Iterator<Item = &'a Standing>) -> String {
    let names: Vec<String> = runs
        .map(|one| format!("{} {:.2}", one.load, one.fast_share))
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

fn show(runs: &[Run]) {
    let goals = Goals::of(runs);
    println!(
        "| Trace | Fast share | tierd | Best rival | Fair rival | dm-cache's smq | LRU | Learnable \
         | Bound | tierd beside best rival |\n|{}",
        "---|".repeat(10)
    );
    for one in &goals.standings {
        println!("{}", row(one, runs));
    }
    println!("\nOf {} runs:", goals.standings.len());
    println!(
        "- not better than the fair rival: {}",
        named(goals.behind_fair())
    );
    println!(
        "- over 3 % above the best rival: {}",
        named(goals.behind_best())
    );
    println!(
        "- over 5 % above doing nothing: {}",
        named(goals.above_nothing())
    );
    if let (Some(beside), Some(way)) = (goals.beside_best(), goals.way()) {
        println!("- beside the best rival, on average: {beside:.3} times");
        println!("- of the way from it to what may be learned, on average: {way:.2}");
    }
}

fn main() -> ExitCode {
    let outcome = loads().and_then(|loads| {
        show(&run_all(&loads)?);
        Ok(())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("goals: {error}");
            ExitCode::FAILURE
        }
    }
}
