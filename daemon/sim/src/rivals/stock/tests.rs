use super::*;
use crate::rivals::touches::{Rule, Touches};

const SLOW: MemberIndex = MemberIndex(1);

fn driver(touches: usize, is_timed: bool, fast_regions: u32) -> Stock {
    let rule = Rule {
        touches,
        window_nanos: 100,
    };
    let tiers = Tiers {
        fast_regions,
        region_bytes: 1 << 20,
        slow: SLOW,
    };
    Stock::new(Box::new(Touches::new(rule)), is_timed, tiers)
}

fn touch(driver: &mut Stock, now: u64, region: u32, op: Op) -> Vec<Order> {
    let touch = Touch {
        region,
        op,
        request_start: 0,
        request_end: 1,
        length: 1,
        is_first: true,
    };
    let mut orders = Vec::new();
    driver.touched(now, touch, &mut orders);
    orders
}

fn home(driver: &Stock, region: u32) -> MemberIndex {
    driver.route(region).home.member
}

#[test]
fn a_region_is_promoted_at_its_nth_touch_within_the_window() {
    let mut driver = driver(3, false, 2);
    for (now, wanted) in [(0, 1), (90, 1), (150, 1), (180, 0)] {
        touch(&mut driver, now, 7, Op::Read);
        assert_eq!(home(&driver, 7), MemberIndex(wanted), "at {now}");
    }
}

#[test]
fn an_ideal_one_writes_back_what_was_written_and_nothing_else() {
    let mut driver = driver(1, false, 1);
    assert_eq!(touch(&mut driver, 0, 1, Op::Write).len(), 2);
    assert_eq!(touch(&mut driver, 1, 2, Op::Read).len(), 2, "1 was clean");
    touch(&mut driver, 2, 2, Op::Write);
    let orders = touch(&mut driver, 3, 3, Op::Read);
    let back = Order::Charge {
        member: SLOW,
        op: Op::Write,
        bytes: 1 << 20,
    };
    assert!(orders.len() == 3 && orders.contains(&back), "{orders:?}");
    assert_eq!((home(&driver, 2), home(&driver, 3)), (SLOW, MemberIndex(0)));
}

#[test]
fn a_timed_one_serves_from_the_old_place_until_its_copy_is_complete() {
    let mut driver = driver(1, true, 1);
    let orders = touch(&mut driver, 0, 1, Op::Read);
    assert!(matches!(orders.as_slice(), [Order::Copy { id: 1, .. }]));
    assert_eq!(home(&driver, 1), SLOW);
    assert!(driver.route(1).mirror.is_some());
    driver.copied(1, 1, &mut Vec::new());
    assert_eq!(
        (home(&driver, 1), driver.route(1).mirror),
        (MemberIndex(0), None)
    );
    // The next one waits until the first has left.
    let orders = touch(&mut driver, 2, 2, Op::Read);
    assert!(matches!(orders.as_slice(), [Order::Copy { id: 1, .. }]));
    assert_eq!(home(&driver, 1), MemberIndex(0));
    let mut orders = Vec::new();
    driver.copied(3, 1, &mut orders);
    assert!(matches!(orders.as_slice(), [Order::Copy { id: 2, .. }]));
    assert_eq!((home(&driver, 1), home(&driver, 2)), (SLOW, SLOW));
}

#[test]
fn the_one_that_was_not_touched_for_longest_leaves() {
    let mut driver = driver(1, false, 2);
    for region in [1, 2, 1, 3] {
        touch(&mut driver, 0, region, Op::Read);
    }
    let homes = [1, 2, 3].map(|region| home(&driver, region).0);
    assert_eq!(homes, [0, 1, 0]);
}
