use proptest::prelude::*;

use super::*;
use crate::forecast::horizons_seconds;
use crate::forecast::testing::{self, HALF_LIFE_SECONDS, numbers};
use crate::units::{Now, nanos};

const FIRST: u32 = 80;
const SECOND: u32 = 800;

type Desk = testing::Desk<Following>;

impl Desk {
    fn new(regions: u32) -> Self {
        Self::of(regions, |heat| {
            let horizons = horizons_seconds(HALF_LIFE_SECONDS).map(nanos);
            Following::new(Lasting::new(LASTING, horizons, heat), horizons)
        })
    }

    /// So long passes, and then these regions are touched so often. Gives those that are named.
    fn touch(&mut self, after_seconds: f64, regions: &[u32], reads: u32) -> Vec<u32> {
        self.now.0 += nanos(after_seconds);
        let touched = self.count(regions.iter().map(|region| (*region, reads)));
        let (following, scene) = self.parts();
        following.touched(&touched, scene);
        numbers(&following.names(scene))
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
        let (region, view) = (VolumeRegion(region), self.view(region));
        self.tried.expected(region, &view, 0.0, self.scene())
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
fn of_what_has_begun_all_that_is_left_is_counted_on() {
    let mut desk = Desk::new(4_096);
    follow(&mut desk, 5);
    desk.touch(9_000.0, &[], 0);
    // Half of what it usually gets.
    for _ in 0..5 {
        desk.touch(18.0, &[FIRST, FIRST + 1], 4);
    }
    let expected = desk.expects(FIRST);
    assert!((18.0..=24.0).contains(&expected.at(1)), "{expected:?}");
}

#[test]
fn what_follows_only_every_other_time_is_soon_named_no_longer() {
    let mut desk = Desk::new(4_096);
    let mut named = Vec::new();
    for time in 0..20 {
        desk.touch(9_000.0, &[], 0);
        if desk.use_run(FIRST).contains(&SECOND) {
            named.push(time);
        }
        desk.touch(if time % 2 == 1 { 9_000.0 } else { 180.0 }, &[], 0);
        desk.use_run(SECOND);
    }
    // Two and three of the first four times, what it was linked by among them, look like a rule.
    assert!(named.iter().all(|time| *time < 6), "{named:?}");
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
    assert!(desk.tried.due.is_empty());
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
    let run = desk.tried.runs.get(&(FIRST / RUN_REGIONS)).unwrap();
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
        let before = desk.tried.due.clone();
        desk.touch(after, &[run * RUN_REGIONS], 9);
        let due = desk.tried.due.iter();
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
        assert!(desk.tried.runs.len() <= RUNS_MAX);
    }
    assert!(desk.tried.runs.len() > RUNS_MAX / 2);
    assert!(!desk.tried.runs.contains_key(&0), "the oldest");
    assert!(desk.tried.recent.len() <= RECENT_MAX);
    // Fresh ones find a place.
    desk.touch(70.0, &[0], 9);
    assert!(desk.tried.runs.contains_key(&0));
}

#[test]
fn a_restart_forgets_nothing() {
    let mut desk = Desk::new(4_096);
    follow(&mut desk, 5);
    desk.touch(9_000.0, &[], 0);
    // In the midst of it: the first is being used, and the second is due.
    desk.use_run(FIRST);
    let kept = serde_json::to_string(&desk.tried.remember()).unwrap();
    let memory = serde_json::from_str(&kept).unwrap();
    let mut later = Desk::new(4_096);
    later.now = desk.now;
    later.heat.recall(&desk.heat.remember());
    later.tried.recall(&memory);
    assert_eq!(later.tried.remember(), memory);
    assert!(later.expects(SECOND).at(1) >= 15.0);
    // From here on they are of one mind, whatever comes.
    for _ in 0..3 {
        for (pause, first) in [(180.0, SECOND), (9_000.0, FIRST), (500.0, 1_600)] {
            for desk in [&mut desk, &mut later] {
                desk.touch(pause, &[], 0);
            }
            assert_eq!(desk.use_run(first), later.use_run(first));
            assert_eq!(desk.expects(SECOND), later.expects(SECOND));
        }
    }
    assert_eq!(later.tried.remember(), desk.tried.remember());
}

#[test]
fn no_more_is_taken_in_than_may_be_followed() {
    let mut desk = Desk::new(4_096);
    desk.use_run(FIRST);
    let mut memory = desk.tried.remember();
    let (_, run) = memory.runs[0].clone();
    let most = u32::try_from(RUNS_MAX).unwrap();
    memory.runs = (0..most + 9).map(|at| (at, run.clone())).collect();
    memory.recent = (0..most).map(|at| (Now(0), at)).collect();
    memory.due = (0..most).collect();
    desk.tried.recall(&memory);
    assert_eq!(desk.tried.runs.len(), RUNS_MAX);
    assert_eq!(desk.tried.recent.len(), RECENT_MAX);
    assert_eq!(desk.tried.due.len(), DUE_MAX);
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
            let following = &desk.tried;
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
