//! A volume on ublk one of whose members is missing: as on device-mapper, refused at first, served in part
//! when an operator says so, and whole again when the member is back.

use tier_tests::command::run;
use tier_tests::disk::Disk;
use tier_tests::io::{assert_filled, fill, flush, read};
use tier_tests::test_name;
use tier_tests::tierd::Setting;

use super::*;

const CONFIG: &str = "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
    [daemon.scan]\ninclude = [\"/dev/nbd*\"]\n[intervals]\nscale = 0.05\n\
    [probe]\nenabled = false\n[policy]\nenabled = false\n";

/// One region on each member: the volume lies on them in their order.
const ON_FAST: u64 = 0;
const ON_MIDDLE: u64 = 50;
const ON_SLOW: u64 = 90;

fn fill_region(region: u64, value: u8) {
    fill(device(), region * REGION_BYTES, 1 << 20, value).unwrap();
}

fn assert_region(region: u64, value: u8) {
    assert_filled(device(), region * REGION_BYTES, 1 << 20, value);
}

#[test]
fn a_missing_member_takes_what_is_on_it_alone_and_gives_it_back() {
    guest(&test_name!())
        .phase(|guest| {
            let disk = |name: &str| Disk::new(guest.image(name), 48 << 20).start();
            let [fast, middle, slow] = ["fast", "middle", "slow"].map(disk);
            let setting = Setting::new(guest, programs()).config(CONFIG);
            let daemon = setting.run();
            let members = [
                ("nvme", fast.path()),
                ("ssd", middle.path()),
                ("hdd", slow.path()),
            ];
            daemon.create_on("ublk", "v", &members);
            for (region, value) in [(ON_FAST, 1), (ON_MIDDLE, 2), (ON_SLOW, 3)] {
                fill_region(region, value);
            }
            daemon.must(&["volume", "stop", "v"]);
            drop(middle);

            // As a daemon leaves it that died while it started the volume so.
            std::fs::write("/run/tierd/ublk-v.degraded", "").unwrap();
            let why = daemon.ctl(&["volume", "start", "v"]).unwrap_err();
            assert!(why.contains("exit status: 10"), "{why}");
            let says = why.contains("member 1") && why.contains("--degraded");
            assert!(says, "{why}");
            assert!(!device().exists());

            daemon.must(&["volume", "start", "v", "--degraded", "--yes"]);
            serves_the_rest(&daemon);
            // Neither the death of the process nor the member's return changes what is served.
            let middle = disk("middle");
            let serving = server();
            kill(serving);
            another(serving);
            wait_until("the daemon is back", LONG, || moves().is_ok());
            serves_the_rest(&daemon);
            fill_region(ON_SLOW, 4);

            daemon.must(&["volume", "stop", "v"]);
            let notes = daemon.must(&["volume", "start", "v"]);
            assert!(notes.contains("taken back"), "{notes}");
            assert_eq!(shown(&daemon)["state"], "running");
            for (region, value) in [(ON_FAST, 1), (ON_MIDDLE, 2), (ON_SLOW, 4)] {
                assert_region(region, value);
            }
            daemon.must(&["move", "v", "--regions", "50-51", "--to", "nvme", "--wait"]);
            assert_region(ON_MIDDLE, 2);
            daemon.must(&["volume", "stop", "v"]);
            assert!(daemon.stop().success());
            let members = [fast.node(), middle.node(), slow.node()];
            run(
                programs().tierctl.to_str().unwrap(),
                &[&["check"], &members[..]].concat(),
            );
        })
        .run();
}

/// What is on the members that are there can be read, written, made durable and moved; the rest fails.
fn serves_the_rest(daemon: &Daemon) {
    assert_eq!(shown(daemon)["state"], "degraded");
    assert_region(ON_FAST, 1);
    let of_missing = [
        read(device(), ON_MIDDLE * REGION_BYTES, 4096).map(|_| ()),
        fill(device(), ON_MIDDLE * REGION_BYTES, 4096, 9),
        // Half of it is there.
        read(device(), (ON_MIDDLE + 20) * REGION_BYTES, 30 << 20).map(|_| ()),
    ];
    for failed in of_missing {
        let error = failed.unwrap_err();
        assert_eq!(
            error.errno(),
            Some(nix::errno::Errno::EIO as i32),
            "{error}"
        );
    }
    fill_region(ON_SLOW, 3);
    flush(device()).unwrap();
    for to in ["nvme", "hdd"] {
        daemon.must(&["move", "v", "--regions", "90-91", "--to", to, "--wait"]);
        assert_region(ON_SLOW, 3);
    }
    let refused = |regions, to| daemon.ctl(&["move", "v", "--regions", regions, "--to", to]);
    let why = refused("50-51", "nvme").unwrap_err();
    assert!(why.contains("member 1, which is missing"), "{why}");
    let why = refused("90-91", "ssd").unwrap_err();
    assert!(why.contains("no member of class ssd"), "{why}");
}
