//! Labels are found on real files, through the real device layer.

use std::fs::File;
use std::sync::Arc;

use tier_core::units::{Bytes, RegionSize};
use tier_core::volume::{Class, Profile};

use super::*;
use crate::create::{NewMember, NewVolume};
use crate::layout::{Candidate, plan};
use crate::open::OpenOptions;
use crate::steps::Steps;
use crate::storage::Disk;
use crate::store::Store;
use crate::words::BackendKind;

fn files(folder: &Path, count: usize) -> Vec<PathBuf> {
    let paths = (0..count).map(|at| {
        let path = folder.join(format!("member{at}.img"));
        File::create(&path).unwrap().set_len(16 << 20).unwrap();
        path
    });
    paths.collect()
}

fn disks(paths: &[PathBuf]) -> Vec<Disk> {
    let open = |path| DeviceDisk::open(path, Access::Exclusive).unwrap();
    paths
        .iter()
        .map(|path| Arc::new(open(path)) as Disk)
        .collect()
}

#[test]
fn members_are_found_grouped_and_opened_on_real_files() {
    let folder = tempfile::tempdir().unwrap();
    let paths = files(folder.path(), 4);
    let volume = NewVolume {
        name: VolumeName::new("pool").unwrap(),
        region_size: RegionSize::MIN,
        backend: BackendKind::Dm,
        members: vec![
            NewMember {
                class: Class::Ssd,
                profile: Profile::typical(Class::Ssd)
            };
            2
        ],
        layout: plan(
            &vec![
                Candidate {
                    device: "file".to_owned(),
                    class: Class::Ssd,
                    device_bytes: Bytes(16 << 20),
                    block_bytes: disks(&paths)[0].block_bytes(),
                };
                2
            ],
            RegionSize::MIN,
            10,
        )
        .unwrap(),
    };
    let made = Store::create(&volume, &disks(&paths[..2]), Steps::none()).unwrap();
    let state = made.state();
    drop(made);
    std::fs::write(&paths[3], b"too short").unwrap();
    let scan = scan(paths.iter().chain([&folder.path().join("absent")]));
    assert_eq!(scan.volumes.len(), 1);
    assert_eq!(scan.named("pool").count(), 1);
    assert_eq!(scan.named("puddle").count(), 0);
    let found = &scan.volumes[0];
    assert_eq!((found.members.len(), found.member_count), (2, 2));
    assert!(
        scan.unusable
            .iter()
            .any(|unusable| unusable.path.ends_with("absent"))
    );
    let members: Vec<_> = found
        .members
        .iter()
        .map(|member| member.path.clone())
        .collect();
    let (store, recovery) = Store::open(&disks(&members), &OpenOptions::default()).unwrap();
    assert!(recovery.is_clean());
    assert_eq!(store.state(), state);
}
