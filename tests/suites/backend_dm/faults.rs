//! A leg that fails: what is parked, what frees it, and what is lost (nothing).

use std::time::Instant;

use tier_core::event::AdoptedStage;
use tier_tests::disk::{Answer, Answers, Spoil};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill};
use tier_tests::test_name;
use tierd::backend::BackendError;
use tierd::backend::dm::events::DmEvents;

use super::moves::slow_down;
use tierd::backend::settle::Settle as _;

use super::*;

const WRITES_FAIL: Answers = Answers {
    write: Answer::Fail,
    ..Answers::GOOD
};

/// A complete mirror whose target fails writes, and a write that is parked because of it.
fn parked_by_target(rig: &mut Rig) -> Pending<Result<(), tier_sys::block::BlockError>> {
    rig.add(&[an_add()]);
    rig.wait_until_complete(MoveId(1));
    rig.disks[1].answer(WRITES_FAIL);
    let path = rig.path();
    let write = Pending::start(move || fill(&path, region_offset(3), 4096, 9));
    write.assert_parked_for(Duration::from_millis(500));
    write
}

#[test]
fn a_write_that_failed_on_the_target_is_parked_until_the_target_is_dropped() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let mut events = DmEvents::new(rig.backend.layout()).unwrap();
            let write = parked_by_target(&mut rig);
            assert_eq!(events.changed().unwrap(), [MoveId(1)]);
            let state = rig.state(MoveId(1));
            assert!(state.source_alive && !state.target_alive, "{state:?}");
            let refused = rig.backend.drop_leg(finish(&an_add())).unwrap();
            assert!(matches!(refused, DropOutcome::Refused(_)), "{refused:?}");
            let other = add(2, 0, 1, leg(0, 0), leg(1, 12));
            // A hold would wait for the parked write, and so long.
            rig.backend.set_hold_limit(LONG);
            let start = Instant::now();
            let error = rig.backend.add_legs(&[other]).unwrap_err();
            assert!(
                matches!(error, BackendError::UnhealthyMove { id: MoveId(1), .. }),
                "{error}"
            );
            assert!(start.elapsed() < LONG, "nothing was held for it");
            rig.backend.drop_leg(undo(&an_add())).unwrap();
            write.within(LONG).expect("the write goes on").unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            assert_filled(&rig.path(), region_offset(3), 4096, 9);
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
        })
        .run();
}

#[test]
fn a_source_that_died_after_the_copy_is_left_for_the_target() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            fill(&rig.path(), region_offset(2), 3 << 20, 3).unwrap();
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            rig.disks[0].answer(Answers::GONE);
            let path = rig.path();
            let write = Pending::start(move || fill(&path, region_offset(3), 4096, 9));
            write.assert_parked_for(Duration::from_millis(300));
            let state = rig.state(MoveId(1));
            assert!(!state.source_alive && state.target_alive, "{state:?}");
            let drop = DropLeg {
                require_complete: false,
                ..finish(&an_add())
            };
            rig.backend.drop_leg(drop).unwrap();
            write.within(LONG).expect("the write goes on").unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            assert_filled(&rig.path(), region_offset(2), 1 << 20, 3);
            assert_filled(&rig.path(), region_offset(3), 4096, 9);
            assert_filled(&rig.path(), region_offset(3) + 4096, 4096, 3);
        })
        .run();
}

#[test]
fn one_bad_block_in_the_source_spoils_no_target_and_undoing_frees_the_rest() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            fill(&rig.path(), region_offset(2), 3 << 20, 3).unwrap();
            let bad = leg_offset(leg(0, 3)) + 65536;
            rig.disks[0].spoil(bad, 4096, Spoil::ForEver);
            rig.add(&[an_add()]);
            wait_until("the copy has failed", LONG, || {
                !rig.state(MoveId(1)).source_alive
            });
            assert!(!rig.state(MoveId(1)).is_complete());
            rig.backend.drop_leg(undo(&an_add())).unwrap();
            assert_filled(&rig.path(), region_offset(3), 65536, 3);
            assert_filled(&rig.path(), region_offset(3) + 65536 + 4096, 4096, 3);
            fill(&rig.path(), region_offset(4), 4096, 8).unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
        })
        .run();
}

#[test]
fn settle_frees_a_parked_write_by_the_record() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let write = parked_by_target(&mut rig);
            let settled = rig.another().settle(&extents()).unwrap();
            assert_eq!(settled.dropped, [(MoveId(1), Kept::Source)]);
            assert!(settled.needs_commit.is_empty() && settled.failed.is_empty());
            write.within(LONG).expect("the write goes on").unwrap();
            let found = rig.backend.read_back().unwrap().moves;
            assert_eq!(found[0].stage, AdoptedStage::Linear(leg(0, 2)));
            let again = rig.another().settle(&extents()).unwrap();
            assert!(again.dropped.is_empty() && again.failed.is_empty());
        })
        .run();
}

#[test]
fn settle_asks_for_a_commit_where_the_recorded_home_is_dead_and_the_other_leg_is_whole() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let write = parked_by_target(&mut rig);
            let target_committed = [
                extent(0, 2, leg(0, 0)),
                extent(2, 3, leg(1, 9)),
                extent(5, 3, leg(0, 5)),
            ];
            let settled = rig.another().settle(&target_committed).unwrap();
            let needed = &settled.needs_commit[0];
            assert_eq!((needed.found.id, needed.keep), (MoveId(1), Kept::Source));
            assert!(settled.dropped.is_empty() && settled.failed.is_empty());
            write.assert_parked_for(Duration::from_millis(100));
            rig.another().settle(&extents()).unwrap();
            write.within(LONG).expect("the write goes on").unwrap();
        })
        .run();
}

#[test]
fn settle_turns_healthy_mirrors_into_their_recorded_homes() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            fill(&rig.path(), region_offset(2), 3 << 20, 3).unwrap();
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            slow_down(&rig.disks[0]);
            let second = add(2, 5, 2, leg(0, 5), leg(1, 12));
            rig.add(&[second]);
            let record = [
                extent(0, 2, leg(0, 0)),
                extent(2, 3, leg(1, 9)),
                extent(5, 3, leg(0, 5)),
            ];
            let settled = rig.another().settle(&record).unwrap();
            let expected = [(MoveId(1), Kept::Target), (MoveId(2), Kept::Source)];
            assert_eq!(settled.dropped, expected);
            assert_filled(&rig.path(), region_offset(2), 3 << 20, 3);
        })
        .run();
}
