//! What copies on one hard disk at a time, and when room that was left is freed.

use super::COPYING;
use crate::command::{Command, Reply};
use crate::event::{Event, Kept, Target};
use crate::policy::PolicyConfig;
use crate::testing::{COMPLETE, Shell, extent, leg, member, state};
use crate::units::{Generation, MoveId};
use crate::volume::{Class, VolumeState};

const FAST: Target = Target::Class(Class::Nvme);

/// The moves that these commands begin.
fn begun(commands: &[Command]) -> Vec<u64> {
    let adds = commands.iter().filter_map(|command| match command {
        Command::AddLegs(adds) => Some(adds),
        _ => None,
    });
    adds.flatten().map(|add| add.id.0).collect()
}

/// By hand, moves of up to so many regions.
fn shell(regions_per_move: u64, state: VolumeState) -> Shell {
    let config = PolicyConfig {
        enabled: false,
        move_bytes_max: regions_per_move << 20,
        ..PolicyConfig::default()
    };
    Shell::new(config, state, Vec::new())
}

/// Lets these moves mirror, and shows how they stand.
fn copying(shell: &mut Shell, ids: &[u64]) {
    let ids: Vec<_> = ids.iter().copied().map(MoveId).collect();
    shell.step(Event::LegsAdded { ids: ids.clone() });
    for id in ids {
        let state = COPYING;
        shell.step(Event::LegState { id, state });
    }
}

#[test]
fn large_moves_from_one_hard_disk_copy_one_after_the_other() {
    let mut shell = shell(6, state());
    let Reply::Moves(ids) = shell.ask(0, 18, FAST) else {
        panic!("there is room")
    };
    assert_eq!(ids.len(), 3);
    assert_eq!(begun(&shell.all), [1]);
    copying(&mut shell, &[1]);
    assert_eq!(begun(&shell.all), [1], "while the first copies");
    shell.disobey();
    let commands = shell.step(Event::LegState {
        id: MoveId(1),
        state: COMPLETE,
    });
    assert_eq!(begun(&commands), [2], "while the first is committed");
    shell.settle();
    assert_eq!(begun(&shell.all), [1, 2, 3]);
    assert_eq!(shell.class_of(17), Class::Nvme);
}

#[test]
fn small_moves_share_a_hold_but_not_the_turn_of_a_large_one() {
    let mut shell = shell(7, state());
    shell.ask(0, 2, FAST);
    shell.step(Event::LegsAdded {
        ids: vec![MoveId(1)],
    });
    shell.ask(10, 2, FAST);
    assert_eq!(begun(&shell.all), [1, 2], "there is a share left");
    copying(&mut shell, &[2]);
    shell.ask(20, 7, FAST);
    shell.ask(30, 1, FAST);
    assert_eq!(
        begun(&shell.all),
        [1, 2],
        "the small one is behind the large"
    );
    for id in [1, 2] {
        let state = COMPLETE;
        let id = MoveId(id);
        shell.step(Event::LegState { id, state });
    }
    assert_eq!(begun(&shell.all), [1, 2, 3, 4], "eight regions in all");
}

#[test]
fn moves_between_other_members_do_not_wait_for_a_hard_disk() {
    let members = [
        (Class::Nvme, 20),
        (Class::Hdd, 60),
        (Class::Ssd, 30),
        (Class::Hdd, 60),
    ];
    let members = (0..).zip(members);
    let state = VolumeState {
        regions: 60,
        members: members
            .map(|(index, (class, regions))| member(index, class, regions))
            .collect(),
        extents: vec![
            extent(0, 20, leg(1, 0)),
            extent(20, 20, leg(2, 0)),
            extent(40, 20, leg(3, 0)),
        ],
        ..state()
    };
    let mut shell = shell(5, state);
    shell.ask(0, 10, FAST);
    shell.ask(20, 5, FAST);
    shell.ask(40, 5, FAST);
    copying(&mut shell, &[1]);
    assert_eq!(
        begun(&shell.all),
        [1, 3, 4],
        "the second waits for the first"
    );
}

/// Room that a first move has left, while a second one copies.
fn left_room() -> Shell {
    let mut shell = shell(6, state());
    shell.ask(0, 12, FAST);
    copying(&mut shell, &[1]);
    let ids = || vec![MoveId(1)];
    shell.step(Event::LegState {
        id: MoveId(1),
        state: COMPLETE,
    });
    copying(&mut shell, &[2]);
    shell.step(Event::TargetsFlushed { ids: ids() });
    let generation = Generation(8);
    shell.step(Event::Committed { generation });
    shell.step(Event::Marked { generation });
    shell.step(Event::LegDropped {
        id: MoveId(1),
        kept: Kept::Target,
    });
    shell.step(Event::MapSet { folded: ids() });
    shell
}

/// The moves' commits among these commands: extents set, homes freed.
fn commits(commands: &[Command]) -> Vec<(usize, usize)> {
    let commits = commands.iter().filter_map(|command| match command {
        Command::Commit(commit) => Some((commit.set.len(), commit.free.len())),
        _ => None,
    });
    commits.collect()
}

#[test]
fn room_that_was_left_is_freed_by_the_next_commit() {
    let mut shell = left_room();
    shell.wait(1.0);
    shell.step(Event::LegState {
        id: MoveId(2),
        state: COMPLETE,
    });
    let commands = shell.step(Event::TargetsFlushed {
        ids: vec![MoveId(2)],
    });
    assert_eq!(commits(&commands), [(1, 1)]);
    assert_eq!(commits(&shell.all), [(1, 0), (1, 1)]);
}

#[test]
fn room_that_was_left_is_freed_soon_though_nothing_else_is_committed() {
    let mut shell = left_room();
    for _ in 0..5 {
        shell.wait(1.0);
    }
    assert_eq!(commits(&shell.all), [(1, 0)]);
    shell.wait(1.1);
    assert_eq!(commits(&shell.all), [(1, 0), (0, 1)]);
}
