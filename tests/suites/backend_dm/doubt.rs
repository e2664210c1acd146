//! A leg that failed a flush, which the kernel forgets: the leg that has everything is kept.

use tier_sys::block::BlockError;
use tier_tests::disk::{Answer, Answers};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{Pending, assert_filled, fill, flush};
use tier_tests::test_name;
use tierd::backend::BackendError;

use tierd::backend::settle::Settle as _;

use super::*;

/// A region that is being moved, by [`an_add`].
const MOVED: u32 = 3;

/// A complete mirror of which a disk fails one flush, that flush, and writes of these values after
/// it, with the first of which the kernel forgets what failed.
fn failed_flush(
    guest: &Inside,
    disk: usize,
    then: &[u8],
) -> (Rig, Pending<Result<(), BlockError>>) {
    let mut rig = Rig::start(guest);
    rig.add(&[an_add()]);
    rig.wait_until_complete(MoveId(1));
    fill(&rig.path(), region_offset(MOVED), 4096, 7).unwrap();
    rig.disks[disk].answer(Answers {
        flush: Answer::Fail,
        ..Answers::GOOD
    });
    let path = rig.path();
    let flushed = Pending::start(move || flush(&path));
    flushed.assert_parked_for(Duration::from_millis(500));
    rig.disks[disk].answer(Answers::GOOD);
    for value in then {
        fill(&rig.path(), region_offset(MOVED), 4096, *value).unwrap();
    }
    let state = rig.state(MoveId(1));
    assert!(state.is_in_doubt() && !state.is_complete(), "{state:?}");
    (rig, flushed)
}

/// The parked flush has come back, and the volume holds the value.
fn freed(rig: &mut Rig, flushed: &Pending<Result<(), BlockError>>, value: u8) {
    // With an error, perhaps: extents that do not move lie on that disk too.
    let _ = flushed.within(LONG).expect("the flush comes back");
    assert_filled(&rig.path(), region_offset(MOVED), 4096, value);
    rig.backend.set_map(&[MoveId(1)]).unwrap();
    assert_filled(&rig.path(), region_offset(MOVED), 4096, value);
}

#[test]
fn a_target_that_failed_a_flush_is_dropped_and_not_kept() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (mut rig, flushed) = failed_flush(guest, 1, &[1, 2, 3]);
            let error = rig.backend.add_legs(&[add(2, 0, 1, leg(0, 0), leg(1, 12))]);
            let error = error.unwrap_err();
            assert!(
                matches!(error, BackendError::UnhealthyMove { id: MoveId(1), .. }),
                "{error}"
            );
            let refused = rig.backend.drop_leg(finish(&an_add())).unwrap();
            let DropOutcome::Refused(state) = refused else {
                panic!("it has not what was written: {refused:?}")
            };
            assert!(state.source_alive && !state.target_alive, "{state:?}");
            rig.backend.drop_leg(undo(&an_add())).unwrap();
            freed(&mut rig, &flushed, 3);
        })
        .run();
}

#[test]
fn a_source_that_failed_a_flush_is_dropped_and_not_kept() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (mut rig, flushed) = failed_flush(guest, 0, &[1, 2, 3]);
            let refused = rig.backend.drop_leg(undo(&an_add())).unwrap();
            let DropOutcome::Refused(state) = refused else {
                panic!("it has not what was written: {refused:?}")
            };
            assert!(!state.source_alive && state.target_alive, "{state:?}");
            let kept = DropLeg {
                require_complete: false,
                ..finish(&an_add())
            };
            let outcome = rig.backend.drop_leg(kept).unwrap();
            assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
            freed(&mut rig, &flushed, 3);
        })
        .run();
}

#[test]
fn legs_that_are_equal_still_are_as_good_as_each_other() {
    Guest::uml(test_name!())
        .phase(|guest| {
            // The first write after it still reaches both.
            let (mut rig, flushed) = failed_flush(guest, 0, &[7]);
            let outcome = rig.backend.drop_leg(undo(&an_add())).unwrap();
            assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
            freed(&mut rig, &flushed, 7);
        })
        .run();
}

#[test]
fn settling_commits_the_leg_that_has_everything_before_it_drops_the_other() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (mut rig, flushed) = failed_flush(guest, 0, &[1, 2, 3]);
            let settled = rig.another().settle(&extents()).unwrap();
            assert!(settled.dropped.is_empty() && settled.failed.is_empty());
            assert_eq!(settled.needs_commit.len(), 1, "{settled:?}");
            assert_eq!(settled.needs_commit[0].keep, Kept::Target);
            let record = [
                extent(0, 2, leg(0, 0)),
                extent(2, 3, leg(1, 9)),
                extent(5, 3, leg(0, 5)),
                extent(8, 8, leg(1, 0)),
            ];
            let settled = rig.another().settle(&record).unwrap();
            assert_eq!(settled.dropped, [(MoveId(1), Kept::Target)]);
            freed(&mut rig, &flushed, 3);
        })
        .run();
}
