//! The label's bytes, and what tearing them does.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::testing::{Fate, Fault, MemoryDisk, Operation, Power};

fn sample() -> Label {
    Label {
        sequence: 7,
        state: LabelState::Whole,
        volume: VolumeId(Uuid::from_u128(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff)),
        name: VolumeName::new("pool").unwrap(),
        member_count: 3,
        member: MemberId(Uuid::from_u128(0x1011_1213_1415_1617_1819_1a1b_1c1d_1e1f)),
        index: MemberIndex(2),
        class: Class::Hdd,
        device_bytes: Bytes(32 << 20),
        block_bytes: 512,
        region_size: RegionSize::MIN,
        data_start: Bytes(5 << 20),
        data_regions: 27,
        area: Some(AreaExtent {
            offset: Bytes(960 << 10),
            length: Bytes((4 << 20) + (64 << 10)),
        }),
        volume_block_bytes: 4096,
        volume_regions: 54,
        backend: BackendKind::Dm,
        epoch: Epoch {
            number: 2,
            id: EpochId(Uuid::from_u128(0xe2)),
        },
        parent: Some(EpochId(Uuid::from_u128(0xe1))),
        acted_on: Generation(0x1234),
    }
}

/// The first bytes of the sample, as `FORMAT.md` describes them. If this test fails, the
/// format has changed: old volumes would be refused, or worse.
const GOLDEN: &str = concat!(
    "54494552444c424c", // magic
    "01000000",         // format
    "483107a2",         // checksum, computed apart from this code
    "0700000000000000", // sequence
    "00112233445566778899aabbccddeeff",
    "101112131415161718191a1b1c1d1e1f",
    "000000000000000000000000000000e2",
    "000000000000000000000000000000e1",
    "0200000000000000", // epoch number
    "3412000000000000", // acted on
    "0000000200000000", // device bytes
    "0000100000000000", // region bytes
    "0000500000000000", // data start
    "00000f0000000000", // area offset
    "0000410000000000", // area length
    "36000000",         // volume regions
    "1b000000",         // data regions
    "00020000",         // block bytes
    "00100000",         // volume block bytes
    "0200",             // index
    "0300",             // members
    "02",               // class
    "01",               // state
    "04",               // name length
    "706f6f6c",         // name
);

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

#[test]
fn a_label_has_the_bytes_that_its_format_names() {
    let bytes = encode(&sample());
    assert_eq!(bytes.len(), COPY_BYTES);
    assert_eq!(hex(&bytes[..GOLDEN.len() / 2]), GOLDEN);
    assert!(bytes[GOLDEN.len() / 2..].iter().all(|&byte| byte == 0));
    let LabelCopy::Valid(read) = decode(&bytes) else {
        panic!("not valid")
    };
    assert_eq!(*read, sample());
}

#[test]
fn any_changed_byte_is_seen() {
    let bytes = encode(&sample());
    for at in 8..COPY_BYTES {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(matches!(decode(&changed), LabelCopy::Torn(_)), "byte {at}");
    }
    for at in 0..8 {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        assert!(matches!(decode(&changed), LabelCopy::Absent), "byte {at}");
    }
}

#[test]
fn a_newer_format_is_refused_even_beside_an_older_copy() {
    let mut bytes = encode(&sample());
    bytes[8] = 2;
    bytes[12..16].fill(0);
    let checksum = crc32c::crc32c(&bytes).to_le_bytes();
    bytes[12..16].copy_from_slice(&checksum);
    assert!(matches!(decode(&bytes), LabelCopy::NewerFormat(2)));
    let copies = LabelCopies {
        copies: [decode(&encode(&sample())), decode(&bytes)],
    };
    let error = copies.newest("/dev/x").unwrap_err();
    assert!(matches!(error, LabelError::NewerFormat { format: 2, .. }));
    assert!(error.to_string().contains("/dev/x"), "{error}");
}

#[test]
fn what_serves_the_volume_has_its_own_byte() {
    let on_ublk = Label {
        backend: BackendKind::Ublk,
        ..sample()
    };
    let bytes = encode(&on_ublk);
    assert_eq!((encode(&sample())[230], bytes[230]), (0, 1));
    assert!(matches!(decode(&bytes), LabelCopy::Valid(label) if *label == on_ublk));
}

#[test]
fn a_field_that_makes_no_sense_is_named() {
    let mut label = encode(&sample());
    label[112..120].copy_from_slice(&(3_u64 << 20).to_le_bytes());
    label[12..16].fill(0);
    let checksum = crc32c::crc32c(&label).to_le_bytes();
    label[12..16].copy_from_slice(&checksum);
    assert!(matches!(decode(&label), LabelCopy::Torn(why) if why.contains("region size")));
}

