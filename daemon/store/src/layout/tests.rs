//! The arithmetic of region 0, and that the worst map fits the area it leaves.

use std::sync::Arc;

use tier_core::units::Generation;
use tier_core::volume::Profile;

use super::*;
use crate::area::{Area, AreaBackend};
use crate::map::Map;
use crate::meta::{Metadata, Replica, Revision, Update};
use crate::testing::{MemoryDisk, Power};
use crate::words::{BackendKind, Facts, MemberFacts, MemberId, ReplicaState, VolumeId, VolumeName};

fn candidate(class: Class, mebibytes: u64, block_bytes: u32) -> Candidate {
    let device = format!("/dev/{class}");
    Candidate {
        device,
        class,
        device_bytes: Bytes(mebibytes << 20),
        block_bytes,
    }
}

#[test]
fn the_fastest_two_carry_areas_and_data_begins_on_a_region() {
    let candidates = [
        candidate(Class::Hdd, 64, 512),
        candidate(Class::Nvme, 32, 4096),
        candidate(Class::Ssd, 48, 512),
    ];
    let layout = plan(&candidates, RegionSize::MIN, 10).unwrap();
    let areas: Vec<bool> = layout
        .members
        .iter()
        .map(|member| member.area.is_some())
        .collect();
    assert_eq!(areas, [false, true, true]);
    assert_eq!(layout.block_bytes, 4096);
    assert_eq!(layout.members[0].data_start, Bytes(1 << 20));
    assert_eq!(layout.members[0].regions, 63);
    assert_eq!(layout.members[1].data_start, Bytes(5 << 20));
    assert_eq!(layout.members[1].regions, 27);
    let counts: Vec<u32> = layout.extents.iter().map(|extent| extent.count).collect();
    assert_eq!(counts, [56, 24, 38]);
    assert_eq!(layout.regions, 118);
    for (member, layout) in candidates.iter().zip(&layout.members) {
        let end = layout.data_start.0 + (u64::from(layout.regions) << 20);
        assert!(end <= member.device_bytes.0);
        if let Some(area) = layout.area {
            assert!(area.offset.0 + area.length.0 <= layout.data_start.0);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let size = RegionSize::MIN;
    assert_eq!(plan(&[], size, 10), Err(LayoutError::NoMembers));
    let small = [
        candidate(Class::Nvme, 32, 512),
        candidate(Class::Hdd, 1, 512),
    ];
    let error = plan(&small, size, 10).unwrap_err();
    assert!(matches!(&error, LayoutError::TooSmall { device, .. } if device == "/dev/hdd"));
    let coarse = [candidate(Class::Nvme, 32, 8192)];
    assert!(matches!(
        plan(&coarse, size, 10),
        Err(LayoutError::BlockSize { .. })
    ));
    let huge = [candidate(Class::Hdd, 1 << 33, 512)];
    assert!(matches!(
        plan(&huge, size, 10),
        Err(LayoutError::TooManyRegions { .. })
    ));
    let one = [candidate(Class::Nvme, 32, 512)];
    assert_eq!(plan(&one, size, 100), Err(LayoutError::Headroom(100)));
}

/// Every region an extent of its own, rewritten in commits that are scattered over all leaves: the
/// database never outgrows what the layout leaves for it.
#[test]
fn the_worst_map_fits_its_area() {
    let mebibytes = 24 << 10;
    let candidates = [
        candidate(Class::Nvme, mebibytes, 4096),
        candidate(Class::Ssd, mebibytes, 512),
    ];
    let layout = plan(&candidates, RegionSize::MIN, 0).unwrap();
    let area = layout.members[0].area.unwrap();
    let disk = MemoryDisk::new(
        "/dev/x",
        area.offset.0 + area.length.0,
        4096,
        &Power::steady(),
    );
    let volume = VolumeId::random();
    let formatted = Area::format(disk.clone(), area, volume).unwrap();
    let replica = Replica::open(MemberIndex(0), formatted).unwrap();
    let metadata = worst(volume, layout.members[0].regions);
    replica.write_all(&metadata).unwrap();
    let mut revision = metadata.revision.0;
    for stride in [1, 97, 3, 1] {
        let set: Vec<Extent> = metadata.map.extents().step_by(stride).collect();
        let removed = set.iter().map(|extent| extent.first).collect();
        let change = crate::map::Change {
            removed,
            added: set,
            ..Default::default()
        };
        revision += 1;
        let update = Update {
            revision: Revision(revision),
            generation: Generation(revision),
            facts: None,
            change: Some(&change),
        };
        replica.update(&update).unwrap();
    }
    assert_eq!(replica.load().unwrap().map, metadata.map);
    drop(replica);
    let area = AreaBackend(Arc::new(Area::open(disk, area, volume).unwrap()));
    let used = redb::StorageBackend::len(&area).unwrap();
    println!("used {used} for {} regions", metadata.map.len());
    assert!(
        used > 1 << 20,
        "{used} bytes are too few to have held a large map"
    );
}

/// Two members full of single regions, and neighbours in the volume are strangers there.
fn worst(volume: VolumeId, regions: u32) -> Metadata {
    let mut facts = Facts {
        volume,
        name: VolumeName::new("pool").unwrap(),
        region_size: RegionSize::MIN,
        regions: 2 * regions,
        block_bytes: 4096,
        backend: BackendKind::Dm,
        members: Vec::new(),
        epochs: Vec::new(),
    };
    facts.begin_epoch();
    let member = |index: u16| MemberFacts {
        index: MemberIndex(index),
        id: MemberId::random(),
        class: Class::Ssd,
        device_bytes: Bytes(0),
        block_bytes: 512,
        data_start: Bytes(0),
        regions,
        area: None,
        profile: Profile::typical(Class::Ssd),
        present: true,
        replica: ReplicaState::None,
    };
    facts.members = vec![member(0), member(1)];
    let extents = (0..2 * regions).map(|first| {
        let (member, at) = (
            MemberIndex(u16::from(first % 2 == 1)),
            MemberRegion(first / 2),
        );
        let legs = [Leg { member, first: at }].into_iter().collect();
        Extent {
            first: VolumeRegion(first),
            count: 1,
            legs,
        }
    });
    let capacity = [(MemberIndex(0), regions), (MemberIndex(1), regions)];
    let map = Map::from_parts(2 * regions, capacity, extents, []).unwrap();
    Metadata {
        facts,
        generation: Generation(1),
        revision: Revision(1),
        map,
    }
}
