use super::testing::{SECOND, STAKES, numbers};
use super::*;

type Desk = testing::Desk<Forecasts>;
const NEARBY: usize = SPANS + 1;

impl Desk {
    fn new() -> Self {
        Self::with(&PolicyConfig::default())
    }

    fn with(config: &PolicyConfig) -> Self {
        Self::of(4_096, |heat| Forecasts::new(config, heat))
    }

    /// An interval of two seconds in which these regions were read so often.
    fn interval(&mut self, regions: &[(u32, u32)]) -> Vec<u32> {
        self.now.0 += 2 * SECOND;
        let touched = self.count(regions.iter().copied());
        let (forecasts, scene) = self.parts();
        numbers(&forecasts.touched(&touched, &STAKES, scene))
    }

    fn expects(&self, name: ExpertName, region: u32) -> Expected {
        let all = self.tried.experts.all();
        let expert = all.into_iter().find(|expert| expert.name() == name);
        let view = self.view(region);
        let expert = expert.unwrap();
        expert.expected(VolumeRegion(region), &view, 0.0, self.scene())
    }

    fn lead(&self, name: ExpertName) -> f64 {
        let mut scores = self.tried.scores();
        scores
            .find(|score| score.name == name)
            .unwrap()
            .lead_seconds
    }
}

/// A file that is read to its end, some regions of it each interval, far from all others.
fn read_file(desk: &mut Desk, first: u32) {
    for region in first..first + 16 {
        for _ in 0..2 {
            desk.interval(&[(region, 10)]);
        }
    }
}

/// A region is touched once, here and there, beside eight that always are.
fn fool(desk: &mut Desk, time: u32) {
    let steady = (0..8).map(|at| (3_200 + 100 * at, 2));
    let mut regions: Vec<_> = steady.chain([(time * 37 % 3_000, 3)]).collect();
    regions.sort_unstable();
    regions.dedup_by_key(|one| one.0);
    desk.interval(&regions);
}

#[test]
fn more_is_expected_the_farther_one_looks_and_for_good_all_that_is_left() {
    let mut desk = Desk::new();
    desk.interval(&[(3, 80)]);
    for name in [ExpertName::Recent, ExpertName::Lasting, ExpertName::Long] {
        let expected = desk.expects(name, 3);
        assert!(
            expected.0.is_sorted() && expected.at(0) > 0.0,
            "{expected:?}"
        );
        assert!((expected.in_all() - 80.0).abs() < 0.1, "{expected:?}");
    }
    // Within a minute, 0.4 % of what has a half-life of 10,000 s.
    let soon = desk.expects(ExpertName::Lasting, 3).at(0);
    assert!((soon / 80.0 - 0.004_15).abs() < 1e-4, "{soon}");
    assert!(desk.expects(ExpertName::Recent, 3).at(0) > 9.0 * soon);
}

#[test]
fn what_neighbours_get_is_learned_and_expected_of_those_that_come_next() {
    let mut desk = Desk::new();
    for file in 0..20 {
        read_file(&mut desk, 100 * file);
    }
    // Twenty touches come to each region after the one before it was read.
    desk.interval(&[(3_000, 10)]);
    desk.interval(&[(3_000, 10)]);
    let next = desk.expects(ExpertName::Nearby, 3_001).in_all();
    assert!((8.0..=20.0).contains(&next), "{next}");
    let far = desk.expects(ExpertName::Nearby, 3_500).in_all();
    assert!(far < next / 2.0, "{far} and {next}");
    // What has a past of its own goes on as it was.
    let old = desk.expects(ExpertName::Nearby, 5).in_all();
    assert!((old - desk.expects(ExpertName::Lasting, 5).in_all()).abs() < 1e-9);
}

#[test]
fn who_would_have_saved_more_is_believed_and_names_what_comes_next() {
    let mut desk = Desk::new();
    assert_eq!(desk.tried.believed(), ExpertName::Lasting);
    for file in 0..30 {
        read_file(&mut desk, 100 * file);
    }
    assert_eq!(desk.tried.believed(), ExpertName::Nearby);
    assert!(desk.lead(ExpertName::Nearby) > 0.0);
    assert!((desk.lead(ExpertName::Lasting)).abs() < 1e-12);
    let besides = desk.interval(&[(3_500, 2)]);
    assert_eq!(besides, [3_499, 3_501]);
}

