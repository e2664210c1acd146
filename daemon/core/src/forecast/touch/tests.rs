use super::*;
use crate::event::RegionCount;
use crate::forecast::horizons_seconds;
use crate::heat::{Heat, LASTING};

const HALF_LIFE_SECONDS: f64 = 10_000.0;
const REGIONS: u32 = 8_192;
const READS: u32 = 6;

/// A volume whose touches are given one interval after the other.
struct Desk {
    heat: Heat,
    touch: Touch,
    now: Now,
}

impl Desk {
    fn new() -> Self {
        let mut heat = Heat::new(nanos(HALF_LIFE_SECONDS));
        heat.start(REGIONS, None);
        let horizons = horizons_seconds(HALF_LIFE_SECONDS).map(nanos);
        let lasting = Lasting::new(LASTING, horizons, &heat);
        Self {
            heat,
            touch: Touch::new(lasting, horizons),
            now: Now(0),
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            heat: &self.heat,
            now: self.now,
        }
    }

    /// So long passes, and then these regions are touched as often as all.
    fn touch(&mut self, after_seconds: f64, regions: &[u32]) {
        self.now.0 += nanos(after_seconds);
        let mut touched = Vec::new();
        for &region in regions {
            let region = VolumeRegion(region);
            let count = RegionCount {
                region,
                reads: READS,
                ..RegionCount::default()
            };
            let counted = self.heat.count(&count, self.now).unwrap();
            let all = counted.touches.sum();
            touched.push(Touched {
                region,
                touches: all,
                missed: all,
                silent_nanos: counted.silent_nanos,
            });
        }
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        self.touch.touched(&touched, scene);
    }

    /// Each ten seconds one region is touched that never was and never will be again, and eight that
    /// come back all the time for twenty minutes, from when on they are eight others.
    fn learn(&mut self, minutes: u32) {
        for at in 0..minutes * 6 {
            let scanned = at;
            let file = 4_096 + at / 120 * 8;
            let mut all = vec![scanned];
            all.extend(file..file + 8);
            self.touch(10.0, &all);
        }
    }

    fn expects(&self, region: u32) -> Expected {
        let region = VolumeRegion(region);
        let view = self.heat.view(region, self.now).unwrap();
        self.touch.expected(region, &view, 0.0, self.scene())
    }

    fn lasting(&self, region: u32) -> Expected {
        let view = self.heat.view(VolumeRegion(region), self.now).unwrap();
        self.touch.lasting.of(&view, 0.0)
    }

    fn counts(&self, region: u32) -> State {
        let region = VolumeRegion(region);
        let view = self.heat.view(region, self.now).unwrap();
        self.touch.state(region, &view, 0.0, self.now)
    }
}

/// Far from all that it learned from, so that what it was seen to do is all there is.
const FRESH: u32 = 7_000;

#[test]
fn while_nothing_was_seen_it_expects_that_use_goes_on_as_it_was() {
    let mut desk = Desk::new();
    desk.touch(10.0, &[3]);
    let (said, lasting) = (desk.expects(3), desk.lasting(3));
    for (said, lasting) in said.0.iter().zip(lasting.0) {
        assert!((said - lasting).abs() < 1e-9, "{said} {lasting}");
    }
    assert_eq!(desk.expects(9), Expected::default(), "never touched");
}

#[test]
fn what_is_touched_once_expects_little_and_what_comes_back_much() {
    let mut desk = Desk::new();
    desk.learn(240);
    desk.touch(10.0, &[FRESH]);
    let once = desk.expects(FRESH);
    // As eight of nine that are touched in an interval come back, many of those that did once do.
    for _ in 0..4 {
        desk.touch(10.0, &[FRESH]);
    }
    let often = desk.expects(FRESH);
    // A region that comes back has ten minutes more, on average: some hundreds of touches.
    assert!(often.at(1) > 100.0, "{often:?}");
    assert!(often.at(1) > 4.0 * once.at(1), "{once:?} {often:?}");
    // Heat alone says that one is worth five times the other, and little of either soon.
    assert!(often.at(1) > 4.0 * desk.lasting(FRESH).at(1));
    assert!(often.0.is_sorted() && once.0.is_sorted());
}

