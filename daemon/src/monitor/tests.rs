use std::fs;

use tier_core::event::MemberLoad;
use tier_core::units::{Bytes, MemberIndex, Micros, Now};

use super::load::MemberLatency;
use super::snapshot::{CpuTicks, DeviceNumber, DiskCounters, Pressure};
use super::*;

const DISK: DeviceNumber = DeviceNumber {
    major: 8,
    minor: 16,
};

fn watched() -> [WatchedMember; 1] {
    [WatchedMember {
        member: MemberIndex(2),
        device: DISK,
    }]
}

fn at(seconds: u64, counters: DiskCounters) -> Snapshot {
    let taken = Now(seconds * 1_000_000_000);
    Snapshot {
        taken,
        disks: [(DISK, counters)].into(),
        ..Snapshot::default()
    }
}

fn between(old: DiskCounters, new: DiskCounters) -> Option<MemberLoad> {
    let no_probe = ProbeLatency::default();
    let resources = load::resources(&at(10, old), &at(12, new), &watched(), &no_probe).unwrap();
    assert!(resources.members.len() <= 1);
    resources.members.first().copied()
}

#[test]
fn counters_become_shares_means_and_latencies() {
    let old = DiskCounters {
        reads: 100,
        read_millis: 1000,
        ..DiskCounters::default()
    };
    let new = DiskCounters {
        reads: 150,
        read_millis: 1400,
        writes: 3,
        sectors_written: 40,
        write_millis: 1,
        busy_millis: 500,
        weighted_millis: 3000,
    };
    let expected = MemberLoad {
        member: MemberIndex(2),
        busy: 0.25,
        in_flight: 1.5,
        read_latency: Some(Micros(8000)),
        write_latency: Some(Micros(333)),
        written_bytes: Bytes(40 * 512),
    };
    assert_eq!(between(old, new), Some(expected));
}

#[test]
fn an_idle_member_has_no_latency() {
    let same = DiskCounters {
        reads: 7,
        busy_millis: 9,
        ..DiskCounters::default()
    };
    let load = between(same, same).unwrap();
    assert_eq!((load.busy, load.in_flight), (0.0, 0.0));
    assert_eq!((load.read_latency, load.write_latency), (None, None));
}

#[test]
fn times_that_wrap_at_32_bits_are_understood() {
    let old = DiskCounters {
        reads: 10,
        read_millis: u32::MAX - 9,
        busy_millis: u32::MAX - 99,
        weighted_millis: u32::MAX - 499,
        ..DiskCounters::default()
    };
    let new = DiskCounters {
        reads: 12,
        read_millis: 10,
        busy_millis: 900,
        weighted_millis: 500,
        ..DiskCounters::default()
    };
    let load = between(old, new).unwrap();
    assert_eq!(load.read_latency, Some(Micros(10_000)));
    assert_eq!((load.busy, load.in_flight), (0.5, 0.5));
}

#[test]
fn a_device_that_was_replaced_has_no_load_for_one_interval() {
    let old = DiskCounters {
        reads: 1000,
        busy_millis: 5000,
        ..DiskCounters::default()
    };
    let fewer = DiskCounters {
        reads: 3,
        busy_millis: 20,
        ..DiskCounters::default()
    };
    assert_eq!(between(old, fewer), None);
    // As many requests, but a clock that ran backwards.
    let other = DiskCounters {
        reads: 1000,
        busy_millis: 20,
        ..DiskCounters::default()
    };
    assert_eq!(between(old, other), None);
}

#[test]
fn a_device_that_vanished_or_has_just_appeared_has_no_load() {
    let (with, without) = (at(10, DiskCounters::default()), Snapshot::default());
    let gone = Snapshot {
        taken: Now(12_000_000_000),
        ..without.clone()
    };
    let no_probe = ProbeLatency::default();
    let resources = load::resources(&with, &gone, &watched(), &no_probe).unwrap();
    assert_eq!(resources.members, []);
    let resources = load::resources(&without, &with, &watched(), &no_probe).unwrap();
    assert_eq!(resources.members, []);
}

