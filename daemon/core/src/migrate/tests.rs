//! The protocol, one step at a time. What the simulation finds by chance is pinned here by name.

use crate::command::{Command, Commit, Refusal, Reply, Stage};
use crate::event::{AdoptedMove, AdoptedStage, Event, Kept, MirrorState, Target};
use crate::testing::{COMPLETE, Shell, drops, extent, leg, retired, state};
use crate::units::{Generation, MemberIndex, MoveId, RequestId, VolumeRegion};
use crate::volume::{Class, VolumeState};

const DEAD_TARGET: MirrorState = MirrorState {
    in_sync_chunks: 3,
    target_alive: false,
    ..COMPLETE
};
const DEAD_SOURCE: MirrorState = MirrorState {
    in_sync_chunks: 3,
    source_alive: false,
    ..COMPLETE
};
const COPYING: MirrorState = MirrorState {
    in_sync_chunks: 1,
    ..COMPLETE
};

fn commit_of(commands: &[Command]) -> &Commit {
    let commit = commands.iter().find_map(|command| match command {
        Command::Commit(commit) => Some(commit),
        _ => None,
    });
    commit.expect("a commit was ordered")
}

fn has(commands: &[Command], wanted: impl Fn(&Command) -> bool) -> bool {
    commands.iter().any(wanted)
}

fn last_stage(shell: &Shell, id: MoveId) -> Option<(Stage, Option<String>)> {
    let mut reports = shell.all.iter().rev().filter_map(|command| match command {
        Command::Report(report) if report.id == id => Some(report),
        _ => None,
    });
    reports
        .next()
        .map(|report| (report.stage, report.error.clone()))
}

/// A move whose mirror is complete, flushed and committed as generation 8, not marked yet.
fn committed(shell: &mut Shell) -> MoveId {
    let id = shell.mirrored();
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    shell.step(Event::TargetsFlushed { ids: vec![id] });
    shell.step(Event::Committed {
        generation: Generation(8),
    });
    shell.disobey();
    id
}

#[test]
fn a_move_goes_through_every_step_in_order() {
    let mut shell = Shell::by_hand();
    let Reply::Moves(ids) = shell.ask(10, 2, Target::Class(Class::Nvme)) else {
        panic!()
    };
    shell.settle();
    let steps: Vec<&str> = shell
        .all
        .iter()
        .filter_map(|command| match command {
            Command::AddLegs(_) => Some("add"),
            Command::FlushTargets(_) => Some("flush"),
            Command::Commit(commit) if commit.set.is_empty() => Some("free"),
            Command::Commit(_) => Some("commit"),
            Command::MarkActedOn(_) => Some("mark"),
            Command::DropLeg(drop) if drop.require_complete => Some("drop"),
            Command::SetMap { .. } => Some("fold"),
            _ => None,
        })
        .collect();
    assert_eq!(
        steps,
        ["add", "flush", "commit", "mark", "drop", "fold", "free"]
    );
    assert_eq!(last_stage(&shell, ids[0]), Some((Stage::Done, None)));
    assert_eq!(shell.class_of(10), Class::Nvme);
    assert_eq!(shell.class_of(12), Class::Hdd);
    let status = shell.engine.status();
    assert_eq!((status.tiers[0].free, status.tiers[1].free), (18, 22));
    assert_eq!(status.retired_regions, 0);
}

#[test]
fn a_commit_names_the_target_and_retires_the_source() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.step(Event::LegState {
        id,
        state: COMPLETE,
    });
    let commands = shell.step(Event::TargetsFlushed { ids: vec![id] });
    let commit = commit_of(&commands);
    assert_eq!(commit.generation, Generation(8));
    assert_eq!(commit.set, [extent(10, 2, leg(0, 0))]);
    assert_eq!(commit.retire, [retired(leg(1, 10), 2, 8)]);
    assert_eq!(commit.free, []);
}

#[test]
fn moves_that_are_ready_share_one_hold_one_commit_and_one_fold() {
    let mut shell = Shell::by_hand();
    for first in [0, 10, 20] {
        shell.ask(first, 1, Target::Class(Class::Nvme));
    }
    shell.settle();
    let count = |wanted: fn(&Command) -> bool| shell.all.iter().filter(|one| wanted(one)).count();
    // The first hold is begun with what there is; the others wait for its end and go together.
    assert_eq!(count(|one| matches!(one, Command::AddLegs(_))), 2);
    assert!(count(|one| matches!(one, Command::MarkActedOn(_))) <= 2);
    assert!(count(|one| matches!(one, Command::SetMap { .. })) <= 2);
}

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
fn a_person_can_cancel_until_the_commit() {
    let cancel = |id| Event::CancelRequested {
        request: RequestId(2),
        id,
    };
    let reply = |commands: &[Command]| {
        commands.iter().find_map(|one| match one {
            Command::Reply { reply, .. } => Some(reply.clone()),
            _ => None,
        })
    };
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    let commands = shell.step(cancel(id));
    assert_eq!(reply(&commands), Some(Reply::Done));
    assert_eq!(drops(&commands), [(Kept::Source, false)]);
    shell.settle();
    assert_eq!(last_stage(&shell, id), Some((Stage::Undone, None)));
    assert_eq!(shell.engine.status().tiers[0].free, 20);

    let mut shell = Shell::by_hand();
    let id = committed(&mut shell);
    let commands = shell.step(cancel(id));
    assert_eq!(reply(&commands), Some(Reply::Refused(Refusal::TooLate(id))));
    let commands = shell.step(cancel(MoveId(99)));
    assert_eq!(
        reply(&commands),
        Some(Reply::Refused(Refusal::NoSuchMove(MoveId(99))))
    );
}

#[test]
fn a_request_that_cannot_be_met_is_refused_and_changes_nothing() {
    let mut shell = Shell::by_hand();
    shell.mirrored();
    let before = format!("{:?}", shell.engine.status());
    let fast = Target::Class(Class::Nvme);
    let refusal = |reply| match reply {
        Reply::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refusal(shell.ask(0, 0, fast)),
        Refusal::OutOfRange { regions: 40, .. }
    ));
    assert!(matches!(
        refusal(shell.ask(39, 2, fast)),
        Refusal::OutOfRange { .. }
    ));
    assert!(matches!(
        refusal(shell.ask(u32::MAX, 2, fast)),
        Refusal::OutOfRange { .. }
    ));
    assert!(matches!(
        refusal(shell.ask(0, 1, Target::Class(Class::Ssd))),
        Refusal::NoSuchTarget(_)
    ));
    assert!(matches!(
        refusal(shell.ask(0, 1, Target::Member(MemberIndex(5)))),
        Refusal::NoSuchTarget(_)
    ));
    assert!(matches!(
        refusal(shell.ask(0, 12, fast)),
        Refusal::Busy {
            region: VolumeRegion(10),
            ..
        }
    ));
    assert_eq!(
        refusal(shell.ask(12, 28, fast)),
        Refusal::NoRoom {
            target: "nvme".to_owned(),
            wanted: 28,
            free: 18
        }
    );
    assert_eq!(format!("{:?}", shell.engine.status()), before);
    assert_eq!(
        shell.ask(0, 10, Target::Class(Class::Hdd)),
        Reply::Moves(Vec::new())
    );
}

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
