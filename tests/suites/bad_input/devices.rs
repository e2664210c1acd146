//! Devices that cannot be members, and names and sizes that cannot be a volume's.

use tier_tests::command::run;
use tier_tests::dm::Device;
use tier_tests::guest::Guest;
use tier_tests::loopdev::LoopDevice;
use tier_tests::test_name;

use super::*;

#[test]
fn a_device_that_cannot_be_a_member_is_refused_and_left_as_it_was() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let daemon = daemon(guest);
            let good = disk(guest, "good", 8);
            let bad = disk(guest, "bad", 16);
            for (name, used) in USES {
                println!("{name}");
                in_use(&daemon, &good, &bad, *used);
            }
            wrong_kind(guest, &daemon, &good);
            twice(guest, &daemon, &bad);
            partition_and_disk(guest, &daemon);
            names_and_sizes(&daemon, &good, &bad);
        })
        .run();
}

/// Takes a disk in use.
type Use = fn(&RunningDisk) -> InUse;

/// How a device can be in use, with what must be said of it.
const USES: &[(&str, Use)] = &[
    ("mounted", |disk| {
        run(
            "mkfs.ext4",
            &["-q", "-E", "lazy_itable_init=0", disk.node()],
        );
        std::fs::create_dir_all("/tmp/point").unwrap();
        // A mount that writes nothing, so that the bytes can be compared.
        run("mount", &["-o", "ro", disk.node(), "/tmp/point"]);
        InUse {
            says: "mounted on /tmp/point",
            end: Box::new(|| drop(run("umount", &["/tmp/point"]))),
        }
    }),
    ("swap", |disk| {
        run("mkswap", &[disk.node()]);
        run("swapon", &[disk.node()]);
        let node = disk.node().to_owned();
        InUse {
            says: "swap",
            end: Box::new(move || drop(run("swapoff", &[&node]))),
        }
    }),
    ("part of another device", |disk| {
        let above = Device::create("above", &format!("0 2048 linear {} 0", disk.node()));
        InUse {
            says: "part of the device above",
            end: Box::new(move || above.remove()),
        }
    }),
    ("behind a loop device", |disk| {
        let above = LoopDevice::attach(disk.path(), 512);
        InUse {
            says: "behind the loop device loop",
            end: Box::new(move || drop(above)),
        }
    }),
    ("held by a program", |disk| {
        let held = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
        InUse {
            says: "another program holds it",
            end: Box::new(move || drop(held)),
        }
    }),
];

struct InUse {
    says: &'static str,
    end: Box<dyn FnOnce()>,
}

/// Whatever is forced, a device in use is refused.
fn in_use(daemon: &Daemon, good: &RunningDisk, bad: &RunningDisk, used: Use) {
    let InUse { says, end } = used(bad);
    for force in [&[][..], &["--force", "--yes"]] {
        let arguments = [
            &["volume", "create", "v", good.node(), bad.node()][..],
            force,
        ]
        .concat();
        let says = [bad.node(), "in use", says, "or give another device"];
        let row = refused(&arguments, exit::BUSY, &says);
        refuse(daemon, &[good.path(), bad.path()], &row);
    }
    end();
    run("wipefs", &["--all", "--quiet", bad.node()]);
}

fn wrong_kind(guest: &Inside, daemon: &Daemon, good: &RunningDisk) {
    let read_only = Disk::new(guest.file("ro"), 16 * MIB).read_only().start();
    let small = disk(guest, "small", 1);
    let tiny = Disk::new(guest.file("tiny"), 64 << 10).start();
    let blocks = Disk::new(guest.file("4k"), 16 * MIB)
        .block_bytes(4096)
        .start();
    let file = guest.file("file");
    std::fs::write(&file, vec![7; 16 << 20]).unwrap();
    let file = file.to_str().unwrap();
    let create = |device, more: &[&'static str]| {
        [&["volume", "create", "v", good.node(), device][..], more].concat()
    };
    let rows = [
        (
            create(read_only.node(), &[]),
            exit::UNFIT,
            vec![read_only.node(), "read-only", "blockdev --setrw"],
        ),
        (
            create(small.node(), &[]),
            exit::UNFIT,
            vec![small.node(), "too small", "give a larger device"],
        ),
        (
            create(tiny.node(), &[]),
            exit::UNFIT,
            vec![tiny.node(), "too small", "give a larger device"],
        ),
        (
            create(blocks.node(), &["--block-size", "512"]),
            exit::UNFIT,
            vec!["blocks of 4096 bytes", "leave the block size out"],
        ),
        (
            create(file, &[]),
            exit::INVALID,
            vec![file, "not a block device", "losetup"],
        ),
        (
            create("/dev/nothing", &[]),
            exit::NOT_FOUND,
            vec!["/dev/nothing"],
        ),
    ];
    let devices = [good.path(), small.path(), blocks.path(), read_only.path()];
    for (arguments, exit, says) in &rows {
        refuse(daemon, &devices, &refused(arguments, *exit, says));
    }
}

fn twice(guest: &Inside, daemon: &Daemon, bad: &RunningDisk) {
    let link = guest.file("link");
    std::os::unix::fs::symlink(bad.path(), &link).unwrap();
    let link = link.to_str().unwrap();
    for second in [bad.node(), link] {
        let arguments = ["volume", "create", "v", bad.node(), second];
        let says = [second, "are the same device", "give it once"];
        refuse(
            daemon,
            &[bad.path()],
            &refused(&arguments, exit::INVALID, &says),
        );
    }
}

fn partition_and_disk(guest: &Inside, daemon: &Daemon) {
    let image = guest.file("partitioned");
    std::fs::File::create(&image)
        .unwrap()
        .set_len(32 * MIB)
        .unwrap();
    let disk = LoopDevice::attach(&image, 512);
    write_partition_table(disk.path());
    run("partx", &["--add", disk.path().to_str().unwrap()]);
    let partition = format!("{}p1", disk.path().display());
    let disk_node = disk.path().to_str().unwrap();
    let arguments = [
        "volume", "create", "v", disk_node, &partition, "--force", "--yes",
    ];
    let says = [
        &partition,
        "is a partition of",
        disk_node,
        "give one of the two",
    ];
    refuse(
        daemon,
        &[disk.path()],
        &refused(&arguments, exit::INVALID, &says),
    );
    run("partx", &["--delete", disk_node]);
}

fn names_and_sizes(daemon: &Daemon, good: &RunningDisk, bad: &RunningDisk) {
    let long = "x".repeat(64);
    let node = good.node();
    let create = |name| ["volume", "create", name, node];
    let rule = "use 1 to 63 of A-Z a-z 0-9 _ . - and begin with a letter or a digit";
    let devices = [good.path(), bad.path()];
    for name in ["a/b", "..", "_x", "a b", "ü", &long] {
        let arguments = create(name);
        refuse(
            daemon,
            &devices,
            &refused(&arguments, exit::INVALID, &[name, rule]),
        );
    }
    for (size, says) in [
        ("3MiB", "power of two"),
        ("512KiB", "1 MiB"),
        ("2GiB", "1 GiB"),
        ("12 apples", "12 apples"),
    ] {
        let arguments = ["volume", "create", "v", node, "--region-size", size];
        refuse(
            daemon,
            &devices,
            &refused(&arguments, exit::INVALID, &[says]),
        );
    }
}
