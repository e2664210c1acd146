//! One sequence of orders, given to each backend and to the fake: they must answer alike. What is
//! tested with the fake elsewhere rests on this.

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::AdoptedStage;
use tier_core::units::{MoveId, VolumeRegion};
use tierd::backend::fake::FakeBackend;
use tierd::backend::{Backend, BackendError, DropOutcome};

use super::shape::{REGIONS, add, an_add, finish, leg, undo};

/// A backend with content that can be read and written a region at a time, and a copy that can be
/// waited for.
pub(crate) trait Subject {
    fn backend(&mut self) -> &mut dyn Backend;
    fn write(&mut self, region: u32, value: u8);
    fn read(&mut self, region: u32) -> u8;
    fn complete(&mut self, id: MoveId);
}

impl Subject for FakeBackend {
    fn backend(&mut self) -> &mut dyn Backend {
        self
    }

    fn write(&mut self, region: u32, value: u8) {
        FakeBackend::write(self, VolumeRegion(region), value.into()).unwrap();
    }

    fn read(&mut self, region: u32) -> u8 {
        FakeBackend::read(self, VolumeRegion(region))
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn complete(&mut self, id: MoveId) {
        self.copy(id, usize::MAX);
    }
}

/// What a subject answered, with everything left out that may differ: times, counts of chunks.
pub(crate) fn transcript(subject: &mut dyn Subject) -> Vec<String> {
    let mut said = Vec::new();
    for region in 0..REGIONS {
        subject.write(region, u8::try_from(region).unwrap() + 1);
    }
    let adds = [an_add(), add(2, 9, 2, leg(1, 1), leg(0, 8))];
    said.push(added(subject, &adds));
    said.push(added(subject, &[an_add()]));
    said.push(added(subject, &[add(3, 0, 1, leg(0, 0), leg(1, 10))]));
    said.push(answer(
        subject
            .backend()
            .set_map(&[MoveId(1)])
            .map(|hold| hold.moves),
    ));
    said.push(map(subject));
    subject.write(3, 33);
    subject.complete(MoveId(1));
    subject.complete(MoveId(2));
    subject.write(4, 44);
    said.push(map(subject));
    said.push(outcome(subject, finish(&an_add())));
    said.push(outcome(subject, finish(&an_add())));
    said.push(outcome(subject, undo(&an_add())));
    said.push(outcome(subject, undo(&adds[1])));
    said.push(outcome(subject, undo(&add(9, 2, 3, leg(0, 2), leg(1, 9)))));
    said.push(map(subject));
    subject.write(2, 22);
    subject.write(9, 99);
    said.push(answer(
        subject
            .backend()
            .set_map(&[MoveId(1), MoveId(2)])
            .map(|hold| hold.moves),
    ));
    said.push(map(subject));
    said.push(format!(
        "{:?}",
        (0..REGIONS).map(|at| subject.read(at)).collect::<Vec<_>>()
    ));
    said
}

fn answer<T: std::fmt::Debug>(answer: Result<T, BackendError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        // The kind of error must agree; what it says of devices need not.
        Err(error) => format!("{error:?}")
            .chars()
            .take_while(|c| c.is_alphanumeric())
            .collect(),
    }
}

fn added(subject: &mut dyn Subject, adds: &[AddLeg]) -> String {
    let added = subject.backend().add_legs(adds);
    answer(added.map(|added| {
        let copies = added.copies.into_iter();
        let begun = copies.map(|(id, copy)| (id, answer(copy.map(|hold| hold.moves))));
        (added.hold.moves, begun.collect::<Vec<_>>())
    }))
}

fn outcome(subject: &mut dyn Subject, drop: DropLeg) -> String {
    answer(
        subject
            .backend()
            .drop_leg(drop)
            .map(|outcome| match outcome {
                DropOutcome::Dropped(_) => "dropped",
                DropOutcome::Refused(_) => "refused",
            }),
    )
}

fn map(subject: &mut dyn Subject) -> String {
    let map = subject.backend().read_back().unwrap();
    let moves: Vec<_> = map
        .moves
        .iter()
        .map(|found| {
            let stage = match found.stage {
                AdoptedStage::Mirror(_) => None,
                AdoptedStage::Linear(leg) => Some(leg),
            };
            (
                found.id,
                found.first,
                found.count,
                found.source,
                found.target,
                stage,
            )
        })
        .collect();
    format!("{:?} {moves:?}", map.direct)
}
