//! The daemon and the process that serves the volume die, while data move, beneath a load that
//! tolerates nothing.

use tier_tests::io::{fill, read};
use tier_tests::load::Load;
use tier_tests::rig::are_moves_over;
use tier_tests::test_name;

use super::*;

#[test]
fn nothing_fails_whichever_of_the_two_processes_dies() {
    guest(&test_name!())
        .phase(|guest| {
            let rig = volume(guest);
            rig.slow_down_the_hdd();
            let load = Load::start(device(), 0..USED_BYTES, 5, true);
            let first = server();
            let mut daemon = rig.run();
            assert_eq!(
                server(),
                first,
                "a daemon's restart leaves the process alone"
            );
            for round in 0..2 {
                moves_to(2 - round % 2);
                load.must_go_on(LONG);
                daemon.kill();
                load.must_go_on(LONG);
                daemon = rig.run();
                assert_eq!(server(), first);
                wait_for_moves(&daemon);
                load.check();
            }
            let mut serving = first;
            for round in 0..2 {
                moves_to(2 - round % 2);
                load.must_go_on(LONG);
                kill(serving);
                serving = another(serving);
                load.must_go_on(LONG);
                wait_until("the daemon is back", LONG, || are_moves_over().is_ok());
                wait_for_moves(&daemon);
                move_around(&daemon);
            }
            // Nobody is there to see to the moves: they are ended all the same.
            moves_to(2);
            daemon.kill();
            load.must_go_on(LONG);
            std::thread::sleep(Duration::from_secs(15));
            load.stop().verify();
            let daemon = rig.run();
            assert!(are_moves_over().unwrap(), "{:?}", moves());
            daemon.must(&["volume", "stop", "v"]);
            assert!(daemon.stop().success());
            rig.assert_checked();
            what_cannot_be_served_is_not_started_elsewhere(&rig);
        })
        .run();
}

/// While its requests may wait on ublk, nobody else writes beneath them.
fn what_cannot_be_served_is_not_started_elsewhere(rig: &Rig<'_>) {
    assert!(rig.setting().activate().success());
    fill(device(), 0, 4096, 7).unwrap();
    kill(server());
    let daemon = rig.setting().die_at("serve:made", 1).run();
    let refused = daemon.ctl(&["volume", "start", "v"]).unwrap_err();
    assert!(refused.contains("tierd serve v"), "{refused}");
    let refused = daemon.ctl(&["volume", "start", "v", "--backend", "dm"]);
    let refused = refused.unwrap_err();
    assert!(refused.contains("served on ublk"), "{refused}");
    let refused = daemon.ctl(&["volume", "stop", "v"]).unwrap_err();
    assert!(refused.contains("does not serve it"), "{refused}");
    let refused = daemon
        .ctl(&["volume", "destroy", "v", "--yes"])
        .unwrap_err();
    assert!(refused.contains("does not serve it"), "{refused}");
    assert!(daemon.stop().success());
    assert!(rig.setting().activate().success());
    assert_eq!(read(device(), 0, 4096).unwrap(), [7; 4096]);
}
