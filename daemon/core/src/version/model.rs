//! Legs that come and go, against what was promised of them.
//!
//! A world of disks with caches, of which some hold replicas of the record and some legs of one
//! extent, and a host that runs with those that are plugged in, by the protocol of [`super`].
//! Beside it, and unknown to it, stands what is true: which acknowledged writes and flushes each
//! leg was part of, which values each block may have, which turns each leg took part in. Held
//! against that, at every start and at every read:
//!
//!  1. No leg that is called current lacks what was acknowledged, as far as any record that is
//!     there can tell; those that are current hold the same.
//!  2. What is to be copied to a stale leg covers every block that differs.
//!  3. Versions stand to one another as the sets of turns do, exactly; and a leg that is as new as
//!     another took part in all that was acknowledged to that one. A conflict is told of if, and
//!     only if, two sides took turns of their own; an extent that can be served is.
//!  4. When all disks are back and a person has chosen, all legs become equal by copying.
//!  5. Versions name no member without a leg then.
//!
//! Every [`Mistake`] in the protocol must be seen by this within [`CANARY_RUNS`] runs.

mod copy;
mod host;
mod start;
mod steps;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::units::MemberRegion;
use crate::volume::Leg;
use host::Host;
use steps::{Step, steps};

/// Blocks of the extent.
pub(crate) const BLOCKS: usize = 5;
/// Most disks that ever are.
const DISKS_MAX: usize = 7;
/// Runs within which each mistake must be seen.
const CANARY_RUNS: u32 = 12_000;

/// A mistake in the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// A write is acknowledged without a leg before the turn.
    WriteBeforeTurn,
    /// A flush is.
    FlushBeforeTurn,
    /// After an unclean stop a leg is read before the turn.
    ReadBeforeTurn,
    /// A leg that was away is taken back as it is, though something was unflushed.
    TakenBackUnflushed,
    /// What is changed since a leg left begins with nothing.
    BeginsEmpty,
    /// A write is not noted as changed.
    NotNoted,
    /// A start takes what was stopped uncleanly for clean.
    AnyStopIsClean,
    /// A leg takes over a version with a block left to copy.
    DoneEarly,
    /// A leg takes over a version before it is flushed.
    DoneUnflushed,
    /// That a leg is being written over is not recorded.
    TearNotRecorded,
    /// The leg that a person keeps knows nothing of the other sides.
    KeptWithoutJoin,
    /// Turns are counted on from epoch to epoch.
    OneEpoch,
    /// A start looks at the legs that are there, and at no record of others.
    MissingUnknown,
    /// A leg is given up and the others take no turn.
    RemovedWithoutTurn,
    /// Those that serve without a leg that is known to be stale take no turn in a new epoch.
    NoTurnInNewEpoch,
}

impl Mistake {
    const ALL: [Self; 15] = [
        Self::WriteBeforeTurn,
        Self::FlushBeforeTurn,
        Self::ReadBeforeTurn,
        Self::TakenBackUnflushed,
        Self::BeginsEmpty,
        Self::NotNoted,
        Self::AnyStopIsClean,
        Self::DoneEarly,
        Self::DoneUnflushed,
        Self::TearNotRecorded,
        Self::KeptWithoutJoin,
        Self::OneEpoch,
        Self::MissingUnknown,
        Self::RemovedWithoutTurn,
        Self::NoTurnInNewEpoch,
    ];
}

/// What is durable of the extent, on one replica.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    /// Numbers and ids of epochs; the last is the newest.
    line: Vec<(u64, u32)>,
    /// The disks of the newest.
    with: BTreeSet<usize>,
    revision: u64,
    versions: Versions,
    /// True: the turns of each leg. The code that is tried does not see them.
    turns: BTreeMap<MemberIndex, BTreeSet<u32>>,
    /// Disks whose leg was given up.
    gone: BTreeSet<usize>,
    /// Whether writes may be under way.
    open: bool,
    differences: Differences,
}

impl Record {
    fn epoch(&self) -> (u64, u32) {
        *self.line.last().expect("there is always one")
    }

    fn legs(&self) -> Vec<Leg> {
        self.versions.legs().iter().map(|held| held.leg).collect()
    }

    fn knows(&self, epoch: u32) -> bool {
        self.line.iter().any(|&(_, id)| id == epoch)
    }
}

/// A device with a cache.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    /// Whether it can hold a replica.
    has_area: bool,
    replica: Option<Record>,
    /// The epoch in its label.
    label: u32,
    durable: [u32; BLOCKS],
    cache: [Vec<u32>; BLOCKS],
    /// True: the acknowledged writes and flushes that its leg was part of.
    heard: BTreeSet<u32>,
    /// True: the values that each block may have.
    allowed: [Vec<u32>; BLOCKS],
}

