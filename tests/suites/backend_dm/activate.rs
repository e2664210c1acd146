//! Starting, adopting and stopping a volume.

use std::fs;
use std::path::Path;

use tier_core::event::AdoptedStage;
use tier_tests::command::run;
use tier_tests::disk::Speed;
use tier_tests::guest::Guest;
use tier_tests::io::{assert_filled, fill};
use tier_tests::test_name;
use tierd::backend::BackendError;
use tierd::backend::dm::Activation;

use super::moves::{ours, slow_down};
use tier_core::units::MemberIndex;

use super::*;

const LINK: &str = "/dev/tierd/test";
const EBUSY: Option<i32> = Some(16);

#[test]
fn a_volume_starts_once_is_adopted_after_and_stops_without_a_trace() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let started = rig.backend.read_back().unwrap();
            assert_eq!(started.direct, extents());
            fill(Path::new(LINK), region_offset(9), 4096, 4).unwrap();
            let tables = || run("dmsetup", &["table"]);
            let before = tables();
            let mut another = rig.another();
            let adopted = another.activate(&extents()).unwrap();
            assert_eq!(adopted.how, Activation::Adopted);
            assert_eq!(adopted.map, started);
            assert_eq!(tables(), before, "nothing was loaded");
            rig.backend.deactivate().unwrap();
            assert_eq!(ours(), 0);
            assert!(fs::symlink_metadata(LINK).is_err());
            BlockDevice::open(rig.disks[0].path(), Access::Exclusive).expect("it is free");
            let again = rig.backend.activate(&extents()).unwrap();
            assert_eq!(again.how, Activation::Started);
            assert_filled(Path::new(LINK), region_offset(9), 4096, 4);
            assert_filled(rig.disks[1].path(), leg_offset(leg(1, 1)), 4096, 4);
        })
        .run();
}

#[test]
fn a_live_mirror_is_adopted_without_copying_again() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            slow_down(&rig.disks[0]);
            let adopted = rig.another().activate(&extents()).unwrap();
            let found = &adopted.map.moves[0];
            assert_eq!((found.source, found.target), (leg(0, 2), leg(1, 9)));
            assert!(matches!(found.stage, AdoptedStage::Mirror(state) if state.is_complete()));
            assert!(rig.state(MoveId(1)).is_complete(), "it did not begin again");
            rig.disks[0].set_speed(Speed::Full);
            rig.backend.drop_leg(finish(&an_add())).unwrap();
            let found = rig.another().activate(&extents()).unwrap().map.moves;
            assert_eq!(found[0].stage, AdoptedStage::Linear(leg(1, 9)));
        })
        .run();
}

#[test]
fn members_are_claimed_and_their_areas_are_one_holders_lock() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let rig = Rig::start(guest);
            let error = BlockDevice::open(rig.disks[0].path(), Access::Exclusive).unwrap_err();
            assert_eq!(error.errno(), EBUSY);
            let area = rig.backend.area_path(MemberIndex(0)).unwrap();
            let held = BlockDevice::open(&area, Access::Exclusive).unwrap();
            assert_eq!(held.size_bytes(), DATA_START.0);
            let second = BlockDevice::open(&area, Access::Exclusive).unwrap_err();
            assert_eq!(second.errno(), EBUSY);
        })
        .run();
}

#[test]
fn a_member_in_use_is_refused_and_nothing_is_left_behind() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.backend.deactivate().unwrap();
            let held = BlockDevice::open(rig.disks[1].path(), Access::Exclusive).unwrap();
            let error = rig.backend.activate(&extents()).unwrap_err();
            assert_eq!(error.errno(), EBUSY, "{error}");
            assert!(error.to_string().contains("tierd-test-area-1"), "{error}");
            drop(held);
            rig.backend.activate(&extents()).unwrap();
        })
        .run();
}

#[test]
fn an_open_volume_does_not_stop() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let open = BlockDevice::open(&rig.path(), Access::ReadOnly).unwrap();
            let error = rig.backend.deactivate().unwrap_err();
            assert!(matches!(&error, BackendError::InUse { device } if device == "tierd-test"));
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
            drop(open);
            rig.backend.deactivate().unwrap();
            let error = rig.backend.read_back().unwrap_err();
            assert!(matches!(error, BackendError::NotRunning { .. }), "{error}");
        })
        .run();
}

#[test]
fn a_kernel_that_maps_otherwise_than_recorded_is_not_touched() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let before = run("dmsetup", &["table"]);
            let other = [extent(0, 8, leg(0, 8)), extent(8, 8, leg(1, 0))];
            let error = rig.backend.activate(&other).unwrap_err();
            assert!(
                matches!(error, BackendError::Mismatch { sector: 0, .. }),
                "{error}"
            );
            assert_eq!(run("dmsetup", &["table"]), before);
        })
        .run();
}

#[test]
fn a_device_of_our_name_that_is_not_ours_is_not_touched() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.backend.deactivate().unwrap();
            run("dmsetup", &["create", "tierd-test", "--table", "0 8 zero"]);
            let error = rig.backend.activate(&extents()).unwrap_err();
            assert!(matches!(error, BackendError::Foreign { .. }), "{error}");
            assert_eq!(run("dmsetup", &["table", "tierd-test"]), "0 8 zero");
        })
        .run();
}

#[test]
fn what_a_death_left_half_made_is_removed() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let uuid = rig.backend.layout().volume;
            for (name, uuid) in [
                ("tierd-test-mirror-4", format!("TIERD-{uuid}-mirror-4")),
                ("tierd-test-move-4", format!("TIERD-{uuid}-move-4")),
            ] {
                run("dmsetup", &["create", name, "--notable", "-u", &uuid]);
            }
            let loaded = format!(
                "0 896 linear {} 128\n896 2048 mirror core 1 1024 2 {0} 4096 {} 28672 1 handle_errors",
                rig.disks[0].node(),
                rig.disks[1].node()
            );
            run(
                "dmsetup",
                &["load", "tierd-test-mirror-4", "--table", &loaded],
            );
            assert_eq!(ours(), 5);
            rig.another().activate(&extents()).unwrap();
            assert_eq!(ours(), 3);
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
        })
        .run();
}
