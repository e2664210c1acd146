//! Reports of regions that reach the threshold.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tier_bpf::{HotRecord, Probe, ProbeConfig};

use crate::rig::{Disk, MIB, SHIFT, can_run, watch};

fn poll(probe: &mut Probe) -> Vec<HotRecord> {
    probe.poll_hot(Duration::ZERO).unwrap()
}

#[test]
fn a_region_is_reported_once_an_interval_when_it_reaches_the_threshold() {
    if !can_run("a_region_is_reported_once_an_interval_when_it_reaches_the_threshold") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 8, ProbeConfig::default());
    probe.set_threshold(disk.number(), 3).unwrap();
    disk.write(5 * MIB, 4096);
    disk.read(5 * MIB, 4096);
    disk.read(6 * MIB, 4096);
    assert_eq!(poll(&mut probe), []);
    for _more in 0..4 {
        disk.read(5 * MIB, 4096);
    }
    let records = poll(&mut probe);
    assert_eq!(records.len(), 1, "{records:?}");
    let HotRecord {
        volume,
        region,
        reads,
        writes,
        time_ns,
    } = records[0];
    assert_eq!((volume, region, reads, writes), (disk.number(), 5, 2, 1));
    assert!(time_ns > 0);

    // The next interval counts from zero, and reports again.
    probe.swap(disk.number()).unwrap();
    disk.read(5 * MIB, 4096);
    disk.read(5 * MIB, 4096);
    assert_eq!(poll(&mut probe), []);
    disk.read(5 * MIB, 4096);
    assert_eq!(poll(&mut probe).len(), 1);

    probe.set_threshold(disk.number(), 0).unwrap();
    probe.swap(disk.number()).unwrap();
    for _touch in 0..4 {
        disk.read(5 * MIB, 4096);
    }
    assert_eq!(poll(&mut probe), []);
}

#[test]
fn regions_touched_by_many_at_once_are_each_reported_once() {
    if !can_run("regions_touched_by_many_at_once_are_each_reported_once") {
        return;
    }
    let disk = Disk::new(64 * MIB);
    let mut probe = watch(&disk, 64, ProbeConfig::default());
    probe.set_threshold(disk.number(), 100).unwrap();
    let load = [
        "--rw=randrw",
        "--bs=4k",
        "--iodepth=32",
        "--numjobs=2",
        "--size=64m",
    ];
    disk.fio(&[&load[..], &["--group_reporting"]].concat())
        .finish();
    let mut reports = BTreeMap::new();
    for record in poll(&mut probe) {
        assert_eq!(record.reads + record.writes, 100);
        *reports.entry(record.region).or_insert(0) += 1;
    }
    let once: BTreeMap<u32, i32> = (0..64).map(|region| (region, 1)).collect();
    assert_eq!(reports, once);
    assert_eq!(probe.swap(disk.number()).unwrap().totals.lost_hot, 0);
}

#[test]
fn waiting_for_a_report_ends_with_it() {
    if !can_run("waiting_for_a_report_ends_with_it") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(&disk, 8, ProbeConfig::default());
    probe.set_threshold(disk.number(), 1).unwrap();
    assert_eq!(probe.poll_hot(Duration::from_millis(20)).unwrap(), []);
    let began = Instant::now();
    let records = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            disk.write(0, 4096);
        });
        probe.poll_hot(Duration::from_secs(30)).unwrap()
    });
    assert_eq!(records.len(), 1);
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_full_ring_says_what_it_lost() {
    if !can_run("a_full_ring_says_what_it_lost") {
        return;
    }
    let disk = Disk::new(1024 * MIB);
    let config = ProbeConfig {
        hot_ring_bytes: 4096,
        ..ProbeConfig::default()
    };
    let mut probe = Probe::load(config).unwrap();
    probe.watch_volume(disk.number(), 1024, SHIFT).unwrap();
    probe.set_threshold(disk.number(), 1).unwrap();
    disk.fio(&["--rw=read:1020k", "--bs=4k", "--size=1024m"])
        .finish();
    let reported = poll(&mut probe).len() as u64;
    let interval = probe.swap(disk.number()).unwrap();
    assert_eq!(interval.regions.len(), 1024);
    assert!(reported > 100 && interval.totals.lost_hot > 0, "{reported}");
    assert_eq!(reported + interval.totals.lost_hot, 1024);
    assert_eq!(probe.stats().unwrap().lost_hot, interval.totals.lost_hot);
}
