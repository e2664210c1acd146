//! What the policy moves, and what it leaves alone.

use super::*;
use crate::command::{Command, Reason, Reply};
use crate::event::{Event, Target};
use crate::testing::{Shell, config, extent, leg, member, state};
use crate::units::RequestId;
use crate::volume::VolumeState;

pub(super) fn shell() -> Shell {
    Shell::new(config(), state(), Vec::new())
}

pub(super) fn hot(region: u32, touches: u32, sequential: u32) -> Event {
    let region = VolumeRegion(region);
    Event::Hot(HotRegion {
        region,
        touches,
        writes: 0,
        sequential,
    })
}

pub(super) fn adds(commands: &[Command]) -> Vec<(u32, u32)> {
    let adds = commands.iter().filter_map(|command| match command {
        Command::AddLegs(adds) => Some(adds.iter().map(|add| (add.first.0, add.count))),
        _ => None,
    });
    adds.flatten().collect()
}

#[test]
fn a_burst_is_answered_in_its_own_step_with_its_reason() {
    let mut shell = shell();
    let commands = shell.step(hot(7, 40, 0));
    assert_eq!(adds(&commands), [(7, 1)]);
    let reason = shell.engine.moves().next().unwrap().reason;
    assert!(
        matches!(reason, Reason::Promotion { touches: 40, confidence, benefit_seconds, cost_seconds, .. }
            if (0.8..1.0).contains(&confidence) && benefit_seconds > cost_seconds.max(0.2)),
        "{reason:?}"
    );
    shell.settle();
    assert_eq!(shell.class_of(7), Class::Nvme);
}

#[test]
fn sequential_scans_promote_nothing() {
    let mut shell = shell();
    for region in 0..40 {
        assert_eq!(adds(&shell.step(hot(region, 256, 255))), []);
        assert_eq!(adds(&shell.sample(region, 256, 256)), []);
        assert_eq!(adds(&shell.sample(region, 256, 256)), []);
    }
    shell.settle();
    assert!((0..40).all(|region| shell.class_of(region) == Class::Hdd));
}

#[test]
fn a_region_is_promoted_when_it_has_cost_as_much_as_its_move_will() {
    let mut shell = shell();
    // A copy of a megabyte takes the disk a little less than two accesses.
    assert_eq!(adds(&shell.sample(3, 1, 0)), []);
    assert_eq!(adds(&shell.sample(4, 1, 0)), [], "another region");
    assert_eq!(adds(&shell.sample(3, 1, 0)), [(3, 1)]);
}

#[test]
fn neighbours_that_are_hot_go_together() {
    let mut shell = shell();
    shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: true,
    });
    for region in [5, 6, 7, 9] {
        assert_eq!(adds(&shell.step(hot(region, 50, 0))), []);
    }
    let commands = shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: false,
    });
    assert_eq!(adds(&commands), [(5, 3), (9, 1)]);
}

#[test]
fn nothing_moves_where_it_does_not_pay() {
    // The fast tier is no faster.
    let mut slow = state();
    slow.members[0].profile = slow.members[1].profile;
    let mut shell = Shell::new(config(), slow, Vec::new());
    assert_eq!(adds(&shell.step(hot(3, 10_000, 0))), []);
    assert_eq!(
        shell.engine.status().hot_threshold,
        0,
        "so nothing need be reported"
    );
    // So few touches that the copy costs more than they lost.
    let dear = PolicyConfig {
        device_price: 10.0,
        ..config()
    };
    let mut shell = Shell::new(dear, state(), Vec::new());
    assert_eq!(adds(&shell.step(hot(3, 10, 0))), []);
    assert_eq!(adds(&shell.step(hot(3, 1_000, 0))), [(3, 1)]);
}

#[test]
fn an_empty_account_pays_for_nothing() {
    let config = PolicyConfig {
        insurance_start_seconds: 0.0,
        ..config()
    };
    let mut shell = Shell::new(config, state(), Vec::new());
    assert_eq!(
        adds(&shell.step(hot(3, 1_000, 0))),
        [],
        "it would pay, but not from this account"
    );
    assert_eq!(shell.engine.wanted().count(), 1);
    // The members work, and it earns its share of that.
    for _ in 0..10 {
        shell.load(1.0, 8_000);
        shell.wait(1.0);
    }
    assert_eq!(adds(&shell.all), [(3, 1)]);
}

