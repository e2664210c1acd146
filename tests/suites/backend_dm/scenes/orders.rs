//! Orders that a mistaken engine would give: refused, and nothing changes by them.

use tier_core::command::{AddLeg, DropLeg};
use tier_core::units::MoveId;

use super::super::shape::{add, an_add, finish, leg, undo};
use super::{Subject, added, assert_holds, folded, legs, map, outcome};

/// Moves of what is elsewhere, to what is not free or not there, or that are in each other's way.
pub(super) fn contradicting(subject: &mut dyn Subject) -> Vec<String> {
    let before = map(subject);
    let refused: [Vec<AddLeg>; 11] = [
        vec![add(1, 2, 3, leg(1, 2), leg(1, 9))],
        vec![add(1, 6, 4, leg(0, 6), leg(1, 9))],
        vec![add(1, 15, 2, leg(1, 7), leg(0, 9))],
        vec![add(1, u32::MAX, 2, leg(0, 2), leg(1, 9))],
        vec![add(1, 2, 0, leg(0, 2), leg(1, 9))],
        vec![add(1, 2, 3, leg(0, 2), leg(1, 7))],
        vec![add(1, 2, 3, leg(0, 2), leg(1, 14))],
        vec![add(1, 2, 3, leg(0, 2), leg(2, 0))],
        vec![an_add(), add(2, 4, 2, leg(0, 4), leg(1, 13))],
        vec![an_add(), add(2, 5, 2, leg(0, 5), leg(1, 11))],
        vec![an_add(), add(1, 5, 1, leg(0, 5), leg(1, 13))],
    ];
    let said: Vec<_> = refused.iter().map(|adds| added(subject, adds)).collect();
    assert_eq!(said, ["Contradiction"; 11]);
    assert_eq!(map(subject), before);
    assert_holds(subject, &[]);
    said
}

/// Orders about moves that nobody began.
pub(super) fn about_nothing(subject: &mut dyn Subject) -> Vec<String> {
    let before = map(subject);
    let said = vec![
        legs(subject, 5),
        folded(subject, &[5]),
        outcome(subject, finish(&an_add())),
        outcome(subject, undo(&an_add())),
    ];
    assert_eq!(said, ["NoSuchMove"; 4]);
    assert_eq!(map(subject), before);
    assert_holds(subject, &[]);
    said
}

/// Orders that would be right at another moment, or about another leg.
pub(super) fn untimely(subject: &mut dyn Subject) -> Vec<String> {
    subject.set_hung(true);
    let mut said = vec![added(subject, &[an_add()])];
    // Before it has copied all.
    let begun = map(subject);
    said.push(outcome(subject, finish(&an_add())));
    said.push(folded(subject, &[1]));
    // What moves already, to elsewhere, under that number or another; and what it moves to.
    said.push(added(subject, &[an_add()]));
    said.push(added(subject, &[add(1, 0, 1, leg(0, 0), leg(1, 13))]));
    said.push(added(subject, &[add(3, 3, 1, leg(0, 3), leg(1, 13))]));
    said.push(added(subject, &[add(3, 0, 1, leg(0, 0), leg(1, 10))]));
    assert_eq!(map(subject), begun);
    subject.set_hung(false);
    subject.copy(MoveId(1));
    // Legs that are not where they are said to be.
    for wrong in [finish(&an_add()), undo(&an_add())] {
        let leg = leg(1, 13);
        said.push(outcome(subject, DropLeg { leg, ..wrong }));
    }
    assert_eq!(map(subject), begun);
    said.push(outcome(subject, finish(&an_add())));
    let left = map(subject);
    // The same once more is no mistake: an answer may be lost. The contrary is one.
    said.push(outcome(subject, finish(&an_add())));
    said.push(outcome(subject, undo(&an_add())));
    said.push(folded(subject, &[1, 7]));
    assert_eq!(map(subject), left);
    said.push(folded(subject, &[1]));
    said.push(folded(subject, &[1]));
    said.push(map(subject));
    assert_holds(subject, &[]);
    said
}