#[test]
fn the_probe_wins_over_the_kernels_milliseconds_where_it_measured() {
    let new = DiskCounters {
        reads: 10,
        read_millis: 10,
        writes: 10,
        ..DiskCounters::default()
    };
    let measured = MemberLatency {
        member: MemberIndex(2),
        read: Some(Micros(87)),
        write: None,
        in_flight: Some(0.75),
    };
    let probe = ProbeLatency {
        foreground_p50: Some(Micros(90)),
        foreground_p99: Some(Micros(4000)),
        members: vec![measured],
    };
    let before = at(10, DiskCounters::default());
    let resources = load::resources(&before, &at(11, new), &watched(), &probe).unwrap();
    let load = resources.members[0];
    assert_eq!(load.read_latency, Some(Micros(87)));
    assert_eq!(load.write_latency, Some(Micros(0)));
    assert!((load.in_flight - 0.75).abs() < 1e-9);
    assert_eq!(resources.foreground_p99, Some(Micros(4000)));
}

#[test]
fn members_come_in_order_whatever_order_they_are_watched_in() {
    let other = DeviceNumber {
        major: 259,
        minor: 0,
    };
    let mut before = at(1, DiskCounters::default());
    before.disks.insert(other, DiskCounters::default());
    let after = Snapshot {
        taken: Now(2_000_000_000),
        ..before.clone()
    };
    let members = [
        watched()[0],
        WatchedMember {
            member: MemberIndex(0),
            device: other,
        },
    ];
    let resources = load::resources(&before, &after, &members, &ProbeLatency::default()).unwrap();
    let order: Vec<u16> = resources.members.iter().map(|load| load.member.0).collect();
    assert_eq!(order, [0, 2]);
}

#[test]
fn the_machine_is_reckoned_over_the_interval() {
    let before = Snapshot {
        taken: Now(0),
        cpu: CpuTicks {
            busy: 100,
            all: 1000,
        },
        interface_bytes: [("eth0".to_owned(), 1000), ("gone".to_owned(), 5)].into(),
        ..Snapshot::default()
    };
    let after = Snapshot {
        taken: Now(2_000_000_000),
        cpu: CpuTicks {
            busy: 150,
            all: 1200,
        },
        pressure: Some(Pressure {
            io: 0.4,
            memory: 1.5,
        }),
        memory_available: Bytes(7),
        interface_bytes: [("eth0".to_owned(), 3000), ("new".to_owned(), 9000)].into(),
        ..Snapshot::default()
    };
    let resources = load::resources(&before, &after, &[], &ProbeLatency::default()).unwrap();
    assert!((resources.cpu_busy - 0.25).abs() < 1e-9);
    assert!((resources.io_pressure - 0.4).abs() < 1e-9);
    // A share cannot pass 1, whatever was read.
    assert!((resources.memory_pressure - 1.0).abs() < 1e-9);
    assert_eq!(resources.memory_available, Bytes(7));
    assert!((resources.network_bytes_per_second - 1000.0).abs() < 1e-9);
}

#[test]
fn cpu_time_that_goes_backwards_and_an_interface_that_was_reset_give_no_nonsense() {
    let before = Snapshot {
        cpu: CpuTicks {
            busy: 100,
            all: 1000,
        },
        interface_bytes: [("eth0".to_owned(), 1000)].into(),
        ..Snapshot::default()
    };
    let after = Snapshot {
        taken: Now(1_000_000_000),
        cpu: CpuTicks { busy: 90, all: 990 },
        interface_bytes: [("eth0".to_owned(), 10)].into(),
        ..Snapshot::default()
    };
    let resources = load::resources(&before, &after, &[], &ProbeLatency::default()).unwrap();
    assert!(resources.cpu_busy.abs() < 1e-9);
    assert!((resources.network_bytes_per_second - 10.0).abs() < 1e-9);
}

#[test]
fn no_load_without_time_between() {
    let same = at(5, DiskCounters::default());
    assert_eq!(
        load::resources(&same, &same, &watched(), &ProbeLatency::default()),
        None
    );
    let earlier = at(4, DiskCounters::default());
    assert_eq!(
        load::resources(&same, &earlier, &watched(), &ProbeLatency::default()),
        None
    );
}

