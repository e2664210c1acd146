//! Step time and memory of the engine with a million tracked regions, each an extent of its own,
//! and with ten million in extents of sixteen.
//!
//! `cargo bench -p tier-core --bench engine` prints them. Goals: with a million a step under 100 ms;
//! with ten million a plan under a second, and under 100 bytes a region.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::process::Command;
use std::time::{Duration, Instant};

use tier_core::event::{Event, HotRegion, MemberLoad, RegionCount, Resources, Samples};
use tier_core::units::{
    Bytes, Generation, MemberIndex, MemberRegion, Micros, Now, RegionSize, VolumeRegion,
};
use tier_core::volume::{Class, Extent, Leg, Legs, Member, Profile, VolumeState};
use tier_core::{Engine, PolicyConfig};

/// How large a volume is, and how it is used.
#[derive(Clone, Copy)]
struct Size {
    regions: u32,
    regions_per_extent: u32,
    /// One region in so many is touched in each interval; all have been before.
    touched_one_in: u32,
    rounds: u64,
}

/// One extent in so many is on the fast member.
const FAST_ONE_IN: u32 = 8;

const SIZES: [Size; 2] = [
    Size {
        regions: 1 << 20,
        regions_per_extent: 1,
        touched_one_in: 1,
        rounds: 20,
    },
    Size {
        regions: 10_000_000,
        regions_per_extent: 16,
        touched_one_in: 16,
        rounds: 8,
    },
];

/// Resident memory of this process in bytes (`VmRSS` in `/proc/self/status`, proc(5)).
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}

/// A volume cut into extents that lie in an order opposite to their own, so that none joins another.
fn fragmented(size: Size) -> VolumeState {
    let member = |index, class, regions| Member {
        index: MemberIndex(index),
        class,
        regions,
        profile: Profile::typical(class),
        present: true,
    };
    let extents = size.regions / size.regions_per_extent;
    // One extent in eight is on the fast member, which is full.
    let fast_extents = extents.div_ceil(FAST_ONE_IN);
    let extent = |at: u32| {
        let (member, place) = if at.is_multiple_of(FAST_ONE_IN) {
            (0, fast_extents - 1 - at / FAST_ONE_IN)
        } else {
            (1, extents - 1 - at)
        };
        Extent {
            first: VolumeRegion(at * size.regions_per_extent),
            count: size.regions_per_extent,
            legs: Legs::from_slice(&[Leg {
                member: MemberIndex(member),
                first: MemberRegion(place * size.regions_per_extent),
            }]),
        }
    };
    VolumeState {
        region_size: RegionSize::MIN,
        regions: size.regions,
        block_bytes: Bytes(512),
        members: vec![
            member(0, Class::Nvme, fast_extents * size.regions_per_extent),
            member(1, Class::Hdd, size.regions),
        ],
        extents: (0..extents).map(extent).collect(),
        retired: Vec::new(),
        generation: Generation(1),
    }
}

/// One region in so many was touched.
fn samples(size: Size, one_in: u32, round: u64) -> Event {
    let count = |region: u32| RegionCount {
        region: VolumeRegion(region),
        reads: region.wrapping_mul(2_654_435_761) >> 20,
        writes: 1,
        sequential: u32::from(u64::from(region) % 3 == round % 3),
        ..RegionCount::default()
    };
    let first = u32::try_from(round).unwrap_or(0) % one_in;
    let step = usize::try_from(one_in).unwrap_or(1);
    let regions = (first..size.regions).step_by(step).map(count).collect();
    Event::Samples(Samples {
        interval: Micros(10_000_000),
        regions,
        lost: 0,
    })
}

fn resources() -> Event {
    let load = |member, in_flight| MemberLoad {
        member: MemberIndex(member),
        busy: 0.5,
        in_flight,
        read_latency: Some(Micros(20_000)),
        write_latency: None,
        written_bytes: Bytes(0),
    };
    Event::Resources(Resources {
        members: vec![load(0, 0.1), load(1, 2.0)],
        foreground_p99: Some(Micros(20_000)),
        ..Resources::default()
    })
}

fn main() {
    // One after the other in processes of their own: what one leaves in memory is not the other's.
    let Some(which) = std::env::args().skip(1).find_map(|word| word.parse().ok()) else {
        let program = std::env::current_exe().unwrap_or_default();
        for which in 0..SIZES.len() {
            let done = Command::new(&program).arg(which.to_string()).status();
            assert!(done.is_ok_and(|status| status.success()));
        }
        return;
    };
    let which: usize = which;
    if let Some(size) = SIZES.get(which) {
        measure(*size);
    }
}

fn measure(size: Size) {
    let before = resident_bytes();
    let mut engine = Engine::new(PolicyConfig::default());
    engine.set_full_check(false);
    let mut now = Now(0);
    let mut step = |engine: &mut Engine, event: Event| {
        now.0 += 10_000_000_000;
        let begun = Instant::now();
        let commands = engine.step(now, event);
        (begun.elapsed(), commands.len())
    };
    let event = Event::Started {
        state: fragmented(size),
        adopted: Vec::new(),
    };
    let (start, _) = step(&mut engine, event);
    // What was touched once is tracked from then on.
    step(&mut engine, samples(size, 1, 0));
    let mut slowest = [Duration::ZERO; 4];
    for round in 0..size.rounds {
        let region = VolumeRegion(u32::try_from(round).unwrap_or(0) * 7 + 1);
        let hot = HotRegion {
            region,
            touches: 1_000,
            writes: 0,
            sequential: 0,
        };
        let events = [
            samples(size, size.touched_one_in, round),
            resources(),
            Event::Tick,
            Event::Hot(hot),
        ];
        for (slowest, event) in slowest.iter_mut().zip(events) {
            *slowest = (*slowest).max(step(&mut engine, event).0);
        }
    }
    show(size, start, slowest, resident_bytes() - before);
}

fn show(size: Size, start: Duration, slowest: [Duration; 4], bytes: f64) {
    println!(
        "{} regions in extents of {}, one in {} touched in an interval",
        size.regions, size.regions_per_extent, size.touched_one_in
    );
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    println!("  start                         {:9.3} ms", millis(start));
    let names = ["samples", "resources", "tick with a plan", "hot region"];
    for (name, slowest) in names.iter().zip(slowest) {
        println!("  {name:<24} worst {:9.3} ms", millis(slowest));
    }
    let each = bytes / f64::from(size.regions);
    println!("  memory per region             {each:9.1} bytes");
}
