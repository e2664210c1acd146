//! Harness disks: what every crash test rests on.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use tier_tests::disk::Disk;
use tier_tests::guest::Guest;
use tier_tests::test_name;

const SIZE: u64 = 16 << 20;

#[test]
fn the_kernel_sees_a_write_back_cache_and_reads_what_was_written() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = Disk::new(guest.file("a.img"), SIZE).start();
            let sys = |name: &str| {
                std::fs::read_to_string(format!("/sys/block/{}/{name}", disk.name())).unwrap()
            };
            assert_eq!(sys("queue/write_cache").trim(), "write back");
            assert_eq!(sys("queue/logical_block_size").trim(), "512");
            assert_eq!(sys("size").trim(), (SIZE / 512).to_string());
            let node = File::options()
                .read(true)
                .write(true)
                .open(disk.path())
                .unwrap();
            node.write_all_at(&[5; 8192], 4096).unwrap();
            node.sync_data().unwrap();
            let mut read = [0; 8192];
            node.read_exact_at(&mut read, 4096).unwrap();
            assert_eq!(read, [5; 8192]);
            assert!(disk.counts().flushes > 0);
        })
        .run();
}
