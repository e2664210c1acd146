//! Legs that die and commands that fail, at each step of a move.

use super::{COPYING, DEAD_SOURCE, DEAD_TARGET, commit_of, committed, has, last_stage};
use crate::command::{Command, Refusal, Reply, Stage};
use crate::event::{Event, Kept, Target};
use crate::testing::{COMPLETE, Shell, drops, extent, leg, retired};
use crate::units::{Generation, MoveId};
use crate::volume::Class;

#[test]
fn a_dead_target_is_answered_in_the_same_step_even_while_it_is_flushed() {
    for looks in [
        vec![DEAD_TARGET],
        vec![COPYING, DEAD_TARGET],
        vec![COMPLETE, DEAD_TARGET],
    ] {
        let mut shell = Shell::by_hand();
        let id = shell.mirrored();
        let mut commands = Vec::new();
        for state in looks {
            commands = shell.step(Event::LegState { id, state });
        }
        assert_eq!(drops(&commands), [(Kept::Source, false)]);
        shell.disobey();
        shell.step(Event::TargetsFlushed { ids: vec![id] });
        shell.step(Event::LegDropped {
            id,
            kept: Kept::Source,
        });
        shell.settle();
        assert_eq!(last_stage(&shell, id).unwrap().0, Stage::Failed);
        let status = shell.engine.status();
        assert_eq!(
            (status.tiers[0].free, status.tiers[0].failed),
            (18, 2),
            "set aside"
        );
        assert_eq!(shell.class_of(10), Class::Hdd);
    }
}

#[test]
fn a_source_that_dies_in_the_copy_is_kept_for_its_good_blocks() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    let commands = shell.step(Event::LegState {
        id,
        state: DEAD_SOURCE,
    });
    assert_eq!(drops(&commands), [(Kept::Source, false)]);
}

#[test]
fn a_source_that_dies_after_the_copy_is_left_for_the_target() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    let commands = shell.step(Event::LegState {
        id,
        state: DEAD_SOURCE,
    });
    assert_eq!(
        drops(&commands),
        [],
        "the record does not name the target yet"
    );
    shell.step(Event::TargetsFlushed { ids: vec![id] });
    shell.step(Event::Committed {
        generation: Generation(8),
    });
    let commands = shell.step(Event::Marked {
        generation: Generation(8),
    });
    assert_eq!(
        drops(&commands),
        [(Kept::Target, false)],
        "a dead source never is complete"
    );
}

#[test]
fn a_target_that_dies_after_the_commit_has_the_source_committed_back_first() {
    let mut shell = Shell::by_hand();
    let id = committed(&mut shell);
    shell.step(Event::Marked {
        generation: Generation(8),
    });
    shell.disobey();
    let commands = shell.step(Event::DropRefused {
        id,
        state: DEAD_TARGET,
    });
    let commit = commit_of(&commands);
    assert_eq!(commit.set, [extent(10, 2, leg(1, 10))]);
    assert_eq!(commit.retire, [retired(leg(0, 0), 2, 9)]);
    assert_eq!(
        commit.free,
        [retired(leg(1, 10), 2, 8)],
        "it is a home again"
    );
    assert_eq!(drops(&commands), []);
    let commands = shell.step(Event::Committed {
        generation: Generation(9),
    });
    assert!(has(&commands, |one| *one == Command::MarkActedOn(Generation(9))));
    assert_eq!(drops(&commands), []);
    let commands = shell.step(Event::Marked {
        generation: Generation(9),
    });
    assert_eq!(drops(&commands), [(Kept::Source, false)]);
}

#[test]
fn a_copy_that_does_not_begin_is_folded_and_its_target_is_used_only_if_nothing_writes_there() {
    for (may_copy, free, failed) in [(false, 20, 0), (true, 18, 2)] {
        let mut shell = Shell::by_hand();
        let Reply::Moves(ids) = shell.ask(10, 2, Target::Class(Class::Nvme)) else {
            panic!("there is room")
        };
        let commands = shell.step(Event::CopyNotBegun {
            id: ids[0],
            may_copy,
            error: "EIO".to_owned(),
        });
        assert_eq!(commands, [Command::SetMap { fold: ids.clone() }]);
        shell.step(Event::MapSet {
            folded: ids.clone(),
        });
        let (stage, error) = last_stage(&shell, ids[0]).unwrap();
        assert_eq!(stage, Stage::Failed);
        assert_eq!(error.unwrap(), "its copy could not be begun: EIO");
        let tier = &shell.engine.status().tiers[0];
        assert_eq!((tier.free, tier.failed), (free, failed), "{may_copy}");
        assert_eq!(shell.engine.latched(), None);
    }
}

