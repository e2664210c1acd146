//! Learning from a small set with a period, and the command around it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by it"
)]

use std::path::PathBuf;
use std::process::{Command, Output};

use tier_learn::dataset::of_load;
use tier_learn::score::score;
use tier_learn::train::{Schedule, train};
use tier_learn::{Example, Model, Weights, example, forecast};
use tier_network::contract::{HORIZON_SECONDS, WINDOW_SECONDS, WINDOWS, code, naive_logs};
use tier_sim::generate::recipes;

/// Seconds of a period, and of it those in which there are touches.
const PERIOD: u32 = 1_200;
const BUSY: u32 = 240;

/// Touches from one moment to another of a group that is used for a while in each period.
fn touches(from: i64, until: i64, per_second: f64) -> f64 {
    let before = |at: i64| {
        let (periods, rest) = (at.div_euclid(PERIOD.into()), at.rem_euclid(PERIOD.into()));
        periods * i64::from(BUSY) + rest.min(BUSY.into())
    };
    let busy = u32::try_from(before(until) - before(from)).unwrap();
    f64::from(busy) * per_second
}

/// A moment of such a group, at a minute that is drawn by a multiplication (Knuth, 6.4) from a day
/// that follows the one of the number before.
fn periodic(number: u32) -> Example {
    let drawn = number.wrapping_mul(0x9e37_79b9);
    let now = (i64::from(number) * 1_440 + i64::from(drawn >> 16) % 1_440) * 60;
    let per_second = f64::from(1 + (drawn & 0xff)) / 64.0;
    let codes = std::array::from_fn(|at| {
        let seconds = i64::from(WINDOW_SECONDS[at / WINDOWS]);
        let ended = now.div_euclid(seconds) * seconds;
        let back = i64::try_from(WINDOWS - at % WINDOWS).unwrap() * seconds;
        code(touches(ended - back, ended - back + seconds, per_second))
    });
    #[allow(clippy::cast_possible_truncation, reason = "some touches")]
    let touches =
        HORIZON_SECONDS.map(|seconds| touches(now, now + i64::from(seconds), per_second) as f32);
    Example {
        at_seconds: u64::try_from(now).unwrap(),
        codes,
        touches,
    }
}

/// The same histories with nothing after them.
fn stopping(number: u32) -> Example {
    Example {
        touches: [0.0; 4],
        ..periodic(number)
    }
}

fn schedule(epochs: usize) -> Schedule {
    Schedule {
        epochs,
        batch: 64,
        rate: 1e-2,
        seed: 1,
    }
}

fn fresh() -> Weights {
    Weights::fresh(1)
}

#[test]
fn a_period_is_learned_and_beats_what_goes_on() {
    let learned: Vec<_> = (0..1_024).map(periodic).collect();
    let judged: Vec<_> = (5_000..5_300).map(periodic).collect();
    let weights = train(&fresh(), &[&learned], schedule(8), |_, _| {})
        .unwrap()
        .weights;
    let score = score(&weights, &judged).unwrap();
    assert!(
        score.network[0] < 0.5 * score.naive[0] && score.share() < 1.0,
        "{score:?}"
    );
}

#[test]
fn the_same_seed_gives_the_same_weights() {
    let examples: Vec<_> = (0..128).map(periodic).collect();
    let learn = |seed| {
        let how = Schedule {
            seed,
            ..schedule(2)
        };
        train(&fresh(), &[&examples], how, |_, _| {})
            .unwrap()
            .weights
    };
    assert_eq!(learn(1), learn(1));
    assert_ne!(learn(1), learn(2));
}

/// A folder with a model and a file of examples.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new(weights: Weights, examples: &[Example]) -> Self {
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let model = Model {
            weights,
            facts: std::collections::BTreeMap::default(),
        };
        model.write(&scene.path("old.onnx")).unwrap();
        example::write(&scene.path("examples"), examples).unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_tierd-learn"))
            .current_dir(self.folder.path())
            .args(words)
            .output()
            .unwrap()
    }

    fn retrain(&self) -> Output {
        self.command(&[
            "retrain",
            "--model",
            "old.onnx",
            "--examples",
            "examples",
            "--out",
            "new.onnx",
            "--json",
            "--quiet",
        ])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

#[test]
fn a_fresh_network_is_the_naive_forecast() {
    let examples: Vec<_> = (0..50).map(periodic).collect();
    let histories: Vec<_> = examples.iter().map(|one| one.codes).collect();
    for (found, codes) in forecast(&fresh(), &histories)
        .unwrap()
        .iter()
        .zip(&histories)
    {
        let wanted = naive_logs(codes).map(|log| f64::from(log).exp());
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found / wanted - 1.0).abs() < 1e-6, "{found} {wanted}");
        }
    }
}

#[test]
fn a_better_model_is_written_and_scored_again_as_it_was() {
    let examples: Vec<_> = (0..1_000).map(periodic).collect();
    let mut shuffled = examples.clone();
    shuffled.reverse();
    let scene = Scene::new(fresh(), &shuffled);
    let output = scene.retrain();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let done = json(&output);
    assert!(done["is_written"].as_bool().unwrap());
    assert!(done["reason"].is_null(), "{done}");
    assert_eq!(done["new"]["examples"], 200);
    let gain = done["gain"].as_f64().unwrap();
    assert!(gain > 2.0 * done["gain_error"].as_f64().unwrap(), "{done}");
    let new = Model::read(&scene.path("new.onnx")).unwrap();
    assert!(
        new.facts["tierd.retrained"].contains("local examples"),
        "{:?}",
        new.facts
    );
    assert!(new.facts.contains_key("tierd.loss_naive"));
    // The newest fifth again, by the other verb.
    example::write(&scene.path("newest"), &examples[800..]).unwrap();
    let words = ["score", "--model", "new.onnx", "--examples", "newest"];
    let output = scene.command(&[&words[..], &["--json"]].concat());
    assert_eq!(json(&output), done["new"]);
    let table = text(&scene.command(&words).stdout);
    assert!(
        table.contains("21600 s") && table.contains("naive"),
        "{table}"
    );
}

