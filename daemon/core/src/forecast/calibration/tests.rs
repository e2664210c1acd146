use proptest::prelude::*;

use super::*;
use crate::forecast::testing::{self, HALF_LIFE_SECONDS};
use crate::forecast::{HORIZONS_HALF_LIVES, Touched};
use crate::heat::View;
use crate::units::nanos;

const REGIONS: u32 = 256;
/// What is expected of every fourth region.
const EXPECTED: [f64; 4] = [1.0, 3.0, 12.0, 50.0];
/// How many touches come in a window, if any do.
const CAME: u32 = 4;
/// Several times the deviation of as many outcomes as are seen.
const TOLERANCE: f64 = 0.05;

/// Expects as much of a region by each horizon, and has something to say or not.
struct Fake(bool);

impl Expert for Fake {
    fn name(&self) -> ExpertName {
        ExpertName::Lasting
    }

    fn is_heard(&self) -> bool {
        self.0
    }

    fn touched(&mut self, _: &[Touched], _: Scene<'_>) {}

    fn expected(&self, region: VolumeRegion, _: &View, _: f64, _: Scene<'_>) -> Expected {
        Expected([EXPECTED[region.0 as usize % 4]; HORIZONS])
    }

    fn names(&mut self, _: Scene<'_>) -> Vec<VolumeRegion> {
        Vec::new()
    }
}

fn horizons() -> Spans {
    HORIZONS_HALF_LIVES.map(|horizon| nanos(horizon * HALF_LIFE_SECONDS))
}

/// Who is tried, and the state of a random generator.
struct Tried {
    calibration: Calibration,
    state: u64,
}

/// A volume of which every region is touched four times or not at all in each window.
type Desk = testing::Desk<Tried>;

impl Desk {
    fn new() -> Self {
        Self::with(REGIONS)
    }

    fn with(regions: u32) -> Self {
        Self::of(regions, |_| Tried {
            calibration: Calibration::new(horizons()),
            state: 7,
        })
    }

    /// So many windows pass.
    fn pass(&mut self, windows: u64) {
        self.now.0 += windows * horizons()[0];
    }

    /// From 0 to 1, by Knuth's constants (MMIX).
    fn random(&mut self) -> f64 {
        let state = &mut self.tried.state;
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(*state >> 32).unwrap()) / f64::from(u32::MAX)
    }

    /// So many windows in which each fourth region is touched as often as its rate says.
    fn windows(&mut self, count: u64, rates: [f64; 4]) {
        for _ in 0..count {
            self.pass(1);
            for region in 0..REGIONS {
                let comes = self.random() < rates[region as usize % 4];
                self.count([(region, if comes { CAME } else { 0 })]);
            }
            self.look();
        }
    }

    fn look(&mut self) {
        let experts: [&dyn Expert; EXPERTS] = std::array::from_fn(|at| {
            let expert: &dyn Expert = if at == 0 { &Fake(true) } else { &Fake(false) };
            expert
        });
        let (tried, scene) = self.parts();
        tried.calibration.look(&experts, scene);
    }

    /// With which chance four touches come until a horizon of each fourth region.
    fn chances(&self, horizon: usize) -> [f64; 4] {
        let chances = self.tried.calibration.chances(0, f64::from(CAME));
        EXPECTED.map(|expected| chances.of(&Expected([expected; HORIZONS]))[horizon])
    }
}

fn assert_near(chances: [f64; 4], rates: [f64; 4], tolerance: f64) {
    for (chance, rate) in chances.iter().zip(rates) {
        assert!((chance - rate).abs() < tolerance, "{chances:?}: {rates:?}");
    }
}

#[test]
fn confidence_is_how_often_it_came_and_follows_when_that_changes() {
    let mut desk = Desk::new();
    let rates = [0.1, 0.3, 0.6, 0.9];
    desk.windows(600, rates);
    assert_near(desk.chances(0), rates, TOLERANCE);
    // Ten windows, of which one is enough.
    let of_ten = rates.map(|rate| 1.0 - (1.0_f64 - rate).powi(10));
    assert_near(desk.chances(1), of_ten, TOLERANCE);
    assert!(desk.chances(LAST).iter().all(|chance| *chance > 0.99));
    // What was a good sign is a bad one now, for four half-lives of what is remembered.
    let rates = [0.05, 0.1, 0.2, 0.3];
    desk.windows(4 * 833, rates);
    assert_near(desk.chances(0), rates, TOLERANCE);
}

#[test]
fn where_more_is_expected_and_less_comes_both_are_taken_together() {
    let mut desk = Desk::new();
    desk.windows(600, [0.1, 0.7, 0.3, 0.9]);
    assert_near(desk.chances(0), [0.1, 0.5, 0.5, 0.9], TOLERANCE);
}

