//! A copy that does not begin, or is said not to have begun.

use tier_core::event::AdoptedStage;
use tier_tests::guest::Guest;
use tier_tests::io::{assert_filled, fill};
use tier_tests::test_name;
use tierd::backend::BackendError;
use tierd::backend::dm::canary::{Canary, Start};

use super::moves::ours;
use super::*;

#[test]
fn a_copy_that_cannot_begin_leaves_its_run_on_the_source_and_the_others_copying() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            fill(&path, region_offset(2), 3 << 20, 1).unwrap();
            let other = add(2, 9, 2, leg(1, 1), leg(0, 8));
            rig.add(&[other]);
            rig.backend.set_canary(Canary {
                start: Start::Refused,
                ..Canary::default()
            });
            let added = rig.backend.add_legs(&[an_add()]).unwrap();
            let [(MoveId(1), Err(error))] = added.copies.as_slice() else {
                panic!("{added:?}")
            };
            assert!(
                error.to_string().contains("start tierd-test-mirror-1-not"),
                "{error}"
            );
            fill(&path, region_offset(3), 4096, 7).expect("it is not held");
            let found = rig.backend.read_back().unwrap().moves;
            let stages: Vec<_> = found.iter().map(|one| (one.id, one.stage)).collect();
            assert!(
                matches!(
                    stages.as_slice(),
                    [
                        (MoveId(1), AdoptedStage::Linear(home)),
                        (MoveId(2), AdoptedStage::Mirror(_)),
                    ] if *home == an_add().source
                ),
                "{stages:?}"
            );
            assert_eq!(ours(), 6, "the mirror that did not start is gone");
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            rig.backend.set_canary(Canary::default());
            rig.run_move(add(3, 2, 3, leg(0, 2), leg(1, 9)));
            assert_filled(&path, region_offset(2), 1 << 20, 1);
            assert_filled(&path, region_offset(3), 4096, 7);
            rig.wait_until_complete(MoveId(2));
        })
        .run();
}

#[test]
fn a_copy_that_began_though_the_kernel_denied_it_goes_on() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            fill(&path, region_offset(2), 3 << 20, 1).unwrap();
            rig.backend.set_canary(Canary {
                start: Start::Denied,
                ..Canary::default()
            });
            rig.add(&[an_add()]);
            fill(&path, region_offset(3), 4096, 7).unwrap();
            assert_filled(&path, region_offset(2), 1 << 20, 1);
            rig.wait_until_complete(MoveId(1));
            rig.backend.drop_leg(finish(&an_add())).unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            assert_filled(&path, region_offset(2), 1 << 20, 1);
            assert_filled(&path, region_offset(3), 4096, 7);
        })
        .run();
}

#[test]
fn a_mirror_that_the_volume_leads_through_is_not_taken_down() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            fill(&path, region_offset(2), 3 << 20, 1).unwrap();
            rig.add(&[an_add()]);
            let error = rig.backend.take_down_live_mirror(MoveId(1)).unwrap_err();
            assert!(
                matches!(error, BackendError::StillMirrors(MoveId(1))),
                "{error}"
            );
            assert_filled(&path, region_offset(2), 3 << 20, 1);
            rig.wait_until_complete(MoveId(1));
        })
        .run();
}
