//! Emulated machines: what they promise to the suites that need BPF, ublk, NVMe or udev.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tier_tests::command::run;
use tier_tests::dm::Device;
use tier_tests::guest::{Drive, Guest, Inside};
use tier_tests::io::flush;
use tier_tests::test_name;

#[test]
fn drives_are_found_by_name_and_outlive_a_power_cut() {
    Guest::qemu(test_name!())
        .drive(Drive::nvme("fast", 64 << 20))
        .drive(Drive::hdd("slow", 64 << 20).block_bytes(4096))
        .until_cut(|guest| {
            let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
            assert!(release.starts_with("6.12."), "{release}");
            run("udevadm", &["settle", "--timeout=60"]);
            let links: Vec<_> = std::fs::read_dir("/dev/disk/by-id")
                .unwrap()
                .flatten()
                .collect();
            let by_serial = |name: &str| {
                links
                    .iter()
                    .any(|link| link.file_name().to_string_lossy().ends_with(name))
            };
            assert!(by_serial("fast") && by_serial("slow"), "{links:?}");
            for (name, rotational, block) in [("fast", "0", "512"), ("slow", "1", "4096")] {
                let node = guest.drive(name);
                let sys = std::path::Path::new("/sys/block").join(node.file_name().unwrap());
                let queue = |file: &str| {
                    std::fs::read_to_string(sys.join("queue").join(file))
                        .unwrap()
                        .trim()
                        .to_owned()
                };
                assert_eq!(queue("rotational"), rotational, "{name}");
                assert_eq!(queue("logical_block_size"), block, "{name}");
                let disk = std::fs::File::options().write(true).open(&node).unwrap();
                std::os::unix::fs::FileExt::write_all_at(&disk, &[7; 4096], 8192).unwrap();
                disk.sync_data().unwrap();
            }
            guest.cut_power()
        })
        .phase(|guest| {
            for name in ["fast", "slow"] {
                let disk = std::fs::File::open(guest.drive(name)).unwrap();
                let mut read = [0; 4096];
                std::os::unix::fs::FileExt::read_exact_at(&disk, &mut read, 8192).unwrap();
                assert_eq!(read, [7; 4096], "{name}");
            }
            many_linear_targets_are_flushed_once(&guest.drive("fast"));
        })
        .run();
}

/// Why a volume may have many extents from Linux 6.11 on.
fn many_linear_targets_are_flushed_once(drive: &Path) {
    let line = |at: u64| {
        format!(
            "{} 1024 linear {} {}",
            at * 1024,
            drive.display(),
            (63 - at) * 1024
        )
    };
    let table: Vec<_> = (0..64).map(line).collect();
    let device = Device::create("flushed", &table.join("\n"));
    let stat = Path::new("/sys/block")
        .join(drive.file_name().unwrap())
        .join("stat");
    // Documentation/block/stat.rst: the sixteenth field.
    let flushes = || {
        let stat = std::fs::read_to_string(&stat).unwrap();
        stat.split_whitespace()
            .nth(15)
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    // Whoever looked at the new device may have written, and is done.
    run("udevadm", &["settle", "--timeout=60"]);
    let before = flushes();
    flush(&device.path()).unwrap();
    assert_eq!(flushes() - before, 1);
    device.remove();
}

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Runs this test in a guest that may have run others, and gives that guest's boot and what the body
/// left in the scratch folder.
fn boot_of(test: &str, body: fn(&Inside)) -> Option<String> {
    let guest = Guest::qemu(test).phase(|guest| {
        assert!(!guest.file("boot").exists(), "the folder is new");
        std::fs::copy(BOOT_ID, guest.file("boot")).unwrap();
        body(guest);
    });
    let scratch = guest.run()?;
    Some(std::fs::read_to_string(scratch.path().join("boot")).unwrap())
}

#[test]
fn a_machine_runs_the_next_test_too_unless_something_is_left_behind() {
    const NAMES: [&str; 3] = [
        "what_leaves_nothing_behind",
        "what_leaves_a_device_behind",
        "what_fails",
    ];
    let Some(first) = boot_of(NAMES[0], |_| ()) else {
        return;
    };
    let second = boot_of(NAMES[1], |_| ()).unwrap();
    assert_eq!(first, second, "nothing was left behind");
    let outcome = catch_unwind(AssertUnwindSafe(|| boot_of(NAMES[2], |_| ())));
    let said = outcome.unwrap_err();
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.contains("four words to find"), "{said}");
    assert!(!said.contains(NAMES[1]), "of its own test alone: {said}");
    let console = said.contains(&format!("test {}", NAMES[2]));
    assert!(console, "and all that it said: {said}");
}

/// Run by the test above, in its guest.
#[test]
fn what_leaves_nothing_behind() {
    if Inside::current().is_some() {
        boot_of("", |_| ());
    }
}

/// Run by the test above, in its guest.
#[test]
fn what_leaves_a_device_behind() {
    if Inside::current().is_some() {
        boot_of("", |guest| {
            std::fs::write(guest.file("device"), [0; 4096]).unwrap();
            let file = guest.file("device").display().to_string();
            run("losetup", &["--find", &file]);
        });
    }
}

/// Run by the test above, in its guest: which is a new one, after the last test.
#[test]
fn what_fails() {
    if Inside::current().is_some() {
        boot_of("", |_| {
            let used = Path::new("/sys/block/loop0/loop").exists();
            assert!(!used, "the device is there");
            panic!("four words to find");
        });
    }
}
