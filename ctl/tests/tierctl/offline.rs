//! `check` and `dump` on members that are files: made by the store itself, then damaged.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;
use tier_core::units::{Bytes, RegionSize};
use tier_core::volume::{Class, Profile};
use tier_store::create::{NewMember, NewVolume};
use tier_store::device::DeviceDisk;
use tier_store::layout::{Candidate, plan};
use tier_store::steps::Steps;
use tier_store::storage::Disk;
use tier_store::store::Store;
use tier_store::words::{BackendKind, VolumeName};
use tier_sys::block::Access;

use crate::run::{Ran, run};

/// A volume `pool` of three members.
struct Members {
    directory: TempDir,
}

const CLASSES: [Class; 3] = Class::ALL;

impl Members {
    fn new() -> Self {
        let members = Self {
            directory: tempfile::tempdir().unwrap(),
        };
        let disks: Vec<Disk> = members.paths().iter().map(|path| writable(path)).collect();
        let candidates: Vec<Candidate> = CLASSES
            .into_iter()
            .zip(&disks)
            .map(|(class, disk)| Candidate {
                device: disk.name().to_owned(),
                class,
                device_bytes: Bytes(disk.device_bytes()),
                block_bytes: disk.block_bytes(),
            })
            .collect();
        let volume = NewVolume {
            name: VolumeName::new("pool").unwrap(),
            region_size: RegionSize::MIN,
            backend: BackendKind::Dm,
            members: CLASSES
                .map(|class| NewMember {
                    class,
                    profile: Profile::typical(class),
                })
                .to_vec(),
            layout: plan(&candidates, RegionSize::MIN, 30).unwrap(),
        };
        drop(Store::create(&volume, &disks, Steps::none()).unwrap());
        members
    }

    fn paths(&self) -> Vec<PathBuf> {
        CLASSES
            .iter()
            .map(|class| self.directory.path().join(class.name()))
            .collect()
    }

    /// Writes rubbish over `length` bytes at `offset` of a member.
    fn damage(&self, class: Class, offset: u64, length: usize) {
        let path = self.directory.path().join(class.name());
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(&vec![0x5a; length], offset).unwrap();
    }

    fn run(&self, args: &[&str]) -> Ran {
        let paths = self.paths();
        let devices = paths.iter().map(|path| path.to_str().unwrap());
        let args: Vec<&str> = args.iter().copied().chain(devices).collect();
        run(Path::new("/nonexistent"), &args)
    }

    fn contents(&self) -> Vec<Vec<u8>> {
        self.paths()
            .iter()
            .map(|path| std::fs::read(path).unwrap())
            .collect()
    }
}

fn writable(path: &Path) -> Disk {
    let file = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(path)
        .unwrap();
    file.set_len(16 << 20).unwrap();
    Arc::new(DeviceDisk::open(path, Access::ReadWrite).unwrap())
}

#[test]
fn a_whole_volume_has_no_findings() {
    let members = Members::new();
    let before = members.contents();
    let ran = members.run(&["check"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(
        ran.stdout.starts_with("Volume pool: generation 1"),
        "{ran:?}"
    );
    assert!(ran.stdout.ends_with("Nothing was found.\n"), "{ran:?}");
    let ran = members.run(&["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["findings"], serde_json::json!([]));
    assert_eq!(report["newest"]["name"], "pool");
    assert!(members.contents() == before, "a check has written");
}

#[test]
fn what_the_next_start_mends_is_a_note() {
    let members = Members::new();
    members.damage(Class::Hdd, 4096, 512);
    let ran = members.run(&["check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.contains("note") && ran.stdout.contains("4 KiB"),
        "{ran:?}"
    );
}

#[test]
fn a_member_that_is_missing_or_damaged_is_an_error_with_its_own_code() {
    let members = Members::new();
    let paths = members.paths();
    let devices: Vec<&str> = paths
        .iter()
        .take(2)
        .map(|path| path.to_str().unwrap())
        .collect();
    let ran = run(
        Path::new("/nonexistent"),
        &[&["check"][..], &devices].concat(),
    );
    assert_eq!(ran.code, 13, "{ran:?}");
    assert!(
        ran.stdout.contains("absent") && ran.stderr.contains("finding"),
        "{ran:?}"
    );

    members.damage(Class::Hdd, 0, 1 << 20);
    let ran = members.run(&["check", "--json"]);
    assert_eq!(ran.code, 13, "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    let severities: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["severity"])
        .collect();
    assert!(
        severities.iter().any(|severity| *severity == "error"),
        "{ran:?}"
    );
}

#[test]
fn a_dump_holds_every_extent_and_label_and_writes_nothing() {
    let members = Members::new();
    let before = members.contents();
    for args in [&["dump"][..], &["dump", "--json"]] {
        let ran = members.run(args);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
        let dump: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(dump["devices"].as_array().unwrap().len(), 3);
        assert_eq!(dump["metadata"]["facts"]["name"], "pool");
        let extents = dump["metadata"]["extents"].as_array().unwrap();
        let regions: u64 = extents
            .iter()
            .map(|extent| extent["count"].as_u64().unwrap())
            .sum();
        assert_eq!(dump["metadata"]["facts"]["regions"], regions);
    }
    assert!(members.contents() == before, "a dump has written");
}

#[test]
fn devices_that_cannot_be_read_have_codes_of_their_own() {
    let nowhere = Path::new("/nonexistent");
    let directory = tempfile::tempdir().unwrap();
    let blank = directory.path().join("blank");
    std::fs::write(&blank, vec![0; 4 << 20]).unwrap();
    let blank = blank.to_str().unwrap();
    for verb in ["check", "dump"] {
        let ran = run(nowhere, &[verb, "/nonexistent/device", "--json"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
        let error: Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["device"], "/nonexistent/device");
        assert_eq!(error["error"]["errno"], 2);
        let ran = run(nowhere, &[verb, "/"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
        assert_eq!(run(nowhere, &[verb]).code, 2);
    }
    let ran = run(nowhere, &["dump", blank]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{ran:?}");
    assert!(ran.stderr.contains("carries no tierd label"), "{ran:?}");
}

macro_rules! contract {
    ($($verb:ident),+) => {$(
        mod $verb {
            #[test]
            fn helps_and_refuses_unknown_options() {
                let nowhere = std::path::Path::new("/nonexistent");
                let ran = crate::run::run(nowhere, &[stringify!($verb), "--help"]);
                assert!(ran.code == 0 && ran.stdout.contains("DEVICE"), "{ran:?}");
                let ran = crate::run::run(nowhere, &[stringify!($verb), "x", "--repair"]);
                assert!(ran.code == 2 && ran.stderr.contains("--repair"), "{ran:?}");
            }
        }
    )+};
}

contract!(check, dump);