#[test]
fn what_ends_with_what_is_judged_by_is_not_learned_from() {
    // One every ten minutes: six hours are 36 of them, and the last of those ends in time.
    let close = |number: u32| Example {
        at_seconds: u64::from(number) * 600,
        ..periodic(number)
    };
    let examples: Vec<_> = (0..1_000).map(close).collect();
    let scene = Scene::new(fresh(), &examples);
    assert_eq!(json(&scene.retrain())["learned"], 800 - 35);
    // All at one time: nothing is left.
    let at_once: Vec<_> = (0..1_000).map(periodic).collect();
    let at_once = at_once.into_iter().map(|one| Example {
        at_seconds: 9,
        ..one
    });
    let scene = Scene::new(fresh(), &at_once.collect::<Vec<_>>());
    let output = scene.retrain();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("holds 0 examples to learn from"), "{said}");
}

#[test]
fn a_worse_model_is_not_written() {
    let good: Vec<_> = (0..512).map(periodic).collect();
    let weights = train(&fresh(), &[&good], schedule(4), |_, _| {})
        .unwrap()
        .weights;
    // What is learned from the older ones is wrong for the newest.
    let mut examples: Vec<_> = (0..800).map(stopping).collect();
    examples.extend((5_000..5_200).map(periodic));
    let scene = Scene::new(weights, &examples);
    let output = scene.retrain();
    assert_eq!(output.status.code(), Some(10), "{output:?}");
    let done = json(&output);
    assert!(!done["is_written"].as_bool().unwrap());
    assert!(done["gain"].as_f64().unwrap() < 0.0, "{done}");
    let reason = done["reason"].as_str().unwrap();
    assert!(reason.contains("is the least that counts"), "{reason}");
    assert!(!scene.path("new.onnx").exists());
}

#[test]
fn bad_files_fail_with_their_name_and_write_nothing() {
    let scene = Scene::new(fresh(), &(0..600).map(periodic).collect::<Vec<_>>());
    let fails = |why: &str| {
        let output = scene.retrain();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(
            said.starts_with("tierd-learn: ") && said.contains(why),
            "{said}"
        );
        assert!(!scene.path("new.onnx").exists());
    };
    let whole = std::fs::read(scene.path("examples")).unwrap();
    std::fs::write(scene.path("examples"), &whole[..whole.len() - 1]).unwrap();
    fails("examples is torn: its last example begins at byte 71896");
    std::fs::write(scene.path("examples"), &whole[..16 + 120 * 100]).unwrap();
    fails("examples holds 100 examples to learn from, and 500 is the least");
    std::fs::write(scene.path("examples"), &whole).unwrap();
    std::fs::write(scene.path("old.onnx"), "garbage").unwrap();
    fails("old.onnx is no model that can be used here");
    std::fs::remove_file(scene.path("old.onnx")).unwrap();
    fails("cannot read old.onnx");
    let output = scene.command(&["base", "--out", "x.onnx", "--epochs", "0"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn a_base_model_is_trained_judged_and_written() {
    let scene = Scene::new(fresh(), &[]);
    let words = [
        "base",
        "--out",
        "base.onnx",
        "--seeds",
        "1",
        "--epochs",
        "1",
    ];
    let output = scene.command(&[&words[..], &["--examples", "30", "--json"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let score = json(&output);
    assert!(score["examples"].as_u64().unwrap() > 100);
    assert_eq!(score["naive"].as_array().unwrap().len(), 4);
    let recipes = score["recipes"].as_object().unwrap();
    let examples = recipes
        .values()
        .map(|one| one["examples"].as_u64().unwrap());
    assert_eq!(score["examples"], examples.sum::<u64>());
    assert!(recipes.contains_key("streams"), "{recipes:?}");
    assert!(text(&output.stderr).contains("epoch 1"), "{output:?}");
    let facts = Model::read(&scene.path("base.onnx")).unwrap().facts;
    assert!(facts["tierd.trained"].contains("1 epochs"), "{facts:?}");
    let bytes = std::fs::metadata(scene.path("base.onnx")).unwrap().len();
    assert!(bytes < 65_536, "{bytes} bytes");
}

/// The model that comes with tierd.
fn shipped() -> Model {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/model/base.onnx");
    Model::read(std::path::Path::new(path)).unwrap()
}

#[test]
fn the_model_that_comes_with_tierd_beats_what_goes_on() {
    let weights = shipped().weights;
    // Recipes that are made quickly, of seeds that nothing was made of before.
    let quick = ["daily", "weekly", "streams", "drift"];
    let mut examples = Vec::new();
    for recipe in recipes().iter().filter(|one| quick.contains(&one.name)) {
        for seed in (1 << 40)..(1 << 40) + 4 {
            examples.append(&mut of_load(recipe, seed, 500));
        }
    }
    let score = score(&weights, &examples).unwrap();
    assert!(score.share() < 0.9, "{score:?}");
    assert!(score.shares().iter().all(|one| *one < 1.0), "{score:?}");
}

#[test]
fn the_model_that_comes_with_tierd_is_what_its_command_makes() {
    let trained = &shipped().facts["tierd.trained"];
    let command = include_str!("../src/lib.rs");
    assert!(command.contains("--seeds 64 --epochs 10"));
    assert!(
        trained.contains("seeds 0 to 63, 1000 examples") && trained.contains("; 10 epochs,"),
        "{trained}"
    );
}