#[test]
fn without_foresight_the_reactive_expert_is_believed_whoever_would_have_saved_more() {
    let mut desk = Desk::with(&PolicyConfig {
        foresight: false,
        ..PolicyConfig::default()
    });
    for file in 0..30 {
        read_file(&mut desk, 100 * file);
    }
    assert!(desk.lead(ExpertName::Nearby) > 0.0);
    assert_eq!(desk.tried.believed(), ExpertName::Lasting);
}

#[test]
fn who_was_good_for_long_is_given_up_soon_when_it_is_no_longer() {
    let mut desk = Desk::new();
    for file in 0..30 {
        read_file(&mut desk, 100 * file);
    }
    assert_eq!(desk.tried.believed(), ExpertName::Nearby);
    let mut fooled = 0;
    while desk.tried.believed() == ExpertName::Nearby {
        fool(&mut desk, fooled);
        fooled += 1;
        assert!(fooled < 1_000, "{}", desk.lead(ExpertName::Nearby));
    }
    let believed = desk.tried.believed();
    let by_heat = [ExpertName::Recent, ExpertName::Lasting];
    assert!(by_heat.contains(&believed), "{believed}");
}

#[test]
fn a_lead_is_bounded_by_six_changes_of_all_that_the_tier_holds() {
    let mut desk = Desk::new();
    for file in 0..40 {
        read_file(&mut desk, 100 * file);
    }
    let most = 6.0 * 2.0 * STAKES.copy_seconds * f64::from(STAKES.capacity);
    for score in desk.tried.scores() {
        assert!(score.lead_seconds.abs() <= most + 1e-9, "{score:?}");
    }
}

#[test]
fn who_learned_how_much_to_expect_needs_no_surplus_and_who_goes_by_counts_does() {
    let mut desk = Desk::new();
    assert!((desk.tried.hysteresis(2.0) - 2.0).abs() < 1e-12);
    for file in 0..30 {
        read_file(&mut desk, 100 * file);
    }
    assert_eq!(desk.tried.believed(), ExpertName::Nearby);
    assert!((desk.tried.hysteresis(2.0) - 1.0).abs() < 1e-12);
}

#[test]
fn who_was_ahead_for_long_is_not_given_up_for_one_bad_night() {
    let mut forecasts = Desk::new().tried;
    let stakes = Stakes {
        capacity: 1,
        ..STAKES
    };
    let change = 2.0 * stakes.copy_seconds;
    forecasts.contest.lead(NEARBY, 6.0 * change);
    forecasts.contest.believe(NEARBY);
    // Three changes of the tier lost, which was more than any lead before; and as much again.
    for (losses, believed) in [(6, ExpertName::Nearby), (7, ExpertName::Lasting)] {
        for _ in 0..losses {
            for shadow in &mut forecasts.shadows {
                shadow.begin();
            }
            forecasts.shadows[NEARBY].save(-0.5 * change);
            forecasts.choose(&stakes);
        }
        assert_eq!(forecasts.believed(), believed);
    }
}

#[test]
fn of_a_large_volume_whole_groups_are_looked_at_and_about_as_many_as_wanted() {
    let part = 16;
    let groups = (0..65_536_u32).filter(|group| looks_at(VolumeRegion(group * 64), part));
    let count = groups.count();
    assert!((3_600..=4_600).contains(&count), "{count}");
    let same = |group: u32| {
        let first = looks_at(VolumeRegion(group * 64), part);
        (0..64).all(|at| looks_at(VolumeRegion(group * 64 + at), part) == first)
    };
    assert!((0..1_000).all(same));
    assert!((0..1_000).all(|region| looks_at(VolumeRegion(region), 1)));
}

