use super::arc::Arc;
use super::epochs::Epochs;
use super::levels::Levels;
use super::s3fifo::S3Fifo;
use super::smq::Smq;
use super::touches::{Rule, Touches};
use super::*;

const NOBODY: &dyn Fn(u32) -> bool = &|_| false;

fn read(region: u32) -> Asked {
    Asked {
        at_nanos: 0,
        region,
        op: Op::Read,
    }
}

/// Touches these regions one after the other on a tier of so many. Gives those that it holds.
fn held(chooser: &mut dyn Chooser, capacity: usize, touched: &[u32]) -> Vec<u32> {
    let mut held: Vec<u32> = Vec::new();
    for (now, &region) in (0..).zip(touched) {
        let asked = Asked {
            at_nanos: now,
            region,
            op: Op::Read,
        };
        if held.contains(&region) {
            chooser.hit(asked);
            continue;
        }
        if !chooser.wants(asked) {
            continue;
        }
        if held.len() == capacity {
            let gone = chooser.leaves(NOBODY).expect("one of those that are held");
            assert!(held.contains(&gone), "{gone} is not held");
            held.retain(|&one| one != gone);
        }
        chooser.came(region);
        held.push(region);
    }
    held.sort_unstable();
    held
}

/// What is used all the time, then a scan that is longer than the tier, twice.
fn work_and_scans() -> Vec<u32> {
    let work = || (0..5_u32).cycle().take(50);
    let scan = |first: u32| first..first + 100;
    work()
        .chain(scan(100))
        .chain(work())
        .chain(scan(300))
        .collect()
}

#[test]
fn lru_holds_what_was_used_last() {
    let rule = Rule {
        touches: 1,
        window_nanos: u64::MAX,
    };
    let mut lru = Touches::new(rule);
    assert_eq!(held(&mut lru, 3, &[1, 2, 3, 1, 4]), [1, 3, 4]);
    let mut lru = Touches::new(rule);
    let kept = held(&mut lru, 10, &work_and_scans());
    assert!(kept.iter().all(|&region| region >= 300), "{kept:?}");
}

#[test]
fn touches_that_lie_too_far_apart_do_not_count() {
    let rule = Rule {
        touches: 2,
        window_nanos: 3,
    };
    // Five touches lie between those of 1, and one between those of 2.
    let touched = [1, 2, 3, 2, 4, 1, 5];
    assert_eq!(held(&mut Touches::new(rule), 3, &touched), [2]);
}

#[test]
fn a_scan_does_not_drive_what_is_used_out_of_arc_and_s3_fifo() {
    for (name, chooser) in [
        ("arc", &mut Arc::new(10) as &mut dyn Chooser),
        ("s3-fifo", &mut S3Fifo::new(10)),
    ] {
        let kept = held(chooser, 10, &work_and_scans());
        assert_eq!(kept.len(), 10, "{name}");
        assert!(
            (0..5).all(|region| kept.contains(&region)),
            "{name}: {kept:?}"
        );
    }
}

#[test]
fn what_may_not_leave_is_passed_over() {
    let rule = Rule {
        touches: 1,
        window_nanos: u64::MAX,
    };
    let mut all: [Box<dyn Chooser>; 3] = [
        Box::new(Touches::new(rule)),
        Box::new(Arc::new(3)),
        Box::new(S3Fifo::new(3)),
    ];
    for chooser in &mut all {
        held(chooser.as_mut(), 3, &[1, 2, 3]);
        assert_eq!(chooser.leaves(&|region| region != 2), Some(2));
        assert_eq!(chooser.leaves(&|_| true), None);
    }
}

#[test]
fn at_the_end_of_an_epoch_comes_what_was_touched_enough_to_pay() {
    let mut epochs = Epochs::new(1, 2);
    for (region, touches) in [(1, 9), (2, 3), (3, 1), (4, 5)] {
        for _ in 0..touches {
            assert!(!epochs.wants(read(region)));
        }
    }
    assert_eq!(
        epochs.turn(0),
        [1, 4],
        "the warmest, as many as there is room for"
    );
    epochs.came(1);
    epochs.came(4);
    // 1 counts 4.5 now, 4 counts 2.5, 2 counts 1.5.
    for _ in 0..4 {
        epochs.wants(read(2));
    }
    assert_eq!(
        epochs.turn(0),
        [0_u32; 0],
        "5.5 instead of 2.5 does not pay for two moves"
    );
    for _ in 0..6 {
        epochs.wants(read(2));
    }
    assert_eq!(epochs.turn(0), [2]);
    assert_eq!(epochs.leaves(NOBODY), Some(4));
}

#[test]
fn smq_brings_what_is_touched_second_after_second_and_not_a_scan() {
    let mut smq = Smq::new(8, 10_000);
    let mut held: Vec<u32> = Vec::new();
    for second in 0..600_u64 {
        // Four regions each second, and sixteen others that never return.
        let scanned = (0..16).map(|number| 1000 + u32::try_from(second).unwrap() * 16 + number);
        for region in (0..4).chain(scanned) {
            let asked = Asked {
                at_nanos: second * 1_000_000_000,
                ..read(region)
            };
            if held.contains(&region) {
                smq.hit(asked);
            } else if smq.wants(asked) {
                if held.len() == 8 {
                    let gone = smq.leaves(NOBODY).expect("one of eight");
                    held.retain(|&one| one != gone);
                }
                smq.came(region);
                held.push(region);
            }
        }
    }
    assert!((0..4).all(|region| held.contains(&region)), "{held:?}");
}

#[test]
fn levels_rise_and_change_places() {
    let mut levels = Levels::new(4, 0, 0);
    for entry in 0..8 {
        levels.push(entry, 0);
    }
    levels.spread();
    let at = |levels: &Levels| {
        (0..8)
            .map(|entry| levels.level(entry).unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(at(&levels), [0, 0, 1, 1, 2, 2, 3, 3]);
    assert_eq!(levels.touch(0, 2), 2);
    assert_eq!(
        at(&levels),
        [2, 0, 1, 1, 0, 2, 3, 3],
        "4 fell to where 0 was"
    );
    assert_eq!(levels.touch(7, 1), 3, "no higher than the highest");
    assert_eq!(levels.pop(), Some(1), "longest on the lowest level");
}
