//! What is counted, where, and what is said to be missing.

use std::thread::sleep;
use std::time::Duration;

use tier_bpf::{IntervalCounts, ProbeConfig, RegionCounts, Storage, VolumeTotals};
use tier_tests::command::run;

use crate::rig::{Disk, MIB, SHIFT, can_run, counts, sums, watch};

#[test]
fn counts_equal_those_of_fio() {
    if !can_run("counts_equal_those_of_fio") {
        return;
    }
    let disk = Disk::new(64 * MIB);
    let mut probe = watch(&disk, 64, ProbeConfig::default());
    let done = disk
        .fio(&[
            "--rw=randrw",
            "--rwmixread=70",
            "--bs=4k",
            "--iodepth=16",
            "--size=64m",
        ])
        .finish();
    let interval = probe.swap(disk.number()).unwrap();

    assert!(done.reads > 10_000 && done.writes > 4_000, "{done:?}");
    let fio = [done.reads, done.writes, done.read_bytes, done.written_bytes];
    assert_eq!(sums([&interval]), fio);
    let totals = interval.totals;
    assert_eq!(
        [
            totals.reads,
            totals.writes,
            totals.read_bytes,
            totals.written_bytes
        ],
        fio
    );
    // fio visits each block of 64 MiB once.
    let regions: Vec<u32> = interval.regions.iter().map(|count| count.region).collect();
    assert_eq!(regions, (0..64).collect::<Vec<_>>());
    for count in &interval.regions {
        assert_eq!(count.reads + count.writes, 256, "{count:?}");
        assert_eq!(count.read_bytes, u64::from(count.reads) * 4096, "{count:?}");
    }
    assert_eq!((interval.lost, interval.skipped), (0, 0));
    assert_eq!(probe.stats().unwrap().missed_bios, 0);
    // The next interval begins empty.
    assert_eq!(
        probe.swap(disk.number()).unwrap(),
        IntervalCounts::default()
    );
}

#[test]
fn a_bio_over_a_border_is_counted_on_each_side() {
    if !can_run("a_bio_over_a_border_is_counted_on_each_side") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 8, ProbeConfig::default());
    disk.write(MIB - 64 * 1024, 128 * 1024);
    disk.read(3 * MIB - 512, 1024);
    let interval = probe.swap(disk.number()).unwrap();

    let following = |count| RegionCounts {
        sequential: 1,
        ..count
    };
    assert_eq!(
        interval.regions,
        [
            counts(0, (0, 0), (1, 64 * 1024)),
            following(counts(1, (0, 0), (1, 64 * 1024))),
            counts(2, (1, 512), (0, 0)),
            following(counts(3, (1, 512), (0, 0))),
        ]
    );
    assert_eq!((interval.totals.reads, interval.totals.writes), (1, 1));
}

#[test]
fn a_bio_is_spread_over_many_small_regions() {
    if !can_run("a_bio_is_spread_over_many_small_regions") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = tier_bpf::Probe::load(ProbeConfig::default()).unwrap();
    probe.watch_volume(disk.number(), 2048, 12).unwrap();
    disk.write(4096 * 100 + 512, 4096 * 200);
    let interval = probe.swap(disk.number()).unwrap();

    assert_eq!(
        interval.totals.writes, 1,
        "dd's write was more than one bio"
    );
    assert_eq!(sums([&interval]), [0, 201, 0, 4096 * 200]);
    assert_eq!(interval.regions[0], counts(100, (0, 0), (1, 3584)));
    let last = interval.regions.last().unwrap();
    assert_eq!((last.region, last.written_bytes), (300, 512));
}

#[test]
fn what_lies_beyond_the_regions_is_skipped_and_said_to_be() {
    if !can_run("what_lies_beyond_the_regions_is_skipped_and_said_to_be") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 4, ProbeConfig::default());
    disk.write(4 * MIB - 4096, 8192);
    disk.write(6 * MIB, 4096);
    let interval = probe.swap(disk.number()).unwrap();
    assert_eq!(interval.regions, [counts(3, (0, 0), (1, 4096))]);
    assert_eq!((interval.lost, interval.skipped), (0, 2));
    assert_eq!(interval.totals.written_bytes, 8192 + 4096);
    assert_eq!(probe.stats().unwrap().skipped_touches, 2);
}

