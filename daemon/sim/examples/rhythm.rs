//! Where there is a rhythm: how much of each load comes at times that could be known beforehand.
//!
//! A group of 64 regions of 1 MiB has a rhythm if a period is found in its use during the first half
//! (the lag at which the use resembles itself most), and in the second half the use after that same
//! lag resembles itself by 0.3 or more. Shown is the share of the second half's requests that such
//! groups get. Files as `tierctl simulate` takes, and made-up loads besides:
//!
//! ```text
//! cargo run --release -p tier-sim --example rhythm -- TRACE...
//! ```

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table for people"
)]

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use tier_core::forecast::autocorrelation;
use tier_sim::generate::recipes;
use tier_sim::trace::{Trace, TraceError};

/// Bytes of a group: as the rhythm's own.
const GROUP_BYTES: u64 = 64 << 20;
/// Windows on which a period is looked for, in seconds: as the rhythm's own.
const WINDOWS_SECONDS: [u64; 4] = [60, 480, 3_840, 30_720];
/// The shortest period, in windows.
const LAG_MIN: usize = 4;
/// A half must have so many periods.
const PERIODS_MIN: usize = 2;
/// Resemblance from which a period is one.
const RESEMBLANCE_MIN: f64 = 0.3;

/// Requests of a group in each window of one half.
type Half = Vec<f64>;

/// The lag at which a half resembles itself most, if it does.
fn period(half: &[f64]) -> Option<usize> {
    let longest = half.len() / PERIODS_MIN;
    let all = autocorrelation(half, longest + 1)?;
    let is_peak = |lag: &usize| all[*lag] >= all[lag - 1] && all[*lag] >= all[lag + 1];
    let peaks = (LAG_MIN..=longest).filter(|lag| is_peak(lag) && all[*lag] >= RESEMBLANCE_MIN);
    peaks.max_by(|one, other| all[*one].total_cmp(&all[*other]))
}

/// The period that a group keeps in both halves, in windows.
fn kept_period([first, second]: &[Half; 2]) -> Option<usize> {
    period(first).filter(|&lag| {
        let resembles = autocorrelation(second, lag);
        resembles.is_some_and(|resembles| resembles[lag] >= RESEMBLANCE_MIN)
    })
}

/// What one load has.
struct Rhythm {
    /// Share of the second half's requests that come to groups with a rhythm.
    share: f64,
    /// The period in seconds of that group of them which gets most.
    period_seconds: Option<u64>,
}

/// Roots of the counts, which vary by about as much whatever the count (Bartlett 1936).
fn halves(counts: &BTreeMap<u64, f64>, windows: u64) -> [Half; 2] {
    let of = |from: u64| {
        (from..from + windows)
            .map(|window| counts.get(&window).copied().unwrap_or(0.0).sqrt())
            .collect()
    };
    [of(0), of(windows)]
}

#[allow(clippy::cast_precision_loss, reason = "counts of requests")]
fn rhythm_of(trace: &Trace) -> Rhythm {
    let middle = trace.span().0 / 2;
    let mut in_second: BTreeMap<u64, f64> = BTreeMap::new();
    for request in trace.requests.iter().filter(|one| one.at.0 >= middle) {
        *in_second.entry(request.offset.0 / GROUP_BYTES).or_default() += 1.0;
    }
    let mut periods: BTreeMap<u64, u64> = BTreeMap::new();
    for seconds in WINDOWS_SECONDS {
        let window_micros = seconds * 1_000_000;
        let windows = middle / window_micros;
        if windows < (LAG_MIN * PERIODS_MIN) as u64 {
            break;
        }
        let mut counts: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
        for request in &trace.requests {
            let group = counts.entry(request.offset.0 / GROUP_BYTES).or_default();
            *group.entry(request.at.0 / window_micros).or_default() += 1.0;
        }
        for (group, counts) in counts {
            if let Some(lag) = kept_period(&halves(&counts, windows)) {
                periods.entry(group).or_insert(lag as u64 * seconds);
            }
        }
    }
    let requests = |group: &u64| in_second.get(group).copied().unwrap_or(0.0);
    let all: f64 = in_second.values().sum();
    let largest = periods
        .iter()
        .max_by(|one, other| requests(one.0).total_cmp(&requests(other.0)));
    Rhythm {
        share: periods.keys().map(requests).fold(0.0, |sum, one| sum + one) / all.max(1.0),
        period_seconds: largest.map(|(_, seconds)| *seconds),
    }
}

fn show(name: &str, trace: &Trace) {
    let rhythm = rhythm_of(trace);
    let period = rhythm
        .period_seconds
        .map_or("-".to_owned(), |seconds| format!("{} min", seconds / 60));
    println!("| {name} | {:.0} % | {period} |", rhythm.share * 100.0);
}

fn shown() -> Result<(), TraceError> {
    println!("| Load | Requests of the second half with a rhythm | Its period, of the busiest |");
    println!("|---|---|---|");
    for path in env::args_os().skip(1).map(PathBuf::from) {
        let name = path.file_stem().unwrap_or_default().display().to_string();
        show(&name, &Trace::read(&path)?);
    }
    for recipe in recipes() {
        show(recipe.name, &recipe.make(1));
    }
    Ok(())
}

fn main() -> ExitCode {
    match shown() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rhythm: {error}");
            ExitCode::FAILURE
        }
    }
}
