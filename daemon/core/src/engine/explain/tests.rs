use super::*;
use crate::PolicyConfig;
use crate::event::{Event, HotRegion, Target};
use crate::testing::{Shell, config, state};
use crate::units::RequestId;

fn shell() -> Shell {
    Shell::new(config(), state(), Vec::new())
}

fn explain(shell: &Shell, region: u32) -> Explanation {
    let explained = shell.engine.explain(VolumeRegion(region));
    explained.expect("the volume has it")
}

/// A paused policy, so that what pays goes on waiting.
fn paused() -> Shell {
    let mut shell = shell();
    shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: true,
    });
    shell
}

#[test]
fn beyond_the_end_there_is_nothing_to_explain() {
    let regions = shell().engine.map().regions();
    assert_eq!(shell().engine.explain(VolumeRegion(regions)), None);
    assert!(shell().engine.explain(VolumeRegion(regions - 1)).is_some());
}

#[test]
fn what_nobody_uses_is_told_apart_from_what_does_not_pay() {
    // Device time is dear, so that a few touches do not pay.
    let dear = PolicyConfig {
        device_price: 10.0,
        ..config()
    };
    let least = dear.promote_touches_min;
    let mut shell = Shell::new(dear, state(), Vec::new());
    let explained = explain(&shell, 7);
    assert_eq!(explained.verdict, Verdict::TooFewTouches(least));
    assert_eq!(explained.age_seconds, None);
    shell.sample(7, least, 0);
    let explained = explain(&shell, 7);
    assert_eq!(explained.verdict, Verdict::DoesNotPay);
    let offer = explained.offers[0];
    assert_eq!(offer.to, Class::Nvme);
    assert!(offer.benefit_seconds < offer.cost_seconds, "{offer:?}");
}

#[test]
fn what_touches_save_is_what_the_slower_tier_takes_more() {
    let shell = shell();
    let saved = |from, to| shell.engine.saved_seconds(VolumeRegion(7), 100.0, from, to);
    let down = saved(Class::Hdd, Class::Nvme);
    assert!(down > 0.1, "{down}");
    assert!((saved(Class::Nvme, Class::Hdd) + down).abs() < 1e-9);
}

#[test]
fn each_expert_says_what_it_expects_and_the_offer_is_by_who_is_believed() {
    let mut shell = paused();
    shell.sample(7, 100, 0);
    let explained = explain(&shell, 7);
    assert!((explained.touches - 100.0).abs() < 1.0, "{explained:?}");
    assert!((explained.touches_in_all - 100.0).abs() < 1e-6);
    let names: Vec<String> = explained
        .opinions
        .iter()
        .map(|one| one.score.name.to_string())
        .collect();
    let all = [
        "recent",
        "lasting",
        "long",
        "touch",
        "nearby",
        "following",
        "rhythm",
    ];
    assert_eq!(names, all);
    let believed: Vec<_> = explained
        .opinions
        .iter()
        .filter(|one| one.score.is_believed)
        .collect();
    assert_eq!(believed.len(), 1);
    for opinion in &explained.opinions {
        assert!(
            opinion.touches.is_sorted(),
            "the farther, the more: {opinion:?}"
        );
    }
    let horizons = shell.engine.horizons_seconds();
    assert!(horizons.is_sorted() && horizons[HORIZONS - 1].is_infinite());
    let Verdict::Waits(id) = explained.verdict else {
        panic!("{explained:?}")
    };
    let wanted = shell.engine.wanted().next().unwrap();
    assert_eq!(wanted.id, id);
    let offer = explained.offers[0];
    assert!((wanted.benefit_seconds - offer.benefit_seconds).abs() < 1e-3);
    assert!((wanted.cost_seconds - offer.cost_seconds).abs() < 1e-3);
}

#[test]
fn what_moves_has_just_come_or_is_on_the_fastest_tier_is_told_so() {
    let mut shell = shell();
    let id = shell.mirrored();
    assert_eq!(explain(&shell, 10).verdict, Verdict::Moving(id));

    let mut shell = self::shell();
    shell.step(Event::Hot(HotRegion {
        region: VolumeRegion(7),
        touches: 40,
        writes: 0,
        sequential: 0,
    }));
    shell.settle();
    let there = explain(&shell, 7);
    assert_eq!(there.verdict, Verdict::OnFastest);
    assert_eq!(there.home.map(|(_, class)| class), Some(Class::Nvme));
    assert!(there.resident_seconds.is_some() && there.offers.is_empty());

    shell.ask(7, 1, Target::Class(Class::Hdd));
    shell.settle();
    shell.sample(7, 100, 0);
    let back = explain(&shell, 7).verdict;
    assert!(
        matches!(back, Verdict::JustCame { left_seconds } if left_seconds > 0.0),
        "{back:?}"
    );
}