fn fresh(power: &Arc<Power>) -> (Arc<MemoryDisk>, Label) {
    let disk = MemoryDisk::filled("/dev/x", 2 << 20, 512, 0x5a, power);
    let mut label = sample();
    write(&*disk, &mut label, &Steps::none()).unwrap();
    (disk, label)
}

#[test]
fn a_power_cut_in_a_label_write_leaves_the_old_label_or_the_new() {
    for operation in 0..5 {
        let power = Power::steady();
        let (disk, old) = fresh(&power);
        power.cut_after(operation);
        let mut new = Label {
            acted_on: Generation(0x9999),
            ..old.clone()
        };
        let done = write(&*disk, &mut new, &Steps::none()).is_ok();
        // Each of the eight sectors of a copy may or may not have been written.
        for subset in 0..256_u64 {
            let found = disk.after_cut(&Power::steady(), |offset| {
                if subset >> (offset / 512 % 8) & 1 == 1 {
                    Fate::Kept
                } else {
                    Fate::Lost
                }
            });
            let copies = read(&*found);
            let label = copies.newest("/dev/x").unwrap();
            assert!(label.acted_on == old.acted_on || label.acted_on == Generation(0x9999));
            assert!(!done || label.acted_on == Generation(0x9999));
            // The next write heals both copies, and cuts do not wear the label out.
            let mut next = label.clone();
            write(&*found, &mut next, &Steps::none()).unwrap();
            assert!(read(&*found).agree());
        }
    }
}

#[test]
fn the_only_whole_copy_is_never_overwritten_first() {
    for torn in [0, 1] {
        let power = Power::steady();
        let (disk, mut label) = fresh(&power);
        disk.corrupt(COPY_OFFSETS[torn] + 300, |byte| byte ^ 1);
        assert!(!read(&*disk).agree());
        disk.fail(Fault {
            operation: Operation::Write,
            after: 1,
            count: 1,
            lands: false,
        });
        label.acted_on = Generation(0x9999);
        write(&*disk, &mut label, &Steps::none()).unwrap_err();
        let copies = read(&*disk);
        assert!(
            copies
                .copies
                .iter()
                .all(|copy| matches!(copy, LabelCopy::Valid(_))),
            "{torn}"
        );
    }
}

#[test]
fn a_wiped_label_is_gone_and_a_short_device_is_refused() {
    let (disk, _) = fresh(&Power::steady());
    wipe(&*disk).unwrap();
    assert!(read(&*disk).is_absent());
    assert!(matches!(
        read(&*disk).newest("/dev/x"),
        Err(LabelError::Absent { .. })
    ));
    let short = MemoryDisk::new("/dev/short", 256 << 10, 512, &Power::steady());
    assert!(read(&*short).is_absent());
    assert!(matches!(
        write(&*short, &mut sample(), &Steps::none()),
        Err(LabelError::Unfit { .. })
    ));
    let coarse = MemoryDisk::new("/dev/coarse", 2 << 20, 16384, &Power::steady());
    assert!(matches!(wipe(&*coarse), Err(LabelError::Unfit { .. })));
}

/// A write that failed after its first copy may have left that copy whole, with content that was
/// never acknowledged. The next write must come out above it.
#[test]
fn a_label_that_failed_half_way_is_overtaken_by_the_next() {
    let power = Power::steady();
    let (disk, mut label) = fresh(&power);
    for (at, mark) in [(0, 10), (1, 20), (0, 30)] {
        disk.fail(Fault {
            operation: Operation::Flush,
            after: at,
            count: 1,
            lands: false,
        });
        label.acted_on = Generation(mark);
        write(&*disk, &mut label, &Steps::none()).unwrap_err();
        disk.heal();
        label.acted_on = Generation(mark + 1);
        write(&*disk, &mut label, &Steps::none()).unwrap();
        let copies = read(&*disk);
        assert!(copies.agree());
        assert_eq!(copies.newest("/dev/x").unwrap(), &label);
    }
    // And half-way through the overtaking, whatever is found is one of the two.
    disk.fail(Fault {
        operation: Operation::Flush,
        after: 0,
        count: 1,
        lands: false,
    });
    label.acted_on = Generation(40);
    write(&*disk, &mut label, &Steps::none()).unwrap_err();
    disk.heal();
    disk.fail(Fault {
        operation: Operation::Flush,
        after: 1,
        count: 1,
        lands: false,
    });
    label.acted_on = Generation(41);
    write(&*disk, &mut label, &Steps::none()).unwrap_err();
    assert_eq!(
        read(&*disk).newest("/dev/x").unwrap().acted_on,
        Generation(41)
    );
}