/// Swaps all the while that fio runs: what both say has to agree to the last request.
fn swap_under_load(config: ProbeConfig, regions: u32, expected: Storage) {
    let disk = Disk::new(256 * MIB);
    let mut probe = tier_bpf::Probe::load(config).unwrap();
    assert_eq!(
        probe.watch_volume(disk.number(), regions, SHIFT).unwrap(),
        expected
    );
    let mut fio = disk.fio(&[
        "--rw=randrw",
        "--bs=4k",
        "--iodepth=32",
        "--size=256m",
        "--norandommap",
        "--runtime=3",
        "--time_based",
    ]);
    let mut intervals = Vec::new();
    while fio.is_running() {
        intervals.push(probe.swap(disk.number()).unwrap());
        sleep(Duration::from_millis(5));
    }
    let done = fio.finish();
    intervals.push(probe.swap(disk.number()).unwrap());

    let busy = intervals
        .iter()
        .filter(|interval| !interval.regions.is_empty())
        .count();
    assert!(
        busy >= 10,
        "only {busy} intervals saw the load; it proves nothing"
    );
    let fio = [done.reads, done.writes, done.read_bytes, done.written_bytes];
    assert_eq!(sums(&intervals), fio);
    let totals = intervals.iter().fold([0; 4], |sum, interval| {
        let VolumeTotals {
            reads,
            writes,
            read_bytes,
            written_bytes,
            ..
        } = interval.totals;
        [
            sum[0] + reads,
            sum[1] + writes,
            sum[2] + read_bytes,
            sum[3] + written_bytes,
        ]
    });
    assert_eq!(totals, fio);
    assert!(
        intervals
            .iter()
            .all(|interval| interval.lost + interval.skipped == 0)
    );
    assert_eq!(probe.stats().unwrap().missed_bios, 0);
}

#[test]
fn swapping_arrays_under_load_loses_nothing_and_doubles_nothing() {
    if can_run("swapping_arrays_under_load_loses_nothing_and_doubles_nothing") {
        swap_under_load(ProbeConfig::default(), 256, Storage::Array);
    }
}

#[test]
fn swapping_hashes_under_load_loses_nothing_and_doubles_nothing() {
    if can_run("swapping_hashes_under_load_loses_nothing_and_doubles_nothing") {
        // Too little for arrays of as many regions; room enough for the 256 that the disk has.
        let config = ProbeConfig {
            region_memory_bytes: 1 << 20,
            ..ProbeConfig::default()
        };
        swap_under_load(config, 1 << 18, Storage::Hash);
    }
}

#[test]
fn a_full_hash_says_what_it_lost() {
    if !can_run("a_full_hash_says_what_it_lost") {
        return;
    }
    let disk = Disk::new(65_536 * MIB);
    let config = ProbeConfig {
        region_memory_bytes: 512 << 10,
        ..ProbeConfig::default()
    };
    let mut probe = tier_bpf::Probe::load(config).unwrap();
    let before = probe.stats().unwrap().memory_bytes;
    assert_eq!(
        probe.watch_volume(disk.number(), 65_536, SHIFT).unwrap(),
        Storage::Hash
    );
    let stats = probe.stats().unwrap();
    let taken = stats.memory_bytes - before;
    assert!(
        taken <= config.region_memory_bytes,
        "{taken} bytes are over the budget"
    );
    assert!(
        stats.region_memory_bytes >= taken,
        "{stats:?}: {taken} were taken"
    );

    let read_each_region_once = [
        "--rw=read:1020k",
        "--bs=4k",
        "--iodepth=16",
        "--size=65536m",
        "--number_ios=20000",
    ];
    for _interval in 0..2 {
        let done = disk.fio(&read_each_region_once).finish();
        let interval = probe.swap(disk.number()).unwrap();
        assert_eq!(interval.totals.reads, done.reads);
        assert!(interval.regions.len() >= 1024, "{}", interval.regions.len());
        assert!(interval.lost > 0);
        assert_eq!(sums([&interval])[0] + interval.lost, done.reads);
        assert!(interval.regions.is_sorted_by_key(|count| count.region));
    }
}

