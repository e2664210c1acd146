//! That --idle stands back, as the kernel sees it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by it"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use tier_learn::{Example, Model, Weights, example};
use tier_network::contract::{HORIZONS, STEPS};

/// `SCHED_IDLE`, as field 41 of /proc/PID/stat has it (proc(5)).
const SCHED_IDLE: &str = "5";

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tierd-learn"));
    command.current_dir(folder).args(words);
    command
}

/// A child that ends with its test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Ends {
    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    fn field(&self, number: usize) -> String {
        field(&self.pid(), number)
    }
}

fn file(pid: &str, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

/// Field of /proc/PID/stat, from 1 on.
fn field(pid: &str, number: usize) -> String {
    let stat = file(pid, "stat");
    let (_name, rest) = stat.rsplit_once(") ").unwrap();
    rest.split(' ').nth(number - 3).unwrap().to_owned()
}

/// What bounds the address space in /proc/PID/limits: the soft limit, the hard one and their unit.
fn bound_of(pid: &str) -> Vec<String> {
    let limits = file(pid, "limits");
    let mut lines = limits.lines();
    let line = lines.find(|line| line.starts_with("Max address space"));
    let words = line.unwrap().split_whitespace().skip(3);
    words.map(str::to_owned).collect()
}

/// One that has begun to learn, and its standard error.
struct Training {
    child: Ends,
    _said: BufReader<ChildStderr>,
}

/// A process that trains on for long.
fn training(folder: &Path, more: &[&str]) -> Training {
    let model = Model {
        weights: Weights::fresh(1),
        facts: std::collections::BTreeMap::default(),
    };
    model.write(&folder.join("old.onnx")).unwrap();
    let examples: Vec<_> = (0..600)
        .map(|number| Example {
            at_seconds: number * 600,
            codes: [7; STEPS],
            touches: [1.0; HORIZONS],
        })
        .collect();
    example::write(&folder.join("examples"), &examples).unwrap();
    let words = "retrain --model old.onnx --examples examples --out new.onnx --epochs 10000";
    let words: Vec<_> = words.split(' ').chain(more.iter().copied()).collect();
    let mut child = command(folder, &words)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It learns: an epoch is over. The next one may not be soon, where others want to run.
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let ends = Ends(child);
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.starts_with("epoch 1"), "{line}");
    // Nobody reads on: at some time it waits, and is there still.
    Training {
        child: ends,
        _said: said,
    }
}

#[test]
fn idle_runs_last_on_one_thread_and_within_its_memory() {
    let folder = tempfile::tempdir().unwrap();
    let Training { child, .. } = &training(folder.path(), &["--idle", "--memory-max", "500000000"]);
    let is_last = child.field(41) == SCHED_IDLE || child.field(19) == "19";
    assert!(is_last, "{}", file(&child.pid(), "stat"));
    assert_eq!(bound_of(&child.pid())[..2], ["500000000", "500000000"]);
    assert!(file(&child.pid(), "status").contains("\nThreads:\t1\n"));
}

#[test]
fn without_it_nothing_of_that_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let Training { child, .. } = &training(folder.path(), &[]);
    assert_eq!(bound_of(&child.pid()), bound_of("self"));
    assert_eq!(child.field(41), field("self", 41));
}

#[test]
fn the_bound_holds() {
    let folder = tempfile::tempdir().unwrap();
    let large = fs::File::create(folder.path().join("examples")).unwrap();
    large.set_len(256 << 20).unwrap();
    let model = Model {
        weights: Weights::fresh(1),
        facts: std::collections::BTreeMap::default(),
    };
    model.write(&folder.path().join("old.onnx")).unwrap();
    let why = |more: &[&str]| {
        let words = ["score", "--model", "old.onnx", "--examples", "examples"];
        let output = command(folder.path(), &[&words[..], more].concat()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let bounded = why(&["--idle", "--memory-max", "134217728"]);
    assert!(
        bounded.contains("cannot read examples") && bounded.contains("memory"),
        "{bounded}"
    );
    let unbounded = why(&["--idle"]);
    assert!(
        unbounded.contains("does not begin with TIEREXMP"),
        "{unbounded}"
    );
}
