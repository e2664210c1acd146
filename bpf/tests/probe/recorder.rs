//! What the recorder records, and of which device.

use std::path::Path;

use tempfile::NamedTempFile;
use tier_bpf::{DeviceNumber, RecordedBio, Recorder};
use tier_tests::command::{attempt, run};

use crate::rig::{Disk, MIB, can_run};

const RING_BYTES: u32 = 1 << 20;

fn shape(bio: &RecordedBio) -> (bool, u64, u32) {
    (bio.is_write, bio.offset_bytes, bio.length_bytes)
}

#[test]
fn each_read_and_write_of_the_device_is_recorded_in_order_and_those_of_others_are_not() {
    if !can_run(
        "each_read_and_write_of_the_device_is_recorded_in_order_and_those_of_others_are_not",
    ) {
        return;
    }
    let (disk, other) = (Disk::new(8 * MIB), Disk::new(8 * MIB));
    let recorder = Recorder::start(disk.number(), RING_BYTES).unwrap();
    disk.write(3 * MIB, 8192);
    other.write(0, 4096);
    disk.read(4096, 512);
    run(
        "blkdiscard",
        &["--force", "--offset", "0", "--length", "4096", disk.path()],
    );
    let bios = recorder.take().unwrap();
    let shapes: Vec<_> = bios.iter().map(shape).collect();
    assert_eq!(shapes, [(true, 3 * MIB, 8192), (false, 4096, 512)]);
    assert!(bios[0].time_ns < bios[1].time_ns, "{bios:?}");
    assert_eq!(recorder.take().unwrap(), []);
    assert_eq!(recorder.missed().unwrap(), 0);
}

#[test]
fn what_finds_the_ring_full_is_counted() {
    if !can_run("what_finds_the_ring_full_is_counted") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    // Room for 128 records of 32 bytes with their headers.
    let recorder = Recorder::start(disk.number(), 4096).unwrap();
    let done = disk
        .fio(&["--rw=write", "--bs=4k", "--iodepth=1", "--size=4m"])
        .finish();
    let kept = recorder.take().unwrap().len() as u64;
    assert!((100..=128).contains(&kept), "{kept}");
    assert_eq!(kept + recorder.missed().unwrap(), done.writes);
}

/// A partition that the kernel is told of, without a table on the disk.
struct Partition {
    whole: String,
    node: String,
    _file: NamedTempFile,
}

impl Partition {
    fn new(start_sector: u64) -> Self {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(8 * MIB).unwrap();
        let path = file.path().to_str().unwrap();
        let whole = run("losetup", &["--find", "--show", "--partscan", path]);
        run("addpart", &[&whole, "1", &start_sector.to_string(), "4096"]);
        Self {
            node: format!("{whole}p1"),
            whole,
            _file: file,
        }
    }

    fn write(node: &str, offset: u64) {
        let (of, seek) = (format!("of={node}"), format!("seek={offset}"));
        let input = ["if=/dev/zero", &of, "bs=4096", "count=1", &seek];
        let how = ["oflag=direct,seek_bytes", "conv=notrunc"];
        run("dd", &[&input[..], &how[..]].concat());
    }
}

impl Drop for Partition {
    fn drop(&mut self) {
        let _ = attempt("delpart", &[&self.whole, "1"]);
        let _ = attempt("losetup", &["--detach", &self.whole]);
    }
}

#[test]
fn a_partition_counts_from_its_own_start_and_a_whole_device_has_its_partitions() {
    let test = "a_partition_counts_from_its_own_start_and_a_whole_device_has_its_partitions";
    if !can_run(test) {
        return;
    }
    let disk = Partition::new(2048);
    let number = |node: &str| DeviceNumber::of_path(Path::new(node)).unwrap();
    let of_part = Recorder::start(number(&disk.node), RING_BYTES).unwrap();
    let of_whole = Recorder::start(number(&disk.whole), RING_BYTES).unwrap();
    Partition::write(&disk.node, 8192);
    Partition::write(&disk.whole, 0);
    let offsets = |recorder: &Recorder| -> Vec<u64> {
        let bios = recorder.take().unwrap();
        let writes = bios.iter().filter(|bio| bio.is_write);
        writes.map(|bio| bio.offset_bytes).collect()
    };
    assert_eq!(offsets(&of_part), [8192]);
    assert_eq!(offsets(&of_whole), [MIB + 8192, 0]);
}