#[test]
fn what_takes_turns_is_named_before_its_turn_and_who_named_it_is_believed() {
    let mut desk = Desk::new();
    // Three sets of eight regions, each used for five minutes in turn: a period of 900 s. The tier
    // holds one of them.
    let set = |turn: u32| {
        let first = 200 * (turn % 3);
        (first..first + 8)
            .map(|region| (region, 1))
            .collect::<Vec<_>>()
    };
    for turn in 0..22 {
        for _ in 0..150 {
            desk.interval(&set(turn));
        }
    }
    assert_eq!(desk.tried.believed(), ExpertName::Rhythm);
    // Before the next turn, that set is expected most; what is used now will be used no longer.
    let mut named = Vec::new();
    for _ in 0..140 {
        named.extend(desk.interval(&set(22)));
    }
    assert!(named.contains(&400) && named.contains(&407), "{named:?}");
    let [now, next, after] =
        [200, 400, 0].map(|region| desk.expects(ExpertName::Rhythm, region).at(1));
    assert!(
        next > 1.1 * after && after > 2.0 * now,
        "{now}, {next}, {after}"
    );
}

#[test]
fn a_rhythm_goes_on_at_its_hour_after_a_restart() {
    let mut desk = Desk::new();
    // Eight regions, used for five minutes of every twenty.
    let regions: Vec<(u32, u32)> = (200..208).map(|region| (region, 1)).collect();
    let is_busy = |interval: u32| interval % 600 < 150;
    for interval in 0..5 * 600 {
        desk.interval(if is_busy(interval) { &regions } else { &[] });
    }
    let kept = serde_json::to_string(&desk.tried.remember()).unwrap();
    let memory: ForecastMemory = serde_json::from_str(&kept).unwrap();
    assert_eq!(memory, desk.tried.remember());
    let heat = desk.heat.remember();

    // Ten minutes later, and five before they are due.
    let mut later = Desk::new();
    later.now = Now(desk.now.0 + 600 * SECOND);
    later.heat.recall(&heat);
    later.tried.recall(&memory, later.now);
    later.interval(&[]);
    assert_eq!(desk.tried.believed(), later.tried.believed());
    let expected = later.expects(ExpertName::Rhythm, 203);
    // Nothing in the next minute; within the hour three shifts of 150.
    assert!(expected.at(0) < 1.0, "{expected:?}");
    assert!((250.0..600.0).contains(&expected.at(2)), "{expected:?}");
    assert!(later.expects(ExpertName::Lasting, 203).at(2) < 200.0);
}

#[test]
fn of_two_that_are_far_ahead_the_one_who_saves_more_is_believed_soon() {
    let mut desk = Desk::new();
    let rhythm = RHYTHM;
    let most = 2.0;
    // Both have as long a lead as one may have.
    desk.tried.contest.lead(0, most);
    desk.tried.contest.lead(rhythm, most);
    desk.tried.contest.believe(0);
    let saved = |forecasts: &mut Forecasts, recent: f64, rhythm_saves: f64| {
        for shadow in &mut forecasts.shadows {
            shadow.begin();
        }
        forecasts.shadows[0].save(recent);
        forecasts.shadows[rhythm].save(rhythm_saves);
        let stakes = Stakes {
            capacity: 1,
            copy_seconds: most / 4.0,
            ..STAKES
        };
        forecasts.choose(&stakes);
    };
    saved(&mut desk.tried, 5.0, 5.9);
    assert_eq!(desk.tried.believed(), ExpertName::Recent);
    saved(&mut desk.tried, 5.0, 5.9);
    assert_eq!(desk.tried.believed(), ExpertName::Rhythm);
    // A loss takes the lead down, and not beneath that of one who lost as much.
    saved(&mut desk.tried, -1.5, -1.5);
    assert_eq!(desk.tried.believed(), ExpertName::Rhythm);
}

#[test]
fn what_changes_at_once_is_told() {
    let mut desk = Desk::new();
    desk.interval(&[(3, 2)]);
    assert!(
        !desk.tried.is_anew(),
        "a window passed for one who is not believed"
    );
    desk.tried.contest.lead(RHYTHM, 1.0);
    desk.tried.contest.believe(RHYTHM);
    let anew: Vec<bool> = (0..60)
        .map(|_| {
            desk.interval(&[(3, 2)]);
            desk.tried.is_anew()
        })
        .collect();
    let often = anew.iter().filter(|one| **one).count();
    assert!(
        (1..=3).contains(&often),
        "once a window of a minute: {often}"
    );
}
