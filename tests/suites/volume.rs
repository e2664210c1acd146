//! A volume from creation to destruction, through the daemon and its command.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tier_tests::command::run;
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::{Guest, Inside};
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");

/// A volume `v` on an NVMe drive and a hard disk of so many MiB, and its daemon.
fn volume(guest: &Inside, mib: [u64; 2]) -> ([RunningDisk; 2], Daemon) {
    let [fast, slow] = ["fast.img", "slow.img"].map(|image| guest.file(image));
    let disks = [
        Disk::new(fast, mib[0] << 20).start(),
        Disk::new(slow, mib[1] << 20).start(),
    ];
    let daemon = Setting::new(guest, Programs::beside(TIERD)).run();
    daemon.create("v", &[("nvme", disks[0].path()), ("hdd", disks[1].path())]);
    (disks, daemon)
}

#[test]
fn a_volume_is_created_written_moved_stopped_and_started_again() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (_disks, daemon) = volume(guest, [48, 96]);
            let device = "/dev/tierd/v";
            assert!(Path::new(device).exists());
            run(
                "fio",
                &[
                    "--name=w",
                    "--filename=/dev/tierd/v",
                    "--rw=write",
                    "--bs=64k",
                    "--size=100m",
                    "--verify=crc32c",
                    "--do_verify=0",
                    "--direct=1",
                    "--end_fsync=1",
                    "--verify_state_save=0",
                ],
            );
            println!("{}", daemon.must(&["volume", "list"]));
            println!("{}", daemon.must(&["status", "v"]));
            println!(
                "{}",
                daemon.must(&["move", "v", "--regions", "60-63", "--to", "nvme", "--wait"])
            );
            println!("{}", daemon.must(&["moves", "v", "--history"]));
            run(
                "fio",
                &[
                    "--name=w",
                    "--filename=/dev/tierd/v",
                    "--rw=write",
                    "--bs=64k",
                    "--size=100m",
                    "--verify=crc32c",
                    "--verify_only",
                    "--verify_state_save=0",
                    "--direct=1",
                ],
            );
            daemon.must(&["volume", "stop", "v"]);
            assert!(!Path::new(device).exists());
            daemon.must(&["volume", "start", "v"]);
            println!("{}", daemon.must(&["heat", "v"]));
            println!("{}", daemon.log());
        })
        .run();
}

/// Whoever looks into a volume for a moment, as udev does after an unmount, does not keep it from
/// being stopped; who has it open for longer does, and the volume is served as before.
#[test]
fn a_volume_that_is_open_for_a_moment_is_stopped_when_it_is_closed() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (_disks, daemon) = volume(guest, [32, 32]);
            let open = File::open("/dev/tierd/v").unwrap();
            let why = daemon.ctl(&["volume", "stop", "v"]).unwrap_err();
            assert!(why.contains("in use"), "{why}");
            let moved = ["move", "v", "--regions", "0-1", "--to", "hdd", "--wait"];
            daemon.must(&moved);
            let closing = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(1));
                drop(open);
            });
            daemon.must(&["volume", "stop", "v"]);
            closing.join().unwrap();
            assert!(!Path::new("/dev/tierd/v").exists());
        })
        .run();
}
