use super::*;
use crate::units::Bytes;

const SECOND: u64 = 1_000_000_000;

fn counted(region: u32, reads: u32, writes: u32, sequential: u32) -> RegionCount {
    RegionCount {
        region: VolumeRegion(region),
        reads,
        writes,
        read_bytes: Bytes(0),
        written_bytes: Bytes(0),
        sequential,
    }
}

fn heat() -> Heat {
    let mut heat = Heat::new(10 * SECOND);
    let slowest = Profile {
        read_seconds: 0.01,
        write_seconds: 0.01,
        bytes_per_second: 1e8,
    };
    heat.start(4, Some(slowest));
    heat.place(VolumeRegion(0), 4, Class::Hdd);
    heat
}

fn touches(heat: &Heat, region: u32, seconds: u64) -> f64 {
    heat.view(VolumeRegion(region), Now(seconds * SECOND))
        .unwrap()
        .touches
        .sum()
}

#[test]
fn heat_halves_with_each_half_life() {
    let mut heat = heat();
    heat.count(&counted(1, 60, 20, 0), Now(0));
    assert!((touches(&heat, 1, 0) - 80.0).abs() < 1e-3);
    assert!((touches(&heat, 1, 10) - 40.0).abs() < 0.2);
    assert!((touches(&heat, 1, 30) - 10.0).abs() < 0.1);
    assert!(touches(&heat, 1, 100_000) < 1e-9);
    heat.count(&counted(1, 5, 0, 0), Now(10 * SECOND));
    assert!((touches(&heat, 1, 10) - 45.0).abs() < 0.2);
}

#[test]
fn sequential_touches_leave_no_heat() {
    let mut heat = heat();
    heat.count(&counted(0, 100, 0, 100), Now(0));
    heat.count(&counted(1, 100, 0, 75), Now(0));
    assert!(touches(&heat, 0, 0) < 1e-9);
    assert!((touches(&heat, 1, 0) - 25.0).abs() < 1e-3);
    // A probe that counts more sequential touches than touches is not believed below zero.
    heat.count(&counted(2, 1, 0, 9), Now(0));
    assert!(touches(&heat, 2, 0).abs() < 1e-9);
}

#[test]
fn transfers_count_as_the_accesses_that_take_as_long() {
    let mut heat = heat();
    let one = RegionCount {
        read_bytes: Bytes(3_000_000),
        ..counted(0, 10, 0, 10)
    };
    heat.count(&one, Now(0));
    assert!(
        (touches(&heat, 0, 0) - 3.0).abs() < 1e-3,
        "a megabyte takes as long as an access"
    );
    let written = RegionCount {
        written_bytes: Bytes(500_000),
        ..counted(1, 0, 2, 0)
    };
    let found = heat.count(&written, Now(0)).unwrap().touches;
    assert!((found.writes - 2.5).abs() < 1e-3 && found.reads.abs() < 1e-9);
}

#[test]
fn it_is_known_when_a_region_came_and_from_where() {
    let mut heat = heat();
    heat.arrive(
        (VolumeRegion(2), 1),
        Class::Nvme,
        Some(Class::Hdd),
        Now(5 * SECOND),
    );
    let view = heat.view(VolumeRegion(2), Now(25 * SECOND)).unwrap();
    assert!((view.resident_seconds.unwrap() - 20.0).abs() < 0.1);
    let used = heat.count(&counted(2, 1, 0, 0), Now(25 * SECOND)).unwrap();
    assert_eq!((used.origin, used.class), (Some(Class::Hdd), Class::Nvme));
}

#[test]
fn a_region_beyond_the_volume_is_no_region() {
    assert_eq!(heat().count(&counted(4, 1, 0, 0), Now(0)), None);
    assert_eq!(heat().view(VolumeRegion(4), Now(0)), None);
}

#[test]
fn a_region_takes_little_memory() {
    const { assert!(BYTES_PER_REGION <= 36) };
}
