//! A volume one of whose members is missing: refused at first, served in part when an operator
//! says so, and whole again when the member is back.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]

use std::path::{Path, PathBuf};

use tier_sys::block::{Access, BlockDevice};
use tier_tests::command::run;
use tier_tests::disk::Disk;
use tier_tests::dm::Device;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{assert_filled, fill, flush, read};
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
const VOLUME: &str = "/dev/tierd/v";
const MIB: u64 = 1 << 20;

/// One region on each member: the volume lies on them in their order.
const ON_FAST: u64 = 0;
const ON_MIDDLE: u64 = 50;
const ON_SLOW: u64 = 90;

fn disk(guest: &Inside, name: &str) -> Disk {
    Disk::new(guest.file(name), 48 * MIB)
}

fn state(daemon: &Daemon) -> String {
    daemon.json(&["volume", "show", "v"])["state"].to_string()
}

fn fill_region(region: u64, value: u8) {
    fill(Path::new(VOLUME), region * MIB, 1 << 20, value).unwrap();
}

fn assert_region(region: u64, value: u8) {
    assert_filled(Path::new(VOLUME), region * MIB, 1 << 20, value);
}

#[test]
fn a_missing_member_takes_what_is_on_it_alone_and_gives_it_back() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let fast = disk(guest, "fast").start();
            let middle = disk(guest, "middle").start();
            let slow = disk(guest, "slow").start();
            let setting = Setting::new(guest, Programs::beside(TIERD));
            let daemon = setting.run();
            daemon.create(
                "v",
                &[
                    ("nvme", fast.path()),
                    ("ssd", middle.path()),
                    ("hdd", slow.path()),
                ],
            );
            let regions = [(ON_FAST, 1), (ON_MIDDLE, 2), (ON_SLOW, 3)];
            for (region, value) in regions {
                fill_region(region, value);
            }
            daemon.must(&["volume", "stop", "v"]);
            drop(middle);

            let why = daemon.ctl(&["volume", "start", "v"]).unwrap_err();
            assert!(why.contains("exit status: 10"), "{why}");
            assert!(
                why.contains("member 1") && why.contains("--degraded"),
                "{why}"
            );
            assert!(!Path::new(VOLUME).exists());

            daemon.must(&["volume", "start", "v", "--degraded", "--yes"]);
            assert_eq!(state(&daemon), "\"degraded\"");
            serves_the_rest(&daemon);

            // The daemon may die; the next one takes the volume as it runs, the member's return
            // notwithstanding: what the kernel maps is not changed beneath its user.
            let middle = disk(guest, "middle").start();
            daemon.kill();
            let daemon = setting.run();
            assert_eq!(state(&daemon), "\"degraded\"");
            serves_the_rest(&daemon);
            fill_region(ON_SLOW, 4);

            daemon.must(&["volume", "stop", "v"]);
            let left = run("dmsetup", &["ls"]);
            assert!(!left.contains("tierd-"), "{left}");
            let notes = daemon.must(&["volume", "start", "v"]);
            assert!(notes.contains("taken back"), "{notes}");
            assert_eq!(state(&daemon), "\"running\"");
            for (region, value) in [(ON_FAST, 1), (ON_MIDDLE, 2), (ON_SLOW, 4)] {
                assert_region(region, value);
            }
            daemon.must(&["move", "v", "--regions", "50-51", "--to", "nvme", "--wait"]);
            assert_region(ON_MIDDLE, 2);
            daemon.must(&["volume", "stop", "v"]);
            run(
                "sh",
                &[
                    "-c",
                    &format!(
                        "{} check {} {} {}",
                        Programs::beside(TIERD).tierctl.display(),
                        fast.node(),
                        middle.node(),
                        slow.node()
                    ),
                ],
            );
        })
        .run();
}

/// Between claiming its members and mapping the volume, a start holds their areas. Another that
/// finds them held ends, and takes nothing down that the first one has made.
#[test]
fn a_start_that_finds_another_under_way_leaves_it_what_it_has() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let fast = disk(guest, "fast").start();
            let slow = disk(guest, "slow").start();
            let setting = Setting::new(guest, Programs::beside(TIERD));
            let daemon = setting.run();
            daemon.create("v", &[("nvme", fast.path()), ("hdd", slow.path())]);
            daemon.must(&["volume", "stop", "v"]);
            drop(slow);
            daemon.must(&["volume", "start", "v", "--degraded", "--yes"]);
            daemon.kill();
            // What a start has made that has come as far as its stand-ins, and its lock.
            run("dmsetup", &["remove", "tierd-v"]);
            let area = Device::named("tierd-v-area-0").number();
            let minor = area.split(':').next_back().unwrap();
            let lock = BlockDevice::open(
                &PathBuf::from(format!("/dev/dm-{minor}")),
                Access::Exclusive,
            );
            let lock = lock.unwrap();
            // A volume that another holds is its to start: that is no failure.
            assert!(setting.activate().success());
            let left = run("dmsetup", &["ls"]);
            for name in ["tierd-v-area-0", "tierd-v-absent-1"] {
                assert!(left.contains(name), "{left}");
            }
            drop(lock);
            // With the lock gone, a daemon takes the volume up again as it was.
            let daemon = setting.run();
            let said = daemon.must(&["volume", "start", "v"]);
            assert!(said.contains("runs already"), "{said}");
        })
        .run();
}

/// What is on the members that are there can be read, written and moved; the rest fails.
fn serves_the_rest(daemon: &Daemon) {
    assert_region(ON_FAST, 1);
    let error = read(Path::new(VOLUME), ON_MIDDLE * MIB, 4096).unwrap_err();
    assert_eq!(
        error.errno(),
        Some(nix::errno::Errno::EIO as i32),
        "{error}"
    );
    fill_region(ON_SLOW, 3);
    flush(Path::new(VOLUME)).unwrap();
    daemon.must(&["move", "v", "--regions", "90-91", "--to", "nvme", "--wait"]);
    assert_region(ON_SLOW, 3);
    daemon.must(&["move", "v", "--regions", "90-91", "--to", "hdd", "--wait"]);
    assert_region(ON_SLOW, 3);
    let why = daemon
        .ctl(&["move", "v", "--regions", "50-51", "--to", "nvme"])
        .unwrap_err();
    assert!(why.contains("member 1, which is missing"), "{why}");
    let why = daemon
        .ctl(&["move", "v", "--regions", "90-91", "--to", "ssd"])
        .unwrap_err();
    assert!(why.contains("no member of class ssd"), "{why}");
}
