//! Scenes that every backend and the fake go through: the same orders, faults and restarts, after which
//! all must have answered alike and hold the same. What is tested with the fake elsewhere rests on this.

mod faults;
mod moves;
mod orders;
mod restarts;

use std::path::PathBuf;
use std::time::Duration;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::AdoptedStage;
use tier_core::units::{MoveId, VolumeRegion};
use tier_core::volume::Extent;
use tier_sys::block::BlockError;
use tier_tests::disk::{Answer, Answers, RunningDisk};
use tier_tests::io::{Pending, fill, read, wait_until};
use tierd::backend::fake::{FakeBackend, FakeIoError};
use tierd::backend::settle::{Settle, Settled};
use tierd::backend::{Backend, BackendError, DropOutcome, LegState};

use super::shape::{REGIONS, extents, region_offset};

/// Longer than anything takes that is not parked.
const LONG: Duration = Duration::from_mins(4);
/// For so long nothing must become of what is parked.
const PARKED: Duration = Duration::from_millis(500);
const REGION: usize = 1 << 20;
const WRITES_HANG: Answers = Answers {
    write: Answer::Hang,
    ..Answers::GOOD
};

/// A scene, by name.
type Scene = (&'static str, fn(&mut dyn Subject) -> Vec<String>);

const SCENES: [Scene; 10] = [
    ("moves", moves::to_and_fro),
    (
        "orders that contradict what is there",
        orders::contradicting,
    ),
    ("orders about what is not there", orders::about_nothing),
    ("orders that come too early or twice", orders::untimely),
    (
        "a target that fails after the copy",
        faults::target_after_copy,
    ),
    (
        "a source that fails after the copy",
        faults::source_after_copy,
    ),
    ("a target that fails in the copy", faults::target_in_copy),
    ("a source that fails in the copy", faults::source_in_copy),
    ("moves that are settled", restarts::settled_by_the_record),
    ("moves that the record contradicts", restarts::contradicted),
];

/// A backend on which data can be read and written a region at a time, and whose members can fail.
pub(crate) trait Subject {
    fn backend(&mut self) -> &mut dyn Backend;
    /// Ends what moves by this record, as happens when no daemon comes back.
    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError>;
    /// Stops the volume, on which nothing moves, and starts it by this record.
    fn start_again(&mut self, record: &[Extent]);
    /// Writes all of a region; whether that succeeded.
    fn write(&mut self, region: u32, value: u8) -> bool;
    /// The same; it must not be answered.
    fn write_parked(&mut self, region: u32, value: u8);
    /// Whether what was parked succeeded, once it is answered.
    fn is_resumed(&mut self) -> bool;
    /// What all of a region holds; none if it cannot be read.
    fn read(&mut self, region: u32) -> Option<u8>;
    /// Waits until a move has copied all, or a leg has failed.
    fn copy(&mut self, id: MoveId);
    /// All that a member is asked for fails, or no longer does.
    fn set_gone(&mut self, member: u16, is_gone: bool);
    /// Member 1 answers no write, so that nothing is copied to it; or it goes on.
    fn set_hung(&mut self, is_hung: bool);
}

/// Plays all scenes to both, and compares what they say.
#[allow(
    clippy::print_stderr,
    reason = "the guest's console then shows which scene was the last one"
)]
pub(crate) fn play(subject: &mut dyn Subject, fake: &mut dyn Subject) {
    for (name, scene) in SCENES {
        eprintln!("scene: {name}");
        let (here, there) = (perform(subject, scene), perform(fake, scene));
        assert_eq!(here, there, "{name}");
    }
}

fn perform(subject: &mut dyn Subject, scene: fn(&mut dyn Subject) -> Vec<String>) -> Vec<String> {
    subject.start_again(&extents());
    for region in 0..REGIONS {
        assert!(subject.write(region, original(region)));
    }
    let said = scene(subject);
    for member in [0, 1] {
        subject.set_gone(member, false);
    }
    assert!(
        subject.backend().read_back().unwrap().moves.is_empty(),
        "it ends"
    );
    said
}

/// What a region holds when a scene begins.
fn original(region: u32) -> u8 {
    u8::try_from(region).unwrap() + 1
}

/// Sees that each region holds what it did at first, but for these.
fn assert_holds(subject: &mut dyn Subject, changed: &[(u32, u8)]) {
    for region in 0..REGIONS {
        let change = changed.iter().find(|(at, _)| *at == region);
        let wanted = change.map_or(original(region), |(_, value)| *value);
        assert_eq!(subject.read(region), Some(wanted), "region {region}");
    }
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
    let added = until_in_time(|| subject.backend().add_legs(adds));
    answer(added.map(|added| {
        let copies = added.copies.into_iter();
        let begun = copies.map(|(id, copy)| (id, answer(copy.map(|hold| hold.moves))));
        (added.hold.moves, begun.collect::<Vec<_>>())
    }))
}

fn outcome(subject: &mut dyn Subject, drop: DropLeg) -> String {
    let dropped = until_in_time(|| subject.backend().drop_leg(drop));
    answer(dropped.map(|outcome| match outcome {
        DropOutcome::Dropped(_) => "dropped",
        DropOutcome::Refused(_) => "refused",
    }))
}

fn folded(subject: &mut dyn Subject, moves: &[u64]) -> String {
    let moves: Vec<_> = moves.iter().copied().map(MoveId).collect();
    let folded = until_in_time(|| subject.backend().set_map(&moves));
    answer(folded.map(|hold| hold.moves))
}

