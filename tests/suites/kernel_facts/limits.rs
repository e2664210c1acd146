//! Limits of stacked devices.

use tier_sys::block::{Access, BlockDevice};
use tier_tests::disk::Disk;
use tier_tests::dm::Device;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{assert_filled, fill};
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
