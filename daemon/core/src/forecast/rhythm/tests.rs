use super::scale::{LOOK_EVERY, LOOK_SHARE};
use super::series::{between_windows, middle, without_bursts};
use super::*;
use crate::event::RegionCount;
use crate::forecast::windows::{WINDOWS, code};

/// The use of windows, one after the other.
fn scale(windows: u64, of: impl Fn(u64) -> f64) -> Scale {
    let mut scale = Scale::new(Windows::new(1_000));
    for window in 0..windows {
        scale.advance(1_000 + window, 0);
        scale.windows.add(of(window));
    }
    scale.advance(1_000 + windows, 0);
    scale
}

/// Busy for a fifth of each period.
fn shifts(period: f64) -> impl Fn(u64) -> f64 {
    move |window| {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let phase = window as f64 % period;
        if phase < period / 5.0 { 100.0 } else { 0.0 }
    }
}

#[test]
fn a_period_is_found_when_half_of_it_has_come_again_and_not_before() {
    for (period, seen) in [(20.0, 30), (20.0, 40), (22.5, 112), (60.0, 128)] {
        let (found, resembles) = scale(seen, shifts(period)).find_period().unwrap();
        assert!((found - period).abs() < 1.0, "{found}, not {period}");
        assert!(resembles > 0.5, "{resembles}");
    }
    assert_eq!(scale(29, shifts(20.0)).find_period(), None);
}

#[test]
fn what_is_new_is_looked_at_in_each_window_and_what_is_known_for_long_in_each_eighth() {
    let mut scale = scale(30, shifts(20.0));
    assert!(scale.period.is_some(), "at once, whatever the phase");
    for window in 30..1_000 {
        scale.windows.add(shifts(20.0)(window));
        scale.period = None;
        scale.advance(1_001 + window, 3);
        let looked = scale.period.is_some();
        let known = u64::min(window + 1, WINDOWS as u64 - 1);
        let every = (known / LOOK_SHARE).clamp(1, LOOK_EVERY);
        assert_eq!(looked, (1_004 + window) % every == 0, "{window}");
    }
}

#[test]
fn of_scales_that_resemble_about_as_much_the_finest_has_the_period() {
    let with = |periods: [Option<(f64, f64)>; SCALES]| {
        let run = Run { first: 0, count: 1 };
        let mut group = Group::new([0; SCALES].map(Windows::new), run);
        for (scale, period) in group.scales.iter_mut().zip(periods) {
            scale.period = period;
        }
        Rhythm::period(&group)
    };
    let coarse = Some((6.2, 0.9));
    assert_eq!(
        with([Some((25.0, 0.7)), coarse, None, None]),
        Some((0, 25.0))
    );
    assert_eq!(
        with([Some((25.0, 0.6)), coarse, None, None]),
        Some((1, 6.2))
    );
    assert_eq!(with([None; SCALES]), None);
}

#[test]
fn what_is_steady_has_no_period_and_what_has_no_order_resembles_itself_little() {
    assert_eq!(scale(128, |_| 50.0).find_period(), None);
    assert_eq!(scale(128, |_| 0.0).find_period(), None);
    // The middle of squares has no order (von Neumann).
    let orderless = |window: u64| {
        let square = (window * 7_919 + 12_345).pow(2) / 1_000 % 100;
        if square < 20 { 100.0 } else { 0.0 }
    };
    let found = scale(128, orderless).find_period();
    assert!(
        found.is_none_or(|(_, resembles)| resembles < 0.5),
        "{found:?}"
    );
}

#[test]
fn the_next_window_is_expected_to_be_as_it_was_in_earlier_periods() {
    // The next window is the hundredth, and the beginning of a shift.
    let scale = scale(100, shifts(20.0));
    let expected: Vec<f64> = (0..20)
        .map(|ahead| scale.expected_in(ahead, 20.0))
        .collect();
    assert!(
        expected[..4].iter().all(|one| (one - 100.0).abs() < 10.0),
        "{expected:?}"
    );
    assert!(
        expected[4..].iter().all(|one| one.abs() < 1e-9),
        "{expected:?}"
    );
    // And so in the periods after this one.
    assert!((scale.expected_in(40, 20.0) - 100.0).abs() < 10.0);
    assert!(scale.expected_in(50, 20.0).abs() < 1e-9);
}

#[test]
fn a_burst_is_no_period_and_does_not_come_again() {
    // Two hours of a shift of four minutes in each twenty, and one burst between two of them.
    let burst = |window: u64| match window {
        70 => 9_000.0,
        window => shifts(20.0)(window),
    };
    let scale = scale(120, burst);
    let (period, _) = scale.find_period().unwrap();
    assert!((period - 20.0).abs() < 0.5, "{period}");
    // Ten windows from now is a whole number of periods after the burst.
    assert!(scale.expected_in(10, 20.0).abs() < 1e-9);
    assert!((scale.expected_in(0, 20.0) - 100.0).abs() < 10.0);
}

