//! What is touched once and never again, beside what comes back: whether the engine tells them apart.

use tier_core::forecast::ExpertName;

use super::*;
use crate::generate::{Part, Recipe};

/// A set of which another region is exchanged each ten seconds, and single regions that are used in
/// one interval each, as much as one of the set in minutes: what lies beside what is in use, and what
/// was always used, tell nothing.
fn load() -> Trace {
    let scanned = Part::Bursts {
        every_seconds: 4.0,
        regions: 1,
        touches: 20,
        per_second: 480.0,
    };
    let reused = Part::Hot {
        regions: 200,
        per_second: 1.0,
        drift_seconds: 10.0,
    };
    let recipe = Recipe {
        name: "touch",
        seconds: 4.0 * 3_600.0,
        regions: 8_192,
        parts: vec![scanned, reused],
    };
    recipe.make(1)
}

/// What the slow device works in the second half, and who is believed in the end.
fn fares(trace: &Trace, foresight: bool) -> (f64, Option<ExpertName>) {
    let setup = Setup {
        devices: Devices::FastShare(0.02),
        policy: PolicyConfig {
            foresight,
            ..PolicyConfig::default()
        },
        ..Setup::default()
    };
    let field = Field::new(trace, &setup).unwrap();
    let (outcome, driver) = field.run_engine(&setup, None);
    assert_eq!(driver.latched(), None);
    (outcome.outcome.second_half.slow_seconds, driver.believed())
}

#[test]
fn who_tells_what_is_touched_once_from_what_comes_back_is_believed_where_nobody_else_has_more_to_say()
 {
    let trace = load();
    let (with, believed) = fares(&trace, true);
    let (without, reactive) = fares(&trace, false);
    assert_eq!(believed, Some(ExpertName::Touch));
    assert_eq!(reactive, Some(ExpertName::Lasting));
    assert!(with < without, "{with} s and {without} s");
}
