//! What people ask for: moves that cannot be, and moves that they no longer want.

use super::{committed, last_stage};
use crate::command::{Command, Refusal, Reply, Stage};
use crate::event::{Event, Kept, Target};
use crate::policy::PolicyConfig;
use crate::testing::{Shell, drops, state};
use crate::units::{MemberIndex, MoveId, RequestId, VolumeRegion};
use crate::volume::Class;

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

#[test]
fn nothing_is_moved_from_or_onto_a_member_that_is_missing() {
    let absent = |index: usize| {
        let mut state = state();
        state.members[index].present = false;
        let config = PolicyConfig::default();
        Shell::new(config, state, Vec::new())
    };
    let fast = Target::Class(Class::Nvme);
    let mut shell = absent(0);
    assert!(matches!(
        shell.ask(0, 1, fast),
        Reply::Refused(Refusal::NoSuchTarget(_))
    ));
    let mut shell = absent(1);
    assert_eq!(
        shell.ask(3, 1, fast),
        Reply::Refused(Refusal::Missing {
            region: VolumeRegion(3),
            member: MemberIndex(1)
        })
    );
    // Reads of it fail, and are counted all the same.
    for _ in 0..20 {
        shell.sample(3, 500, 0);
        shell.wait(10.0);
    }
    let adds = |command: &Command| matches!(command, Command::AddLegs(_));
    assert!(!shell.all.iter().any(adds), "{:?}", shell.all);
}