#[test]
fn what_is_typical_is_the_middle_of_three_and_what_is_far_above_the_mean_is_cut() {
    assert!((middle(&mut [5.0, 9_000.0, 4.0]) - 5.0).abs() < 1e-12);
    assert!((middle(&mut [5.0, 9.0]) - 7.0).abs() < 1e-12);
    assert!(middle(&mut []).abs() < 1e-12);
    let cut = |mut series: Vec<f64>| {
        without_bursts(&mut series);
        series
    };
    assert_eq!(cut(vec![0.0, 1.0, 1.0, 10.0]), [0.0, 1.0, 1.0, 8.0]);
    assert_eq!(cut(vec![0.0; 4]), [0.0; 4]);
}

#[test]
fn windows_in_which_nothing_was_asked_for_were_silent() {
    let mut scale = scale(60, shifts(20.0));
    scale.advance(1_000 + 60 + 300, 0);
    assert!(scale.windows.ended().all(|touches| touches.abs() < 1e-9));
    assert_eq!(scale.find_period(), None);
}

#[test]
fn between_two_windows_the_peak_is_found_by_its_slopes() {
    let peak = |before, after| between_windows(&[0.0, before, 1.0, after], 2);
    assert!((peak(0.5, 0.5) - 2.0).abs() < 1e-9);
    assert!((2.0..2.5).contains(&peak(0.5, 0.8)));
    assert!((1.5..2.0).contains(&peak(0.8, 0.5)));
}

/// A rhythm that follows 64 regions for so many minutes, each touched as often as it is told.
fn followed(minutes: u64, touches: impl Fn(u64, u32) -> f64) -> Rhythm {
    let minute = 60_000_000_000;
    let spans = [1, 10, 60, 360, u64::MAX / minute].map(|minutes| minutes * minute);
    let mut heat = crate::heat::Heat::new(166 * minute);
    heat.start(64, None);
    let mut rhythm = Rhythm::new(Lasting::new(LASTING, spans, &heat), spans);
    for at in 0..minutes {
        let of = |region: u32| Touched {
            region: VolumeRegion(region),
            touches: touches(at, region),
            missed: touches(at, region),
            silent_nanos: 0,
        };
        let all = (0..64).map(of).filter(|one| one.touches > 0.0);
        let counted: Vec<Touched> = all.collect();
        for one in &counted {
            let count = RegionCount {
                region: one.region,
                reads: u32::from(code(one.touches)),
                ..RegionCount::default()
            };
            heat.count(&count, Now((1_000 + at) * minute));
        }
        let scene = Scene {
            heat: &heat,
            now: Now((1_000 + at) * minute),
        };
        rhythm.touched(&counted, scene);
        rhythm.names(scene);
    }
    rhythm
}

#[test]
fn what_was_not_used_yet_is_known_to_have_been_silent() {
    // First used at the fortieth minute, and twenty more each hour.
    let shift = |minute: u64, _: u32| f64::from(u8::from(minute % 60 >= 40));
    let period = |minutes| {
        let rhythm = followed(minutes, shift);
        let group = rhythm.groups.get(0).unwrap();
        Rhythm::period(group).map(|(scale, _)| scale)
    };
    // Half of the second hour's shift has passed, and the first began 70 minutes ago.
    assert_eq!(period(90), None);
    assert_eq!(period(112), Some(0));
}

#[test]
fn while_a_burst_lasts_what_is_used_is_expected_to_go_on() {
    // A shift of five minutes in each twenty; for three minutes of the pause after the last, all of
    // it is used as never before.
    let is_burst = |minute: u64| (391..394).contains(&minute);
    let load = |minute: u64, _: u32| match minute % 20 {
        _ if is_burst(minute) => 50.0,
        0..5 => 2.0,
        _ => 0.0,
    };
    let is_out = |minutes| {
        let rhythm = followed(minutes, load);
        let group = rhythm.groups.get(0).unwrap();
        assert!(group.expected.is_some(), "it has a period");
        group.is_out
    };
    assert_eq!([390, 393, 396].map(is_out), [false, true, false]);
}

#[test]
fn when_a_period_is_found_it_is_told_once_what_it_would_have_let_foresee() {
    // Five minutes of each twenty, all of it missed by the fastest tier.
    let load = |minute: u64, _: u32| if minute % 20 < 5 { 20.0 } else { 0.0 };
    let hindsight = |minutes| {
        let mut rhythm = followed(minutes, load);
        let told: f64 = rhythm.take_hindsight().iter().map(|one| one.missed).sum();
        assert_eq!(rhythm.take_hindsight(), []);
        told
    };
    assert!(hindsight(28).abs() < 1e-12, "no period yet");
    // The second shift was as the first: 64 regions, 20 times in each of five minutes.
    let told = hindsight(36);
    let came_again = 64.0 * 20.0 * 5.0;
    assert!((told / came_again - 1.0).abs() < 0.05, "{told}");
    assert!((hindsight(100) - told).abs() < 1e-9, "once");
}

