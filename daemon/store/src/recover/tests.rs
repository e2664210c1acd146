//! Every refusal has its own error, and names what it is about.

use std::sync::Arc;

use tier_core::volume::Leg;

use super::*;
use crate::fixture::{THREE, generation, open, shared, volume};
use crate::label::{COPY_OFFSETS, encode};
use crate::open::OpenOptions;
use crate::steps::Steps;
use crate::storage::Storage;
use crate::store::Store;
use crate::testing::{MemoryDisk, Power};
use crate::words::{Epoch, EpochId, MemberId};

fn three() -> Vec<Arc<MemoryDisk>> {
    volume(&THREE, &Power::steady())
}

/// Rewrites the label of a disk as `change` makes it.
fn relabel(disk: &MemoryDisk, change: impl Fn(&mut Label)) {
    let mut label = label::read(disk).newest("").unwrap().clone();
    change(&mut label);
    for offset in COPY_OFFSETS {
        disk.write_at(&encode(&label), offset).unwrap();
    }
    disk.sync().unwrap();
}

#[test]
fn no_devices_blank_ones_and_torn_labels_are_told_apart() {
    assert!(matches!(open(&[]), Err(OpenError::NoDevices)));
    let disks = three();
    let blank = MemoryDisk::new("/dev/blank", 16 << 20, 512, &Power::steady());
    let with_blank = [disks.clone(), vec![blank]].concat();
    assert!(matches!(
        open(&with_blank),
        Err(OpenError::Label(LabelError::Absent { device })) if device == "/dev/blank"
    ));
    for offset in COPY_OFFSETS {
        disks[1].corrupt(offset + 20, |byte| byte ^ 1);
    }
    assert!(matches!(
        open(&disks),
        Err(OpenError::Label(LabelError::Torn { device, .. })) if device == "/dev/ssd"
    ));
}

#[test]
fn members_of_two_volumes_and_copies_of_one_member_are_refused() {
    let (disks, others) = (three(), three());
    let mixed = [Arc::clone(&disks[0]), Arc::clone(&others[1])];
    assert!(matches!(open(&mixed), Err(OpenError::OtherVolume { .. })));
    let twice = [disks.clone(), vec![disks[2].copy(&Power::steady())]].concat();
    assert!(matches!(
        open(&twice),
        Err(OpenError::SameMember {
            member: MemberIndex(2),
            ..
        })
    ));
}

#[test]
fn another_size_or_block_size_than_labelled_is_refused() {
    let mut disks = three();
    let grown = disks[2].resized(33 << 20, &Power::steady());
    let hdd = std::mem::replace(&mut disks[2], grown);
    let error = open(&disks).unwrap_err();
    assert!(
        matches!(&error, OpenError::Size { device, .. } if device == "/dev/hdd"),
        "{error}"
    );
    disks[2] = hdd;
    relabel(&disks[2], |label| label.block_bytes = 4096);
    assert!(matches!(
        open(&disks),
        Err(OpenError::BlockSize {
            actual: 512,
            labelled: 4096,
            ..
        })
    ));
}

#[test]
fn a_label_that_contradicts_the_metadata_is_refused() {
    type Spoil = fn(&mut Label);
    let changes: [(&str, Spoil); 4] = [
        ("index", |label| label.index = MemberIndex(9)),
        ("data start", |label| label.data_start.0 += 1 << 20),
        ("number of data regions", |label| label.data_regions += 1),
        ("membership", |label| label.member = MemberId::random()),
    ];
    for (expected, change) in changes {
        let disks = three();
        relabel(&disks[2], change);
        let error = open(&disks).unwrap_err();
        assert!(
            matches!(&error, OpenError::LabelDisagrees { what, .. } if what.starts_with(expected)),
            "{error}"
        );
    }
}

#[test]
fn a_label_of_a_later_epoch_shows_that_newer_metadata_is_elsewhere() {
    let disks = three();
    relabel(&disks[2], |label| {
        label.parent = Some(label.epoch.id);
        label.epoch = Epoch {
            number: 2,
            id: EpochId::random(),
        };
    });
    let error = open(&disks).unwrap_err();
    assert!(
        matches!(&error, OpenError::Behind { device, .. } if device == "/dev/hdd"),
        "{error}"
    );
    // With another parent it is no descendant.
    relabel(&disks[2], |label| label.parent = Some(EpochId::random()));
    assert!(matches!(open(&disks), Err(OpenError::Split { .. })));
}

