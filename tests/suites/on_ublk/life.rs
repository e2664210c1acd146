//! What people do with a volume.

use tier_sys::block::{Access, BlockDevice};
use tier_tests::io::{read, wait_until};
use tier_tests::load::Load;
use tier_tests::server::device_of;
use tier_tests::test_name;

use super::*;

const LOW: [&str; 8] = [
    "move",
    "v",
    "--regions",
    "0-0",
    "--to",
    "member:1",
    "--priority",
    "low",
];

#[test]
fn a_volume_on_ublk_is_made_moved_stopped_and_changes_its_backend() {
    guest(&test_name!())
        .phase(|guest| {
            let rig = volume(guest);
            let bytes = u64::from(rig.regions()) * REGION_BYTES;
            let daemon = rig.run();
            let volume = shown(&daemon);
            assert_eq!(volume["backend"], "ublk");
            assert_eq!(volume["state"], "running");
            assert_eq!(volume["size_bytes"], bytes);
            assert_eq!(device_of(device()), 0);
            let load = Load::start(device(), 0..USED_BYTES, 3, false);
            move_around(&daemon);
            a_move_goes_on_when_its_priority_is_raised(&daemon);
            load.must_go_on(LONG);
            assert!(ends("done") >= 4, "{:?}", moves());
            assert_eq!(ends("failed"), 0, "{:?}", moves());
            what_is_in_use_stays(&daemon);
            load.stop().verify();
            refused_while_it_runs(&daemon);
            let before = used();
            daemon.must(&["volume", "stop", "v"]);
            assert!(!device().exists() && !Path::new("/dev/ublkb0").exists());
            assert!(daemon.stop().success());
            rig.assert_checked();
            // What it was on last is on record; nobody has to say it.
            let daemon = rig.run();
            assert_eq!(shown(&daemon)["backend"], "ublk");
            assert!(before == used());
            daemon.must(&["volume", "stop", "v"]);
            on_device_mapper_for_a_while(&rig, &daemon, &before);
            daemon.must(&["volume", "start", "v", "--backend", "ublk"]);
            assert!(before == used());
            daemon.must(&["volume", "stop", "v"]);
            daemon.must(&["volume", "destroy", "v", "--yes"]);
            let left = daemon.json(&["volume", "list"]);
            assert_eq!(left["volumes"].as_array().unwrap().len(), 0);
            assert!(daemon.stop().success());
        })
        .run();
}

/// What is compared of the volume.
fn used() -> Vec<u8> {
    read(device(), 0, usize::try_from(USED_BYTES).unwrap()).unwrap()
}

/// A low priority is a byte a second here: after what is copied at once, it stands still.
fn a_move_goes_on_when_its_priority_is_raised(daemon: &Daemon) {
    let mut asked = Err(String::new());
    // What is given up is free a little later.
    wait_until("there is room", LONG, || {
        asked = daemon.ctl(&LOW);
        asked.is_ok()
    });
    let live = || moves().unwrap()["live"][0].clone();
    wait_until("a half is copied", LONG, || live()["progress"] == 0.5);
    let found = live();
    assert_eq!(found["stage"], "copying", "{asked:?}");
    assert_eq!(found["priority"], "low", "{found}");
    let id = found["id"].to_string();
    assert!(daemon.must(&["moves", "v"]).contains("priority: low"));
    let said = daemon.must(&["priority", &id, "high", "v"]);
    assert!(said.contains("high"), "{said}");
    wait_for_moves(daemon);
    let refused = daemon.ctl(&["priority", &id, "low", "v"]).unwrap_err();
    assert!(refused.contains(&id), "{refused}");
}

/// Neither what is open nor what is open exclusively, as a mount is, is taken away.
fn what_is_in_use_stays(daemon: &Daemon) {
    for access in [Access::ReadOnly, Access::Exclusive] {
        let open = BlockDevice::open(device(), access).unwrap();
        let refused = daemon.ctl(&["volume", "stop", "v"]).unwrap_err();
        assert!(
            refused.contains("in use") || refused.contains("busy"),
            "{refused}"
        );
        open.read_at(
            0,
            &mut tier_sys::aligned::AlignedBuffer::zeroed(4096).unwrap(),
        )
        .unwrap();
    }
}

fn refused_while_it_runs(daemon: &Daemon) {
    let other = daemon.ctl(&["volume", "start", "v", "--backend", "dm"]);
    let refused = other.unwrap_err();
    assert!(refused.contains("runs on ublk"), "{refused}");
    assert!(refused.contains("volume stop v"), "{refused}");
    let refused = daemon
        .ctl(&["volume", "destroy", "v", "--yes"])
        .unwrap_err();
    assert!(refused.contains("runs"), "{refused}");
    let stacked = daemon.ctl(&["volume", "create", "w", "/dev/ublkb0", "--force", "--yes"]);
    let refused = stacked.unwrap_err();
    assert!(refused.contains("device of ublk"), "{refused}");
    let again = daemon.must(&["volume", "start", "v", "--backend", "ublk"]);
    assert!(again.contains("it runs already"), "{again}");
}

/// The same data by tables of the kernel, where they move, too.
fn on_device_mapper_for_a_while(rig: &Rig<'_>, daemon: &Daemon, before: &[u8]) {
    let dry = daemon.must(&["volume", "start", "v", "--backend", "dm", "--dry-run"]);
    assert!(dry.contains("dm"), "{dry}");
    daemon.must(&["volume", "start", "v", "--backend", "dm"]);
    assert_eq!(shown(daemon)["backend"], "dm");
    assert!(before == used());
    let refused = daemon.ctl(&LOW).unwrap_err();
    assert!(refused.contains("device-mapper"), "{refused}");
    move_around(daemon);
    rig.assert_all_linear();
    assert!(before == used());
    daemon.must(&["volume", "stop", "v"]);
}
