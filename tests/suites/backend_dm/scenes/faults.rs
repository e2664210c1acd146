//! Legs that fail: what is parked, what frees it, and what is lost (nothing).

use tier_core::command::DropLeg;
use tier_core::units::MoveId;

use super::super::shape::{add, an_add, finish, leg, undo};
use super::{Subject, added, assert_holds, folded, legs, map, outcome};

/// A write that the target refuses is answered when the target is given up.
pub(super) fn target_after_copy(subject: &mut dyn Subject) -> Vec<String> {
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    subject.set_gone(1, true);
    subject.write_parked(3, 33);
    said.push(legs(subject, 1));
    said.push(outcome(subject, finish(&an_add())));
    said.push(added(subject, &[add(2, 0, 1, leg(0, 0), leg(1, 13))]));
    said.push(outcome(subject, undo(&an_add())));
    assert!(subject.is_resumed());
    said.push(folded(subject, &[1]));
    subject.set_gone(1, false);
    said.push(map(subject));
    assert_holds(subject, &[(3, 33)]);
    said
}

/// A write that the source refuses is answered when the source is given up; what was copied is read
/// from the target meanwhile.
pub(super) fn source_after_copy(subject: &mut dyn Subject) -> Vec<String> {
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    subject.set_gone(0, true);
    said.push(format!("{:?} {:?}", subject.read(2), subject.read(0)));
    subject.write_parked(3, 33);
    said.push(legs(subject, 1));
    let drop = DropLeg {
        require_complete: false,
        ..finish(&an_add())
    };
    said.push(outcome(subject, drop));
    assert!(subject.is_resumed());
    said.push(folded(subject, &[1]));
    subject.set_gone(0, false);
    said.push(map(subject));
    assert_holds(subject, &[(3, 33)]);
    said
}

/// What is not copied is written to the source alone, and stays there.
pub(super) fn target_in_copy(subject: &mut dyn Subject) -> Vec<String> {
    subject.set_gone(1, true);
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    said.push(legs(subject, 1));
    said.push(outcome(subject, finish(&an_add())));
    said.push(outcome(subject, undo(&an_add())));
    assert!(subject.write(3, 33));
    said.push(folded(subject, &[1]));
    subject.set_gone(1, false);
    said.push(map(subject));
    assert_holds(subject, &[(3, 33)]);
    said
}

/// A source that cannot be read is not left for what has not been copied.
pub(super) fn source_in_copy(subject: &mut dyn Subject) -> Vec<String> {
    subject.set_gone(0, true);
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    said.push(legs(subject, 1));
    said.push(outcome(subject, finish(&an_add())));
    said.push(outcome(subject, undo(&an_add())));
    subject.set_gone(0, false);
    assert!(subject.write(3, 33));
    said.push(folded(subject, &[1]));
    said.push(map(subject));
    assert_holds(subject, &[(3, 33)]);
    said
}