/// Files as a 6.12 kernel lays them out.
fn made_proc(diskstats: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let proc = folder.path();
    fs::create_dir_all(proc.join("net")).unwrap();
    fs::create_dir_all(proc.join("pressure")).unwrap();
    fs::write(proc.join("diskstats"), diskstats).unwrap();
    let stat = "cpu  400 0 100 1000 500 0 0 0 0 0\ncpu0 400 0 100 1000 500 0 0 0 0 0\n\
                ctxt 1\nbtime 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n";
    fs::write(proc.join("stat"), stat).unwrap();
    // The system's own: its many lines are all needed to be understood.
    fs::copy("/proc/meminfo", proc.join("meminfo")).unwrap();
    let net = "Inter-|   Receive                                                |  Transmit\n \
               face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets \
               errs drop fifo colls carrier compressed\n    \
               lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0\n  \
               eth0: 100 1 0 0 0 0 0 0 23 1 0 0 0 0 0 0\n";
    fs::write(proc.join("net/dev"), net).unwrap();
    let pressure = "some avg10=12.50 avg60=0.00 avg300=0.00 total=5\n\
                    full avg10=1.00 avg60=0.00 avg300=0.00 total=3\n";
    fs::write(proc.join("pressure/io"), pressure).unwrap();
    fs::write(proc.join("pressure/memory"), pressure).unwrap();
    folder
}

const DISKSTATS: &str = " 259       0 nvme0n1 10 0 80 5 20 0 160 7 1 30 12 0 0 0 0 4 2\n   \
                         8      16 sdb 1 0 8 4294967295 0 0 0 0 0 4 4 0 0 0 0 0 0\n";

#[test]
fn a_reading_holds_what_the_files_say() {
    let proc = made_proc(DISKSTATS);
    let snapshot = Snapshot::read(proc.path(), Now(3)).unwrap();
    assert_eq!(snapshot.taken, Now(3));
    let nvme = snapshot.disks[&DeviceNumber {
        major: 259,
        minor: 0,
    }];
    let expected = DiskCounters {
        reads: 10,
        read_millis: 5,
        writes: 20,
        sectors_written: 160,
        write_millis: 7,
        busy_millis: 30,
        weighted_millis: 12,
    };
    assert_eq!(nvme, expected);
    assert_eq!(snapshot.disks[&DISK].read_millis, u32::MAX);
    assert_eq!(
        snapshot.cpu,
        CpuTicks {
            busy: 500,
            all: 2000
        }
    );
    assert_eq!(
        snapshot.pressure,
        Some(Pressure {
            io: 0.125,
            memory: 0.125
        })
    );
    assert_eq!(snapshot.interface_bytes, [("eth0".to_owned(), 123)].into());
}

#[test]
fn a_kernel_without_pressure_is_no_error() {
    let proc = made_proc(DISKSTATS);
    fs::remove_dir_all(proc.path().join("pressure")).unwrap();
    assert!(!Snapshot::read(proc.path(), Now(0)).unwrap().has_pressure());
}

#[test]
fn a_file_that_cannot_be_read_or_understood_is_named() {
    let proc = made_proc("8 16\n");
    let error = Snapshot::read(proc.path(), Now(0)).unwrap_err();
    assert!(error.to_string().ends_with("/diskstats"), "{error}");
    fs::remove_file(proc.path().join("diskstats")).unwrap();
    let error = Snapshot::read(proc.path(), Now(0)).unwrap_err();
    assert!(error.to_string().ends_with("/diskstats"), "{error}");
}

#[test]
fn the_machine_itself_can_be_read_twice() {
    let mut monitor = Monitor::default();
    let probe = ProbeLatency::default();
    assert_eq!(
        monitor.resources(Now(1_000_000_000), &[], &probe).unwrap(),
        None
    );
    let resources = monitor
        .resources(Now(2_000_000_000), &[], &probe)
        .unwrap()
        .unwrap();
    assert!(resources.memory_available > Bytes(0));
    assert!((0.0..=1.0).contains(&resources.cpu_busy));
}
