//! Sets that follow one another at irregular times: whether the engine brings them.

use tier_core::forecast::ExpertName;

use super::*;
use crate::generate::{Jobs, Part, Recipe};

/// Three jobs of two sets each, one of them about every quarter of an hour.
fn load() -> Trace {
    let jobs = Jobs {
        jobs: 3,
        sets: 2,
        regions: 24,
        every_seconds: 900.0,
        use_seconds: 240.0,
        pause_seconds: 180.0,
        jitter: 0.25,
        per_second: 12.0,
    };
    let recipe = Recipe {
        name: "jobs",
        seconds: 8.0 * 3_600.0,
        regions: 1_024,
        parts: vec![Part::Jobs(jobs)],
    };
    recipe.make(1)
}

/// What the slow device works in the second half, and who is believed in the end.
fn fares(trace: &Trace, foresight: bool) -> (f64, Option<ExpertName>) {
    let setup = Setup {
        devices: Devices::FastShare(0.35),
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
fn who_saw_what_follows_what_is_believed_and_what_follows_is_there_before_it_is_asked_for() {
    let trace = load();
    let (with, believed) = fares(&trace, true);
    let (without, reactive) = fares(&trace, false);
    assert_eq!(believed, Some(ExpertName::Following));
    assert_eq!(reactive, Some(ExpertName::Lasting));
    assert!(with < without * 0.4, "{with} s and {without} s");
}
