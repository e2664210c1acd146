//! Moves, whole and wound back, under a load that verifies what it reads.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tier_tests::disk::Speed;
use tier_tests::guest::Guest;
use tier_tests::io::{assert_filled, fill, read};
use tier_tests::test_name;
use tierd::backend::BackendError;
use tierd::backend::dm::events::DmEvents;

use super::*;

#[test]
fn a_move_takes_its_data_along_and_leaves_a_coalesced_table() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            for region in 0..REGIONS {
                let value = u8::try_from(region).unwrap() + 1;
                fill(&path, region_offset(region), 1 << 20, value).unwrap();
            }
            rig.run_move(an_add());
            for region in 0..REGIONS {
                let value = u8::try_from(region).unwrap() + 1;
                assert_filled(&path, region_offset(region), 1 << 20, value);
            }
            assert_filled(rig.disks[1].path(), leg_offset(leg(1, 9)), 1 << 20, 3);
            let expected = vec![
                extent(0, 2, leg(0, 0)),
                extent(2, 3, leg(1, 9)),
                extent(5, 3, leg(0, 5)),
                extent(8, 8, leg(1, 0)),
            ];
            let map = rig.backend.read_back().unwrap();
            assert_eq!(map.direct, expected);
            assert_eq!(map.moves, []);
            rig.run_move(add(2, 2, 3, leg(1, 9), leg(0, 2)));
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
            assert_eq!(ours(), 3, "the volume and two areas are left");
        })
        .run();
}

#[test]
fn a_write_during_the_copy_is_on_the_target_after_it() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            fill(&path, region_offset(2), 3 << 20, 1).unwrap();
            slow_down(&rig.disks[0]);
            rig.add(&[an_add()]);
            assert!(!rig.state(MoveId(1)).is_complete());
            for region in 2..5 {
                fill(&path, region_offset(region) + 8192, 4096, 9).unwrap();
            }
            rig.disks[0].set_speed(Speed::Full);
            rig.wait_until_complete(MoveId(1));
            rig.backend.drop_leg(finish(&an_add())).unwrap();
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            for region in 2..5 {
                assert_filled(&path, region_offset(region) + 8192, 4096, 9);
                assert_filled(&path, region_offset(region) + 16384, 4096, 1);
            }
        })
        .run();
}

#[test]
fn an_incomplete_mirror_refuses_to_be_finished_and_goes_on_copying() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            slow_down(&rig.disks[0]);
            rig.add(&[an_add()]);
            let outcome = rig.backend.drop_leg(finish(&an_add())).unwrap();
            let DropOutcome::Refused(state) = outcome else {
                panic!("{outcome:?}")
            };
            assert!(!state.is_complete());
            assert_eq!(state.total_chunks, 3 * CHUNKS_A_REGION);
            rig.disks[0].set_speed(Speed::Full);
            rig.wait_until_complete(MoveId(1));
            rig.backend.drop_leg(finish(&an_add())).unwrap();
        })
        .run();
}

#[test]
fn an_undone_move_stops_writing_to_its_target_at_once() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let path = rig.path();
            fill(&path, region_offset(2), 3 << 20, 5).unwrap();
            slow_down(&rig.disks[0]);
            rig.add(&[an_add()]);
            rig.backend.drop_leg(undo(&an_add())).unwrap();
            rig.disks[0].set_speed(Speed::Full);
            let target = rig.disks[1].path();
            fill(target, leg_offset(leg(1, 9)), 3 << 20, 77).unwrap();
            fill(&path, region_offset(2), 4096, 6).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            assert_filled(target, leg_offset(leg(1, 9)), 3 << 20, 77);
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            assert_filled(&path, region_offset(2), 4096, 6);
            assert_filled(&path, region_offset(2) + 4096, (3 << 20) - 4096, 5);
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
        })
        .run();
}

/// As udev or a curious person may have: the mirror cannot be removed just then, and must not go
/// on copying.
#[test]
fn a_mirror_that_something_has_open_is_made_harmless_and_removed_when_closed() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            fill(&rig.path(), region_offset(2), 3 << 20, 5).unwrap();
            slow_down(&rig.disks[0]);
            rig.add(&[an_add()]);
            let columns = [
                "info",
                "-c",
                "--noheadings",
                "-o",
                "minor",
                "tierd-test-mirror-1",
            ];
            let node = format!("/dev/dm-{}", tier_tests::command::run("dmsetup", &columns));
            let open = BlockDevice::open(node.as_ref(), Access::ReadOnly).unwrap();
            rig.backend.drop_leg(undo(&an_add())).unwrap();
            rig.disks[0].set_speed(Speed::Full);
            let target = rig.disks[1].path();
            fill(target, leg_offset(leg(1, 9)), 3 << 20, 77).unwrap();
            std::thread::sleep(Duration::from_millis(500));
            assert_filled(target, leg_offset(leg(1, 9)), 3 << 20, 77);
            rig.backend.set_map(&[MoveId(1)]).unwrap();
            assert_eq!(ours(), 4, "the open mirror is left");
            drop(open);
            wait_until("the mirror is gone", LONG, || ours() == 3);
            assert_filled(&rig.path(), region_offset(2), 3 << 20, 5);
        })
        .run();
}