fn runs(rhythm: &Rhythm) -> Vec<(u32, u32)> {
    let runs = rhythm.groups.iter().map(|(run, _)| (run.first, run.count));
    runs.collect()
}

/// Whether it is the turn of one of two, of 20 minutes each.
fn is_turn(minute: u64, of: u64) -> bool {
    minute / 20 % 2 == of
}

#[test]
fn what_is_used_at_other_times_is_a_group_of_its_own_and_has_its_own_period() {
    let quarters = |minute: u64, region: u32| {
        let of = u64::from(region >= 16);
        f64::from(u8::from(is_turn(minute, of)))
    };
    let rhythm = followed(400, quarters);
    assert_eq!(runs(&rhythm), [(0, 16), (16, 16), (32, 32)]);
    for (run, group) in rhythm.groups.iter() {
        let (at, period) = Rhythm::period(group).unwrap();
        let minutes = [1.0, 8.0, 64.0, 512.0][at] * period;
        assert!((minutes - 40.0).abs() < 2.0, "{run:?}: {minutes}");
        assert!(group.total() > 0.0);
    }
}

#[test]
fn what_is_used_alike_is_one_group_however_much_of_it_each_is_used() {
    let alike = |minute: u64, region: u32| {
        let turn = f64::from(u8::from(is_turn(minute, 0)));
        turn * f64::from(1 + region)
    };
    assert_eq!(runs(&followed(400, alike)), [(0, 64)]);
    // Counts without any order (von Neumann's middle of squares) differ by chance alone.
    let orderless = |minute: u64, region: u32| {
        let square = (minute * 7_919 + u64::from(region) * 104_729 + 12_345).pow(2) / 1_000;
        f64::from(u8::from(square % 100 < 7))
    };
    assert_eq!(runs(&followed(400, orderless)), [(0, 64)]);
}

#[test]
fn what_is_used_alike_again_is_joined_and_what_is_forgotten_was_not_lost() {
    let turns = |minute: u64, region: u32| {
        let of = u64::from(region >= 32 && minute < 300);
        f64::from(u8::from(is_turn(minute, of)))
    };
    assert_eq!(runs(&followed(299, turns)), [(0, 32), (32, 32)]);
    // The finest scale remembers two hours, the coarsest that is compared six days.
    let rhythm = followed(300 + 130 * 64, turns);
    assert_eq!(runs(&rhythm), [(0, 64)]);
    let group = rhythm.groups.get(0).unwrap();
    assert!(group.total() > 250_000.0, "{}", group.total());
    assert!((group.missed - group.total()).abs() < 1e-6, "all of it");
}

#[test]
fn there_are_never_more_groups_than_may_be() {
    let mut groups = Shapes::new(3);
    for region in [0, 64, 128, 192] {
        groups.follow(region, |_| ());
    }
    let run = groups.run_of(0).unwrap();
    assert!(!groups.split(run, |()| [(), ()]));
    assert_eq!((groups.len(), groups.run_of(192)), (3, None));
}

#[test]
fn the_next_demand_begins_with_the_first_busy_window_and_ends_with_the_last() {
    // Five minutes of each twenty, and a touch now and then between them.
    let load = |minute: u64, region: u32| match minute % 20 {
        0..5 => 20.0,
        12 => f64::from(u8::from(region == 3)),
        _ => 0.0,
    };
    let timing = |minutes: u64, at: u64| {
        let heat = crate::heat::Heat::new(1);
        let minute = 60_000_000_000;
        let scene = Scene {
            heat: &heat,
            now: Now((1_000 + at) * minute),
        };
        followed(minutes, load).timing(VolumeRegion(3), scene)
    };
    let minutes = |begin: f64, end: f64| Timing {
        starts_in: super::super::timing::StartsIn::Seconds(begin * 60.0),
        over_in_seconds: Some(end * 60.0),
    };
    // The last look was at the beginning of minute 390.
    assert_eq!(timing(391, 390), minutes(10.0, 15.0));
    assert_eq!(timing(391, 395), minutes(5.0, 10.0));
    let now = timing(402, 402);
    assert_eq!(now.starts_in, super::super::timing::StartsIn::Now);
    assert!(
        now.over_in_seconds
            .is_some_and(|end| (120.0..=180.0).contains(&end)),
        "{now:?}"
    );
    // What is unknown may be wanted at once.
    assert_eq!(timing(15, 15), Timing::default());
}
