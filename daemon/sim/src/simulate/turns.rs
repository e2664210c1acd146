//! Sets that take turns: when the engine brings each.

use std::collections::BTreeMap;

use tier_core::units::{Bytes, MemberIndex, Micros};
use tier_core::volume::{Class, Profile};

use super::*;
use crate::field::MemberSetup;
use crate::trace::{Op, Request};
use crate::world::{Order, Route, Seen, Touch};

const MIB: u64 = 1 << 20;
const SECOND: u64 = 1_000_000_000;
const SETS: u32 = 3;
/// Regions of a set.
const SET: u64 = 8;
const CYCLES: u32 = 7;
const READS_PER_SECOND: u32 = 5;

/// How the sets take turns, in seconds.
#[derive(Clone, Copy)]
struct Turns {
    turn: u32,
    pause: u32,
}

impl Turns {
    fn trace(self) -> Trace {
        let mut state = 7_u64;
        let per_turn = self.turn * READS_PER_SECOND;
        let touches = (0..CYCLES * SETS * per_turn).map(|number| {
            let (turn, within) = (number / per_turn, number % per_turn);
            // Knuth's constants (MMIX).
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let region = u64::from(turn % SETS) * 128 + (state >> 33) % SET;
            let at = f64::from(turn * (self.turn + self.pause))
                + f64::from(within) / f64::from(READS_PER_SECOND);
            Request {
                at: Micros(tier_core::units::nanos(at) / 1000),
                op: Op::Read,
                offset: Bytes(region * MIB + u64::from(number) * 7_919 % 250 * 4_096),
                length: Bytes(4_096),
            }
        });
        Trace {
            requests: touches.collect(),
            lines_passed_over: 0,
        }
    }
}

/// Counts what the fast member served in each turn.
struct Witness {
    engine: EngineDriver<'static>,
    turns: Turns,
    /// By turn: reads of the fast member, and all.
    reads: BTreeMap<u64, (u32, u32)>,
}

impl Driver for Witness {
    fn route(&self, region: u32) -> Route {
        self.engine.route(region)
    }

    fn touched(&mut self, now: u64, touch: Touch, orders: &mut Vec<Order>) {
        let length = u64::from(self.turns.turn + self.turns.pause) * SECOND;
        let is_fast = self.route(touch.region).home.member == MemberIndex(0);
        let of = self.reads.entry(now / length).or_default();
        of.0 += u32::from(is_fast);
        of.1 += 1;
        self.engine.touched(now, touch, orders);
    }

    fn copied(&mut self, now: u64, id: u64, orders: &mut Vec<Order>) {
        self.engine.copied(now, id, orders);
    }

    fn woken(&mut self, now: u64, seen: &mut Seen, orders: &mut Vec<Order>) -> Option<u64> {
        self.engine.woken(now, seen, orders)
    }
}

/// By turn, the share of reads that the fast member served.
fn shares(turns: Turns, foresight: bool) -> Vec<f64> {
    let trace = turns.trace();
    let member = |class, regions: u64| MemberSetup {
        class,
        capacity: Bytes(regions * MIB),
        profile: Profile::typical(class),
    };
    let setup = Setup {
        devices: Devices::Members(vec![
            member(Class::Hdd, 400),
            member(Class::Nvme, SET * 3 / 2 + 1),
        ]),
        policy: PolicyConfig {
            foresight,
            ..PolicyConfig::default()
        },
        ..Setup::default()
    };
    let field = Field::new(&trace, &setup).unwrap();
    let engine = EngineDriver::new(setup.policy.clone(), setup.region_size, &field, None);
    let witness = Witness {
        engine,
        turns,
        reads: BTreeMap::new(),
    };
    let (_, witness) = field.run("engine", Kind::Engine, witness);
    assert_eq!(witness.engine.latched(), None);
    let reads = witness.reads.values();
    reads
        .map(|(fast, all)| f64::from(*fast) / f64::from(*all))
        .collect()
}

/// The fast tier holds one and a half sets. One cycle passes that nobody can foresee, and one in which
/// all periods come to be known, and the one who goes by them to be believed.
#[test]
fn from_the_third_cycle_on_each_set_is_there_when_its_turn_begins() {
    for (turn, pause) in [(250, 125), (300, 200), (600, 60)] {
        let turns = Turns { turn, pause };
        let (with, without) = (shares(turns, true), shares(turns, false));
        let third = SETS as usize * 2;
        assert!(with[third..].iter().all(|one| *one >= 0.8), "{with:?}");
        let later = &with[third + SETS as usize..];
        assert!(later.iter().all(|one| *one >= 0.97), "{with:?}");
        let mut last_sets = without[third..].iter().skip(2).step_by(3);
        assert!(last_sets.all(|one| *one < 0.1), "{without:?}");
    }
}
