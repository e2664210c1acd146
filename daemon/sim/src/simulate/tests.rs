use tier_core::units::{Bytes, Micros};

use super::*;
use crate::trace::{Op, Request};

const MIB: u64 = 1 << 20;

/// Reads of 4 KiB at these (seconds, region).
fn reads(at: impl Iterator<Item = (f64, u64)>) -> Trace {
    let request = |(number, (seconds, region)): (u64, (f64, u64))| Request {
        at: Micros(tier_core::units::nanos(seconds) / 1000),
        op: Op::Read,
        // Not one after the other, or they were a stream.
        offset: Bytes(region * MIB + (number * 7919 % 250) * 4096),
        length: Bytes(4096),
    };
    Trace {
        requests: (0..).zip(at).map(request).collect(),
        lines_passed_over: 0,
    }
}

fn of<'all>(all: &'all [PolicyOutcome], name: &str, timed: bool) -> &'all Outcome {
    let one = all
        .iter()
        .find(|one| one.name == name && one.timed == timed);
    &one.unwrap_or_else(|| panic!("no {name}")).outcome
}

/// Two regions of forty are read all the time, the others once each.
fn skewed() -> Trace {
    let at = (0..20_000_u32).map(|number| {
        let seconds = f64::from(number) * 0.02;
        let region = match number % 50 {
            0 => u64::from(number / 50) % 38 + 2,
            other => u64::from(other) % 2,
        };
        (seconds, region)
    });
    reads(at)
}

#[test]
fn the_engine_brings_what_is_read_all_the_time_to_the_fast_tier() {
    let setup = Setup {
        devices: Devices::FastShare(0.2),
        ..Setup::default()
    };
    let all = simulate(&skewed(), &setup, None).unwrap();
    let slow = of(&all, "all-slow", true).whole.slow_seconds;
    assert!(slow > 100.0, "{slow}");
    assert!(of(&all, "all-fast", true).whole.slow_seconds.abs() < 1e-9);
    let engine = of(&all, "engine", true);
    assert!(engine.second_half.slow_seconds < 0.1 * slow, "{engine:?}");
    assert!(engine.second_half.fast_requests > 0.9, "{engine:?}");
    assert!(engine.whole.moved_bytes >= 2 * MIB);
    let best = of(&all, "best-static", true);
    assert!(
        best.whole.p50_us < 100.0 && best.whole.p999_us > 8_000.0,
        "{best:?}"
    );
    assert!(
        best.whole.moved_bytes == 0 && best.whole.fast_requests > 0.95,
        "{best:?}"
    );
    let ideal = of(&all, "touch-3-minute", false);
    let timed = of(&all, "touch-3-minute", true);
    assert!(ideal.whole.slow_seconds <= timed.whole.slow_seconds * 1.1);
}

#[test]
fn every_run_of_a_trace_gives_the_same() {
    let trace = skewed();
    let setup = Setup::default();
    assert_eq!(
        simulate(&trace, &setup, None),
        simulate(&trace, &setup, None)
    );
}

#[test]
fn where_nothing_pays_the_engine_costs_nothing() {
    // Each region once, in no order: nothing will be asked for again.
    let at =
        (0..2_000_u32).map(|number| (f64::from(number) * 0.1, u64::from(number) * 997 % 2_000));
    let all = simulate(&reads(at), &Setup::default(), None).unwrap();
    let slow = of(&all, "all-slow", true).whole.slow_seconds;
    let engine = of(&all, "engine", true).whole.slow_seconds;
    assert!(engine <= 1.05 * slow, "{engine} of {slow}");
    let lru = of(&all, "lru", false).whole.slow_seconds;
    assert!(lru > 1.5 * slow, "LRU pays for each: {lru} of {slow}");
}

/// Loads of which nothing can be learned, or the wrong thing.
fn adversaries() -> Vec<(&'static str, Trace)> {
    let mut state = 1_u64;
    let uniform = (0..20_000_u32).map(|number| {
        // Knuth's constants (MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (f64::from(number) * 0.05, (state >> 33) % 400)
    });
    let uniform = reads(uniform);
    // Three accesses of each region, which never returns.
    let scan = (0..12_000_u32).map(|number| (f64::from(number) * 0.05, u64::from(number / 3)));
    // Two sets, each larger than the fast tier, of which one is used as long as it takes to bring
    // it, and then the other.
    let thrash = (0..24_000_u32).map(|number| {
        let (turn, within) = (number / 600, number % 600);
        let region = u64::from(turn % 2) * 200 + u64::from(within % 200);
        (f64::from(number) * 0.05, region)
    });
    vec![
        ("uniform", uniform),
        ("scan", reads(scan)),
        ("thrash", reads(thrash)),
    ]
}

#[test]
fn the_engine_never_costs_much_more_than_doing_nothing() {
    for (name, trace) in adversaries() {
        for fast_share in [0.05, 0.2] {
            let setup = Setup {
                devices: Devices::FastShare(fast_share),
                ..Setup::default()
            };
            let field = Field::new(&trace, &setup).unwrap();
            let (slow, _) = field.run("all-slow", Kind::Static, Still::all_on(SLOW));
            let (engine, driver) = field.run_engine(&setup, None);
            assert_eq!(driver.latched(), None);
            let mut engine = engine.outcome;
            engine.compare(&slow.outcome);
            for (part, slow_time) in [
                ("whole", engine.whole.slow_time),
                ("second half", engine.second_half.slow_time),
            ] {
                assert!(
                    slow_time <= 1.05,
                    "{name} at {fast_share}, {part}: {slow_time}"
                );
            }
        }
    }
}

/// Three sets of 64 regions that take turns of ten minutes, with a minute between them.
fn turns() -> Trace {
    let mut state = 7_u64;
    let touches = (0..12 * 3 * 2_400_u32).map(|number| {
        let (turn, within) = (number / 2_400, number % 2_400);
        // Knuth's constants (MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let region = u64::from(turn % 3) * 256 + (state >> 33) % 64;
        (f64::from(turn) * 660.0 + f64::from(within) * 0.25, region)
    });
    reads(touches)
}

#[test]
fn what_takes_turns_is_on_the_fast_tier_before_its_turn() {
    let trace = turns();
    let setup = Setup {
        devices: Devices::FastShare(0.5),
        ..Setup::default()
    };
    let field = Field::new(&trace, &setup).unwrap();
    let (slow, _) = field.run("all-slow", Kind::Static, Still::all_on(SLOW));
    let second_half = |mut one: PolicyOutcome| {
        one.outcome.compare(&slow.outcome);
        (one.outcome.second_half, one.name)
    };
    let (engine, driver) = field.run_engine(&setup, None);
    assert_eq!(driver.latched(), None);
    let (engine, _) = second_half(engine);
    let rivals = field.rivals().into_iter().map(|(name, _, chooser)| {
        let driver = Stock::new(chooser, true, field.tiers());
        second_half(field.run(&name, Kind::Reactive, driver).0)
    });
    let (best, name) = rivals
        .min_by(|(one, _), (other, _)| one.slow_time.total_cmp(&other.slow_time))
        .unwrap();
    // All that is left is the time of the moves; a rival's come when the first read has waited.
    assert!(engine.fast_requests > 0.98, "{engine:?}");
    assert!(best.fast_requests < 0.975, "{name}: {best:?}");
    assert!(engine.slow_time < 0.8 * best.slow_time, "{name}: {best:?}");
}
