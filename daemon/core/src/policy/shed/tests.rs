//! What wear keeps off flash, and what it does not.

use crate::command::{Command, Reason, Reply};
use crate::event::{Event, MemberLoad, RegionCount, Resources, Samples, Target};
use crate::policy::PolicyConfig;
use crate::policy::tests::{adds, hot, shell};
use crate::testing::{Shell, config, extent, leg, member, state};
use crate::units::{Bytes, MemberIndex, Micros, VolumeRegion};
use crate::volume::{Class, VolumeState};
use crate::wear::WearConfig;

/// So many bytes were written to a member.
fn written(member: u16, bytes: u64) -> Event {
    Event::Resources(Resources {
        members: vec![MemberLoad {
            member: MemberIndex(member),
            busy: 0.0,
            in_flight: 0.0,
            read_latency: None,
            write_latency: None,
            written_bytes: Bytes(bytes),
        }],
        ..Resources::default()
    })
}

/// Far more than any member of these tests may be written in a year.
const TOO_MUCH: u64 = 1 << 50;

/// Random writes of so many bytes each.
fn writes(shell: &mut Shell, region: u32, count: u32, bytes_each: u64) -> Vec<Command> {
    let count = RegionCount {
        region: VolumeRegion(region),
        writes: count,
        written_bytes: Bytes(bytes_each * u64::from(count)),
        ..RegionCount::default()
    };
    shell.step(Event::Samples(Samples {
        interval: Micros(10_000_000),
        regions: vec![count],
        lost: 0,
    }))
}

fn dear(wear_seconds_per_gib: f64) -> Shell {
    let config = PolicyConfig {
        wear_seconds_per_gib,
        ..config()
    };
    Shell::new(config, state(), Vec::new())
}

#[test]
fn a_budget_that_is_used_up_keeps_copies_off_the_flash() {
    let mut shell = shell();
    let threshold = shell.engine.status().hot_threshold;
    shell.step(written(0, TOO_MUCH));
    assert!(shell.engine.status().hot_threshold > threshold * 100);
    assert_eq!(adds(&shell.step(hot(7, 400, 0))), []);
    assert_eq!(adds(&shell.sample(7, 400, 0)), []);
    let told = shell.engine.explain(VolumeRegion(7)).unwrap();
    assert_eq!(told.verdict, crate::engine::Verdict::DoesNotPay);
    let offer = told.offers[0];
    assert!(offer.wear_seconds > 10.0 && offer.wear_seconds < offer.cost_seconds);
    assert!(offer.wear_seconds_per_gib > 10_000.0);
    // People may.
    let reply = shell.ask(7, 1, Target::Class(Class::Nvme));
    assert!(matches!(reply, Reply::Moves(ids) if ids.len() == 1));
}

/// NVMe is full to its headroom; below it is an SSD, and a hard disk that may be full.
fn three_tiers(disk_regions: u32) -> Shell {
    let state = VolumeState {
        regions: 53,
        members: vec![
            member(0, Class::Nvme, 20),
            member(1, Class::Ssd, 40),
            member(2, Class::Hdd, disk_regions),
        ],
        extents: vec![
            extent(0, 18, leg(0, 0)),
            extent(18, 5, leg(1, 0)),
            extent(23, 30, leg(2, 0)),
        ],
        ..state()
    };
    Shell::new(config(), state, Vec::new())
}

#[test]
fn wear_never_keeps_anything_from_leaving_a_tier() {
    let target_of_demotion = |shell: &mut Shell| {
        shell.step(hot(30, 4_000, 0));
        let moves: Vec<_> = shell.engine.moves().collect();
        assert!(
            matches!(moves[0].reason, Reason::Demotion { .. }),
            "{moves:?}"
        );
        moves[0].to
    };
    assert_eq!(target_of_demotion(&mut three_tiers(60)), Class::Ssd);
    // The SSD is worn: it is passed over for a disk with room, and taken where there is none.
    let mut worn = three_tiers(60);
    worn.step(written(1, TOO_MUCH));
    assert_eq!(target_of_demotion(&mut worn), Class::Hdd);
    let mut full = three_tiers(30);
    full.step(written(1, TOO_MUCH));
    assert_eq!(target_of_demotion(&mut full), Class::Ssd);
}