impl Disk {
    fn new(has_area: bool, label: u32) -> Self {
        Self {
            has_area,
            replica: None,
            label,
            durable: [0; BLOCKS],
            cache: Default::default(),
            heard: BTreeSet::new(),
            allowed: std::array::from_fn(|_| vec![0]),
        }
    }

    fn block(&self, block: usize) -> u32 {
        let cached = self.cache[block].last().copied();
        cached.unwrap_or(self.durable[block])
    }

    fn blocks(&self) -> [u32; BLOCKS] {
        std::array::from_fn(|block| self.block(block))
    }

    fn flush(&mut self) {
        self.durable = self.blocks();
        self.cache = Default::default();
    }

    /// Of what is cached of a block, some of the last writes are lost, as the number says.
    fn lose_power(&mut self, loss: u32) {
        for (block, cache) in self.cache.iter_mut().enumerate() {
            let some = loss.rotate_left(5 * u32::try_from(block).expect("few")) as usize;
            cache.truncate(some % (cache.len() + 1));
        }
        self.flush();
    }
}

/// How often what was reached.
#[derive(Clone, Debug, Default)]
struct Seen(BTreeMap<&'static str, u32>);

#[derive(Clone, Debug)]
pub(crate) struct World {
    disks: Vec<Disk>,
    host: Option<Host>,
    /// True: what was acknowledged in each epoch and in those before it.
    acknowledged: BTreeMap<u32, BTreeSet<u32>>,
    /// True: turns during whose commit power went.
    not_acted_on: BTreeSet<u32>,
    /// What was handed out last: values, ids.
    last: u32,
    /// Whether a version was made shorter: then a conflict may be one too many.
    shortened: bool,
    mistake: Option<Mistake>,
    seen: Seen,
    /// A step that the protocol takes was refused.
    broken: Option<String>,
}

pub(crate) fn leg(disk: usize) -> Leg {
    Leg {
        member: MemberIndex(u16::try_from(disk).expect("few")),
        first: MemberRegion(0),
    }
}

pub(crate) fn disk_of(leg: Leg) -> usize {
    usize::from(leg.member.0)
}

impl World {
    /// Legs on disks 0 to 2, replicas on 0, 1 and 3.
    fn new(mistake: Option<Mistake>) -> Self {
        let legs = [leg(0), leg(1), leg(2)];
        let record = Record {
            line: vec![(1, 0)],
            with: (0..4).collect(),
            revision: 1,
            versions: Versions::new(&legs),
            turns: legs
                .iter()
                .map(|leg| (leg.member, BTreeSet::new()))
                .collect(),
            gone: BTreeSet::new(),
            open: false,
            differences: Differences::unknown(BLOCKS as u64),
        };
        let disks = [true, true, false, true].map(|has_area| Disk {
            replica: has_area.then(|| record.clone()),
            ..Disk::new(has_area, 0)
        });
        Self {
            disks: disks.to_vec(),
            host: None,
            acknowledged: BTreeMap::from([(0, BTreeSet::new())]),
            not_acted_on: BTreeSet::new(),
            last: 0,
            shortened: false,
            mistake,
            seen: Seen::default(),
            broken: None,
        }
    }

    fn next(&mut self) -> u32 {
        self.last += 1;
        self.last
    }

    fn errs(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn saw(&mut self, what: &'static str) {
        *self.seen.0.entry(what).or_default() += 1;
    }

    fn step(&mut self, step: Step) -> Result<(), String> {
        let Some(mut host) = self.host.take() else {
            if let Step::Start(mask) = step {
                let plugged = (0..self.disks.len()).filter(|disk| mask >> disk & 1 == 1);
                self.host = self.start(plugged.collect())?;
            }
            return Ok(());
        };
        let goes_on = match step {
            Step::Start(_) => true,
            Step::Write(block) => host.write(self, block),
            Step::Read(block, which) => host.read(self, block, which)?,
            Step::Flush => host.flush(self),
            Step::Fail(disk) => host.fail(disk),
            Step::Vanish(disk, loss) => host.vanish(self, disk, loss),
            Step::Plug(disk) => host.plug(self, disk),
            Step::Copy(disk, blocks) => host.copy(self, disk, blocks)?,
            Step::Stop => host.stop(self),
            Step::Kill => false,
            Step::Cut {
                block,
                legs,
                replicas,
                loss,
            } => host.cut(self, block, legs, replicas, loss),
            Step::Keep(which) => host.keep(self, which)?,
            Step::Replace(disk) => host.replace(self, disk),
            Step::Remove(disk, cut) => host.remove(self, disk, cut),
        };
        if goes_on {
            self.host = Some(host);
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// All disks are back, a person chooses, everything is copied.
    fn rest(&mut self) -> Result<(), String> {
        self.step(Step::Stop)?;
        self.step(Step::Kill)?;
        self.step(Step::Start(255))?;
        self.step(Step::Keep(0))?;
        for disk in 0..self.disks.len() {
            self.step(Step::Copy(disk, BLOCKS))?;
        }
        self.step(Step::Stop)?;
        self.step(Step::Start(255))?;
        let host = self.host.as_ref().ok_or("no start with every disk there")?;
        let legs = host.record.versions.legs();
        for held in legs {
            let (disk, first) = (
                &self.disks[disk_of(held.leg)],
                &self.disks[disk_of(legs[0].leg)],
            );
            if !held.whole || held.version != legs[0].version || disk.blocks() != first.blocks() {
                return Err(format!("the legs did not become equal: {legs:?}"));
            }
            if held.version.len() > legs.len() {
                return Err(format!("a version grew: {:?}", held.version));
            }
        }
        if host.serving.len() == legs.len() {
            Ok(())
        } else {
            Err("legs that were made equal do not all serve after a clean stop".to_owned())
        }
    }
}

fn run(steps: &[Step], mistake: Option<Mistake>) -> (Result<(), String>, Seen) {
    let mut world = World::new(mistake);
    let result = steps
        .iter()
        .try_for_each(|&step| world.step(step))
        .and_then(|()| world.rest());
    (result, world.seen)
}

/// 2000 unless said otherwise: `TIERD_VERSION_RUNS=100000 cargo test -p tier-core --release --lib version::`.
fn cases() -> u32 {
    let said = std::env::var("TIERD_VERSION_RUNS");
    said.map_or(2_000, |said| said.parse().expect("a number"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn legs_that_come_and_go_keep_what_was_promised(steps in steps()) {
        let (result, _) = run(&steps, None);
        prop_assert_eq!(result, Ok(()));
    }
}

/// One of some 36,000 runs, which was found before legs that are all there took a turn in each epoch.
#[test]
fn a_leg_that_was_given_up_here_and_kept_elsewhere_does_not_know_what_is_written_here_later() {
    use Step::{Copy, Fail, Keep, Remove, Replace, Start, Stop, Write};
    let mut steps = vec![Start(50), Fail(1), Start(89), Remove(1, None), Stop];
    steps.extend([
        Start(13),
        Write(0),
        Stop,
        Start(10),
        Keep(0),
        Stop,
        Start(5),
        Replace(1),
    ]);
    steps.extend((0..DISKS_MAX).map(|disk| Copy(disk, BLOCKS)));
    steps.extend([Write(0), Stop, Start(255)]);
    assert_eq!(run(&steps, None).0, Ok(()));
}

/// The same runs each time.
fn runs() -> impl Iterator<Item = Vec<Step>> {
    let mut runner = TestRunner::deterministic();
    let steps = steps();
    std::iter::repeat_with(move || steps.new_tree(&mut runner).expect("steps").current())
}

/// The model is only worth what it reaches.
#[test]
fn the_model_reaches_what_can_happen_to_legs() {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for steps in runs().take(3_000) {
        for (what, count) in run(&steps, None).1.0 {
            *seen.entry(what).or_default() += count;
        }
    }
    println!("{seen:?}");
    let wanted = [
        "a conflict",
        "a copy of no more than what changed",
        "a copy over what two sides changed",
        "a copy that was interrupted",
        "a leg is given up that may be as new",
        "a leg that is too old to serve",
        "a leg that may be newer",
        "a leg that was away and is as it was",
        "a removal that was forgotten",
        "a second conflict",
        "a shorter version",
        "a start after an unclean stop",
        "a turn that was forgotten",
        "a refused start",
    ];
    let missing: Vec<&str> = wanted
        .into_iter()
        .filter(|what| !seen.contains_key(what))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "{seen:?}");
}

#[test]
fn every_mistake_in_the_protocol_is_seen() {
    let mut unseen = Vec::new();
    for mistake in Mistake::ALL {
        let found = runs()
            .take(CANARY_RUNS as usize)
            .enumerate()
            .find_map(|(at, steps)| Some((at, run(&steps, Some(mistake)).0.err()?)));
        match found {
            Some((at, how)) => println!("{mistake:?} was seen in run {at}: {how}"),
            None => unseen.push(mistake),
        }
    }
    assert_eq!(unseen, Vec::new(), "not seen within {CANARY_RUNS} runs");
}
