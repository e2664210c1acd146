//! `tierctl simulate`: what tiering would make of a recorded load.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use tier_sim::trace::{Trace, TraceError};
use tier_sim::{Kind, PolicyOutcome, Setup, simulate};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::printer::{Look, Printer};
use crate::table::{Column, table};
use crate::units::{percent, seconds, size};

#[derive(Args, Debug)]
pub(crate) struct Simulate {
    /// Traces: tierd's own CSV, an MSR Cambridge CSV, blkparse text or a fio iolog; plain or zstd
    ///
    /// The first line of tierd's own is `timestamp_us,op,offset_bytes,length_bytes`, and `op` is R
    /// or W.
    #[arg(long = "trace", value_name = "FILE", required = true, num_args = 1..)]
    traces: Vec<PathBuf>,
    /// How much of what a trace touches fits on the fast device
    #[arg(long, value_name = "SHARE", default_value = "0.10", value_parser = parse_share)]
    fast_share: f64,
}

/// What came of one trace.
#[derive(Debug, Serialize)]
struct Simulated {
    trace: PathBuf,
    fast_share: f64,
    policies: Vec<PolicyOutcome>,
}

impl Simulate {
    pub(crate) fn run(self, printer: &mut Printer) -> Result<(), Failure> {
        let setup = Setup {
            fast_share: self.fast_share,
            ..Setup::default()
        };
        for path in self.traces {
            let trace = Trace::read(&path).map_err(|error| unreadable(&error))?;
            let policies = simulate(&trace, &setup)
                .map_err(|error| Failure::new(Exit::Internal, error.to_string()))?;
            let simulated = Simulated {
                trace: path,
                fast_share: self.fast_share,
                policies,
            };
            printer.show(&simulated, |simulated, look| shown(simulated, &trace, look))?;
        }
        Ok(())
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
            name(one),
            percent(whole.slow_time),
            percent(second.slow_time),
            latency(whole.mean_us),
            latency(whole.p99_us),
            percent(whole.fast_requests),
            size(whole.moved_bytes),
        ]
    };
    format!(
        "{}: {} requests in {}, {} of what it touches on the fast device\n{}\n",
        simulated.trace.display(),
        trace.requests.len(),
        seconds(to_seconds(trace.span().0)),
        percent(simulated.fast_share),
        table(look, &columns, simulated.policies.iter().map(row)),
    )
}

fn name(one: &PolicyOutcome) -> String {
    match (one.kind, one.timed) {
        (Kind::Reactive, false) => format!("{}, ideal", one.name),
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
