//! Several devices that take turns under one and the same load.
//!
//! Owns: turns of some hundred milliseconds, all of them by one process of fio, so that what else runs
//! on the machine disturbs neighbours alike; and what of the processor each server took in its turns,
//! which fio has read from /proc at the beginning and the end of each.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use tier_tests::command::run;

use crate::fio::{Span, json, number};
use crate::spread::Spread;

/// Length of a turn.
const TURN_MILLIS: u32 = 400;
/// Of the processor's time in /proc, a second has so many.
const TICKS_PER_SECOND: f64 = 100.0;
/// Where fio leaves what it read of the servers, which vanishes with the guest.
const FOLDER: &str = "/run";

/// What takes turns.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) span: Span,
    /// The process that serves it, if one does.
    pub(crate) server: Option<u32>,
}

/// A load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// `randread` or `randwrite`.
    pub(crate) kind: &'static str,
    /// Requests of 4 KiB in flight.
    pub(crate) depth: u32,
}

/// What was read of a lane, turn by turn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Turns {
    pub(crate) iops: Vec<f64>,
    pub(crate) p99_us: Vec<f64>,
    /// Requests of all turns.
    requests: f64,
    /// What they took of the processor in the server, in seconds.
    server_seconds: f64,
}

impl Turns {
    /// Microseconds of the server's processor for each request.
    pub(crate) fn server_us(&self) -> f64 {
        self.server_seconds * 1e6 / self.requests
    }

    /// The ratios of requests in each round.
    pub(crate) fn iops_of(&self, other: &Self) -> Spread {
        Spread::of(self.iops.iter().zip(&other.iops).map(|(a, b)| a / b))
    }
}

/// Has the lanes take turns, so many each. What comes later in a round comes earlier in the next.
pub(crate) fn race(lanes: &[Lane], load: Load, rounds: u32) -> Vec<Turns> {
    let job = Path::new(FOLDER).join("race.fio");
    std::fs::write(&job, jobs(lanes, load, rounds)).expect("job file");
    let aux = format!("--aux-path={FOLDER}");
    let said = json(&run(
        "env",
        &[
            "-C",
            FOLDER,
            "fio",
            "--output-format=json",
            &aux,
            &job.display().to_string(),
        ],
    ));
    let mut turns = vec![Turns::default(); lanes.len()];
    for job in said["jobs"].as_array().expect("jobs of fio") {
        let name = job["jobname"].as_str().expect("name of a job");
        let (_, at) = name.rsplit_once('-').expect("round and lane");
        let at: usize = at.parse().expect("number of a lane");
        note(&mut turns[at], job, name, load);
    }
    turns
}

fn jobs(lanes: &[Lane], load: Load, rounds: u32) -> String {
    let mut text = format!(
        "[global]\nthread=1\ndirect=1\nbs=4k\nioengine=io_uring\nnorandommap=1\nrandrepeat=0\n\
         time_based=1\nruntime={TURN_MILLIS}ms\nrw={}\niodepth={}\n",
        load.kind, load.depth
    );
    for round in 0..rounds as usize {
        for turn in 0..lanes.len() {
            let at = (turn + round) % lanes.len();
            let Lane { span, server, .. } = &lanes[at];
            write!(
                text,
                "[{round}-{at}]\nstonewall\nfilename={}\noffset={}\nsize={}\n",
                span.device.display(),
                span.offset_bytes,
                span.length_bytes
            )
            .expect("string");
            if let Some(server) = server {
                let read = format!("cat /proc/{server}/stat");
                writeln!(text, "exec_prerun={read}\nexec_postrun={read}").expect("string");
            }
        }
    }
    text
}

fn note(turns: &mut Turns, job: &Value, name: &str, load: Load) {
    let way = if load.kind == "randread" {
        "read"
    } else {
        "write"
    };
    assert_eq!(job["error"], 0, "{job}");
    turns.iops.push(number(job, &format!("/{way}/iops")));
    let p99 = format!("/{way}/clat_ns/percentile/99.000000");
    turns.p99_us.push(number(job, &p99) / 1e3);
    turns.requests += number(job, &format!("/{way}/total_ios"));
    let seconds = |when: &str| {
        let path = Path::new(FOLDER).join(format!("{name}.{when}.txt"));
        std::fs::read_to_string(path).map_or(0.0, |stat| processor_seconds(&stat))
    };
    turns.server_seconds += seconds("postrun") - seconds("prerun");
}

/// What a process has taken of the processor, by its line in /proc (proc(5)).
fn processor_seconds(stat: &str) -> f64 {
    // Its name may hold anything; the third field follows the last bracket.
    let (_, rest) = stat.rsplit_once(')').expect("stat of a process");
    let fields = rest.split_ascii_whitespace().skip(11).take(2);
    let ticks: f64 = fields
        .map(|field| field.parse::<f64>().expect("ticks"))
        .sum();
    ticks / TICKS_PER_SECOND
}