#[test]
fn replicas_of_one_revision_that_differ_are_both_refused() {
    let disks = three();
    let other = three();
    // Two volumes' worth of history under one id: the same revision, another map.
    let (mut store, _) = open(&disks).unwrap();
    let fork: Vec<_> = disks
        .iter()
        .map(|disk| disk.copy(&Power::steady()))
        .collect();
    let commit = |store: &Store, member| {
        crate::fixture::move_region(store, 1, crate::fixture::free_region(store, member))
    };
    store.commit(&commit(&store, 1)).unwrap();
    drop(store);
    let (mut store, _) = open(&fork).unwrap();
    store.commit(&commit(&store, 2)).unwrap();
    drop(store);
    let mixed = [
        Arc::clone(&disks[0]),
        Arc::clone(&fork[1]),
        Arc::clone(&disks[2]),
    ];
    assert!(matches!(
        open(&mixed),
        Err(OpenError::Differ { revision: 2, .. })
    ));
    drop(other);
}

#[test]
fn with_every_replica_damaged_each_is_named() {
    let disks = three();
    for disk in &disks[..2] {
        for offset in (968 << 10..5 << 20).step_by(4096) {
            disk.corrupt(offset, |byte| !byte);
        }
    }
    for options in [
        OpenOptions::default(),
        OpenOptions {
            degraded: true,
            ..OpenOptions::default()
        },
        OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        },
    ] {
        let error = Store::open(&shared(&disks), &options).unwrap_err();
        let OpenError::NoMetadata { replicas, .. } = &error else {
            panic!("{error}")
        };
        assert_eq!(replicas.len(), 2);
        assert!(replicas[0].contains("/dev/nvme") && replicas[1].contains("/dev/ssd"));
    }
}

/// Any single damaged byte of a replica's area: either it is not noticed because it holds nothing,
/// or the replica is refused and rebuilt. Never another state, never a panic.
#[test]
fn a_damaged_byte_never_changes_what_is_read() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    for region in 0..8 {
        let target = crate::fixture::free_region(&store, 2);
        store
            .commit(&crate::fixture::move_region(&store, region, target))
            .unwrap();
    }
    let state = store.state();
    drop(store);
    let mut refused = 0;
    for at in 0..600_u64 {
        let offset = if at < 320 {
            (968 << 10) + at
        } else {
            (972 << 10) + at * 1237
        };
        let damaged: Vec<_> = disks
            .iter()
            .map(|disk| disk.copy(&Power::steady()))
            .collect();
        damaged[0].corrupt(offset, |byte| byte ^ 0x40);
        let seen = survey(&shared(&damaged[..1]));
        match seen[0].metadata.as_ref().unwrap() {
            Ok(found) if found.generation == state.generation => {
                assert_eq!(found.map.extents().collect::<Vec<_>>(), state.extents);
            }
            // The commit before: the newest commit's own slot or pages were hit.
            Ok(found) => assert_eq!(
                found.generation.0 + 1,
                state.generation.0,
                "offset {offset}"
            ),
            Err(_) => refused += 1,
        }
        let (store, _) = open(&damaged).unwrap();
        assert_eq!(store.state(), state, "offset {offset}");
    }
    assert!(refused > 20, "{refused}");
}

/// The first byte of every place in a replica's area that names `leg` as the home of one region.
fn records_of(disk: &MemoryDisk, leg: Leg) -> Vec<u64> {
    let record = [
        &1_u32.to_le_bytes()[..],
        &leg.member.0.to_le_bytes(),
        &leg.first.0.to_le_bytes(),
    ]
    .concat();
    let base = 968 << 10;
    let mut bytes = vec![0; 4 << 20];
    disk.read_at(&mut bytes, base).unwrap();
    let windows = bytes.windows(record.len()).enumerate();
    windows
        .filter(|(_, window)| *window == record)
        .map(|(at, _)| base + at as u64)
        .collect()
}

