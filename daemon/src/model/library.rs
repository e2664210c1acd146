//! Where ONNX Runtime is taken from.

use std::path::Path;

use tier_network::{LIBRARIES, Runtime};

use super::error::ModelError;
use crate::beneath::elsewhere;

/// Loads ONNX Runtime from this file, or from the first place that works. Not from a volume: what
/// is read of the file later might wait for the daemon itself.
pub(super) fn load_library(named: Option<&Path>) -> Result<Runtime, String> {
    let places = LIBRARIES.iter().map(Path::new);
    let places = named.map_or_else(|| places.collect(), |named| vec![named]);
    let mut failed = None;
    for place in places {
        // The dynamic linker looks for a bare name, where the machine's other libraries are.
        let allowed = if place.is_absolute() {
            elsewhere(place)
        } else {
            Ok(())
        };
        let allowed = allowed.map_err(|error| ModelError::Place(error, "forecast.library"));
        match allowed.and_then(|()| Ok(Runtime::load(Some(place))?)) {
            Ok(runtime) => return Ok(runtime),
            Err(error) => failed = failed.or_else(|| Some(error.to_string())),
        }
    }
    Err(failed.unwrap_or_else(|| "no library was named".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_is_named() {
        let missing = Path::new("/no/such/libonnxruntime.so");
        let error = load_library(Some(missing)).unwrap_err();
        assert!(error.contains("/no/such/libonnxruntime.so"), "{error}");
    }
}
