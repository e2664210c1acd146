//! Whether what the engine is sure of comes true as often as it says.

use std::collections::VecDeque;

use tier_core::units::VolumeRegion;

use super::*;
use crate::generate::{Part, Recipe};
use crate::world::{Order, Route, Seen, Touch};

const SECOND: u64 = 1_000_000_000;
const REGIONS: u32 = 2_048;
/// All times of the engine are shorter by this, so that some hours tell as much as a day.
const SCALE: f64 = 0.1;
const SECONDS: f64 = 6.0 * 3_600.0;
/// Between two looks at some regions, and how many they are.
const LOOK_EVERY_NANOS: u64 = 50 * SECOND;
const LOOKED_AT: usize = 60;
/// Parts of what can be said, from 0 to 1, each as long as the others.
const PARTS: usize = 5;

/// What was said of a region until one horizon, and is not known to be true yet.
struct Said {
    region: VolumeRegion,
    until: u64,
    touches: f64,
    pays_from: f64,
    confidence: f64,
}

/// What was said with about the same confidence.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    count: f64,
    /// The sum of them.
    confidence: f64,
    /// How often it came true.
    came: f64,
}

/// Asks the engine now and then what it is sure of, and what came.
struct Witness {
    engine: EngineDriver<'static>,
    state: u64,
    next_look: u64,
    from: u64,
    /// By horizon, the oldest first.
    said: [VecDeque<Said>; 4],
    /// By part of what can be said.
    told: [Told; PARTS],
}

impl Witness {
    fn new(engine: EngineDriver<'static>) -> Self {
        Self {
            engine,
            state: 11,
            next_look: 0,
            from: tier_core::units::nanos(SECONDS / 2.0),
            said: Default::default(),
            told: Default::default(),
        }
    }

    fn ask(&mut self, now: u64) {
        let mut asked = 0;
        while asked < LOOKED_AT {
            // Knuth's constants (MMIX).
            self.state = self
                .state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let number = u32::try_from(self.state >> 33).unwrap();
            let region = VolumeRegion(number % REGIONS);
            let Some(explained) = self.engine.explain(region) else {
                continue;
            };
            // What nobody ever touched is cold, and sure to be.
            if explained.age_seconds.is_none() {
                continue;
            }
            asked += 1;
            let believed = explained.opinions.iter().find(|one| one.score.is_believed);
            let horizons = self.engine.horizons_seconds();
            for (horizon, said) in self.said.iter_mut().enumerate() {
                said.push_back(Said {
                    region,
                    until: now + tier_core::units::nanos(horizons[horizon]),
                    touches: explained.touches_in_all,
                    pays_from: explained.pays_from_touches,
                    confidence: believed.unwrap().confidence[horizon],
                });
            }
        }
    }

    fn hear(&mut self, now: u64) {
        for said in &mut self.said {
            while let Some(one) = said.pop_front_if(|one| one.until <= now) {
                let explained = self.engine.explain(one.region).unwrap();
                let came = explained.touches_in_all - one.touches;
                let mut from = (1..PARTS).zip([0.2, 0.4, 0.6, 0.8]);
                let part = from.rfind(|(_, from)| one.confidence >= *from);
                let told = &mut self.told[part.map_or(0, |(part, _)| part)];
                told.count += 1.0;
                told.confidence += one.confidence;
                told.came += f64::from(u8::from(came >= one.pays_from));
            }
        }
    }
}

impl Driver for Witness {
    fn route(&self, region: u32) -> Route {
        self.engine.route(region)
    }

    fn touched(&mut self, now: u64, touch: Touch, orders: &mut Vec<Order>) {
        self.engine.touched(now, touch, orders);
    }

    fn copied(&mut self, now: u64, id: u64, orders: &mut Vec<Order>) {
        self.engine.copied(now, id, orders);
    }

    fn woken(&mut self, now: u64, seen: &mut Seen, orders: &mut Vec<Order>) -> Option<u64> {
        let next = self.engine.woken(now, seen, orders);
        self.hear(now);
        if now >= self.from.max(self.next_look) {
            self.next_look = now + LOOK_EVERY_NANOS;
            self.ask(now);
        }
        next
    }
}

/// What is used all the time, of which a region is exchanged every two minutes; what comes back
/// each hour at about the same time; and requests of no order.
fn recipe(more: &[Part]) -> Recipe {
    let hot = Part::Hot {
        regions: 200,
        per_second: 0.8,
        drift_seconds: 120.0,
    };
    let rhythm = Part::Rhythm {
        period_seconds: 3_600.0,
        busy_seconds: 300.0,
        jitter_seconds: 100.0,
        of_seven: 7,
        regions: 100,
        per_second: 3.0,
    };
    let noise = Part::Noise { per_second: 0.1 };
    Recipe {
        name: "calibration",
        seconds: SECONDS,
        regions: REGIONS,
        parts: [&[hot, rhythm, noise], more].concat(),
    }
}

/// What was said in the second half of a load.
fn told(recipe: &Recipe) -> [Told; PARTS] {
    let trace = recipe.make(1);
    let setup = Setup {
        devices: Devices::FastShare(0.1),
        policy: PolicyConfig::default().scaled(SCALE),
        ..Setup::default()
    };
    let field = Field::new(&trace, &setup).unwrap();
    let engine = EngineDriver::new(setup.policy.clone(), setup.region_size, &field, None);
    let (_, witness) = field.run("engine", Kind::Engine, Witness::new(engine));
    assert_eq!(witness.engine.latched(), None);
    witness.told
}

/// What is said in the second half comes true as often as it is said, to a tenth. What is said a
/// hundred times would be off by less than half of that by chance alone; but few of these are
/// independent, as a set is used or not as a whole, and a region is asked about again before a
/// horizon has passed.
fn assert_comes_true(recipe: &Recipe, parts_min: usize) {
    let told = told(recipe);
    let said_often = told.iter().filter(|part| part.count >= 100.0);
    assert!(said_often.clone().count() >= parts_min, "{told:?}");
    for part in said_often {
        let (said, came) = (part.confidence / part.count, part.came / part.count);
        println!("said {said:.3}, came {came:.3} of {}", part.count);
        assert!((said - came).abs() < 0.1, "{said} and {came}: {told:?}");
    }
}

#[test]
fn what_is_said_with_some_confidence_comes_true_about_as_often() {
    assert_comes_true(&recipe(&[]), PARTS);
}

/// What nothing was learned of would be taken to go on, with a confidence of 0.8 and more.
#[test]
fn that_what_is_used_for_a_moment_never_comes_again_is_learned() {
    let bursts = Part::Bursts {
        every_seconds: 200.0,
        regions: 20,
        touches: 12,
        per_second: 20.0,
    };
    assert_comes_true(&recipe(&[bursts]), 3);
}