#[test]
fn moves_churn_under_a_verifying_load_and_nothing_is_lost() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let mut load = verifying_load(guest, &rig.path(), 10);
            let mut homes: Vec<Leg> = (0..REGIONS)
                .map(|at| leg(u16::from(at >= 8), at % 8))
                .collect();
            let mut free: [Vec<u32>; 2] = [(8..16).collect(), (8..16).collect()];
            let (mut id, mut at, mut rounds) = (0, 0, 0);
            while load.try_wait().unwrap().is_none() {
                let adds: Vec<_> = (0..4_u32)
                    .map(|step| {
                        let region = (at + step * 5) % REGIONS;
                        let source = homes[region as usize];
                        // To the other member, or elsewhere on its own while that one is full.
                        let member = [1 - source.member.0, source.member.0]
                            .into_iter()
                            .find(|member| !free[usize::from(*member)].is_empty())
                            .unwrap();
                        let target = leg(member, free[usize::from(member)].pop().unwrap());
                        id += 1;
                        add(id, region, 1, source, target)
                    })
                    .collect();
                at = (at + 1) % REGIONS;
                rig.add(&adds);
                for add in &adds {
                    rig.wait_until_complete(add.id);
                    let outcome = rig.backend.drop_leg(finish(add)).unwrap();
                    assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
                    homes[add.first.0 as usize] = add.target;
                    free[usize::from(add.source.member.0)].insert(0, add.source.first.0);
                }
                let ids: Vec<_> = adds.iter().map(|add| add.id).collect();
                rig.backend.set_map(&ids).unwrap();
                rounds += 1;
            }
            assert!(load.wait().unwrap().success(), "fio found a difference");
            assert!(
                rounds >= 8,
                "every region moves more than once: {rounds} rounds"
            );
            let before = read(&rig.path(), 0, 16 << 20).unwrap();
            let map = rig.backend.read_back().unwrap();
            assert_eq!(map.moves, []);
            rig.backend.deactivate().unwrap();
            rig.backend.activate(&map.direct).unwrap();
            assert!(
                before == read(&rig.path(), 0, 16 << 20).unwrap(),
                "stop and start"
            );
        })
        .run();
}

#[test]
fn what_contradicts_the_kernel_is_refused_and_changes_nothing() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let before = rig.backend.read_back().unwrap();
            for adds in [
                vec![add(1, 2, 3, leg(1, 2), leg(1, 9))],
                vec![add(1, 6, 4, leg(0, 6), leg(1, 9))],
                vec![add(1, 15, 2, leg(1, 7), leg(0, 9))],
                vec![add(1, 2, 0, leg(0, 2), leg(1, 9))],
                vec![add(1, 2, 3, leg(0, 2), leg(1, 7))],
                vec![add(1, 2, 3, leg(0, 2), leg(1, 14))],
                vec![add(1, 2, 3, leg(0, 2), leg(2, 0))],
                vec![an_add(), add(2, 4, 2, leg(0, 4), leg(1, 13))],
                vec![an_add(), add(2, 5, 2, leg(0, 5), leg(1, 11))],
                vec![an_add(), add(1, 5, 1, leg(0, 5), leg(1, 13))],
            ] {
                let error = rig.backend.add_legs(&adds).unwrap_err();
                assert!(
                    matches!(error, BackendError::Contradiction { .. }),
                    "{error}"
                );
                assert_eq!(rig.backend.read_back().unwrap(), before);
                assert_eq!(ours(), 3);
            }
            let none = rig.backend.leg_state(MoveId(5)).unwrap_err();
            assert!(matches!(none, BackendError::NoSuchMove(MoveId(5))));
            let none = rig.backend.set_map(&[MoveId(5)]).unwrap_err();
            assert!(matches!(none, BackendError::NoSuchMove(MoveId(5))));
            rig.add(&[an_add()]);
            let still = rig.backend.set_map(&[MoveId(1)]).unwrap_err();
            assert!(matches!(still, BackendError::StillMirrors(MoveId(1))));
        })
        .run();
}

#[test]
fn a_completed_copy_is_an_event() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let mut events = DmEvents::new(rig.backend.layout()).unwrap();
            assert_eq!(events.changed().unwrap(), []);
            rig.add(&[an_add()]);
            assert_eq!(events.changed().unwrap(), [MoveId(1)], "it has appeared");
            slow_down(&rig.disks[0]);
            let other = add(2, 0, 2, leg(0, 0), leg(1, 12));
            rig.add(&[other]);
            rig.disks[0].set_speed(Speed::Full);
            events.changed().unwrap();
            rig.wait_until_complete(MoveId(2));
            wait_until("the event", LONG, || {
                events.changed().unwrap().contains(&MoveId(2))
            });
        })
        .run();
}

/// Devices of device-mapper that the guest has.
pub(super) fn ours() -> usize {
    let shown = tier_tests::command::run("dmsetup", &["ls"]);
    shown
        .lines()
        .filter(|line| line.starts_with("tierd-"))
        .count()
}

pub(super) fn slow_down(disk: &RunningDisk) {
    disk.set_speed(Speed::Flash {
        latency: Duration::from_millis(20),
        bytes_per_second: 2 << 20,
    });
}

/// So many seconds of random writes that are read back and compared, then all compared once more.
pub(super) fn verifying_load(guest: &Inside, volume: &Path, seconds: u32) -> Child {
    Command::new("fio")
        .current_dir(guest.scratch())
        .args(["--name=verify", "--rw=randwrite", "--bs=4k", "--size=16m"])
        .args(["--direct=1", "--ioengine=libaio", "--iodepth=4"])
        .args([
            "--verify=crc32c",
            "--verify_fatal=1",
            "--verify_backlog=256",
            "--do_verify=1",
        ])
        .args(["--time_based"])
        .arg(format!("--runtime={seconds}"))
        .arg(format!("--filename={}", volume.display()))
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}
