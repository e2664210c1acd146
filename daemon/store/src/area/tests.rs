//! The area as a file: exact length, zeroed growth, bounds, and what it does after a fault.

use redb::StorageBackend as _;

use super::*;
use crate::testing::{Fate, Fault, MemoryDisk, Operation, Power};

const EXTENT: AreaExtent = AreaExtent {
    offset: Bytes(960 << 10),
    length: Bytes(1 << 20),
};

fn volume() -> VolumeId {
    VolumeId(Uuid::from_u128(5))
}

fn disk(block: u32) -> Arc<MemoryDisk> {
    MemoryDisk::filled("/dev/x", 4 << 20, block, 0xa5, &Power::steady())
}

fn formatted(disk: &Arc<MemoryDisk>) -> AreaBackend {
    AreaBackend(Arc::new(
        Area::format(disk.clone(), EXTENT, volume()).unwrap(),
    ))
}

fn read(area: &AreaBackend, offset: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xff; length];
    area.read(offset, &mut bytes).unwrap();
    bytes
}

#[test]
fn growth_reads_as_zero_over_stale_bytes_and_after_shrinking() {
    for block in [512, 4096] {
        let disk = disk(block);
        let area = formatted(&disk);
        area.set_len(10_000).unwrap();
        assert_eq!(read(&area, 0, 10_000), vec![0; 10_000]);
        area.write(0, &vec![0x11; 10_000]).unwrap();
        area.set_len(5_001).unwrap();
        area.set_len(9_000).unwrap();
        assert_eq!(read(&area, 5_000, 4_000)[..2], [0x11, 0]);
        assert_eq!(read(&area, 5_001, 3_999), vec![0; 3_999]);
        area.sync_data().unwrap();
        drop(area);
        let area = AreaBackend(Arc::new(Area::open(disk, EXTENT, volume()).unwrap()));
        assert_eq!(area.len().unwrap(), 9_000);
    }
}

#[test]
fn writes_that_fill_no_block_keep_their_neighbours() {
    for block in [512, 4096] {
        let disk = disk(block);
        let area = formatted(&disk);
        area.set_len(40_000).unwrap();
        let mut model = vec![0_u8; 40_000];
        let mut seed = 1_u64;
        for step in 0..400_u64 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step | 1);
            let offset = usize::try_from(seed >> 40).unwrap() % 39_000;
            let length = usize::try_from(seed >> 20 & 0x3ff)
                .unwrap()
                .min(40_000 - offset);
            let byte = u8::try_from(step % 251).unwrap();
            area.write(offset as u64, &vec![byte; length]).unwrap();
            model[offset..offset + length].fill(byte);
        }
        assert_eq!(read(&area, 0, 40_000), model);
        for offset in [0, 1, 511, 512, 4095, 4096, 12_345] {
            assert_eq!(read(&area, offset as u64, 777), model[offset..offset + 777]);
        }
    }
}

#[test]
fn nothing_beyond_the_length_or_the_area_is_reached() {
    let disk = disk(512);
    let area = formatted(&disk);
    area.set_len(1_000).unwrap();
    let eof = |result: io::Result<()>| result.unwrap_err().kind() == io::ErrorKind::UnexpectedEof;
    assert!(eof(area.read(990, &mut [0; 11])));
    assert!(eof(area.write(u64::MAX, &[0; 2])));
    assert!(eof(area.write(1_000, &[0])));
    area.set_len(database_capacity(EXTENT).0).unwrap();
    let error = area.set_len(database_capacity(EXTENT).0 + 1).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    assert!(error.to_string().contains("/dev/x"), "{error}");
    // The byte behind the area is still the garbage that was there.
    let mut beyond = [0; 512];
    crate::storage::Storage::read_at(&*disk, &mut beyond, EXTENT.offset.0 + EXTENT.length.0)
        .unwrap();
    assert_eq!(beyond, [0xa5; 512]);
}

#[test]
fn nothing_is_written_after_a_fault_even_if_the_disk_would_take_it() {
    for operation in [Operation::Write, Operation::Flush] {
        let disk = disk(512);
        let area = formatted(&disk);
        area.set_len(4_096).unwrap();
        disk.fail(Fault {
            operation,
            after: 0,
            count: 1,
            lands: false,
        });
        let first = area
            .write(0, &[1; 512])
            .and_then(|()| area.sync_data())
            .unwrap_err();
        assert_eq!(first.raw_os_error(), Some(5));
        disk.heal();
        assert!(area.write(0, &[2; 512]).is_err());
        assert!(area.sync_data().is_err());
        assert!(area.set_len(8_192).is_err());
        assert!(area.read(0, &mut [0; 512]).is_ok());
    }
}

#[test]
fn a_power_cut_while_the_length_changes_leaves_the_old_length_or_the_new() {
    for operation in 0..6 {
        let power = Power::steady();
        let disk = MemoryDisk::filled("/dev/x", 4 << 20, 512, 0xa5, &power);
        let area = formatted(&disk);
        area.set_len(4_096).unwrap();
        area.write(0, &[7; 4_096]).unwrap();
        area.sync_data().unwrap();
        power.cut_after(operation);
        let done = area.set_len(20_000).is_ok();
        for keep in [0_u64, 1, 2, 3, 5, u64::MAX] {
            let found = disk.after_cut(&Power::steady(), |offset| {
                if keep >> (offset / 512 % 64) & 1 == 1 {
                    Fate::Kept
                } else {
                    Fate::Lost
                }
            });
            let area = Area::open(found, EXTENT, volume()).unwrap();
            let area = AreaBackend(Arc::new(area));
            let length = area.len().unwrap();
            assert!(length == 20_000 || (length == 4_096 && !done));
            assert_eq!(read(&area, 0, 4_096), vec![7; 4_096]);
            if length == 20_000 {
                assert_eq!(read(&area, 4_096, 15_904), vec![0; 15_904]);
            }
        }
    }
}

#[test]
fn an_area_of_another_volume_or_none_is_not_opened() {
    let disk = disk(512);
    let open = |volume| Area::open(disk.clone(), EXTENT, volume).unwrap_err();
    assert!(matches!(open(volume()), AreaError::Unformatted { .. }));
    let area = formatted(&disk);
    assert!(matches!(open(volume()), AreaError::Empty { .. }));
    area.set_len(4_096).unwrap();
    assert!(matches!(
        open(VolumeId(Uuid::from_u128(6))),
        AreaError::Unformatted { .. }
    ));
    let long = AreaExtent {
        offset: EXTENT.offset,
        length: Bytes(4 << 20),
    };
    let error = Area::open(disk.clone(), long, volume()).unwrap_err();
    assert!(matches!(error, AreaError::TooLong { .. }));
    // Formatting again forgets the longer life before it, whichever slot it was in.
    for _ in 0..3 {
        drop(formatted(&disk));
        assert!(matches!(open(volume()), AreaError::Empty { .. }));
    }
}
