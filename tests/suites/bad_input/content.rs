//! Devices with something on them: kept unless given by force, and then gone.

use tier_tests::command::{attempt, run};
use tier_tests::guest::Guest;
use tier_tests::test_name;

use super::*;

#[test]
fn what_is_on_a_device_is_kept_unless_it_is_given_by_force_and_then_gone() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let daemon = daemon(guest);
            let good = disk(guest, "good", 8);
            for (name, kind, write) in FOREIGN {
                println!("{name}");
                let device = disk(guest, name, 16);
                write(&device);
                kept_then_wiped(&daemon, &good, &device, kind);
            }
        })
        .run();
}

/// Writes something on a disk.
type Write = fn(&RunningDisk);

/// What others write on devices, and how people call it.
const FOREIGN: &[(&str, &str, Write)] = &[
    ("ext4", "ext4 labelled \"home\"", |disk| {
        drop(run("mkfs.ext4", &["-q", "-L", "home", disk.node()]));
    }),
    ("lvm", "LVM2_member", |disk| {
        let devices = format!("devices{{filter=[\"a|{}|\",\"r|.*|\"]}}", disk.node());
        drop(run(
            "pvcreate",
            &["--quiet", "--config", &devices, disk.node()],
        ));
    }),
    ("table", "a partition table (dos)", |disk| {
        write_partition_table(disk.path());
    }),
];

fn kept_then_wiped(daemon: &Daemon, good: &RunningDisk, device: &RunningDisk, kind: &str) {
    let create = ["volume", "create", "v", good.node(), device.node()];
    let devices = [good.path(), device.path()];
    let row = refused(&create, exit::FOREIGN, &[device.node(), kind, "--force"]);
    refuse(daemon, &devices, &row);
    // Nobody is there to be asked.
    let forced = [&create[..], &["--force"]].concat();
    let row = refused(&forced, exit::DECLINED, &[device.node(), kind, "--yes"]);
    refuse(daemon, &devices, &row);
    let before = contents(&devices);
    let rehearsed = daemon.must(&[&forced[..], &["--dry-run"]].concat());
    assert!(rehearsed.contains(kind), "{rehearsed}");
    assert_eq!(before, contents(&devices), "a dry run changed a device");

    daemon.must(&[&forced[..], &["--yes"]].concat());
    daemon.must(&["volume", "stop", "v"]);
    let found = attempt("blkid", &["-p", device.node()]);
    let nothing = found.expect_err("a signature was left behind");
    assert!(nothing.contains("exit status: 2"), "{nothing}");
    daemon.must(&["volume", "destroy", "v", "--yes"]);
}
