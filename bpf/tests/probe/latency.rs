//! Latencies of sampled bios.

use std::time::Duration;

use tier_bpf::ProbeConfig;

use crate::rig::{Disk, MIB, assert_few_are_missed, can_run, watch};

/// Measures each bio of a load on `disk` and compares with what fio saw.
fn measure_each_bio(disk: &Disk) {
    let mut probe = watch(
        disk,
        64,
        ProbeConfig {
            sample_one_in: 1,
            ..ProbeConfig::default()
        },
    );
    let load = [
        "--rw=randrw",
        "--rwmixread=80",
        "--bs=4k",
        "--iodepth=64",
        "--size=64m",
    ];
    let done = disk.fio(&load).finish();
    let latencies = probe.latencies(disk.number()).unwrap();

    assert_few_are_missed(latencies.reads.count(), done.reads);
    assert_few_are_missed(latencies.writes.count(), done.writes);
    let sampled = latencies.reads.count() + latencies.writes.count();
    assert!(sampled + latencies.lost <= done.reads + done.writes);
    // fio's latency begins before the bio is made and ends when fio sees it done, and the
    // histogram rounds up: by an eighth, or to the next microsecond.
    let median = latencies.reads.quantile(0.5).unwrap().as_secs_f64() * 1e6;
    let most = done.read_median_us * 1.3 + 1.0;
    assert!(
        median <= most,
        "probe {median} µs, fio {} µs",
        done.read_median_us
    );
    let [low, high] = [0.5, 0.99].map(|q| latencies.writes.quantile(q).unwrap());
    assert!(
        low <= high && high < Duration::from_mins(1),
        "{low:?} {high:?}"
    );

    // Each latency is given once.
    let latencies = probe.latencies(disk.number()).unwrap();
    assert_eq!((latencies.reads.count(), latencies.writes.count()), (0, 0));
}

#[test]
fn each_bio_measured_on_a_device_of_requests_agrees_with_fio() {
    if can_run("each_bio_measured_on_a_device_of_requests_agrees_with_fio") {
        measure_each_bio(&Disk::new(64 * MIB));
    }
}

#[test]
fn each_bio_measured_on_a_device_of_bios_agrees_with_fio() {
    let test = "each_bio_measured_on_a_device_of_bios_agrees_with_fio";
    if can_run(test)
        && let Some(disk) = Disk::zram(test, 64 * MIB)
    {
        measure_each_bio(&disk);
    }
}

#[test]
fn one_bio_in_n_is_sampled() {
    if !can_run("one_bio_in_n_is_sampled") {
        return;
    }
    let disk = Disk::new(64 * MIB);
    let mut probe = watch(&disk, 64, ProbeConfig::default());
    // A rhythm of its own, that a fixed step of 64 would meet always at the same place.
    let load = [
        "--rw=rw",
        "--rwmixread=50",
        "--bs=4k",
        "--size=64m",
        "--loops=4",
    ];
    let done = disk.fio(&load).finish();
    let latencies = probe.latencies(disk.number()).unwrap();
    let total = done.reads + done.writes;
    let sampled = latencies.reads.count() + latencies.writes.count();
    let expected = total / 64;
    assert!(total > 50_000);
    assert!(
        sampled > expected / 2 && sampled < expected * 2,
        "{sampled}, expected {expected}"
    );
    assert!(
        latencies.reads.count() > sampled / 4,
        "{} of {sampled}",
        latencies.reads.count()
    );
    assert!(
        latencies.writes.count() > sampled / 4,
        "{} of {sampled}",
        latencies.writes.count()
    );
}

#[test]
fn no_samples_are_taken_where_none_are_wanted() {
    if !can_run("no_samples_are_taken_where_none_are_wanted") {
        return;
    }
    let disk = Disk::new(8 * MIB);
    let mut probe = watch(
        &disk,
        8,
        ProbeConfig {
            sample_one_in: 0,
            ..ProbeConfig::default()
        },
    );
    disk.fio(&["--rw=randread", "--bs=4k", "--size=8m"])
        .finish();
    let latencies = probe.latencies(disk.number()).unwrap();
    assert_eq!((latencies.reads.count(), latencies.lost), (0, 0));
    assert_eq!(latencies.reads.quantile(0.5), None);
}
