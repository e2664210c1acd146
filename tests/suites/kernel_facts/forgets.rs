//! What a mirror forgets of a leg that failed, and what it does then.

use tier_tests::disk::{Answer, Answers, RunningDisk};
use tier_tests::dm::MirrorStatus;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{Pending, fill, flush, read, wait_until};
use tier_tests::test_name;

use super::{CHUNKS, HANDLE_ERRORS, LONG, PARKED, disk, synced_mirror};

const FLUSHES_FAIL: Answers = Answers {
    flush: Answer::Fail,
    ..Answers::GOOD
};

#[derive(Clone, Copy)]
enum Leg {
    Source,
    Target,
}

fn first_byte(disk: &RunningDisk) -> u8 {
    read(disk.path(), 0, 4096).unwrap()[0]
}

/// A leg of a complete mirror fails one flush. Gives what source and target have, and what the
/// mirror reads, after the same block was written three times, each acknowledged.
fn after_a_failed_flush(guest: &Inside, leg: Leg) -> (u8, u8, u8) {
    let (source, target) = (disk(guest, "source"), disk(guest, "target"));
    let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
    wait_until("the event for the whole copy", LONG, || {
        device.events() == 1
    });
    let failing = match leg {
        Leg::Source => &source,
        Leg::Target => &target,
    };
    failing.answer(FLUSHES_FAIL);
    let path = device.path();
    let flushed = Pending::start(move || flush(&path));
    flushed.assert_parked_for(PARKED);
    failing.answer(Answers::GOOD);
    for value in [1, 2, 3] {
        fill(&device.path(), 0, 4096, value).unwrap();
    }
    let status = MirrorStatus::of(&device);
    assert_eq!((status.in_sync, status.health.as_str()), (CHUNKS, "AA"));
    assert!(device.events() > 1, "nothing tells of it");
    let seen = read(&device.path(), 0, 4096).unwrap()[0];
    (first_byte(&source), first_byte(&target), seen)
}

/// [2, 3] Why a mirror's letters are not believed where its events say otherwise.
#[test]
fn after_a_flush_that_the_target_failed_writes_reach_the_source_alone_and_nothing_is_said() {
    Guest::uml(test_name!())
        .phase(|guest| assert_eq!(after_a_failed_flush(guest, Leg::Target), (3, 1, 3)))
        .run();
}

/// [2, 3] And why the leg to keep is that from which the mirror reads.
#[test]
fn after_a_flush_that_the_source_failed_writes_reach_the_target_alone_and_nothing_is_said() {
    Guest::uml(test_name!())
        .phase(|guest| assert_eq!(after_a_failed_flush(guest, Leg::Source), (1, 3, 3)))
        .run();
}
