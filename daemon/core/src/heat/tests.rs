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
    heat.start(4);
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
fn intervals_are_counted_until_a_region_is_cold_again() {
    let mut heat = heat();
    for second in 0..3 {
        heat.count(&counted(0, 2, 0, 0), Now(second * SECOND));
    }
    let view = |heat: &Heat, at: u64| heat.view(VolumeRegion(0), Now(at * SECOND)).unwrap();
    assert_eq!(view(&heat, 3).intervals, 3);
    assert_eq!(view(&heat, 300).intervals, 0);
    let again = heat.count(&counted(0, 2, 0, 0), Now(300 * SECOND)).unwrap();
    assert_eq!(again.intervals, 1);
}

#[test]
fn a_promotion_that_nobody_uses_is_seen() {
    let mut heat = heat();
    heat.arrive(
        (VolumeRegion(2), 1),
        Class::Nvme,
        Some(Class::Hdd),
        Now(5 * SECOND),
    );
    let view = |heat: &Heat| heat.view(VolumeRegion(2), Now(25 * SECOND)).unwrap();
    assert!(view(&heat).unused);
    assert!((view(&heat).resident_seconds.unwrap() - 20.0).abs() < 0.1);
    let used = heat.count(&counted(2, 1, 0, 0), Now(25 * SECOND)).unwrap();
    assert_eq!((used.origin, used.class), (Some(Class::Hdd), Class::Nvme));
    assert!(!view(&heat).unused);
}

#[test]
fn a_region_beyond_the_volume_is_no_region() {
    assert_eq!(heat().count(&counted(4, 1, 0, 0), Now(0)), None);
    assert_eq!(heat().view(VolumeRegion(4), Now(0)), None);
}

#[test]
fn a_region_takes_little_memory() {
    const { assert!(BYTES_PER_REGION <= 20) };
}