/// redb compares checksums only after a crash. A record that decayed while the volume lay closed
/// would otherwise be believed, and send reads to a region that holds something else.
#[test]
fn a_record_that_decayed_in_a_closed_replica_is_not_believed() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    let target = crate::fixture::free_region(&store, 2);
    let commit = crate::fixture::move_region(&store, 3, target);
    store.commit(&commit).unwrap();
    let state = store.state();
    drop(store);
    let places = records_of(&disks[0], target);
    assert!(!places.is_empty());
    // One bit of the region's number: the one it then names is free too, so the map alone looks sound.
    for &place in &places {
        disks[0].corrupt(place + 6, |byte| byte ^ 8);
    }
    let seen = survey(&shared(&disks[..1]));
    let found = seen[0].metadata.as_ref().unwrap();
    assert!(found.is_err(), "a decayed record was read as {found:?}");
    let (store, recovery) = open(&disks).unwrap();
    assert_eq!(store.state(), state);
    assert_eq!(recovery.rebuilt, [MemberIndex(0)]);
    drop(store);
    assert!(open(&disks).unwrap().1.is_clean());
}

/// After a crash redb goes back one commit where the newest does not fit its checksums. With one
/// replica nothing else remembers the newer one but the mark: with it nothing is served; without
/// it nobody acted on that commit, and the older map is still true.
#[test]
fn a_replica_that_falls_back_behind_a_mark_is_refused() {
    let alone = [("/dev/ssd", tier_core::volume::Class::Ssd, 32, 512)];
    for marked in [true, false] {
        let disks = volume(&alone, &Power::steady());
        let (mut store, _) = open(&disks).unwrap();
        let before = store.state();
        let target = crate::fixture::free_region(&store, 0);
        let commit = crate::fixture::move_region(&store, 3, target);
        store.commit(&commit).unwrap();
        if marked {
            store.mark_acted_on(generation(2)).unwrap();
        }
        // As a crash leaves it: the database was not closed.
        let crashed = [disks[0].copy(&Power::steady())];
        drop(store);
        for place in records_of(&crashed[0], target) {
            crashed[0].corrupt(place + 6, |byte| byte ^ 8);
        }
        let found = survey(&shared(&crashed)).remove(0).metadata;
        assert_eq!(found.unwrap().unwrap().generation, generation(1));
        match open(&crashed) {
            Err(OpenError::ActedOn { marked, found, .. }) => {
                assert_eq!((marked, found), (generation(2), generation(1)));
            }
            Err(error) => panic!("{error}"),
            Ok((store, _)) => assert!(!marked && store.state() == before),
        }
    }
}

/// A replica that a newer tierd wrote is no damage to be mended by writing over it.
#[test]
fn a_replica_of_a_newer_format_is_refused_and_left_alone() {
    let disks = three();
    let facts = open(&disks).unwrap().0.facts().clone();
    let extent = facts.members[0].area.unwrap();
    let disk = Arc::clone(&disks[0]) as Disk;
    let area = Area::open(disk, extent, facts.volume).unwrap();
    let replica = Replica::open(MemberIndex(0), area).unwrap();
    replica.set_format(crate::meta::FORMAT + 1);
    drop(replica);
    for degraded in [false, true] {
        let options = OpenOptions {
            degraded,
            ..OpenOptions::default()
        };
        let error = Store::open(&shared(&disks), &options).unwrap_err();
        let OpenError::NewerFormat { device, format } = &error else {
            panic!("{error}")
        };
        assert_eq!((device.as_str(), *format), ("/dev/nvme", 2));
    }
    let found = survey(&shared(&disks[..1])).remove(0).metadata;
    assert!(matches!(found, Some(Err(MetaError::Format { .. }))));
}

#[test]
fn a_creation_that_never_finished_and_a_destruction_under_way_are_told() {
    let disks = three();
    for disk in &disks {
        relabel(disk, |label| label.state = LabelState::Creating);
    }
    assert!(matches!(
        open(&disks),
        Err(OpenError::Unfinished {
            found: 3,
            expected: 3,
            ..
        })
    ));
    relabel(&disks[1], |label| label.state = LabelState::Whole);
    let (store, recovery) = open(&disks).unwrap();
    assert_eq!(store.generation(), generation(1));
    assert_eq!(recovery.healed_labels, [MemberIndex(0), MemberIndex(2)]);
    drop(store);
    relabel(&disks[1], |label| label.state = LabelState::Destroying);
    assert!(matches!(open(&disks), Err(OpenError::Destroying { .. })));
    crate::create::destroy(&shared(&disks), &Steps::none()).unwrap();
    assert!(matches!(
        open(&disks),
        Err(OpenError::Label(LabelError::Absent { .. }))
    ));
}