#[test]
fn when_it_has_stayed_away_little_is_expected_and_heat_alone_would_not_know() {
    let mut desk = Desk::new();
    desk.learn(240);
    for _ in 0..30 {
        desk.touch(10.0, &[FRESH]);
    }
    let back = desk.expects(FRESH);
    let hot = desk.lasting(FRESH);
    for _ in 0..60 {
        desk.touch(10.0, &[]);
    }
    let away = desk.expects(FRESH);
    assert!(away.at(1) < back.at(1) / 4.0, "{back:?} {away:?}");
    assert!(desk.lasting(FRESH).at(1) > hot.at(1) / 1.2);
}

#[test]
fn touches_are_counted_by_intervals_and_no_longer_than_the_windows() {
    let mut desk = Desk::new();
    let state = |desk: &Desk| {
        let state = desk.counts(3);
        (state.short, state.long, state.silence)
    };
    for (touches, number) in [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (9, 4), (10, 5)] {
        let mut desk = Desk::new();
        desk.touch(3_600.0, &[]);
        for _ in 0..touches {
            desk.touch(2.0, &[3]);
        }
        assert_eq!(state(&desk), (number, number, 0), "{touches}");
    }
    desk.touch(3_600.0, &[3, 4]);
    desk.touch(2.0, &[3]);
    desk.touch(50.0, &[]);
    assert_eq!(state(&desk), (2, 2, 3));
    // The minute has ended, and then the hour.
    desk.touch(20.0, &[]);
    assert_eq!(state(&desk), (0, 2, 4));
    desk.touch(3_600.0, &[]);
    assert_eq!(state(&desk).1, 0);
    // Some hours are no shorter than many.
    desk.touch(1e8, &[]);
    assert_eq!(state(&desk), (0, 0, SILENCES - 1));
    desk.touch(2.0, &[3]);
    assert_eq!(state(&desk), (1, 1, 0));
}

#[test]
fn what_has_a_longer_past_goes_on_as_it_was() {
    let mut desk = Desk::new();
    desk.touch(10.0, &[FRESH]);
    desk.learn(240);
    desk.touch(10.0, &[FRESH]);
    assert_eq!(desk.expects(FRESH), desk.lasting(FRESH));
    assert_ne!(desk.expects(4_096 + 11 * 8), desk.lasting(4_096 + 11 * 8));
}

#[test]
fn what_is_awaited_and_kept_has_its_bounds_however_much_is_touched() {
    let mut desk = Desk::new();
    for at in 0..200 {
        let all: Vec<u32> = (0..4_000).map(|one| (one * 2 + at) % REGIONS).collect();
        desk.touch(10.0, &all);
    }
    let minutes = [1, 10, 60, 360];
    for (awaited, minutes) in desk.touch.awaited.iter().zip(minutes) {
        let most = CHOSEN_MAX * (minutes + 2);
        assert!((1..=most).contains(&awaited.len()), "{}", awaited.len());
    }
    let memory = desk.touch.remember(desk.scene());
    assert!(memory.came.len() <= KINDS);
    assert_eq!(memory.counts.len(), REGIONS as usize);
    desk.now.0 += nanos(7_200.0);
    assert_eq!(desk.touch.remember(desk.scene()).counts, []);
}

#[test]
fn what_was_learned_and_counted_is_known_after_a_restart() {
    let mut desk = Desk::new();
    desk.learn(120);
    desk.touch(10.0, &[FRESH]);
    desk.touch(10.0, &[FRESH]);
    let kept = serde_json::to_string(&desk.touch.remember(desk.scene())).unwrap();
    let memory: TouchMemory = serde_json::from_str(&kept).unwrap();
    let said = desk.expects(FRESH);
    assert_ne!(said, desk.lasting(FRESH));
    let mut later = Desk::new();
    later.now = desk.now;
    later.heat.recall(&desk.heat.remember());
    let scene = Scene {
        heat: &later.heat,
        now: later.now,
    };
    later.touch.recall(&memory, scene);
    assert_eq!(later.expects(FRESH), said);
    assert_eq!(later.touch.remember(later.scene()), memory);
}

#[test]
fn an_outcome_that_nobody_was_there_to_see_teaches_nothing() {
    let mut desk = Desk::new();
    desk.touch(3_600.0, &[3]);
    desk.touch(80.0, &[]);
    let known = |desk: &Desk, horizon: usize| {
        let came = desk.touch.came.iter();
        came.map(|of_kind| of_kind[horizon].count).sum::<f64>()
    };
    assert!(known(&desk, 0).abs() < 1e-12);
    desk.touch(2.0, &[4]);
    desk.touch(60.0, &[]);
    assert!(known(&desk, 0) > 0.0);
    assert!(known(&desk, 1).abs() < 1e-12, "not yet");
}