#[test]
fn savings_that_come_true_refill_the_account() {
    let mut shell = shell();
    shell.step(hot(7, 100, 0));
    shell.settle();
    let before = shell.engine.status().insurance_seconds;
    shell.sample(7, 1_000, 0);
    let earned = shell.engine.status().insurance_seconds - before;
    assert!(
        (earned - 1_000.0 * (0.008 - 0.000_09)).abs() < 0.01,
        "{earned}"
    );
}

/// The fast tier is full to its headroom with regions 0 to 17, which are cold.
fn full() -> VolumeState {
    VolumeState {
        extents: vec![extent(0, 18, leg(0, 0)), extent(18, 22, leg(1, 0))],
        ..state()
    }
}

#[test]
fn a_full_tier_lets_the_coldest_go_and_then_takes_the_hot() {
    let mut shell = Shell::new(config(), full(), Vec::new());
    for region in 0..17 {
        shell.sample(region, 30 + region, 0);
    }
    let commands = shell.step(hot(30, 400, 0));
    assert_eq!(adds(&commands), [(17, 1)], "the one that nobody touched");
    let demotion = shell.engine.moves().next().unwrap();
    let wanted = shell.engine.wanted().next().unwrap();
    let Reason::Demotion { room_for, .. } = demotion.reason else {
        panic!("{demotion:?}")
    };
    assert_eq!(room_for, Some(wanted.id));
    shell.settle();
    assert_eq!(
        (shell.class_of(30), shell.class_of(17)),
        (Class::Nvme, Class::Hdd)
    );
    assert_eq!(
        shell.engine.status().tiers[0].free,
        2,
        "the headroom is left"
    );
    assert_eq!(shell.engine.wanted().count(), 0);
}

#[test]
fn what_has_left_a_tier_is_not_demoted_from_it_again() {
    let config = PolicyConfig {
        plan_seconds: 1e6,
        ..config()
    };
    let mut shell = Shell::new(config, full(), Vec::new());
    assert_eq!(adds(&shell.step(hot(30, 400, 0))), [(0, 1)]);
    shell.settle();
    assert_eq!(shell.class_of(0), Class::Hdd);
    // The list of the coldest is still the one of before.
    assert_eq!(adds(&shell.step(hot(32, 400, 0))), [(1, 1)]);
}

#[test]
fn a_demotion_beside_a_promotion_may_use_half_of_a_slower_tiers_headroom() {
    let state = VolumeState {
        regions: 53,
        members: vec![
            member(0, Class::Nvme, 20),
            member(1, Class::Hdd, 60),
            member(2, Class::Ssd, 20),
        ],
        extents: vec![
            extent(0, 18, leg(0, 0)),
            extent(18, 18, leg(1, 0)),
            extent(36, 17, leg(2, 0)),
        ],
        ..state()
    };
    let mut shell = Shell::new(config(), state, Vec::new());
    let pause = |paused| Event::PauseRequested {
        request: RequestId(1),
        paused,
    };
    let nvme_takes = |shell: &mut Shell, micros| {
        for _ in 0..40 {
            shell.step(Event::Resources(Resources {
                members: vec![crate::event::MemberLoad {
                    member: crate::units::MemberIndex(0),
                    busy: 0.0,
                    in_flight: 0.0,
                    read_latency: Some(crate::units::Micros(micros)),
                    write_latency: None,
                    written_bytes: Bytes(0),
                }],
                ..Resources::default()
            }));
        }
    };
    shell.step(pause(true));
    nvme_takes(&mut shell, 1_000_000);
    shell.step(hot(20, 4_000, 0));
    nvme_takes(&mut shell, 90);
    shell.step(hot(30, 400, 0));
    let targets: Vec<_> = shell.engine.wanted().map(|want| want.to).collect();
    assert_eq!(targets, [Class::Ssd, Class::Nvme]);
    // One step: region 20 goes to the SSD, and 0 too, to make room for 30.
    assert_eq!(adds(&shell.step(pause(false))), [(20, 1), (0, 1)]);
    assert_eq!(shell.engine.status().latched, None);
    shell.settle();
    assert_eq!(shell.class_of(30), Class::Nvme);
}

