use crate::command::{Command, Stage};
use crate::event::{Event, Kept, LegFault, MirrorState};
use crate::testing::{COMPLETE, Shell};
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
