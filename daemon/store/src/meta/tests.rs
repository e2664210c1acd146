//! Records read back, and a crash of one replica's transaction leaves all or nothing of it.

use tier_core::units::Bytes;

use super::*;
use crate::fixture::{extent, fates, leg};
use crate::testing::{MemoryDisk, Power};
use crate::words::{AreaExtent, BackendKind, VolumeId, VolumeName};

const EXTENT: AreaExtent = AreaExtent {
    offset: Bytes(960 << 10),
    length: Bytes((4 << 20) + (64 << 10)),
};

fn metadata() -> Metadata {
    let mut facts = Facts {
        volume: VolumeId::random(),
        name: VolumeName::new("pool").unwrap(),
        region_size: tier_core::units::RegionSize::MIN,
        regions: 400,
        block_bytes: 512,
        backend: BackendKind::Dm,
        members: Vec::new(),
        epochs: Vec::new(),
    };
    facts.begin_epoch();
    let member = |index| crate::words::MemberFacts {
        index: MemberIndex(index),
        id: crate::words::MemberId::random(),
        class: tier_core::volume::Class::Ssd,
        device_bytes: Bytes(1 << 30),
        block_bytes: 512,
        data_start: Bytes(5 << 20),
        regions: 1000,
        area: Some(EXTENT),
        profile: tier_core::volume::Profile::typical(tier_core::volume::Class::Ssd),
        present: true,
        replica: crate::words::ReplicaState::Live,
    };
    facts.members = vec![member(0), member(1)];
    let extents = (0..400).map(|at| {
        let legs = [leg(0, at), leg(1, 999 - at)];
        extent(at, 1, &legs[..=(at % 2) as usize])
    });
    let retired = [Retired {
        leg: leg(1, 17),
        count: 3,
        since: Generation(1),
    }];
    let capacity = [(MemberIndex(0), 1000), (MemberIndex(1), 1000)];
    let map = Map::from_parts(400, capacity, extents, retired).unwrap();
    Metadata {
        facts,
        generation: Generation(1),
        revision: Revision(1),
        map,
    }
}

fn made(disk: &std::sync::Arc<MemoryDisk>, metadata: &Metadata) -> Replica {
    let area = Area::format(disk.clone(), EXTENT, metadata.facts.volume).unwrap();
    let replica = Replica::open(MemberIndex(0), area).unwrap();
    replica.write_all(metadata).unwrap();
    replica
}

fn reopened(disk: &std::sync::Arc<MemoryDisk>, volume: VolumeId) -> Metadata {
    let area = Area::open(disk.clone(), EXTENT, volume).unwrap();
    Replica::open(MemberIndex(0), area).unwrap().load().unwrap()
}

impl Replica {
    /// Writes the number of a format, as another build would.
    pub(crate) fn set_format(&self, format: u64) {
        let transaction = self.database.begin_write().unwrap();
        let mut counters = transaction.open_table(COUNTERS).unwrap();
        counters.insert("format", format).unwrap();
        drop(counters);
        transaction.commit().unwrap();
    }
}

#[test]
fn what_is_written_reads_back() {
    let disk = MemoryDisk::filled("/dev/x", 8 << 20, 4096, 0xa5, &Power::steady());
    let metadata = metadata();
    let replica = made(&disk, &metadata);
    assert_eq!(replica.load().unwrap(), metadata);
    drop(replica);
    assert_eq!(reopened(&disk, metadata.facts.volume), metadata);
}

#[test]
fn records_have_the_bytes_that_their_format_names() {
    let extent = extent(9, 0x0102_0304, &[leg(5, 6), leg(7, 0x0a0b_0c0d)]);
    let bytes = encode_extent(&extent);
    assert_eq!(
        bytes,
        [4, 3, 2, 1, 5, 0, 6, 0, 0, 0, 7, 0, 0x0d, 0x0c, 0x0b, 0x0a]
    );
    assert_eq!(decode_extent(VolumeRegion(9), &bytes), Some(extent));
    assert_eq!(decode_extent(VolumeRegion(9), &bytes[..7]), None);
    assert_eq!(decode_extent(VolumeRegion(9), &bytes[..3]), None);
    let run = Retired {
        leg: leg(5, 6),
        count: 7,
        since: Generation(8),
    };
    assert_eq!(retired_key(run.leg), 0x0005_0000_0006);
    assert_eq!(encode_retired(&run), [7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(
        decode_retired(0x0005_0000_0006, &encode_retired(&run)),
        Some(run)
    );
    assert_eq!(
        decode_retired(0x0001_0005_0000_0006, &encode_retired(&run)),
        None
    );
}

#[test]
fn a_power_cut_in_a_transaction_leaves_all_or_nothing_of_it() {
    for block in [512, 4096] {
        for operation in 0.. {
            let power = Power::steady();
            let disk = MemoryDisk::filled("/dev/x", 8 << 20, block, 0xa5, &power);
            let old = metadata();
            let replica = made(&disk, &old);
            // Touches every leaf of the extents, so that the transaction has many pages to tear.
            let added: Vec<Extent> = old.map.extents().step_by(3).collect();
            let removed = added.iter().map(|extent| extent.first).collect();
            let retired = vec![Retired {
                leg: leg(1, 30),
                count: 2,
                since: Generation(2),
            }];
            let freed = old.map.retired().collect();
            let change = Change {
                removed,
                added,
                freed,
                retired,
            };
            let mut new = Metadata {
                revision: Revision(2),
                generation: Generation(2),
                ..old.clone()
            };
            new.map.apply(&change);
            power.cut_after(operation);
            let done = replica.update(&Update {
                revision: Revision(2),
                generation: Generation(2),
                facts: None,
                change: Some(&change),
            });
            drop(replica);
            for (number, mut fate) in fates().into_iter().enumerate() {
                let found = disk.after_cut(&Power::steady(), |_| fate());
                let state = reopened(&found, old.facts.volume);
                assert!(
                    state == old || state == new,
                    "operation {operation}, fate {number}"
                );
                assert!(
                    done.is_err() || state == new,
                    "operation {operation}, fate {number}"
                );
            }
            if done.is_ok() {
                assert!(operation > 4, "{operation}");
                break;
            }
        }
    }
}
