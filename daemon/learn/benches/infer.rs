//! Forecasts of groups a second by ONNX Runtime, on one thread.
//!
//! `cargo bench -p tier-learn --bench infer` prints them for the base model, by seconds of CPU, the
//! network's inputs and the naive forecast being made of histories, too. Goal: 100,000. Seen on a
//! busy virtual machine of two processors: 226,000 in batches of 32, 230,000 in those of 128 and
//! 187,000 in those of 4,096.
//!
//! What takes time are the steps, one after the other. With fresh weights and inputs that were ready
//! made, in batches of 128, the same 96 codes gave, in thousands a second:
//!
//! | steps  | codes of a step | state 16 | 24  | 32  | 48  | 64  |
//! |--------|-----------------|----------|-----|-----|-----|-----|
//! | 96     | 1               |          |     | 37  |     |     |
//! | 32     | 3               |          |     | 109 |     |     |
//! | 24     | 4               | 234      | 172 | 142 |     |     |
//! | 16     | 6               |          | 252 | 218 | 142 |     |
//! | 8      | 12              |          |     | 410 | 273 | 193 |
//!
//! Steps of one or four codes were of one scale, with a one-hot of it; the others had the same number
//! of windows of each. Of 16 steps with states of 32 and 48 and of 8 with 48, the last had learned
//! most after two epochs: its loss was 0.831 of the naive forecast's, of the others 0.841 and 0.839.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its figures, and ends where it cannot"
)]

use std::path::PathBuf;

use ort::session::Session;
use ort::value::Tensor;
use tier_network::contract::{
    Codes, FEATURES, HORIZONS, INPUT, NAIVE_INPUT, NETWORK_STEPS, OUTPUT, features, naive_logs,
};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/model/base.onnx");
const ROUNDS: usize = 5;
const GROUPS_A_ROUND: usize = 1 << 17;

/// Seconds of CPU of this process: user and system (`/proc/self/stat`, proc(5)), in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum::<f64>()
        / 100.0
}

/// Histories that are all different.
fn histories(groups: usize) -> Vec<Codes> {
    let code = |group: usize, at: usize| u8::try_from((group * 31 + at * 17) % 200).unwrap();
    let history = |group| std::array::from_fn(|at| code(group, at));
    (0..groups).map(history).collect()
}

/// Forecasts for each second of CPU: features and naive forecasts are made from histories, too.
fn rate(session: &mut Session, groups: usize) -> f64 {
    let histories = histories(groups);
    let begun = cpu_seconds();
    let runs = GROUPS_A_ROUND / groups;
    for _ in 0..runs {
        let steps = histories
            .iter()
            .flat_map(|codes| (0..NETWORK_STEPS).flat_map(|at| features(at, codes)));
        let shape = [groups, NETWORK_STEPS, FEATURES];
        let history = Tensor::from_array((shape, steps.collect::<Vec<_>>())).unwrap();
        let naive: Vec<_> = histories.iter().flat_map(naive_logs).collect();
        let naive = Tensor::from_array(([groups, HORIZONS], naive)).unwrap();
        let outputs = session
            .run(ort::inputs![INPUT => history, NAIVE_INPUT => naive])
            .unwrap();
        assert!(outputs[OUTPUT].try_extract_tensor::<f32>().unwrap().1[0] > 0.0);
    }
    #[allow(clippy::cast_precision_loss, reason = "a count of groups")]
    let done = (runs * groups) as f64;
    done / (cpu_seconds() - begun)
}

fn main() {
    let library = std::env::var_os("ORT_DYLIB_PATH");
    let library = library.map_or_else(|| "/usr/local/lib/libonnxruntime.so".into(), PathBuf::from);
    if !library.exists() {
        println!("no ONNX Runtime at {} (tests/setup)", library.display());
        return;
    }
    let environment = ort::init_from(&library).unwrap().build().unwrap();
    let builder = Session::builder(&environment).unwrap();
    let mut builder = builder.with_intra_threads(1).unwrap();
    let mut session = builder.commit_from_file(MODEL).unwrap();
    for groups in [32, 128, 1_024, 4_096] {
        let rates = (0..ROUNDS).map(|_| rate(&mut session, groups));
        let best = rates.fold(0.0, f64::max);
        println!("batch {groups:5}    {best:9.0} groups per CPU-second (best of {ROUNDS})");
    }
}
