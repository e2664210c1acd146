//! What is written once, and a log that is written again and again: which of them flash is worn for.

use tier_core::units::{Bytes, MemberIndex, Micros};
use tier_core::volume::{Class, Profile};
use tier_core::wear::MemberWear;

use super::*;
use crate::field::MemberSetup;
use crate::outcome::Outcome;
use crate::trace::{Op, Request};

const MIB: u64 = 1 << 20;
const MINUTES: u32 = 3_600;
const LOG_REGIONS: u64 = 8;
/// What the flash may be written in a day, on average of a year.
const DAY_BYTES: f64 = 10.0 * 1_048_576.0;
/// Where what is written once begins.
const FRESH: u64 = 64;

fn write(at_seconds: f64, offset: u64, length: u64) -> Request {
    Request {
        at: Micros(tier_core::units::nanos(at_seconds) / 1000),
        op: Op::Write,
        offset: Bytes(offset),
        length: Bytes(length),
    }
}

/// A page of a log each minute, and all of a fresh region each ten minutes, in 16 parts: at a stretch
/// and in the order in which they lie, or in another one and with the log between.
fn trace(is_in_order: bool) -> Trace {
    let minutes = 0..MINUTES;
    let log = minutes.clone().map(|minute| {
        let page = u64::from(minute) * 7_919;
        let offset = page % LOG_REGIONS * MIB + page / LOG_REGIONS % 256 * 4_096;
        write(f64::from(minute) * 60.0, offset, 4_096)
    });
    let once = minutes.step_by(10).flat_map(|minute| {
        let region = FRESH + u64::from(minute) / 10;
        (0..16_u32).map(move |part| {
            let place = if is_in_order { part } else { part * 7 % 16 };
            let offset = region * MIB + u64::from(place) * 65_536;
            let pause = if is_in_order { 1.0 } else { 20.0 };
            let at = f64::from(minute) * 60.0 + 1.0 + f64::from(part) * pause;
            write(at, offset, 65_536)
        })
    });
    let mut requests: Vec<Request> = log.chain(once).collect();
    requests.sort_by_key(|request| request.at);
    Trace {
        requests,
        lines_passed_over: 0,
    }
}

fn run(is_in_order: bool, spoil: fn(&mut PolicyConfig)) -> Outcome {
    let member = |class, regions: u64| MemberSetup {
        class,
        capacity: Bytes(regions * MIB),
        profile: Profile::typical(class),
    };
    let mut policy = PolicyConfig::default();
    spoil(&mut policy);
    assert_eq!(policy.check(), Ok(()));
    let setup = Setup {
        devices: Devices::Members(vec![member(Class::Hdd, 700), member(Class::Nvme, 32)]),
        policy,
        ..Setup::default()
    };
    let trace = trace(is_in_order);
    let field = Field::new(&trace, &setup).unwrap();
    field.run_engine(&setup, None).0.outcome
}

/// Of the requests, those to the log.
const LOG_SHARE: f64 = 1_440.0 / (1_440.0 + 144.0 * 16.0);

#[test]
fn of_what_is_written_in_order_once_flash_takes_nothing_and_a_log_it_takes() {
    let outcome = run(true, |_| {});
    let fast = outcome.second_half.fast_requests;
    assert!((fast - LOG_SHARE).abs() < 0.02, "{fast}");
}

#[test]
fn what_is_written_once_leaves_the_budget_of_wear_to_the_log() {
    let unbounded = run(false, |_| {});
    let fast = unbounded.second_half.fast_requests;
    assert!(fast > LOG_SHARE + 0.2, "who has plenty wastes it: {fast}");
    // A month of it may be used at once; the log writes 5.6 MiB a day.
    let bounded = run(false, |policy| {
        let of_it = MemberWear {
            written_bytes_per_year: Some(DAY_BYTES * 365.0),
            ..MemberWear::default()
        };
        policy.wear.by_index.insert(MemberIndex(0), of_it);
    });
    let fast = bounded.second_half.fast_requests;
    assert!((fast - LOG_SHARE).abs() < 0.05, "{fast}");
    let written = bounded.whole.fast_written_bytes;
    let budget = (30.0 + f64::from(MINUTES) / 1_440.0) * DAY_BYTES;
    #[allow(clippy::cast_precision_loss, reason = "some hundred megabytes")]
    let used = written as f64 / budget;
    assert!((0.7..1.3).contains(&used), "{used} of the budget");
}

#[test]
fn where_wear_is_dear_flash_is_kept_for_neither() {
    let outcome = run(false, |policy| {
        policy.wear_seconds_per_gib = 4_000.0;
    });
    assert!(outcome.whole.fast_requests < 0.01, "{outcome:?}");
}