#[test]
fn another_device_is_not_counted() {
    if !can_run("another_device_is_not_counted") {
        return;
    }
    let (watched, other) = (Disk::new(8 * MIB), Disk::new(8 * MIB));
    let mut probe = watch(&watched, 8, ProbeConfig::default());
    other.write(0, 4096);
    watched.write(MIB, 8192);
    other.read(0, 4096);
    let interval = probe.swap(watched.number()).unwrap();
    assert_eq!(interval.regions, [counts(1, (0, 0), (1, 8192))]);
    assert_eq!(interval.totals.reads, 0);
}

#[test]
fn two_volumes_are_counted_apart() {
    if !can_run("two_volumes_are_counted_apart") {
        return;
    }
    let (one, two) = (Disk::new(8 * MIB), Disk::new(8 * MIB));
    let mut probe = watch(&one, 8, ProbeConfig::default());
    probe.watch_volume(two.number(), 4, SHIFT + 1).unwrap();
    one.write(5 * MIB, 4096);
    two.read(5 * MIB, 8192);
    assert_eq!(
        probe.swap(one.number()).unwrap().regions,
        [counts(5, (0, 0), (1, 4096))]
    );
    assert_eq!(
        probe.swap(two.number()).unwrap().regions,
        [counts(2, (1, 8192), (0, 0))]
    );
}

#[test]
fn bios_without_data_warm_no_region() {
    if !can_run("bios_without_data_warm_no_region") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 8, ProbeConfig::default());
    let number = disk.number();
    // Forced, since it would look for signatures first, and read for that.
    run(
        "blkdiscard",
        &[
            "--force",
            "--offset",
            "1048576",
            "--length",
            "2097152",
            disk.path(),
        ],
    );
    run(
        "blkdiscard",
        &[
            "--force",
            "--zeroout",
            "--offset",
            "4194304",
            "--length",
            "1048576",
            disk.path(),
        ],
    );
    run("sync", &[disk.path()]);
    let IntervalCounts {
        regions, totals, ..
    } = probe.swap(number).unwrap();
    assert_eq!(regions, []);
    assert_eq!(
        (totals.discards > 0, totals.discarded_bytes),
        (true, 2 * MIB)
    );
    assert_eq!((totals.write_zeroes > 0, totals.zeroed_bytes), (true, MIB));
    assert!(totals.flushes > 0);
    assert_eq!((totals.reads, totals.writes, totals.others), (0, 0, 0));
}

#[test]
fn sequential_streams_are_told_from_random_access() {
    if !can_run("sequential_streams_are_told_from_random_access") {
        return;
    }
    let disk = Disk::new(64 * MIB);
    let mut probe = watch(&disk, 64, ProbeConfig::default());
    let sequential = |probe: &mut tier_bpf::Probe| -> u64 {
        let interval = probe.swap(disk.number()).unwrap();
        interval
            .regions
            .iter()
            .map(|count| u64::from(count.sequential))
            .sum()
    };
    // Four streams that interleave: each but its first bio follows on one of its own.
    let four = [
        "--rw=read",
        "--bs=64k",
        "--size=16m",
        "--numjobs=4",
        "--offset_increment=16m",
        "--group_reporting",
    ];
    let done = disk.fio(&four).finish();
    let found = sequential(&mut probe);
    assert!(
        found <= done.reads && found >= done.reads * 90 / 100,
        "{found} of {}",
        done.reads
    );

    // The same at walking pace: on a disk, each of them seeks.
    let slow = |jobs: &'static str| {
        [
            "--rw=read",
            "--bs=64k",
            "--size=16m",
            "--number_ios=40",
            jobs,
            "--offset_increment=16m",
            "--group_reporting",
            "--thinktime=30000",
        ]
    };
    let done = disk.fio(&slow("--numjobs=4")).finish();
    let found = sequential(&mut probe);
    assert!(found < done.reads / 2, "{found} of {}", done.reads);
    // One that is alone goes on where it was, however slow it is.
    let done = disk.fio(&slow("--numjobs=1")).finish();
    let found = sequential(&mut probe);
    assert!(found + 2 >= done.reads, "{found} of {}", done.reads);

    let random = [
        "--rw=randread",
        "--bs=4k",
        "--size=64m",
        "--number_ios=4000",
        "--norandommap",
    ];
    let done = disk.fio(&random).finish();
    let found = sequential(&mut probe);
    assert!(found < done.reads / 20, "{found} of {}", done.reads);
}
