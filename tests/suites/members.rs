//! Looking at devices that someone wants to give to a volume, on a real kernel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]

use std::path::Path;

use tier_core::units::Bytes;
use tier_core::volume::Class;
use tier_sys::block::{Access, BlockDevice};
use tier_tests::command::run;
use tier_tests::disk::{Disk, Spoil};
use tier_tests::dm::Device;
use tier_tests::guest::{Guest, Inside};
use tier_tests::test_name;
use tierd::member::{
    Force, MemberError, Requirements, Signature, Use, check, check_together, probe,
};

const BYTES: u64 = 64 << 20;

const WANTED: Requirements = Requirements {
    minimum: Bytes(32 << 20),
    block: Some(Bytes(512)),
    force: Force::No,
};

fn disk(guest: &Inside, name: &str) -> Disk {
    Disk::new(guest.file(name), BYTES)
}

fn refusal(path: &Path) -> MemberError {
    check(&probe(path).unwrap(), WANTED).unwrap_err()
}

#[test]
fn a_blank_disk_is_seen_as_it_is_and_taken() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let cached = disk(guest, "cached").discard().start();
            let facts = probe(cached.path()).unwrap();
            assert_eq!(
                (facts.size, facts.logical_block),
                (Bytes(BYTES), Bytes(512))
            );
            assert!(facts.volatile_cache && facts.discard && facts.fua);
            assert!(!facts.read_only && !facts.busy);
            assert_eq!((facts.disk, facts.signature.clone()), (facts.number, None));
            assert_ne!(facts.class, Class::Nvme);
            check(&facts, WANTED).unwrap();
            let plain = disk(guest, "plain").write_through().start();
            let facts = probe(plain.path()).unwrap();
            assert!(!facts.volatile_cache && !facts.discard && !facts.fua);
        })
        .run();
}

#[test]
fn a_device_in_use_is_refused_and_its_user_named() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest, "disk").start();
            run("mkfs.ext4", &["-q", "-L", "home", disk.node()]);
            let point = guest.file("point");
            std::fs::create_dir(&point).unwrap();
            run("mount", &[disk.path(), &point]);
            let mounted = refusal(disk.path());
            let MemberError::InUse { used_by, .. } = &mounted else {
                panic!("{mounted}")
            };
            assert_eq!(used_by[..], [Use::Mounted(point.clone())]);
            run("umount", &[&point]);

            let found = refusal(disk.path());
            let expected = Signature::Content {
                kind: "ext4".into(),
                label: Some("home".into()),
            };
            assert!(matches!(&found, MemberError::Signature { found, .. } if *found == expected));
            let forced = Requirements {
                force: Force::DestroyContent,
                ..WANTED
            };
            check(&probe(disk.path()).unwrap(), forced).unwrap();

            let table = format!("0 2048 linear {} 0", disk.node());
            let above = Device::create("above", &table);
            let under = refusal(disk.path());
            assert!(
                matches!(&under, MemberError::InUse { used_by, .. }
                    if used_by[..] == [Use::Under("above".into())]),
                "{under}"
            );
            above.remove();

            run("mkswap", &[disk.node()]);
            run("swapon", &[disk.node()]);
            let swap = refusal(disk.path());
            assert!(
                matches!(&swap, MemberError::InUse { used_by, .. } if used_by[..] == [Use::Swap]),
                "{swap}"
            );
            run("swapoff", &[disk.node()]);

            let _held = BlockDevice::open(disk.path(), Access::Exclusive).unwrap();
            let held = refusal(disk.path());
            assert!(matches!(held, MemberError::Busy { .. }), "{held}");
        })
        .run();
}

#[test]
fn a_device_of_the_wrong_kind_is_refused_for_its_reason() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let read_only = disk(guest, "read_only").read_only().start();
            let refused = refusal(read_only.path());
            assert!(matches!(refused, MemberError::ReadOnly { .. }), "{refused}");
            let blocks = disk(guest, "blocks").block_bytes(4096).start();
            let refused = refusal(blocks.path());
            assert!(
                matches!(
                    refused,
                    MemberError::BlockSize {
                        found: Bytes(4096),
                        ..
                    }
                ),
                "{refused}"
            );
            let small = Disk::new(guest.file("small"), 16 << 20).start();
            let refused = refusal(small.path());
            assert!(matches!(refused, MemberError::TooSmall { .. }), "{refused}");
            let file = guest.file("file");
            std::fs::write(&file, [0; 4096]).unwrap();
            let refused = probe(&file).unwrap_err();
            assert!(
                matches!(refused, MemberError::NotBlockDevice { .. }),
                "{refused}"
            );
        })
        .run();
}

#[test]
fn a_device_whose_start_cannot_be_read_is_not_taken_for_blank() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest, "disk").start();
            run("mkfs.ext4", &["-q", disk.node()]);
            disk.spoil(0, 4096, Spoil::ForEver);
            let refused = probe(disk.path()).unwrap_err();
            assert!(matches!(refused, MemberError::Device(_)), "{refused}");
        })
        .run();
}

#[test]
fn one_device_by_two_paths_is_seen_to_be_one() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest, "disk").start();
            let link = guest.file("link");
            std::os::unix::fs::symlink(disk.path(), &link).unwrap();
            let facts = [probe(disk.path()).unwrap(), probe(&link).unwrap()];
            let refused = check_together(&facts).unwrap_err();
            assert!(
                matches!(refused, MemberError::SameDevice { .. }),
                "{refused}"
            );
        })
        .run();
}
