//! Who holds a device, and what shows through.

use tier_sys::block::{Access, BlockDevice};
use tier_tests::command::{attempt, run};
use tier_tests::dm::Device;
use tier_tests::guest::Guest;
use tier_tests::test_name;

use super::{SECTORS, disk, linear};

const EBUSY: i32 = 16;

/// [14] The claim, one way.
#[test]
fn a_member_that_another_holds_exclusively_is_refused_by_a_table() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk(guest, "member");
            let device = Device::empty("d");
            let held = BlockDevice::open(member.path(), Access::Exclusive).unwrap();
            let why = device.try_load(&linear(&member)).unwrap_err();
            assert!(why.contains("busy"), "{why}");
            drop(held);
            device.load(&linear(&member));
        })
        .run();
}

/// [14] The claim, the other way: a loaded table is enough, it need not be live.
#[test]
fn a_member_under_a_table_refuses_to_be_held_exclusively() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk(guest, "member");
            let device = Device::empty("d");
            device.load(&linear(&member));
            let error = BlockDevice::open(member.path(), Access::Exclusive).unwrap_err();
            assert_eq!(error.errno(), Some(EBUSY), "{error}");
            device.resume();
            let error = BlockDevice::open(member.path(), Access::Exclusive).unwrap_err();
            assert_eq!(error.errno(), Some(EBUSY), "{error}");
            BlockDevice::open(member.path(), Access::ReadWrite).unwrap();
            device.remove();
            BlockDevice::open(member.path(), Access::Exclusive).unwrap();
        })
        .run();
}

/// Why an inner device begins with zeros.
#[test]
fn zeros_in_front_hide_the_signature_that_an_inner_device_would_show_again() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk(guest, "member");
            run("mkfs.ext4", &["-q", member.node()]);
            let uuid = |node: &str| attempt("blkid", &["-p", "-o", "value", "-s", "UUID", node]);
            let shown = uuid(member.node()).unwrap();
            let bare = Device::create("bare", &linear(&member));
            assert_eq!(uuid(&bare.node()).unwrap(), shown);
            bare.remove();
            let zeros = disk(guest, "zeros");
            let table = format!(
                "0 896 linear {} 128\n896 {SECTORS} linear {} 0",
                zeros.node(),
                member.node()
            );
            let hidden = Device::create("hidden", &table);
            let why = uuid(&hidden.node()).unwrap_err();
            assert!(why.contains("exit status: 2"), "blkid finds nothing: {why}");
        })
        .run();
}
