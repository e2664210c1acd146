use proptest::prelude::*;

use super::*;
use crate::forecast::horizons_seconds;
use crate::heat::Heat;
use crate::units::nanos;

const HALF_LIFE_SECONDS: f64 = 10_000.0;
const FIRST: u32 = 80;
const SECOND: u32 = 800;

/// A volume whose touches are given one interval after the other.
struct Desk {
    heat: Heat,
    following: Following,
    now: Now,
}

impl Desk {
    fn new(regions: u32) -> Self {
        let mut heat = Heat::new(nanos(HALF_LIFE_SECONDS));
        heat.start(regions, None);
        let horizons = horizons_seconds(HALF_LIFE_SECONDS).map(nanos);
        let lasting = Lasting::new(LASTING, horizons, &heat);
        Self {
            heat,
            following: Following::new(lasting, horizons),
            now: Now(0),
        }
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            heat: &self.heat,
            now: self.now,
        }
    }

    /// So long passes, and then these regions are touched so often. Gives those that are named.
    fn touch(&mut self, after_seconds: f64, regions: &[u32], reads: u32) -> Vec<u32> {
        self.now.0 += nanos(after_seconds);
        let mut touched = Vec::new();
        for &region in regions {
            let region = VolumeRegion(region);
            let count = crate::event::RegionCount {
                region,
                reads,
                ..crate::event::RegionCount::default()
            };
            self.heat.count(&count, self.now);
            touched.push(Touched {
                region,
                touches: f64::from(reads),
                silent_nanos: 0,
            });
        }
        let scene = Scene {
            heat: &self.heat,
            now: self.now,
        };
        self.following.touched(&touched, scene);
        let names = self.following.names(scene);
        names.into_iter().map(|region| region.0).collect()
    }

    /// A run is used for three minutes, 40 touches of each of two regions in all.
    fn use_run(&mut self, first: u32) -> Vec<u32> {
        let regions = [first, first + 1];
        let mut names = Vec::new();
        for _ in 0..10 {
            names.extend(self.touch(18.0, &regions, 4));
        }
        names
    }

    fn expects(&self, region: u32) -> Expected {
        let view = self.heat.view(VolumeRegion(region), self.now).unwrap();
        let region = VolumeRegion(region);
        self.following.expected(region, &view, 0.0, self.scene())
    }
}

/// One run is used, and another six minutes later; hours pass before they are again.
fn follow(desk: &mut Desk, times: u32) {
    for time in 0..times {
        desk.touch(f64::from(7_000 + time % 3 * 4_000), &[], 0);
        desk.use_run(FIRST);
        desk.touch(180.0, &[], 0);
        desk.use_run(SECOND);
    }
}

#[test]
fn what_followed_something_is_named_when_that_is_used_again() {
    let mut desk = Desk::new(4_096);
    follow(&mut desk, 5);
    desk.touch(9_000.0, &[], 0);
    let before = desk.expects(SECOND);
    let names = desk.use_run(FIRST);
    assert!(
        names.contains(&SECOND) && names.contains(&(SECOND + 1)),
        "{names:?}"
    );
    assert!(!names.contains(&(SECOND + 2)), "never touched: {names:?}");
    // Half of 40 touches is counted on within ten minutes, and none of them was before.
    let after = desk.expects(SECOND);
    assert!((15.0..=20.1).contains(&after.at(1)), "{after:?}");
    assert!(before.at(1) < 2.0, "{before:?}");
    assert!(after.0.is_sorted(), "{after:?}");
}

#[test]
fn what_was_to_follow_and_does_not_is_expected_no_longer() {
    let mut desk = Desk::new(4_096);
    follow(&mut desk, 5);
    desk.touch(9_000.0, &[], 0);
    desk.use_run(FIRST);
    assert!(desk.expects(SECOND).at(1) >= 15.0);
    desk.touch(1_500.0, &[], 0);
    assert!(
        desk.expects(SECOND).at(1) < 2.0,
        "{:?}",
        desk.expects(SECOND)
    );
    assert!(desk.following.due.is_empty());
}

#[test]
fn what_is_mostly_wrong_makes_room_and_names_nothing() {
    let mut desk = Desk::new(4_096);
    follow(&mut desk, 5);
    // From now on, the first is used and the second is not; then the second, long after it.
    for _ in 0..40 {
        desk.touch(9_000.0, &[], 0);
        desk.use_run(FIRST);
        desk.touch(9_000.0, &[], 0);
        desk.use_run(SECOND);
    }
    desk.touch(9_000.0, &[], 0);
    assert!(desk.use_run(FIRST).is_empty());
    let run = desk.following.runs.get(&(FIRST / RUN_REGIONS)).unwrap();
    assert!(!run.leads(SECOND / RUN_REGIONS), "the place is free");
}

#[test]
fn use_in_no_order_is_seldom_taken_for_a_rule() {
    let mut desk = Desk::new(4_096);
    let (mut state, mut announced, used) = (7_u64, 0, 2_000);
    for _ in 0..used {
        // Knuth's constants (MMIX).
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let run = u32::try_from((state >> 33) % 400).unwrap();
        let after = f64::from(u32::try_from((state >> 20) % 300).unwrap());
        let before = desk.following.due.clone();
        desk.touch(after, &[run * RUN_REGIONS], 9);
        let due = desk.following.due.iter();
        announced += due.filter(|one| !before.contains(one)).count();
    }
    // One in fifty follows a given one by chance within the time that is looked ahead.
    assert!(announced * 12 < used, "{announced} of {used}");
}

#[test]
fn no_more_runs_are_followed_than_may_be_and_the_oldest_are_forgotten() {
    let runs = u32::try_from(RUNS_MAX).unwrap() + 4_096;
    let mut desk = Desk::new(runs * RUN_REGIONS);
    for first in (0..runs).step_by(4_096) {
        let regions: Vec<u32> = (first..first + 4_096)
            .map(|run| run * RUN_REGIONS)
            .collect();
        desk.touch(70.0, &regions, 9);
        assert!(desk.following.runs.len() <= RUNS_MAX);
    }
    assert!(desk.following.runs.len() > RUNS_MAX / 2);
    assert!(!desk.following.runs.contains_key(&0), "the oldest");
    assert!(desk.following.recent.len() <= RECENT_MAX);
    // Fresh ones find a place.
    desk.touch(70.0, &[0], 9);
    assert!(desk.following.runs.contains_key(&0));
}

proptest! {
    /// Whatever comes, what is kept has its bounds, and what is expected is more the farther one looks.
    #[test]
    fn memory_and_expectations_have_their_bounds(
        steps in prop::collection::vec((1_u32..400, prop::collection::btree_set(0_u32..512, 0..40)), 1..200),
    ) {
        let mut desk = Desk::new(512);
        for (after, regions) in steps {
            let regions: Vec<u32> = regions.into_iter().collect();
            let names = desk.touch(f64::from(after), &regions, 3);
            prop_assert!(names.is_sorted() && names.iter().all(|one| *one < 512));
            let following = &desk.following;
            prop_assert!(following.runs.len() <= 512 / RUN_REGIONS as usize);
            prop_assert!(following.due.len() <= following.runs.len());
            prop_assert!(following.recent.len() <= RECENT_MAX);
            for region in 0..512 {
                let expected = desk.expects(region);
                prop_assert!(expected.0.is_sorted() && expected.at(0) >= 0.0, "{expected:?}");
            }
        }
    }
}
