//! Limits of stacked devices.

use std::path::Path;
use std::time::Duration;

use tier_sys::block::{Access, BlockDevice};
use tier_tests::command::run;
use tier_tests::disk::Disk;
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{assert_filled, fill, wait_until};
use tier_tests::test_name;

use super::{BYTES, SECTORS, disk, linear};

fn disk_4096(guest: &Inside, name: &str) -> tier_tests::disk::RunningDisk {
    Disk::new(guest.file(name), BYTES).block_bytes(4096).start()
}

/// [4] Tables are loaded before the hold, so an inner device is pointed to before it lives.
#[test]
fn a_table_may_point_to_a_device_that_is_not_live_yet_and_gets_its_limits_on_resume() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk_4096(guest, "member");
            let inner = Device::empty("inner");
            inner.load(&linear(&member));
            let top = Device::empty("top");
            top.load(&format!("0 {SECTORS} linear {} 0", inner.number()));
            inner.resume();
            top.resume();
            assert_eq!(top.queue_limit("logical_block_size"), 4096);
            fill(&top.path(), 4096, 4096, 6).unwrap();
            assert_filled(member.path(), 4096, 4096, 6);
        })
        .run();
}

/// [13] Why limits are ours to guard: nothing else does.
#[test]
fn a_member_with_larger_blocks_is_let_into_a_live_volume_and_breaks_its_small_requests() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (small, large) = (disk(guest, "small"), disk_4096(guest, "large"));
            let device = Device::create("d", &linear(&small));
            let opened = BlockDevice::open(&device.path(), Access::ReadWrite).unwrap();
            opened.write_at(512, &[1; 512]).unwrap();
            device.swap(&linear(&large));
            assert_eq!(device.queue_limit("logical_block_size"), 4096);
            opened.write_at(512, &[2; 512]).unwrap_err();
        })
        .run();
}

/// Why the zeros in front of an inner device are a member's, and not the target `zero`.
#[test]
fn a_zero_target_takes_discard_from_its_device_and_all_above() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = Disk::new(guest.file("with"), BYTES).discard().start();
            let top = |below: &Device| {
                let table = format!("0 {SECTORS} linear {} 896", below.node());
                let top = Device::create("top", &table);
                let limit = top.queue_limit("discard_max_bytes");
                top.remove();
                limit
            };
            let rest = format!("896 {SECTORS} linear {} 0", disk.node());
            let zero = Device::create("zero", &format!("0 896 zero\n{rest}"));
            assert_eq!(top(&zero), 0, "6.1 lacks discards_supported in dm-zero.c");
            let blank = format!("0 896 linear {} 0", disk.node());
            let blank = Device::create("blank", &format!("{blank}\n{rest}"));
            assert!(top(&blank) > 0);
        })
        .run();
}

/// Why a volume says that discard is off where one member has not got it.
#[test]
fn one_member_without_discard_takes_it_from_the_volume() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let with = Disk::new(guest.file("with"), BYTES).discard().start();
            let without = disk(guest, "without");
            let device = Device::create("d", &linear(&with));
            assert!(device.queue_limit("discard_max_bytes") > 0);
            device.swap(&format!(
                "{}\n{SECTORS} {SECTORS} linear {} 0",
                linear(&with),
                without.node()
            ));
            assert_eq!(device.queue_limit("discard_max_bytes"), 0);
        })
        .run();
}

/// Why a mirror may be put beneath a device that a live volume leads through: the volume then
/// still offers to write zeroes, which a mirror does not take, and the kernel writes them itself.
#[test]
fn zeroes_are_written_through_a_mirror_that_came_beneath_a_device_that_had_none() {
    Guest::uml(test_name!())
        .module("scsi_common")
        .module("scsi_mod")
        .module("sd_mod")
        .module("scsi_debug dev_size_mb=8 num_tgts=2 lbpws=1")
        .phase(|_guest| {
            let nodes = ["/dev/sda", "/dev/sdb"];
            wait_until("the disks are there", Duration::from_secs(30), || {
                nodes.iter().all(|node| Path::new(node).exists())
            });
            let linear = |below: &str| format!("0 {SECTORS} linear {below} 0");
            let gate = Device::create("gate", &linear(nodes[0]));
            let volume = Device::create("volume", &linear(&gate.node()));
            assert!(volume.queue_limit("write_zeroes_max_bytes") > 0);
            fill(&volume.path(), 0, 8 << 20, 5).unwrap();
            let legs = format!("2 {} 0 {} 0", nodes[0], nodes[1]);
            let table = format!("0 {SECTORS} mirror core 1 1024 {legs} 1 handle_errors");
            let mirror = Device::create("mirror", &table);
            gate.swap(&linear(&mirror.node()));
            assert_eq!(gate.queue_limit("write_zeroes_max_bytes"), 0);
            assert!(
                volume.queue_limit("write_zeroes_max_bytes") > 0,
                "as it was"
            );
            run(
                "fallocate",
                &["--zero-range", "--length", "65536", &volume.node()],
            );
            run(
                "blkdiscard",
                &[
                    "--zeroout",
                    "--offset",
                    "1048576",
                    "--length",
                    "65536",
                    &volume.node(),
                ],
            );
            wait_until("the copy is complete", Duration::from_secs(30), || {
                let status = MirrorStatus::of(&mirror);
                status.in_sync == status.chunks
            });
            for node in nodes {
                for (offset, value) in [(0, 0), (65536, 5), (1 << 20, 0), ((1 << 20) + 65536, 5)] {
                    assert_filled(Path::new(node), offset, 65536, value);
                }
            }
        })
        .run();
}