#[test]
fn a_region_does_not_displace_one_about_as_warm() {
    let mut shell = Shell::new(config(), full(), Vec::new());
    for region in 0..18 {
        shell.sample(region, 300, 0);
    }
    assert_eq!(adds(&shell.step(hot(30, 350, 0))), []);
    assert_eq!(adds(&shell.step(hot(30, 3_000, 0))).len(), 1);
}

#[test]
fn a_move_by_hand_may_use_the_headroom_and_the_policy_may_not() {
    let mut shell = Shell::new(config(), full(), Vec::new());
    for region in 0..18 {
        shell.sample(region, 3_000, 0);
    }
    assert_eq!(adds(&shell.step(hot(30, 100, 0))), []);
    let reply = shell.ask(38, 2, Target::Class(Class::Nvme));
    assert!(matches!(reply, Reply::Moves(ids) if ids.len() == 1));
    shell.settle();
    assert_eq!(shell.engine.status().tiers[0].free, 0);
}

#[test]
fn a_pause_stops_the_policy_and_not_people() {
    let mut shell = shell();
    shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: true,
    });
    assert_eq!(shell.engine.status().hot_threshold, 0);
    assert_eq!(adds(&shell.step(hot(3, 1_000, 0))), []);
    assert!(matches!(
        shell.ask(3, 1, Target::Class(Class::Nvme)),
        Reply::Moves(_)
    ));
    shell.settle();
    assert_eq!(shell.class_of(3), Class::Nvme);
    shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: false,
    });
    assert!(shell.engine.status().hot_threshold > 0);
}

#[test]
fn the_threshold_is_where_a_copy_pays() {
    let threshold = |device_price| {
        let config = PolicyConfig {
            device_price,
            ..config()
        };
        let shell = Shell::new(config, state(), Vec::new());
        shell.engine.status().hot_threshold
    };
    assert_eq!(threshold(0.0), PolicyConfig::default().promote_touches_min);
    assert_eq!(threshold(1.0), 2);
    assert_eq!(threshold(10.0), 19);
}

#[test]
fn a_burst_on_members_that_are_given_too_much_slows_nothing_down() {
    let mut shell = shell();
    let resources = |in_flight: f64, p99_micros: u64| {
        Event::Resources(Resources {
            members: vec![crate::event::MemberLoad {
                member: crate::units::MemberIndex(1),
                busy: 1.0,
                in_flight,
                read_latency: None,
                write_latency: None,
                written_bytes: Bytes(0),
            }],
            foreground_p99: Some(crate::units::Micros(p99_micros)),
            ..Resources::default()
        })
    };
    shell.step(resources(1.0, 10_000));
    shell.step(hot(7, 100, 0));
    shell.disobey();
    let rate = |shell: &Shell| shell.engine.status().copy_bytes_per_second;
    let before = rate(&shell);
    shell.step(resources(1_000.0, 1_000_000));
    assert!(rate(&shell) > before, "one copy among a thousand requests");
    let before = rate(&shell);
    shell.step(resources(2.0, 1_000_000));
    assert!(rate(&shell) < before, "one copy among two");
}

#[test]
fn bytes_per_second_are_kept_to() {
    let config = PolicyConfig {
        // A quarter of it at the start, saved up for two seconds: two regions, and one owed.
        copy_bytes_per_second_max: f64::from(4 << 20),
        move_bytes_max: 1 << 20,
        ..config()
    };
    let mut shell = Shell::new(config, state(), Vec::new());
    let mut begun = 0;
    for region in 0..10 {
        shell.step(hot(region * 3, 1_000, 0));
        while shell.obey().is_some() {}
    }
    begun += shell
        .all
        .iter()
        .map(|one| adds(std::slice::from_ref(one)).len())
        .sum::<usize>();
    assert!((2..=3).contains(&begun), "{begun}");
}

#[test]
fn the_preview_is_what_is_done_and_changes_nothing() {
    let mut shell = shell();
    shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: true,
    });
    for _ in 0..2 {
        for region in [3, 4, 12] {
            shell.sample(region, 100, 0);
        }
    }
    let before = format!("{:?}", shell.engine.status());
    let planned = shell.engine.plan_preview();
    let ranges: Vec<_> = planned.iter().map(|one| (one.first.0, one.count)).collect();
    assert_eq!(ranges, [(3, 2), (12, 1)]);
    assert_eq!((planned[0].bytes.0, planned[0].to), (2 << 20, Class::Nvme));
    assert!(planned[0].seconds > 0.0);
    assert_eq!(format!("{:?}", shell.engine.status()), before);
    let commands = shell.step(Event::PauseRequested {
        request: RequestId(1),
        paused: false,
    });
    assert_eq!(adds(&commands), ranges);
}

