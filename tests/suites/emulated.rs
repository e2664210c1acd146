//! Emulated machines: what they promise to the suites that need BPF, ublk, NVMe or udev.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::path::Path;

use tier_tests::command::run;
use tier_tests::dm::Device;
use tier_tests::guest::{Drive, Guest};
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
