use tier_core::units::Bytes;
use tier_sim::trace::{Op, Request};

use super::*;
use tier_network::contract::{naive, touches};

/// A read of 4 KiB in the region, at the second.
fn read(second: u64, region: u64) -> Request {
    Request {
        at: Micros(second * 1_000_000),
        op: Op::Read,
        offset: Bytes(region * REGION_BYTES + second * 8_192 % REGION_BYTES),
        length: Bytes(4_096),
    }
}

/// One read a second of the second group, after one of the first.
fn steady(seconds: u64) -> Counts {
    let mut requests = vec![read(0, 0)];
    requests.extend((0..seconds).map(|second| read(second, 64 + second % 64)));
    let trace = Trace {
        requests,
        lines_passed_over: 0,
    };
    Counts::of(&trace, 128, 5)
}

#[test]
fn histories_and_what_comes_after_are_counted_as_the_engine_does() {
    let counts = steady(24 * 3_600);
    // Such a read is a touch and 4 KiB of 1.44 MB.
    let each = 1.0 + 4_096.0 / 1.44e6;
    let now = 5 + 600;
    let codes = counts.codes(1, now);
    assert_eq!(codes[STEPS - 1], code(60.0 * each));
    assert_eq!(codes[STEPS - WINDOWS], code(60.0 * each));
    assert_eq!(codes[2 * WINDOWS - 1], code(480.0 * each));
    // The first window of 3840 s has begun five minutes before the load did.
    let first = WINDOWS - now / 64;
    assert_eq!(codes[first], code((3_840.0 - 300.0) * each));
    assert_eq!(codes[first + 1], code(3_840.0 * each));
    assert!(codes[..first].iter().all(|code| *code == 0));
    for (found, seconds) in counts.touches(1, now).into_iter().zip(HORIZON_SECONDS) {
        let wanted = f64::from(seconds) * each;
        assert!(
            (f64::from(found) / wanted - 1.0).abs() < 1e-5,
            "{found} {wanted}"
        );
    }
    assert_eq!(counts.codes(0, now)[STEPS - WINDOWS..], [0; WINDOWS]);
}

#[test]
fn windows_that_run_are_not_in_the_history() {
    let counts = steady(24 * 3_600);
    // Ten grains into the load: five of the first window of eight, then seven of the second.
    let codes = counts.codes(1, 5 + 10);
    assert_eq!(
        codes[2 * WINDOWS - 1],
        code(3.0 * 60.0 * (1.0 + 4_096.0 / 1.44e6))
    );
    assert_eq!(codes[2 * WINDOWS - 2], 0);
    assert!(codes[..WINDOWS].iter().all(|code| *code == 0));
}

#[test]
fn sequential_reads_count_by_their_bytes_alone() {
    let mut requests: Vec<_> = (0..256).map(|_| read(0, 0)).collect();
    for (request, at) in requests.iter_mut().zip(0..) {
        request.offset = Bytes(at * 4_096);
    }
    let trace = Trace {
        requests,
        lines_passed_over: 0,
    };
    let counts = Counts::of(&trace, 64, 0);
    let wanted = 1.0 + 256.0 * 4_096.0 / 1.44e6;
    assert!((counts.between(0, 0, 1) - wanted).abs() < 1e-9);
}

#[test]
fn the_same_seed_gives_the_same_examples_and_another_others() {
    let recipe = recipes()
        .into_iter()
        .find(|recipe| recipe.name == "bursts")
        .unwrap();
    let examples = of_load(&recipe, 1, 100);
    assert_eq!(examples, of_load(&recipe, 1, 100));
    assert_ne!(examples, of_load(&recipe, 2, 100));
    let is_whole = |one: &Example| one.at_seconds.is_multiple_of(60) && one.at_seconds > 0;
    assert!(examples.iter().all(is_whole));
    let silent = examples.iter().filter(|example| kind(&example.codes) == 0);
    assert!(silent.count() <= 10);
    assert!(examples.len() > 50, "{}", examples.len());
    let uses = examples
        .iter()
        .filter(|example| naive(&example.codes)[3] > 0.0);
    assert!(uses.count() > 40);
    assert!(
        examples
            .iter()
            .any(|example| touches(example.codes[STEPS - 1]) > 0.0)
    );
}
