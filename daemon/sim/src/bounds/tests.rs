use super::*;
use crate::future::Future;
use crate::rivals::{Asked, Chooser};
use crate::trace::{Op, Request, Trace};
use crate::world::MemberSpec;
use std::rc::Rc;
use tier_core::units::{Bytes, Micros};
use tier_core::volume::{Class, Profile};

const SECOND: u64 = 1_000_000_000;
const COST: MoveCost = MoveCost {
    to_come_seconds: 0.014,
    to_leave_seconds: 0.014,
};

/// Reads of 4 KiB that each cost a seek: (seconds, region).
fn future(at: &[(u64, u32)]) -> Rc<Future> {
    let request = |(number, &(seconds, region)): (u64, &(u64, u32))| Request {
        at: Micros(seconds * 1_000_000),
        op: Op::Read,
        offset: Bytes((u64::from(region) << 20) + (number * 7919 % 250) * 4096),
        length: Bytes(4096),
    };
    let trace = Trace {
        requests: (0..).zip(at).map(request).collect(),
        lines_passed_over: 0,
    };
    let slow = MemberSpec {
        class: Class::Hdd,
        regions: 100,
        profile: Profile::typical(Class::Hdd),
    };
    Rc::new(Future::of(&trace, 1 << 20, &slow))
}

fn read(seconds: u64, region: u32) -> Asked {
    Asked {
        at_nanos: seconds * SECOND,
        region,
        op: Op::Read,
    }
}

#[test]
fn the_future_knows_when_and_at_what_cost() {
    let future = future(&[(1, 7), (2, 3), (5, 7)]);
    assert_eq!(future.next(7, 0), Some(SECOND));
    assert_eq!(future.next(7, SECOND), Some(5 * SECOND));
    assert_eq!(future.next(3, 2 * SECOND), None);
    let one = future.seconds(7, 0, 5 * SECOND);
    assert!((one - 0.008).abs() < 0.001, "{one}");
    let both = future.seconds(7, 0, u64::MAX);
    assert!((both - 0.016).abs() < 0.001, "{both}");
}

#[test]
fn belady_brings_what_pays_and_lets_go_of_what_is_wanted_last() {
    // 1 pays for its move; 2 does not; 3 pays, but only if 1 is not wanted before.
    let mut at = vec![(0, 1), (1, 2), (2, 2), (3, 3), (30, 1), (31, 1)];
    at.extend((4..14).map(|second| (second, 3)));
    at.extend((40..50).map(|second| (second, 1)));
    at.sort_unstable();
    let mut belady = Belady::new(future(&at), COST, 1);
    assert!(belady.wants(read(0, 1)));
    belady.came(1);
    assert!(!belady.wants(read(1, 2)), "one touch to come does not pay");
    assert!(belady.wants(read(3, 3)), "ten touches before 1 returns");
    assert_eq!(belady.leaves(&|_| false), Some(1));
    belady.came(3);
    for second in 4..14 {
        belady.hit(read(second, 3));
    }
    assert!(belady.wants(read(30, 1)), "3 is not wanted any more");
}

#[test]
fn a_clairvoyant_brings_what_the_epoch_wants_before_it_does() {
    let at: Vec<(u64, u32)> = (100..110)
        .map(|second| (second, 5))
        .chain((100..110).map(|second| (second, 90)))
        .chain([(1, 1), (105, 6)])
        .collect();
    let mut at = at;
    at.sort_unstable();
    let mut all = Clairvoyant::new(future(&at), COST, Names::All, 100 * SECOND, 3);
    assert_eq!(all.turn(100 * SECOND), [5, 90], "6 is touched once");
    let mut learnable = Clairvoyant::new(future(&at), COST, Names::Learnable, 100 * SECOND, 3);
    assert!(!learnable.wants(read(1, 1)));
    assert_eq!(
        learnable.turn(100 * SECOND),
        [5],
        "90 is far from what is known"
    );
}

#[test]
fn a_clairvoyant_changes_what_is_held_only_where_that_pays_for_both_moves() {
    let mut at: Vec<(u64, u32)> = (0..5).map(|second| (second, 1)).collect();
    at.extend((0..8).map(|second| (second, 2)));
    at.extend((0..12).map(|second| (second, 3)));
    at.sort_unstable();
    let mut one = Clairvoyant::new(future(&at), COST, Names::All, 100 * SECOND, 1);
    one.came(1);
    // 1 is worth 40 ms, 2 is worth 64 ms and 3 is worth 96 ms; two moves cost 28 ms.
    assert_eq!(one.turn(0), [3]);
    let mut two = Clairvoyant::new(future(&at), COST, Names::All, 100 * SECOND, 1);
    two.came(2);
    assert_eq!(two.turn(0), [3], "96 - 64 is just more than 28");
}
