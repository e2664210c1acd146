//! What a start finds under way, by the letters of the protocol's recovery table.

use super::{COPYING, DEAD_TARGET, commit_of, has};
use crate::command::{Command, Refusal, Reply, Stage};
use crate::event::{AdoptedMove, AdoptedStage, Event, Kept, Target};
use crate::testing::{COMPLETE, Shell, drops, extent, leg, retired, state};
use crate::units::{Generation, MoveId, VolumeRegion};
use crate::volume::{Class, VolumeState};

fn adopted(source: u32, target: (u16, u32), stage: AdoptedStage) -> AdoptedMove {
    AdoptedMove {
        id: MoveId(5),
        first: VolumeRegion(10),
        count: 2,
        source: leg(1, source),
        target: leg(target.0, target.1),
        stage,
    }
}

fn start(state: VolumeState, found: AdoptedMove) -> Shell {
    let config = crate::PolicyConfig {
        enabled: false,
        ..crate::PolicyConfig::default()
    };
    Shell::new(config, state, vec![found])
}

/// The record after the move of regions 10 and 11 to the fast member.
fn moved() -> VolumeState {
    VolumeState {
        extents: vec![
            extent(0, 10, leg(1, 0)),
            extent(10, 2, leg(0, 0)),
            extent(12, 28, leg(1, 12)),
        ],
        retired: vec![retired(leg(1, 10), 2, 7)],
        ..state()
    }
}

#[test]
fn recovery_a_a_mirror_that_still_copies_goes_on() {
    let mut shell = start(state(), adopted(10, (0, 0), AdoptedStage::Mirror(COPYING)));
    assert_eq!(
        shell.engine.moves().next().map(|one| one.stage),
        Some(Stage::Copying)
    );
    assert!(!has(&shell.all, |one| matches!(one, Command::AddLegs(_))));
    shell.step(Event::LegState {
        id: MoveId(5),
        state: COMPLETE,
    });
    shell.settle();
    assert_eq!(shell.class_of(10), Class::Nvme);
    let Reply::Moves(ids) = shell.ask(0, 1, Target::Class(Class::Nvme)) else {
        panic!()
    };
    assert_eq!(ids, [MoveId(6)], "no number is given twice");
}

#[test]
fn recovery_a_a_complete_mirror_goes_back_as_its_flush_may_have_failed() {
    let shell = start(state(), adopted(10, (0, 0), AdoptedStage::Mirror(COMPLETE)));
    assert_eq!(drops(&shell.all), [(Kept::Source, false)]);
}

#[test]
fn recovery_b_a_mirror_that_was_going_back_is_marked_and_goes_on_back() {
    let state = VolumeState {
        retired: vec![retired(leg(0, 0), 2, 7)],
        ..state()
    };
    let mut shell = start(
        state,
        adopted(10, (0, 0), AdoptedStage::Mirror(DEAD_TARGET)),
    );
    assert_eq!(drops(&shell.all), [], "not before the mark");
    shell.disobey();
    let commands = shell.step(Event::Marked {
        generation: Generation(7),
    });
    assert_eq!(drops(&commands), [(Kept::Source, false)]);
    shell.settle();
    assert_eq!(shell.engine.status().retired_regions, 0);
}

#[test]
fn recovery_c_a_committed_mirror_is_marked_and_dropped_to_its_target() {
    let mut shell = start(moved(), adopted(10, (0, 0), AdoptedStage::Mirror(COMPLETE)));
    assert_eq!(drops(&shell.all), []);
    let commands = shell.step(Event::Marked {
        generation: Generation(7),
    });
    assert_eq!(drops(&commands), [(Kept::Target, true)]);
}

#[test]
fn recovery_d_a_linear_device_on_its_home_is_folded() {
    let found = AdoptedMove {
        source: leg(0, 0),
        ..adopted(10, (0, 0), AdoptedStage::Linear(leg(0, 0)))
    };
    let mut shell = start(moved(), found);
    assert!(has(&shell.all, |one| matches!(one, Command::SetMap { .. })));
    assert!(
        !has(&shell.all, |one| matches!(one, Command::Commit(_))),
        "nothing freed yet"
    );
    shell.settle();
    assert_eq!(shell.engine.status().retired_regions, 0);
    assert_eq!(shell.engine.status().tiers[1].free, 22);
}

#[test]
fn recovery_e_a_former_home_without_a_move_is_freed() {
    let config = crate::PolicyConfig::default();
    let mut shell = Shell::new(config, moved(), Vec::new());
    shell.wait(1.0);
    assert_eq!(commit_of(&shell.all).free, [retired(leg(1, 10), 2, 7)]);
}

#[test]
fn recovery_f_what_cannot_be_is_left_alone_and_nothing_is_begun() {
    let mirror = AdoptedStage::Mirror(COPYING);
    let wrong = [
        (
            state(),
            adopted(10, (0, 0), AdoptedStage::Linear(leg(0, 0))),
        ),
        (state(), adopted(10, (1, 20), mirror)),
        (state(), adopted(11, (0, 0), mirror)),
        (
            state(),
            AdoptedMove {
                count: 31,
                ..adopted(10, (0, 0), mirror)
            },
        ),
        (
            VolumeState {
                retired: Vec::new(),
                ..moved()
            },
            adopted(10, (0, 0), mirror),
        ),
    ];
    for (state, found) in wrong {
        let mut shell = start(state, found.clone());
        assert!(shell.engine.latched().is_some(), "{found:?}");
        shell.wait(10.0);
        let acts = |one: &Command| !matches!(one, Command::Warn(_) | Command::SetHotThreshold(_));
        assert!(!has(&shell.all, acts), "{found:?}: {:?}", shell.all);
        let reply = shell.ask(0, 1, Target::Class(Class::Nvme));
        assert!(matches!(reply, Reply::Refused(Refusal::Latched(_))));
    }
}
