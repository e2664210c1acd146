//! What becomes of moves when who ordered them does not come back, and of the volume after that.

use tier_core::units::MoveId;
use tier_core::volume::Extent;

use super::super::shape::{add, an_add, extent, extents, leg};
use super::{Subject, added, answer, assert_holds, folded, map};

/// The record of which the first move's target is the home.
fn committed() -> [Extent; 4] {
    [
        extent(0, 2, leg(0, 0)),
        extent(2, 3, leg(1, 9)),
        extent(5, 3, leg(0, 5)),
        extent(8, 8, leg(1, 0)),
    ]
}

fn settled(subject: &mut dyn Subject, record: &[Extent]) -> String {
    let settled = subject.settle(record);
    answer(settled.map(|settled| {
        let failed = settled.failed.into_iter();
        let failed = failed.map(|(id, error)| (id, answer::<()>(Err(error))));
        let asked = settled.needs_commit.iter().map(|one| one.found.id);
        let asked: Vec<_> = asked.collect();
        (settled.dropped, asked, failed.collect::<Vec<_>>())
    }))
}

/// One move is committed and one is not; both end on their homes, and stay there.
pub(super) fn settled_by_the_record(subject: &mut dyn Subject) -> Vec<String> {
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    said.push(added(subject, &[add(2, 5, 2, leg(0, 5), leg(1, 13))]));
    assert!(subject.write(3, 33), "on both legs");
    assert!(
        subject.write(6, 66),
        "on the source, and perhaps the target"
    );
    // Whether or not it has copied all.
    said.push(settled(subject, &committed()));
    said.push(map(subject));
    said.push(settled(subject, &committed()));
    said.push(folded(subject, &[1, 2]));
    assert_holds(subject, &[(3, 33), (6, 66)]);
    subject.start_again(&committed());
    said.push(map(subject));
    assert_holds(subject, &[(3, 33), (6, 66)]);
    said
}

/// A record that has the data on neither leg ends nothing.
pub(super) fn contradicted(subject: &mut dyn Subject) -> Vec<String> {
    let mut said = vec![added(subject, &[an_add()])];
    subject.copy(MoveId(1));
    let begun = map(subject);
    let mut record = committed();
    record[1] = extent(2, 3, leg(1, 11));
    said.push(settled(subject, &record));
    assert_eq!(map(subject), begun);
    said.push(settled(subject, &extents()));
    said.push(folded(subject, &[1]));
    said.push(map(subject));
    assert_holds(subject, &[]);
    said
}