#[test]
fn of_what_was_never_seen_as_much_again_comes_with_even_odds() {
    let calibration = Calibration::new(horizons());
    for touches in [3.0, 20.0, 400.0] {
        let chances = calibration.chances(0, touches);
        let of = |expected| chances.in_all(&Expected([expected; HORIZONS]));
        for times in [0.5, 1.0, 3.0] {
            // What is expected is known to a bin, at most a power of two.
            let (least, most) = (times / (times + 1.0), 2.0 * times / (2.0 * times + 1.0));
            let chance = of(touches * times);
            assert!(
                (least..=most).contains(&chance),
                "{touches}, {times}: {chance}"
            );
        }
        assert!(of(0.0).abs() < 1e-12);
    }
    let never = calibration.chances(0, f64::INFINITY);
    assert!(never.in_all(&Expected([1e6; HORIZONS])).abs() < 1e-12);
    // Some tens of outcomes outweigh that.
    let mut desk = Desk::new();
    desk.windows(5, [0.0; 4]);
    let chances = desk.chances(0);
    assert!(chances.iter().all(|chance| *chance < 0.1), "{chances:?}");
}

#[test]
fn what_is_looked_at_too_late_tells_nothing_and_what_is_awaited_is_bounded() {
    let mut desk = Desk::new();
    desk.windows(1, [1.0; 4]);
    // Nobody counted for a while.
    desk.pass(5);
    desk.windows(1, [1.0; 4]);
    assert!(desk.tried.calibration.tables[0][0].cells().is_empty());
    desk.windows(1, [1.0; 4]);
    assert!(!desk.tried.calibration.tables[0][0].cells().is_empty());
    desk.windows(800, [0.5; 4]);
    let awaited = desk.tried.calibration.awaited.iter();
    let (batches, regions) = awaited.fold((0, 0), |(batches, regions), one| {
        (batches + 1, regions + one.chosen.len())
    });
    assert!(batches == 360 && regions == 360 * CHOSEN_MAX, "{batches}");
    // Whoever has nothing to say has no outcomes.
    let others = desk.tried.calibration.tables[1..].as_flattened();
    assert!(others.iter().all(|table| table.cells().is_empty()));
}

#[test]
fn every_region_has_its_turn_and_those_nobody_touched_have_none() {
    let mut desk = Desk::with(10_000);
    desk.now = Now(1);
    desk.count((0..10_000).step_by(100).map(|region| (region, 1)));
    desk.now = Now(0);
    for _ in 0..20 {
        desk.pass(1);
        desk.look();
    }
    let awaited = desk.tried.calibration.awaited.iter();
    let mut chosen: Vec<u32> = awaited
        .flat_map(|batch| batch.chosen.iter().map(|one| one.region.0))
        .collect();
    assert!(chosen.iter().all(|region| region % 100 == 0));
    chosen.sort_unstable();
    chosen.dedup();
    assert!(chosen.len() > 95, "{}", chosen.len());
}

#[test]
fn what_was_seen_is_remembered_and_does_not_fade_while_nobody_counts() {
    let mut desk = Desk::new();
    desk.windows(100, [0.1, 0.3, 0.6, 0.9]);
    let names = [ExpertName::Lasting, ExpertName::Rhythm];
    let memory = desk.tried.calibration.remember(&names);
    let chances = desk.chances(0);
    assert!(memory.iter().all(|one| one.expert == ExpertName::Lasting));
    let mut later = Desk::new();
    later.pass(1_000_000);
    let now = later.now;
    later.tried.calibration.recall(&memory, &names, now);
    assert_near(later.chances(0), chances, 1e-9);
    assert_eq!(later.tried.calibration.remember(&names), memory);
    later.windows(1, [0.0; 4]);
    assert_near(later.chances(0), chances, 0.01);
    // Of an expert that has gone, nothing is taken over.
    let mut other = Desk::new();
    other
        .tried
        .calibration
        .recall(&memory, &[ExpertName::Rhythm], now);
    assert_eq!(other.tried.calibration.remember(&names), []);
}

proptest! {
    #[test]
    fn the_more_is_expected_and_the_fewer_are_asked_for_the_likelier(
        outcomes in prop::collection::vec((0_usize..FINITE, 0_u8..20, 0.0_f64..300.0), 0..200),
        expected in prop::array::uniform5(0.0_f64..1e4),
        (more, touches, fewer) in (0.0_f64..1e3, 1.0_f64..500.0, 0.01_f64..=1.0),
    ) {
        let mut calibration = Calibration::new(horizons());
        for (horizon, bin, came) in outcomes {
            calibration.tables[0][horizon].count(bin, came);
        }
        let mut sorted = expected;
        sorted.sort_unstable_by(f64::total_cmp);
        let chances = calibration.chances(0, touches).of(&Expected(sorted));
        prop_assert!(chances.is_sorted());
        prop_assert!(chances.iter().all(|chance| (0.0..=1.0).contains(chance)));
        let larger = Expected(sorted.map(|expected| expected + more));
        let of_more = calibration.chances(0, touches).of(&larger);
        let of_fewer = calibration.chances(0, touches * fewer).of(&Expected(sorted));
        for (chance, (more, fewer)) in chances.iter().zip(of_more.iter().zip(of_fewer)) {
            prop_assert!(*chance <= more + 1e-9 && *chance <= fewer + 1e-9);
        }
    }
}
