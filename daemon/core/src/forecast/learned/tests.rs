use super::*;
use crate::event::RegionCount;
use crate::heat::Heat;
use crate::units::{Now, nanos};
use crate::volume::Profile;

const SECOND: u64 = 1_000_000_000;
/// The finest window.
const WINDOW: u64 = 60 * SECOND;
const HALF_LIFE_SECONDS: f64 = 10_000.0;
const STAKES: Stakes = Stakes {
    gain_seconds: 0.01,
    copy_seconds: 0.02,
    hysteresis: 2.0,
    capacity: 8,
    delay_nanos: 0,
    residency_nanos: 0,
};

/// The expert, with what it rests on.
struct Desk {
    heat: Heat,
    rhythm: Rhythm,
    learned: Learned,
    now: Now,
}

impl Desk {
    fn new() -> Self {
        let mut heat = Heat::new(nanos(HALF_LIFE_SECONDS));
        let profile = Profile {
            read_seconds: 0.01,
            write_seconds: 0.01,
            bytes_per_second: 1e8,
        };
        heat.start(4_096, Some(profile));
        let horizons = [60, 600, 3_600, 21_600, u64::MAX / SECOND].map(|one| one * SECOND);
        let lasting = Lasting::new(LASTING, horizons, &heat);
        let mut learned = Learned::new(lasting.clone(), horizons);
        learned.forecaster(true);
        Self {
            heat,
            rhythm: Rhythm::new(lasting, horizons),
            learned,
            now: Now(1_000 * WINDOW),
        }
    }

    /// Reads of regions in a window; what is asked when it has ended.
    fn window(&mut self, regions: &[(u32, u32)]) -> Asked {
        let mut counted = Vec::new();
        for &(region, reads) in regions {
            let region = VolumeRegion(region);
            let count = RegionCount {
                region,
                reads,
                ..RegionCount::default()
            };
            self.heat.count(&count, self.now).unwrap();
            counted.push(Touched {
                region,
                touches: f64::from(reads),
                silent_nanos: 0,
            });
        }
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        self.rhythm.touched(&counted, scene);
        self.now.0 += WINDOW;
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        self.rhythm.names(scene);
        self.learned.ask(&self.rhythm, &STAKES, scene).unwrap()
    }

    fn tell(&mut self, window: u64, groups: &[GroupForecast]) {
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        self.learned.told(window, groups, &self.rhythm, scene);
    }

    fn expects(&self, region: u32) -> Expected {
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        let region = VolumeRegion(region);
        let view = self.heat.view(region, self.now).unwrap();
        self.learned.expected(region, &view, 0.0, scene)
    }

    fn names(&mut self) -> Vec<u32> {
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        let names = self.learned.names(scene);
        names.into_iter().map(|region| region.0).collect()
    }
}

fn forecast(group: u32, touches: [f32; FINITE]) -> GroupForecast {
    let first = VolumeRegion(64 * group);
    GroupForecast { first, touches }
}

#[test]
fn a_history_tells_each_scale_coarsest_first_and_its_windows_oldest_first() {
    let mut desk = Desk::new();
    // The thousandth window begins one of 8 (but not one of 64).
    for window in 0..16 {
        desk.window(&[(70, if window < 8 { 10 } else { 20 })]);
    }
    let asked = desk.window(&[(70, 30)]);
    let [one] = &asked.groups[..] else {
        panic!("{:?}", asked.groups)
    };
    assert_eq!((one.first, one.count), (VolumeRegion(64), 64));
    let [coarse, middle, fine] = [0, 1, 2].map(|scale| &one.codes[scale * WINDOWS..][..WINDOWS]);
    let is = |code: u8, count: f64| (touches(code) / count - 1.0).abs() < 0.04;
    assert!(is(fine[WINDOWS - 1], 30.0) && is(fine[WINDOWS - 2], 20.0));
    assert!(is(fine[WINDOWS - 10], 10.0), "{fine:?}");
    assert!(is(middle[WINDOWS - 1], 160.0) && is(middle[WINDOWS - 2], 80.0));
    assert!(fine[..WINDOWS - 17].iter().all(|code| *code == 0));
    assert!(middle[..WINDOWS - 2].iter().all(|code| *code == 0));
    // 1,000 is 40 after a window of 64 began; it ends at 1,024, and only 17 have passed.
    assert!(coarse.iter().all(|code| *code == 0), "{coarse:?}");
}