#[test]
fn heat_is_shown_in_buckets() {
    let mut shell = shell();
    shell.sample(0, 10, 0);
    shell.sample(39, 20, 0);
    let heat = shell.engine.heat(VolumeRegion(0), 40, 4);
    assert_eq!(heat.len(), 4);
    assert!((heat[0] - 10.0).abs() < 0.1 && heat[1].abs() < 1e-9 && (heat[3] - 20.0).abs() < 0.1);
    assert_eq!(
        shell.engine.heat(VolumeRegion(38), 40, 10).len(),
        2,
        "no more than regions"
    );
    assert_eq!(
        shell.engine.heat(VolumeRegion(99), 40, 10),
        Vec::<f64>::new()
    );
}

#[test]
fn a_volume_of_one_tier_has_nothing_to_decide() {
    let state = VolumeState {
        members: vec![member(1, Class::Hdd, 60)],
        ..state()
    };
    let mut shell = Shell::new(config(), state, Vec::new());
    assert_eq!(adds(&shell.step(hot(3, 1_000, 0))), []);
    shell.settle();
    assert_eq!(shell.engine.plan_preview(), []);
}

#[test]
fn parameters_outside_their_bounds_are_named() {
    assert_eq!(PolicyConfig::default().check(), Ok(()));
    assert_eq!(PolicyConfig::default().scaled(0.01).check(), Ok(()));
    let wrong = [
        PolicyConfig {
            headroom: 1.0,
            ..PolicyConfig::default()
        },
        PolicyConfig {
            hysteresis: 0.5,
            ..PolicyConfig::default()
        },
        PolicyConfig {
            half_life_seconds: f64::NAN,
            ..PolicyConfig::default()
        },
        PolicyConfig {
            mirrors_max: 0,
            ..PolicyConfig::default()
        },
        PolicyConfig {
            retry_seconds: -1.0,
            ..PolicyConfig::default()
        },
    ];
    for config in wrong {
        assert!(
            config
                .check()
                .unwrap_err()
                .to_string()
                .starts_with("policy."),
            "{config:?}"
        );
    }
    let error = serde_json::from_str::<PolicyConfig>(r#"{"headrom": 0.2}"#).unwrap_err();
    assert!(error.to_string().contains("headrom"), "{error}");
}

#[test]
fn a_volume_that_is_cut_into_many_extents_is_cut_no_further_and_people_are_told_once() {
    let config = PolicyConfig {
        extents_max: 5,
        ..config()
    };
    let mut shell = Shell::new(config, state(), Vec::new());
    for region in [5, 15] {
        assert_eq!(adds(&shell.step(hot(region, 40, 0))), [(region, 1)]);
        shell.settle();
    }
    assert_eq!(shell.engine.map().len(), 5);
    for region in [25, 35] {
        assert_eq!(adds(&shell.step(hot(region, 40, 0))), []);
    }
    let told = |shell: &Shell| {
        let warnings = shell.all.iter().filter_map(|command| match command {
            Command::Warn(text) => Some(text.contains("policy.extents_max is 5")),
            _ => None,
        });
        warnings.filter(|is_it| *is_it).count()
    };
    assert_eq!(told(&shell), 1);
    shell.ask(5, 1, Target::Class(Class::Hdd));
    shell.settle();
    assert_eq!(shell.class_of(25), Class::Nvme, "it was not forgotten");
}

#[test]
fn in_silence_moves_become_faster() {
    let mut shell = shell();
    let mut after = |lost: u64| {
        shell.step(Event::Samples(Samples {
            interval: crate::units::Micros(2_000_000),
            regions: Vec::new(),
            lost,
        }));
        shell.engine.status().copy_bytes_per_second
    };
    // Lost counts are no silence.
    let [lost, again, silent] = [1, 1, 0].map(&mut after);
    assert!((lost - again).abs() < 1.0 && silent > again, "{silent}");
}
