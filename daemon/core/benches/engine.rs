//! Step time and memory of the engine with a million tracked regions.
//!
//! `cargo bench -p tier-core --bench engine` prints them. Goals: a step under 100 ms, under 100
//! bytes a region.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

use std::time::{Duration, Instant};

use tier_core::event::{Event, HotRegion, MemberLoad, RegionCount, Resources, Samples};
use tier_core::units::{
    Bytes, Generation, MemberIndex, MemberRegion, Micros, Now, RegionSize, VolumeRegion,
};
use tier_core::volume::{Class, Extent, Leg, Legs, Member, Profile, VolumeState};
use tier_core::{Engine, PolicyConfig};

const REGIONS: u32 = 1 << 20;
const ROUNDS: u64 = 20;

/// Resident memory of this process in bytes (`VmRSS` in `/proc/self/status`, proc(5)).
fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0)
}

/// A volume whose every region is an extent of its own: the worst the map can be.
fn fragmented() -> VolumeState {
    let member = |index, class, regions| Member {
        index: MemberIndex(index),
        class,
        regions,
        profile: Profile::typical(class),
        present: true,
    };
    let extent = |region: u32| Extent {
        first: VolumeRegion(region),
        count: 1,
        legs: Legs::from_slice(&[Leg {
            member: MemberIndex(u16::from(!region.is_multiple_of(8))),
            first: MemberRegion(REGIONS - 1 - region),
        }]),
    };
    VolumeState {
        region_size: RegionSize::MIN,
        regions: REGIONS,
        block_bytes: Bytes(512),
        members: vec![
            member(0, Class::Nvme, REGIONS),
            member(1, Class::Hdd, REGIONS),
        ],
        extents: (0..REGIONS).map(extent).collect(),
        retired: Vec::new(),
        generation: Generation(1),
    }
}

/// Every region was touched.
fn samples(round: u64) -> Event {
    let count = |region: u32| RegionCount {
        region: VolumeRegion(region),
        reads: region.wrapping_mul(2_654_435_761) >> 20,
        writes: 1,
        sequential: u32::from(u64::from(region) % 3 == round % 3),
        ..RegionCount::default()
    };
    let regions = (0..REGIONS).map(count).collect();
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
    };
    Event::Resources(Resources {
        members: vec![load(0, 0.1), load(1, 2.0)],
        foreground_p99: Some(Micros(20_000)),
        ..Resources::default()
    })
}

fn main() {
    let before = resident_bytes();
    let mut engine = Engine::new(PolicyConfig::default());
    let mut now = Now(0);
    let mut step = |engine: &mut Engine, event: Event| {
        now.0 += 10_000_000_000;
        let begun = Instant::now();
        let commands = engine.step(now, event);
        (begun.elapsed(), commands.len())
    };
    let (start, _) = step(
        &mut engine,
        Event::Started {
            state: fragmented(),
            adopted: Vec::new(),
        },
    );
    let mut slowest = [Duration::ZERO; 4];
    for round in 0..ROUNDS {
        let region = VolumeRegion(u32::try_from(round).unwrap_or(0) * 7 + 1);
        let hot = HotRegion {
            region,
            touches: 1_000,
            writes: 0,
            sequential: 0,
        };
        let events = [samples(round), resources(), Event::Tick, Event::Hot(hot)];
        for (slowest, event) in slowest.iter_mut().zip(events) {
            *slowest = (*slowest).max(step(&mut engine, event).0);
        }
    }
    let bytes = resident_bytes() - before;
    println!("regions                       {REGIONS}, each an extent of its own");
    println!(
        "start                         {:9.3} ms",
        start.as_secs_f64() * 1e3
    );
    let names = [
        "samples of every region",
        "resources",
        "tick with a plan",
        "hot region",
    ];
    for (name, slowest) in names.iter().zip(slowest) {
        println!("{name:<24} worst {:9.3} ms", slowest.as_secs_f64() * 1e3);
    }
    println!(
        "memory per region             {:9.1} bytes",
        bytes / f64::from(REGIONS)
    );
}
