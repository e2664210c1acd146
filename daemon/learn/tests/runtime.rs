//! Models as ONNX Runtime runs them: what the daemon will see.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "a test fails by it"
)]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::Tensor;
use tier_learn::{Model, Weights, forecast};
use tier_network::contract::{
    Codes, FEATURES, HIDDEN, HORIZONS, INPUT, NAIVE_INPUT, NETWORK_STEPS, OUTPUT, STEPS, code,
    features, naive_logs,
};
use tier_tests::skip;

/// The library, where tests/setup puts it or the environment says it is.
fn library() -> PathBuf {
    let path = std::env::var_os("ORT_DYLIB_PATH");
    path.map_or_else(|| "/usr/local/lib/libonnxruntime.so".into(), PathBuf::from)
}

/// The one environment of the process; `None` if there is no library.
fn environment() -> Option<&'static Environment> {
    static ENVIRONMENT: OnceLock<Option<Environment>> = OnceLock::new();
    let make = || {
        let library = library();
        let build = || ort::init_from(&library).unwrap().build().unwrap();
        library.exists().then(build)
    };
    ENVIRONMENT.get_or_init(make).as_ref()
}

/// A session of a model; `None`, and `test` is recorded as skipped, if there is no library.
fn session(test: &str, model: &Path) -> Option<Session> {
    let Some(environment) = environment() else {
        skip::record(test, "no ONNX Runtime (tests/setup)");
        return None;
    };
    let mut builder = Session::builder(environment).unwrap();
    Some(builder.commit_from_file(model).unwrap())
}

/// Histories of all kinds: silent, full, periodic, and some that look random.
fn histories() -> Vec<Codes> {
    let periodic =
        |period: usize| std::array::from_fn(|at| if at % period < 2 { code(300.0) } else { 0 });
    let mixed = |number: usize| {
        std::array::from_fn(|at| {
            u8::try_from((number * 7_919 + at * 104_729 + at * at * 31) % 256).unwrap()
        })
    };
    let mut histories = vec![[0; STEPS], [255; STEPS], [1; STEPS]];
    histories.extend((3..20).map(periodic));
    histories.extend((0..80).map(mixed));
    histories
}

fn run(session: &mut Session, histories: &[Codes]) -> Vec<[f32; HORIZONS]> {
    let steps = histories
        .iter()
        .flat_map(|codes| (0..NETWORK_STEPS).flat_map(|at| features(at, codes)));
    let shape = [histories.len(), NETWORK_STEPS, FEATURES];
    let history = Tensor::from_array((shape, steps.collect::<Vec<_>>())).unwrap();
    let naive: Vec<_> = histories.iter().flat_map(naive_logs).collect();
    let naive = Tensor::from_array(([histories.len(), HORIZONS], naive)).unwrap();
    let outputs = session
        .run(ort::inputs![INPUT => history, NAIVE_INPUT => naive])
        .unwrap();
    let (shape, numbers) = outputs[OUTPUT].try_extract_tensor::<f32>().unwrap();
    assert_eq!(&shape[..], [i64::try_from(histories.len()).unwrap(), 4]);
    numbers
        .chunks_exact(4)
        .map(|row| row.try_into().unwrap())
        .collect()
}

/// That the runtime gives what candle gives, but for one part in 100,000.
fn assert_agrees(test: &str, model: &Path) {
    let Some(mut session) = session(test, model) else {
        return;
    };
    let histories = histories();
    let weights = Model::read(model).unwrap().weights;
    let wanted = forecast(&weights, &histories).unwrap();
    // In one batch, and one by one: the batch is symbolic.
    let mut found = run(&mut session, &histories);
    found.extend(histories.iter().flat_map(|one| run(&mut session, &[*one])));
    assert_eq!(found.len(), 2 * wanted.len());
    for (found, wanted) in found.iter().zip(wanted.iter().cycle()) {
        for (found, wanted) in found.iter().zip(wanted) {
            let off = f64::from(*found) / wanted - 1.0;
            assert!(off.abs() < 1e-5, "{found} instead of {wanted}");
        }
    }
}

#[test]
fn the_runtime_gives_the_numbers_of_candle() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fresh.onnx");
    for seed in 0..4 {
        let model = Model {
            weights: Weights {
                // A fresh head lets nothing of the rest through.
                head: Weights::fresh(seed + 100).recurrent[..HORIZONS * HIDDEN].to_vec(),
                head_bias: vec![0.1, 2.0, -3.0, 8.0],
                ..Weights::fresh(seed)
            },
            facts: std::collections::BTreeMap::default(),
        };
        model.write(&path).unwrap();
        assert_agrees("the_runtime_gives_the_numbers_of_candle", &path);
    }
}

#[test]
fn the_model_that_comes_with_tierd_runs() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/model/base.onnx"));
    assert_agrees("the_model_that_comes_with_tierd_runs", path);
}
