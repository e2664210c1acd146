//! Mistakes built on purpose, and what sees each of them: were one made in earnest, the tests of
//! the same conditions in this suite would fail.

use tier_tests::disk::{Answer, Answers};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, fill, read};
use tier_tests::test_name;
use tierd::backend::dm::canary::Canary;

use super::moves::slow_down;
use super::*;

/// Against `a_write_that_failed_on_the_target_is_parked_until_the_target_is_dropped`.
#[test]
fn without_handle_errors_a_failed_write_is_acknowledged_and_lost_with_the_source() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.backend.set_canary(Canary {
                without_handle_errors: true,
                ..Canary::default()
            });
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            rig.disks[1].answer(Answers {
                write: Answer::Fail,
                ..Answers::GOOD
            });
            let path = rig.path();
            let write = Pending::start(move || fill(&path, region_offset(3), 4096, 9));
            write.within(LONG).expect("it is not parked").unwrap();
            rig.disks[1].answer(Answers::GOOD);
            let target = read(rig.disks[1].path(), leg_offset(leg(1, 10)), 4096).unwrap();
            assert!(
                target.iter().all(|byte| *byte == 0),
                "acknowledged, and not there"
            );
        })
        .run();
}

/// Against `a_write_during_the_copy_is_on_the_target_after_it`.
#[test]
fn nosync_outside_a_checked_hold_believes_legs_that_differ() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            fill(&rig.path(), region_offset(2), 3 << 20, 5).unwrap();
            rig.backend.set_canary(Canary {
                nosync: true,
                ..Canary::default()
            });
            rig.add(&[an_add()]);
            assert!(rig.state(MoveId(1)).is_complete(), "it says so");
            rig.backend.drop_leg(finish(&an_add())).unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            let data = read(&rig.path(), region_offset(2), 4096).unwrap();
            assert!(
                data.iter().all(|byte| *byte == 0),
                "what was written is gone"
            );
        })
        .run();
}

/// Against `a_live_mirror_is_adopted_without_copying_again`.
#[test]
fn a_live_mirror_that_is_loaded_again_copies_from_the_start() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            slow_down(&rig.disks[0]);
            rig.backend.reload_live_mirror(MoveId(1)).unwrap();
            assert!(!rig.state(MoveId(1)).is_complete());
        })
        .run();
}
