//! The base model as ONNX Runtime runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use tier_network::contract::{STEPS, code};
use tier_network::{BASE_MODEL, Network, NetworkError, Runtime};
use tier_tests::skip;

/// The library; `None`, and `test` is recorded as skipped, if there is none.
fn runtime(test: &str) -> Option<Runtime> {
    let runtime = Runtime::load(None).ok();
    if runtime.is_none() {
        skip::record(test, "no ONNX Runtime (tests/setup)");
    }
    runtime
}

#[test]
fn many_histories_are_forecast_in_their_order_whatever_the_batches() {
    let Some(runtime) = runtime("many_histories_are_forecast_in_their_order_whatever_the_batches")
    else {
        return;
    };
    let mut network = Network::new(&runtime, BASE_MODEL).unwrap();
    let history = |touches: u32| [code(f64::from(touches)); STEPS];
    let histories: Vec<_> = (0..75).map(|at| history(at * 20)).collect();
    let together = network.forecast(&histories).unwrap();
    assert_eq!(together.len(), histories.len());
    for (at, history) in histories.iter().enumerate() {
        let alone = network.forecast([history]).unwrap();
        for (one, other) in alone[0].iter().zip(together[at]) {
            assert!((one - other).abs() <= 1e-4 * other.abs().max(1.0));
        }
    }
    // What was used much is expected to be used more than what was hardly used.
    assert!(together[74][3] > 10.0 * together[1][3], "{together:?}");
    assert!(network.forecast([]).unwrap().is_empty());
}

#[test]
fn what_is_no_model_is_refused() {
    let Some(runtime) = runtime("what_is_no_model_is_refused") else {
        return;
    };
    let torn = &BASE_MODEL[..BASE_MODEL.len() / 2];
    for bytes in [&b""[..], b"no model", torn] {
        let refused = Network::new(&runtime, bytes).map(|_| ());
        assert!(
            matches!(refused, Err(NetworkError::Model(_))),
            "{refused:?}"
        );
    }
}
