//! A machine without ONNX Runtime. A process has one library, so this has a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use std::path::Path;

use tier_network::{NetworkError, Runtime};

#[test]
fn a_library_that_is_not_there_is_an_error_that_names_it() {
    let missing = Path::new("/no/such/libonnxruntime.so");
    let error = Runtime::load(Some(missing)).map(|_| ()).unwrap_err();
    assert!(matches!(error, NetworkError::Library { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/libonnxruntime.so"));
}
