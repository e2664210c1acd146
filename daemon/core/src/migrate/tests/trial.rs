//! Targets that are tried before they are committed.

use super::{COMPLETE, Shell, has, last_stage};
use crate::command::{Command, Refusal, Reply, Stage};
use crate::event::{
    AdoptedMove, AdoptedStage, Event, Kept, LegFault, MirrorState, Priority, Target, Trial,
};
use crate::testing::{config, drops, leg, state};
use crate::units::{Bytes, Micros, MoveId, RequestId, VolumeRegion};
use crate::volume::Class;

const fn tried(trial: Trial) -> MirrorState {
    MirrorState {
        trial: Some(trial),
        ..COMPLETE
    }
}

const TRIED: [MirrorState; 5] = [
    tried(Trial::Ahead),
    tried(Trial::ReadsBack(100)),
    tried(Trial::Reads(30)),
    tried(Trial::Writes(100)),
    tried(Trial::ReadsBack(0)),
];

fn flushes(commands: &[Command]) -> bool {
    has(commands, |one| matches!(one, Command::FlushTargets(_)))
}

#[test]
fn a_target_is_not_flushed_before_it_has_passed_its_trial() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    for state in TRIED {
        let commands = shell.step(Event::LegState { id, state });
        assert!(!flushes(&commands), "{state:?}");
        shell.wait(60.0);
        assert!(!flushes(&shell.all));
    }
    let state = COMPLETE;
    assert!(flushes(&shell.step(Event::LegState { id, state })));
    shell.settle();
    assert_eq!(last_stage(&shell, id), Some((Stage::Done, None)));
}

#[test]
fn a_target_that_fails_its_trial_is_left_and_people_are_told_why() {
    let slow = LegFault::Slow {
        source: Micros(210),
        target: Micros(31_000),
    };
    let differs = LegFault::Differs { at: Bytes(8192) };
    for (fault, told, failed) in [
        (
            slow,
            "its target is too slow, on member 0 from region 0 on: requests took 31000 us there, \
             and 210 us on the source (medians)",
            0,
        ),
        (
            differs,
            "its target failed, on member 0 from region 0 on: it held something else than the \
             source at byte 8192",
            2,
        ),
    ] {
        let mut shell = Shell::by_hand();
        let id = shell.mirrored();
        let state = tried(Trial::Reads(10));
        shell.step(Event::LegState { id, state });
        let state = MirrorState {
            target_alive: false,
            fault: Some(fault),
            ..state
        };
        let commands = shell.step(Event::LegState { id, state });
        assert_eq!(drops(&commands), [(Kept::Source, false)]);
        shell.settle();
        let error = Some(told.to_owned());
        assert_eq!(last_stage(&shell, id), Some((Stage::Failed, error)));
        assert_eq!(shell.class_of(10), Class::Hdd);
        // Only a range that cannot be trusted is set aside.
        assert_eq!(shell.engine.status().tiers[0].failed, failed);
    }
}

#[test]
fn a_source_that_dies_while_its_target_is_tried_is_left_for_it() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    for source_alive in [true, false] {
        let state = MirrorState {
            source_alive,
            ..tried(Trial::Writes(10))
        };
        let commands = shell.step(Event::LegState { id, state });
        assert_eq!(flushes(&commands), !source_alive);
    }
}

/// Its flush cannot have failed: none was ordered.
#[test]
fn a_move_that_is_adopted_on_trial_goes_on() {
    let found = AdoptedMove {
        id: MoveId(5),
        first: VolumeRegion(10),
        count: 2,
        source: leg(1, 10),
        target: leg(0, 0),
        stage: AdoptedStage::Mirror(tried(Trial::Reads(10))),
    };
    let mut shell = Shell::new(config(), state(), vec![found]);
    let id = MoveId(5);
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    shell.settle();
    assert_eq!(last_stage(&shell, id), Some((Stage::Done, None)));
}

#[test]
fn a_move_says_whether_it_promises_to_be_faster() {
    let mut shell = Shell::by_hand();
    shell.ask(10, 1, Target::Class(Class::Nvme));
    shell.settle();
    shell.ask(10, 1, Target::Class(Class::Hdd));
    shell.settle();
    let adds = shell.all.iter().filter_map(|one| match one {
        Command::AddLegs(adds) => Some(adds[0]),
        _ => None,
    });
    let promises: Vec<_> = adds.map(|add| (add.promises_faster, add.trial)).collect();
    let trial = Some(shell.engine.config().trial);
    assert_eq!(promises, [(true, trial), (false, trial)]);
}

fn paces(commands: &[Command]) -> Vec<u64> {
    let pace = |one: &Command| match one {
        Command::AddLegs(adds) => adds[0].trial.map(|trial| trial.copy_bytes_per_second),
        Command::SetPace {
            bytes_per_second, ..
        } => Some(*bytes_per_second),
        _ => None,
    };
    commands.iter().filter_map(pace).collect()
}

#[test]
fn a_priority_is_a_pace_which_may_change_while_a_move_goes_on() {
    let mut config = config();
    config.trial.copy_bytes_per_second = 70;
    config.trial.low_bytes_per_second = 7;
    let mut shell = Shell::new(config, state(), Vec::new());
    shell.disobey();
    let (request, first) = (RequestId(1), VolumeRegion(10));
    let commands = shell.step(Event::MoveRequested {
        request,
        first,
        count: 1,
        target: Target::Class(Class::Nvme),
        priority: Priority::Low,
    });
    assert_eq!(paces(&commands), [7]);
    let id = shell.engine.moves().next().unwrap().id;
    let change = |shell: &mut Shell, id, priority| {
        shell.step(Event::PriorityRequested {
            request,
            id,
            priority,
        })
    };
    // While it is being begun, and later.
    assert_eq!(paces(&change(&mut shell, id, Priority::High)), [0]);
    let other = MoveId(id.0 + 1);
    let refused = change(&mut shell, other, Priority::Low);
    let is_refused = |one: &Command| {
        matches!(one, Command::Reply { reply: Reply::Refused(Refusal::NoSuchMove(no)), .. }
            if *no == other)
    };
    assert!(refused.iter().any(is_refused), "{refused:?}");
    shell.step(Event::LegsAdded { ids: vec![id] });
    assert_eq!(paces(&change(&mut shell, id, Priority::Normal)), [70]);
    let view = shell.engine.moves().find(|one| one.id == id).unwrap();
    assert_eq!(view.priority, Priority::Normal);
}

#[test]
fn events_from_before_there_were_trials_are_read_as_complete() {
    let old = r#"{"in_sync_chunks":4,"total_chunks":4,"source_alive":true,"target_alive":true}"#;
    let state: MirrorState = serde_json::from_str(old).unwrap();
    assert_eq!(state, COMPLETE);
    assert_eq!(serde_json::to_string(&state).unwrap(), old);
}