#[test]
fn asked_is_once_a_window_and_only_of_what_could_repay_a_copy() {
    let mut desk = Desk::new();
    // A copy takes as long as two touches save. What was touched once in a window of an hour
    // could be touched six times in six.
    desk.window(&[(0, 1), (64, 50)]);
    let asked = desk.window(&[]);
    let groups: Vec<u32> = asked.groups.iter().map(|one| one.first.0 / 64).collect();
    assert_eq!(groups, [0, 1]);
    let scene = Scene {
        heat: &desk.heat,
        now: desk.now,
    };
    assert!(desk.learned.ask(&desk.rhythm, &STAKES, scene).is_none());
    let dear = Stakes {
        copy_seconds: 10.0,
        ..STAKES
    };
    desk.now.0 += WINDOW;
    let scene = Scene {
        heat: &desk.heat,
        now: desk.now,
    };
    desk.rhythm.names(scene);
    let asked = desk.learned.ask(&desk.rhythm, &dear, scene).unwrap();
    let groups: Vec<u32> = asked.groups.iter().map(|one| one.first.0 / 64).collect();
    // One touch a minute would be 360 in six hours: 3.6 s. Fifty would be 180.
    assert_eq!(groups, [1]);
}

#[test]
fn what_is_said_of_a_group_comes_to_its_regions_as_they_were_used() {
    let mut desk = Desk::new();
    let asked = desk.window(&[(64, 30), (65, 10), (130, 5)]);
    desk.tell(asked.window, &[forecast(1, [4.0, 40.0, 80.0, 160.0])]);
    let [most, least] = [64, 65].map(|region| desk.expects(region));
    assert!((most.at(1) - 30.0).abs() < 0.1 && (least.at(1) - 10.0).abs() < 0.1);
    assert!(most.in_all() >= most.at(3));
    // Of the group that nothing was said about, the reactive expert's word counts.
    assert!((desk.expects(130).in_all() - 5.0).abs() < 0.1);
    assert_eq!(desk.names(), [64, 65]);
    assert_eq!(desk.names(), [0; 0]);
}

#[test]
fn what_is_no_number_or_late_or_unasked_for_is_not_believed() {
    let mut desk = Desk::new();
    let asked = desk.window(&[(64, 30)]);
    let reactive = desk.expects(64).at(1);
    desk.tell(asked.window, &[forecast(1, [f32::NAN, 1.0, 1.0, 1.0])]);
    assert!((desk.expects(64).at(1) - reactive).abs() < 1e-12);
    desk.tell(asked.window - 1, &[forecast(1, [900.0; FINITE])]);
    assert!((desk.expects(64).at(1) - reactive).abs() < 1e-12);
    desk.tell(asked.window, &[forecast(1, [900.0; FINITE])]);
    assert!((desk.expects(64).at(1) - 900.0).abs() < 1.0);
    // An answer is good for some windows, and then the reactive expert's word counts again.
    for _ in 0..=STALE_WINDOWS {
        desk.window(&[]);
    }
    assert!(desk.expects(64).at(1) < 30.0);
    desk.learned.forecaster(false);
    let asked = desk.window(&[(64, 30)]);
    assert!(asked.groups.is_empty());
    desk.tell(asked.window, &[forecast(1, [900.0; FINITE])]);
    assert!(desk.expects(64).at(1) < 60.0);
}

#[test]
fn an_example_tells_what_came_until_each_horizon() {
    let mut desk = Desk::new();
    let mut examples = Vec::new();
    for window in 0..800_u32 {
        // Ten touches a window, for the first 300.
        let reads = if window < 300 { 10 } else { 0 };
        let asked = desk.window(&[(64, reads)]);
        let begun = f64::from(window + 1);
        desk.tell(asked.window, &[forecast(1, [1.0; FINITE])]);
        examples.extend(asked.examples.into_iter().map(|one| (window, begun, one)));
    }
    // One group is chosen in each window, and is whole 360 windows later.
    assert_eq!(examples.len(), 440);
    for (whole, _, one) in &examples {
        let begun = whole - 359;
        let came = |windows: u32| {
            let last = (begun + windows).min(300);
            f64::from(last.saturating_sub(begun) * 10)
        };
        let wanted = [1, 10, 60, 360].map(came);
        let told = one.touches.map(f64::from);
        let off = told.iter().zip(wanted).map(|(told, wanted)| told - wanted);
        assert!(
            off.into_iter().all(|off| off.abs() < 1e-3),
            "{told:?} {wanted:?}"
        );
    }
    let status = desk.learned.status();
    assert!(status.error.unwrap() > 0.0 && status.naive_error.unwrap() > 0.0);
}

#[test]
fn a_network_that_was_right_and_is_no_longer_is_to_be_trained_anew() {
    let mut desk = Desk::new();
    let mut drifted = Vec::new();
    for window in 0..1_600_u32 {
        let reads = if window < 1_000 { 10 } else { 200 };
        let asked = desk.window(&[(64, reads)]);
        drifted.extend(asked.drifted.map(|drifted| (window, drifted)));
        let said = [10.0, 100.0, 600.0, 3_600.0];
        desk.tell(asked.window, &[forecast(1, said)]);
    }
    // What was forecast shortly before the change goes wrong already, and what comes of the rest
    // is known six hours later: it may be told once more.
    assert!((1..=2).contains(&drifted.len()), "{drifted:?}");
    for (window, one) in drifted {
        assert!((1_000..1_400).contains(&window), "{window}");
        assert!(one.error_late > one.error_before, "{one:?}");
    }
}
