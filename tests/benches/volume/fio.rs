//! The load: fio, and what it reports.
//!
//! Owns: fio's command line and the reading of its JSON. Errors of I/O end the bench.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tier_tests::command::run;

/// Part of a device.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) device: PathBuf,
    pub(crate) offset_bytes: u64,
    pub(crate) length_bytes: u64,
}

impl Span {
    /// The beginning of a device.
    pub(crate) fn start(device: &Path, length_bytes: u64) -> Self {
        Self {
            device: device.to_owned(),
            offset_bytes: 0,
            length_bytes,
        }
    }

    fn arguments(&self) -> [String; 3] {
        [
            format!("--filename={}", self.device.display()),
            format!("--offset={}", self.offset_bytes),
            format!("--size={}", self.length_bytes),
        ]
    }

    /// Writes all of it, so that nothing measured is written or read for the first time.
    pub(crate) fn fill(&self) {
        let mut arguments = arguments(self, "write", "1m");
        arguments.push("--end_fsync=1".to_owned());
        run("fio", &arguments);
    }
}

/// What a turn of fio said.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) iops: f64,
    pub(crate) p99_us: f64,
}

fn arguments(span: &Span, kind: &str, block: &str) -> Vec<String> {
    let mut all: Vec<String> = ["--name=load", "--direct=1", "--output-format=json"]
        .iter()
        .map(ToString::to_string)
        .collect();
    all.extend(span.arguments());
    all.push(format!("--rw={kind}"));
    all.push(format!("--bs={block}"));
    all
}

/// Random I/O of 4 KiB, sixteen in flight, for so many seconds: `randread` or `randwrite`.
pub(crate) fn random(span: &Span, kind: &str, seconds: u32) -> Reading {
    let mut arguments = arguments(span, kind, "4k");
    arguments.extend(deep(seconds));
    let said = json(&run("fio", &arguments));
    let way = if kind == "randread" { "read" } else { "write" };
    Reading {
        iops: number(&said, &format!("/jobs/0/{way}/iops")),
        p99_us: number(&said, &percentile(&format!("{way}/clat_ns"))) / 1e3,
    }
}

fn deep(seconds: u32) -> Vec<String> {
    let all = ["--ioengine=io_uring", "--iodepth=16", "--norandommap"];
    let mut all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.extend(["--time_based".to_owned(), format!("--runtime={seconds}")]);
    all
}

/// Latencies of fdatasync after each random write of 4 KiB, in microseconds: median and 99th
/// percentile.
pub(crate) fn fsync(span: &Span, seconds: u32) -> (f64, f64) {
    let mut arguments = arguments(span, "randwrite", "4k");
    arguments.extend(
        [
            "--ioengine=psync",
            "--fdatasync=1",
            "--norandommap",
            "--time_based",
        ]
        .iter()
        .map(ToString::to_string),
    );
    arguments.push(format!("--runtime={seconds}"));
    let said = json(&run("fio", &arguments));
    let at = |share: &str| number(&said, &format!("/jobs/0/sync/lat_ns/percentile/{share}")) / 1e3;
    (at("50.000000"), at("99.000000"))
}

fn percentile(what: &str) -> String {
    format!("/jobs/0/{what}/percentile/99.000000")
}

pub(crate) fn json(said: &str) -> Value {
    // fio writes notes before its JSON where it has something to note.
    let start = said.find('{').expect("JSON of fio");
    serde_json::from_str(&said[start..]).expect("JSON of fio")
}

pub(crate) fn number(said: &Value, pointer: &str) -> f64 {
    let found = said.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("fio says nothing at {pointer}: {said}"))
}

/// Random reads and writes that go on until [`Background::end`].
#[derive(Debug)]
pub(crate) struct Background {
    fio: Child,
    begun: Instant,
}

/// fio dies of a signal that comes before it has begun its jobs.
const FIO_BEGINS: Duration = Duration::from_secs(5);

impl Background {
    pub(crate) fn start(span: &Span) -> Self {
        let mut arguments = arguments(span, "randrw", "4k");
        // Far longer than any bench; it is told to end.
        arguments.extend(deep(3600));
        let fio = Command::new("fio")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("fio starts");
        Self {
            fio,
            begun: Instant::now(),
        }
    }

    /// Ends it and returns its IOPS and the 99th percentile and the longest of its latencies.
    pub(crate) fn end(self) -> (f64, f64, f64) {
        std::thread::sleep(FIO_BEGINS.saturating_sub(self.begun.elapsed()));
        // fio ends its jobs and reports at SIGINT.
        let process = nix::unistd::Pid::from_raw(i32::try_from(self.fio.id()).expect("pid"));
        nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGINT).expect("SIGINT");
        let output = self.fio.wait_with_output().expect("end of fio");
        let said = String::from_utf8_lossy(&output.stdout);
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains('{'),
            "fio ended by itself ({}): {said}{complaint}",
            output.status
        );
        let said = json(&said);
        let error = number(&said, "/jobs/0/error");
        assert!(error == 0.0, "fio saw an error: {said}");
        let iops = number(&said, "/jobs/0/read/iops") + number(&said, "/jobs/0/write/iops");
        let p99 = number(&said, &percentile("read/clat_ns")) / 1e3;
        let longest = number(&said, "/jobs/0/read/clat_ns/max") / 1e3;
        (iops, p99, longest)
    }
}