/// Gives an order again as long as it takes too long, as the engine does: a busy machine is slow.
fn until_in_time<T>(mut order: impl FnMut() -> Result<T, BackendError>) -> Result<T, BackendError> {
    let mut outcome = order();
    wait_until("an order is carried out", LONG, || match &outcome {
        Err(error) if error.is_transient() => {
            outcome = order();
            false
        }
        _ => true,
    });
    outcome
}

/// Which legs of a move live.
fn legs(subject: &mut dyn Subject, id: u64) -> String {
    answer(
        subject
            .backend()
            .leg_state(MoveId(id))
            .map(|state| match state {
                LegState::Mirror(state) => Some((state.source_alive, state.target_alive)),
                LegState::Linear => None,
            }),
    )
}

/// The map, without what may differ: counts of chunks.
fn map(subject: &mut dyn Subject) -> String {
    let map = subject.backend().read_back().unwrap();
    let stage = |stage| match stage {
        AdoptedStage::Mirror(_) => None,
        AdoptedStage::Linear(leg) => Some(leg),
    };
    let shown = map.moves.iter().map(|found| {
        let legs = (found.source, found.target);
        (found.id, found.first, found.count, legs, stage(found.stage))
    });
    format!("{:?} {:?}", map.direct, shown.collect::<Vec<_>>())
}

impl Subject for FakeBackend {
    fn backend(&mut self) -> &mut dyn Backend {
        self
    }

    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        Settle::settle(self, record)
    }

    fn start_again(&mut self, record: &[Extent]) {
        FakeBackend::start_again(self, record).unwrap();
    }

    fn write(&mut self, region: u32, value: u8) -> bool {
        let written = FakeBackend::write(self, VolumeRegion(region), value.into());
        assert_ne!(written, Err(FakeIoError::Parked));
        written.is_ok()
    }

    fn write_parked(&mut self, region: u32, value: u8) {
        let written = FakeBackend::write(self, VolumeRegion(region), value.into());
        assert_eq!(written, Err(FakeIoError::Parked));
    }

    fn is_resumed(&mut self) -> bool {
        self.parked() == 0
    }

    fn read(&mut self, region: u32) -> Option<u8> {
        let value = FakeBackend::read(self, VolumeRegion(region)).ok()?;
        Some(value.try_into().unwrap())
    }

    fn copy(&mut self, id: MoveId) {
        FakeBackend::copy(self, id, usize::MAX);
    }

    fn set_gone(&mut self, member: u16, is_gone: bool) {
        self.set_failing(tier_core::units::MemberIndex(member), is_gone);
    }

    fn set_hung(&mut self, _is_hung: bool) {
        // It copies only when it is told to.
    }
}

/// A volume that is served on two disks.
pub(crate) trait Running {
    fn backend(&mut self) -> &mut dyn Backend;
    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError>;
    fn start_again(&mut self, record: &[Extent]);
    fn path(&self) -> PathBuf;
    fn disks(&self) -> &[RunningDisk; 2];
}

/// One that scenes are played to.
pub(crate) struct OnDisks<R> {
    pub(crate) running: R,
    parked: Option<Pending<Result<(), BlockError>>>,
}

impl<R> OnDisks<R> {
    pub(crate) const fn new(running: R) -> Self {
        let parked = None;
        Self { running, parked }
    }
}

impl<R: Running> OnDisks<R> {
    /// Begins to write all of a region.
    fn begin_to_write(&self, region: u32, value: u8) -> Pending<Result<(), BlockError>> {
        let path = self.running.path();
        Pending::start(move || fill(&path, region_offset(region), REGION, value))
    }
}

impl<R: Running> Subject for OnDisks<R> {
    fn backend(&mut self) -> &mut dyn Backend {
        self.running.backend()
    }

    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        self.running.settle(record)
    }

    fn start_again(&mut self, record: &[Extent]) {
        self.running.start_again(record);
    }

    fn write(&mut self, region: u32, value: u8) -> bool {
        let written = self.begin_to_write(region, value).within(LONG);
        written.expect("an answer").is_ok()
    }

    fn write_parked(&mut self, region: u32, value: u8) {
        let write = self.begin_to_write(region, value);
        write.assert_parked_for(PARKED);
        self.parked = Some(write);
    }

    fn is_resumed(&mut self) -> bool {
        let write = self.parked.take().expect("a write was parked");
        write.within(LONG).expect("the write goes on").is_ok()
    }

    fn read(&mut self, region: u32) -> Option<u8> {
        let path = self.running.path();
        let data = Pending::start(move || read(&path, region_offset(region), REGION));
        let data = data.within(LONG).expect("an answer").ok()?;
        let is_whole = data.iter().all(|byte| *byte == data[0]);
        assert!(is_whole, "region {region} is torn");
        Some(data[0])
    }

    fn copy(&mut self, id: MoveId) {
        wait_until("the copy has ended", LONG, || {
            match self.backend().leg_state(id).unwrap() {
                LegState::Mirror(state) => {
                    state.is_complete() || !(state.source_alive && state.target_alive)
                }
                LegState::Linear => panic!("move {id} is linear"),
            }
        });
    }

    fn set_gone(&mut self, member: u16, is_gone: bool) {
        let answers = if is_gone {
            Answers::GONE
        } else {
            Answers::GOOD
        };
        self.running.disks()[usize::from(member)].answer(answers);
    }

    fn set_hung(&mut self, is_hung: bool) {
        let answers = if is_hung { WRITES_HANG } else { Answers::GOOD };
        self.running.disks()[1].answer(answers);
    }
}
