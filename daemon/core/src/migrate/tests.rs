//! The protocol, one step at a time. What the simulation finds by chance is pinned here by name.
//!
//! Owns: the steps of a move that goes well, and what the modules below share; those hold what
//! fails, what people ask, and what a start finds.

mod failures;
mod heads;
mod place;
mod recovery;
mod requests;
mod trial;

use crate::command::{Command, Commit, Reply, Stage};
use crate::event::{Event, MirrorState, Target};
use crate::testing::{COMPLETE, Shell, extent, leg, retired};
use crate::units::{Generation, MoveId};
use crate::volume::Class;

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