#[test]
fn of_two_members_of_a_tier_the_one_that_is_less_worn_is_written() {
    let target = |worn: u16| {
        let state = VolumeState {
            members: vec![
                member(0, Class::Nvme, 20),
                member(1, Class::Hdd, 60),
                member(2, Class::Nvme, 20),
            ],
            ..state()
        };
        let mut shell = Shell::new(config(), state, Vec::new());
        shell.step(written(worn, TOO_MUCH));
        assert_eq!(adds(&shell.step(hot(7, 400, 0))), [(7, 1)]);
        shell.engine.moves().next().unwrap().target.member
    };
    assert_eq!(target(0), MemberIndex(2));
    assert_eq!(target(2), MemberIndex(0));
}

#[test]
fn what_writes_much_for_little_waiting_stays_off_the_flash_and_a_log_does_not() {
    // A write of 4 KiB that takes 8 ms less is worth 2,000 s for a GiB; one of 64 KiB, 125.
    let is_moved = |price: f64, count: u32, bytes_each: u64| {
        let mut shell = dear(price);
        !adds(&writes(&mut shell, 7, count, bytes_each)).is_empty()
    };
    assert!(is_moved(0.05, 16, 65_536) && is_moved(0.05, 2_000, 4_096));
    assert!(!is_moved(100.0, 16, 65_536), "the copy alone costs 0.1 s");
    assert!(
        !is_moved(200.0, 2_000, 65_536),
        "however often it is written"
    );
    assert!(is_moved(200.0, 2_000, 4_096));
    assert!(!is_moved(4_000.0, 2_000, 4_096));
    // What is read wears nothing but by its copy.
    let mut shell = dear(600.0);
    assert_eq!(adds(&shell.sample(7, 2_000, 0)), [(7, 1)]);
}

#[test]
fn what_wears_a_tier_for_nothing_leaves_it_when_wear_becomes_dear() {
    let mut shell = shell();
    for region in [3, 9] {
        shell.step(hot(region, 100, 0));
    }
    shell.settle();
    shell.wait(400.0);
    writes(&mut shell, 3, 500, 65_536);
    shell.sample(9, 500, 0);
    shell.wait(100.0);
    assert_eq!(
        (shell.class_of(3), shell.class_of(9)),
        (Class::Nvme, Class::Nvme)
    );
    let balance = shell.engine.status().insurance_seconds;
    writes(&mut shell, 3, 1, 65_536);
    assert!(
        shell.engine.status().insurance_seconds > balance,
        "it saves yet"
    );
    shell.step(written(0, TOO_MUCH));
    writes(&mut shell, 3, 1, 65_536);
    assert!(
        shell.engine.status().insurance_seconds < balance,
        "it costs now"
    );
    shell.wait(100.0);
    let leaving = shell.engine.moves().next().unwrap();
    assert_eq!((leaving.first, leaving.to), (VolumeRegion(3), Class::Hdd));
    assert!(matches!(leaving.reason, Reason::Worn { seconds_per_gib } if seconds_per_gib > 1e4));
    shell.settle();
    assert_eq!(
        (shell.class_of(3), shell.class_of(9)),
        (Class::Hdd, Class::Nvme)
    );
}

#[test]
fn what_was_written_is_remembered_whatever_else_is_not() {
    let mut shell = shell();
    shell.step(written(0, 1 << 40));
    let memory = shell.engine.memory();
    let other = PolicyConfig {
        half_life_seconds: 77.0,
        ..config()
    };
    let mut after = Shell::new(other, state(), Vec::new());
    let commands = after.step(Event::Remembered(Box::new(memory)));
    assert!(matches!(&commands[0], Command::Warn(_)), "{commands:?}");
    let bytes = after.engine.status().wear.members[0].written_bytes;
    assert!((bytes - f64::from(1 << 30) * 1_024.0).abs() < 1.0);
}

#[test]
fn a_rate_of_money_is_the_price() {
    let wear = WearConfig {
        nvme_money_per_terabyte: 100.0,
        money_per_foreground_second: 1e-6,
        ..WearConfig::default()
    };
    let config = PolicyConfig { wear, ..config() };
    assert_eq!(config.check(), Ok(()));
    let mut shell = Shell::new(config, state(), Vec::new());
    // 100 / (1e12 × 0.3 × 365 × 5) for a byte: 0.196 s for a MiB.
    assert_eq!(adds(&shell.step(hot(7, 20, 0))), []);
    assert_eq!(adds(&shell.step(hot(7, 40, 0))), [(7, 1)]);
}
