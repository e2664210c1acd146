//! Load of members, from their requests.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use tier_bpf::{Probe, ProbeConfig};

use crate::rig::{Disk, MIB, assert_few_are_missed, can_run};

/// Reads, bytes read, writes and bytes written that the kernel itself has counted as completed.
fn diskstats(disk: &Disk) -> [u64; 4] {
    let name = Path::new(disk.path())
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    let text = fs::read_to_string(format!("/sys/block/{name}/stat")).unwrap();
    let fields: Vec<u64> = text
        .split_whitespace()
        .map(|field| field.parse().unwrap())
        .collect();
    [fields[0], fields[2] * 512, fields[4], fields[6] * 512]
}

#[test]
fn requests_and_bytes_equal_the_kernels_own() {
    if !can_run("requests_and_bytes_equal_the_kernels_own") {
        return;
    }
    let disk = Disk::new(64 * MIB);
    let mut probe = Probe::load(ProbeConfig {
        sample_one_in: 1,
        ..ProbeConfig::default()
    })
    .unwrap();
    probe.watch_member(disk.number()).unwrap();
    let before = diskstats(&disk);
    let load = [
        "--rw=randrw",
        "--bs=4k",
        "--iodepth=32",
        "--size=64m",
        "--loops=4",
    ];
    let mut fio = disk.fio(&load);
    let mut seen = [0; 4];
    let (mut timed, mut served, mut in_flight_seconds, mut seconds) = (0, 0, 0.0, 0.0);
    let mut is_over = false;
    while !is_over {
        is_over = !fio.is_running();
        let [load] = probe.member_loads().unwrap().try_into().unwrap();
        assert_eq!(load.device, disk.number());
        assert_eq!(load.lost_samples, 0);
        let (reads, writes) = (load.reads, load.writes);
        let counts = [reads.requests, reads.bytes, writes.requests, writes.bytes];
        seen = [0, 1, 2, 3].map(|field| seen[field] + counts[field]);
        timed += reads.timed + writes.timed;
        served += reads.served + writes.served;
        in_flight_seconds += load.mean_in_flight() * load.interval.as_secs_f64();
        seconds += load.interval.as_secs_f64();
        if reads.served == reads.timed {
            // Means over the same requests, and the start comes before the issue.
            assert!(reads.mean_service() <= reads.mean_latency(), "{load:?}");
        }
        sleep(Duration::from_millis(20));
    }
    let done = fio.finish();

    let after = diskstats(&disk);
    let kernel = [0, 1, 2, 3].map(|field| after[field] - before[field]);
    // Requests may be merged bios; bytes are what fio moved.
    assert_eq!(
        [kernel[1], kernel[3]],
        [done.read_bytes, done.written_bytes]
    );
    for (seen, kernel) in seen.iter().zip(kernel) {
        assert_few_are_missed(*seen, kernel);
    }
    assert_eq!(timed, seen[0] + seen[2], "each request has a start");
    assert_few_are_missed(served, timed);
    let mean = in_flight_seconds / seconds;
    assert!(
        mean > 0.5 && mean < 33.0,
        "{mean} in flight, of 32 that fio kept there"
    );
}

#[test]
fn only_watched_members_have_a_load() {
    if !can_run("only_watched_members_have_a_load") {
        return;
    }
    let (one, two) = (Disk::new(8 * MIB), Disk::new(8 * MIB));
    let mut probe = Probe::load(ProbeConfig::default()).unwrap();
    probe.watch_member(one.number()).unwrap();
    two.write(0, 8192);
    one.write(0, 4096);
    let loads = probe.member_loads().unwrap();
    assert_eq!(loads.len(), 1);
    assert_eq!((loads[0].writes.requests, loads[0].writes.bytes), (1, 4096));

    probe.watch_member(two.number()).unwrap();
    probe.unwatch_member(one.number()).unwrap();
    one.write(0, 4096);
    let loads = probe.member_loads().unwrap();
    assert_eq!(loads.len(), 1);
    assert_eq!(
        (loads[0].device, loads[0].writes.requests),
        (two.number(), 0)
    );
    // A slot that is used again starts from nothing.
    probe.watch_member(one.number()).unwrap();
    let loads = probe.member_loads().unwrap();
    assert!(
        loads.iter().all(|load| load.writes.requests == 0),
        "{loads:?}"
    );
}
