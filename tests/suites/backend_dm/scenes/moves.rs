//! Moves that go well, one of them undone.

use tier_core::units::MoveId;

use super::super::shape::{add, an_add, finish, leg, undo};
use super::{Subject, added, assert_holds, folded, map, outcome};

pub(super) fn to_and_fro(subject: &mut dyn Subject) -> Vec<String> {
    let adds = [an_add(), add(2, 9, 2, leg(1, 1), leg(0, 8))];
    let mut said = vec![added(subject, &adds), map(subject)];
    assert!(subject.write(3, 33), "the copy may be there or not");
    subject.copy(MoveId(1));
    subject.copy(MoveId(2));
    assert!(subject.write(4, 44), "on both legs");
    said.push(map(subject));
    said.push(outcome(subject, finish(&adds[0])));
    said.push(outcome(subject, undo(&adds[1])));
    said.push(map(subject));
    assert!(subject.write(2, 22), "on the target");
    assert!(subject.write(9, 99), "on the source");
    said.push(folded(subject, &[1, 2]));
    said.push(map(subject));
    assert_holds(subject, &[(2, 22), (3, 33), (4, 44), (9, 99)]);
    said
}