#[test]
fn a_leg_that_dies_while_the_commit_is_under_way_waits_for_its_answer() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    shell.step(Event::TargetsFlushed { ids: vec![id] });
    let commands = shell.step(Event::LegState {
        id,
        state: DEAD_TARGET,
    });
    assert_eq!(drops(&commands), []);
    let error = "disk full".to_owned();
    let commands = shell.step(Event::CommitFailed {
        can_retry: true,
        error,
    });
    assert_eq!(
        drops(&commands),
        [(Kept::Source, false)],
        "the record still names the source"
    );
}

#[test]
fn a_flush_that_fails_is_never_tried_again() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    let commands = shell.step(Event::FlushFailed {
        ids: vec![id],
        error: "EIO".to_owned(),
    });
    assert_eq!(drops(&commands), [(Kept::Source, false)]);
    shell.settle();
    let flushes = shell
        .all
        .iter()
        .filter(|one| matches!(one, Command::FlushTargets(_)));
    assert_eq!(flushes.count(), 1);
}

#[test]
fn without_a_replica_moves_go_back_but_one_whose_commit_may_have_landed_stays_mirrored() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.ask(20, 1, Target::Class(Class::Nvme));
    shell.step(Event::LegsAdded {
        ids: vec![MoveId(id.0 + 1)],
    });
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    shell.step(Event::TargetsFlushed { ids: vec![id] });
    let error = "EIO".to_owned();
    let commands = shell.step(Event::CommitFailed {
        can_retry: false,
        error,
    });
    assert_eq!(
        drops(&commands),
        [(Kept::Source, false)],
        "of the one that still copies"
    );
    assert_eq!(
        drops(&shell.step(Event::LegState {
            id,
            state: DEAD_TARGET
        })),
        []
    );
    assert_eq!(
        shell.ask(30, 1, Target::Class(Class::Nvme)),
        Reply::Refused(Refusal::NoReplica)
    );
    assert!(
        shell.engine.moves().any(|one| one.id == id),
        "both legs go on being written"
    );
}

#[test]
fn commands_that_fail_are_given_again_after_a_pause() {
    let mut shell = Shell::by_hand();
    let id = committed(&mut shell);
    let error = || "EAGAIN".to_owned();
    let generation = Generation(8);
    let again = shell.step(Event::MarkFailed {
        generation,
        error: error(),
    });
    assert!(
        !has(&again, |one| matches!(one, Command::MarkActedOn(_))),
        "not at once"
    );
    shell.wait(2.0);
    shell.step(Event::Marked { generation });
    shell.step(Event::DropFailed { id, error: error() });
    shell.wait(2.0);
    shell.step(Event::LegDropped {
        id,
        kept: Kept::Target,
    });
    shell.disobey();
    shell.step(Event::SetMapFailed { error: error() });
    shell.wait(2.0);
    shell.step(Event::MapSet { folded: vec![id] });
    assert_eq!(last_stage(&shell, id), Some((Stage::Done, None)));
    assert_eq!(shell.engine.latched(), None);
}

#[test]
fn an_answer_that_was_not_asked_for_latches_the_engine() {
    let wrong = [
        Event::Committed {
            generation: Generation(8),
        },
        Event::Marked {
            generation: Generation(7),
        },
        Event::LegDropped {
            id: MoveId(1),
            kept: Kept::Target,
        },
        Event::MapSet {
            folded: vec![MoveId(1)],
        },
        Event::LegsAdded {
            ids: vec![MoveId(1)],
        },
    ];
    for event in wrong {
        let mut shell = Shell::by_hand();
        let id = shell.mirrored();
        let commands = shell.step(event.clone());
        assert!(shell.engine.latched().is_some(), "{event:?}");
        assert!(has(&commands, |one| matches!(one, Command::Warn(_))));
        assert_eq!(shell.engine.map().len(), 1, "{id} was not committed");
    }
}
