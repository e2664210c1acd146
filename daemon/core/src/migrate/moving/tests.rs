use crate::command::{Command, Stage};
use crate::event::{Event, Kept, LegFault, MirrorState};
use crate::testing::{COMPLETE, Shell, drops};
use crate::units::MoveId;

/// Lets a move end on its source after these looks, and gives the reason that people are told.
fn reason_of(looks: &[MirrorState]) -> String {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    for &state in looks {
        shell.step(Event::LegState { id, state });
    }
    shell.disobey();
    shell.step(Event::LegDropped {
        id,
        kept: Kept::Source,
    });
    shell.settle();
    let failed = |id: MoveId| {
        shell.all.iter().rev().find_map(|command| match command {
            Command::Report(report) if report.id == id => Some((report.stage, &report.error)),
            _ => None,
        })
    };
    let (stage, error) = failed(id).unwrap();
    assert_eq!(stage, Stage::Failed);
    error.clone().unwrap()
}

#[test]
fn a_failed_move_says_which_member_failed_where_and_at_what() {
    let copying = MirrorState {
        in_sync_chunks: 1,
        ..COMPLETE
    };
    let target = MirrorState {
        target_alive: false,
        fault: Some(LegFault::Write),
        ..copying
    };
    let told = reason_of(&[target]);
    assert!(
        told.starts_with("its target failed, on member 0 from region "),
        "{told}"
    );
    assert!(told.ends_with(" on: a write to it failed"), "{told}");
    let source = MirrorState {
        source_alive: false,
        fault: Some(LegFault::Copy),
        ..copying
    };
    let told = reason_of(&[source]);
    assert!(
        told.starts_with("its source failed, on member 1 from region "),
        "{told}"
    );
    assert!(
        told.ends_with(" on: the copy failed on it, before the copy was complete"),
        "{told}"
    );
}

#[test]
fn a_move_that_lost_both_legs_does_not_end_without_a_reason() {
    let both = MirrorState {
        source_alive: false,
        target_alive: false,
        fault: Some(LegFault::Read),
        ..COMPLETE
    };
    let told = reason_of(&[both]);
    assert!(
        told.ends_with(" on: a read of it failed, and its target failed too"),
        "{told}"
    );
}

/// Every chunk in sync, more events than that explains, and no leg named.
const IN_DOUBT: MirrorState = MirrorState {
    fault: Some(LegFault::Forgotten),
    ..COMPLETE
};

#[test]
fn a_leg_that_failed_when_the_copy_ended_turns_the_move_back_whichever_it_was() {
    let told = reason_of(&[MirrorState {
        in_sync_chunks: 3,
        ..IN_DOUBT
    }]);
    assert_eq!(
        told,
        "one of its legs failed when its copy ended, and the kernel forgot which"
    );
}

#[test]
fn a_complete_mirror_in_doubt_is_not_committed_but_dropped_on_its_home_after_a_comparison() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.disobey();
    shell.step(Event::LegState {
        id,
        state: IN_DOUBT,
    });
    assert_eq!(drops(&shell.all), [(Kept::Source, false)]);
    let asks = |command: &Command| matches!(command, Command::FlushTargets(_) | Command::Commit(_));
    assert!(!shell.all.iter().any(asks), "{:?}", shell.all);
}

#[test]
fn a_source_that_turns_out_to_be_behind_is_left_even_if_the_target_fails_a_flush() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.disobey();
    shell.step(Event::LegState {
        id,
        state: IN_DOUBT,
    });
    shell.step(Event::DropRefused {
        id,
        state: MirrorState {
            source_alive: false,
            ..IN_DOUBT
        },
    });
    shell.step(Event::FlushFailed {
        ids: vec![id],
        error: "an error".to_owned(),
    });
    // A later look tells no more than the first.
    shell.step(Event::LegState {
        id,
        state: IN_DOUBT,
    });
    shell.disobey();
    shell.wait(2.0);
    shell.settle();
    assert_eq!(
        drops(&shell.all),
        [(Kept::Source, false), (Kept::Target, false)]
    );
}

#[test]
fn the_leg_found_behind_is_left_though_the_other_one_was_called_dead_before() {
    let mut shell = Shell::by_hand();
    let id = shell.mirrored();
    shell.disobey();
    let look = |source_alive, target_alive, fault| MirrorState {
        source_alive,
        target_alive,
        fault: Some(fault),
        ..COMPLETE
    };
    let state = look(true, false, LegFault::Write);
    shell.step(Event::LegState { id, state });
    shell.disobey();
    let state = look(false, true, LegFault::Forgotten);
    shell.step(Event::DropRefused { id, state });
    shell.settle();
    assert_eq!(
        drops(&shell.all),
        [(Kept::Source, false), (Kept::Target, false)]
    );
}
