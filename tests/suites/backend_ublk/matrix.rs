//! Each leg of a move fails in each way at each stage, beneath requests; and somebody decides as the
//! engine does.
//!
//! Whatever happens: a request is answered; one that fails says so, and only a leg that is kept makes it
//! fail; what is read is right; and what was acknowledged is there at the end.

use std::time::Instant;

use tier_core::command::AddLeg;
use tier_core::event::{Kept, LegFault};
use tier_core::policy::TrialPolicy;
use tier_sys::block::BlockError;
use tier_tests::disk::{Answer, Answers, Disk, RunningDisk, Speed};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill, flush, read};
use tier_tests::test_name;

use super::faults::ID;
use super::shape::{MEMBER_BYTES, REGIONS, an_add, extent, finish, leg, region_offset, undo};
use super::trial::{staying, tried};
use super::*;

/// How far a move is when it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Copies,
    ReadsBack,
    Reads,
    Writes,
    Complete,
}

const STAGES: [Stage; 5] = [
    Stage::Copies,
    Stage::ReadsBack,
    Stage::Reads,
    Stage::Writes,
    Stage::Complete,
];

/// What happens to a leg's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    RefusesReads,
    RefusesWrites,
    RefusesFlushes,
    IsSlow,
    Hangs,
    Gone,
    /// Gone, and there again a moment later.
    Back,
}

const WAYS: [Way; 7] = [
    Way::RefusesReads,
    Way::RefusesWrites,
    Way::RefusesFlushes,
    Way::IsSlow,
    Way::Hangs,
    Way::Gone,
    Way::Back,
];

const SLOW: Speed = Speed::Flash {
    latency: Duration::from_millis(40),
    bytes_per_second: 1 << 30,
};
/// For which a disk is gone, or hangs, that is there again.
const MOMENT: Duration = Duration::from_millis(150);
/// Within which a fault is seen that is met at all.
const ENOUGH: Duration = Duration::from_millis(600);
/// What is in the regions that move, and what is written to one of them while it happens.
const OLD: u8 = 3;
const NEW: u8 = 9;

impl Stage {
    fn policy(self, way: Way) -> TrialPolicy {
        let policy = match self {
            // A copy of a second and more, and as long to read it back.
            Self::Copies | Self::ReadsBack => TrialPolicy {
                copy_bytes_per_second: 2 << 20,
                ..TrialPolicy::default()
            },
            Self::Reads => staying(Trial::Reads(100)),
            Self::Writes => staying(Trial::Writes(100)),
            Self::Complete => TrialPolicy::default(),
        };
        let hang_millis = if way == Way::Hangs {
            2_000
        } else {
            policy.hang_millis
        };
        TrialPolicy {
            hang_millis,
            ..policy
        }
    }

    fn is_reached(self, state: &MirrorState) -> bool {
        match (self, state.trial) {
            (Self::Copies, _) => state.in_sync_chunks > 0,
            (Self::ReadsBack, Some(Trial::ReadsBack(_)))
            | (Self::Reads, Some(Trial::Reads(_)))
            | (Self::Writes, Some(Trial::Writes(_))) => true,
            (Self::Complete, _) => state.is_complete(),
            _ => false,
        }
    }
}

impl Way {
    const fn answers(self) -> Answers {
        let good = Answers::GOOD;
        match self {
            Self::RefusesReads => Answers {
                read: Answer::Fail,
                ..good
            },
            Self::RefusesWrites => Answers {
                write: Answer::Fail,
                ..good
            },
            Self::RefusesFlushes => Answers {
                flush: Answer::Fail,
                ..good
            },
            Self::IsSlow => good,
            Self::Hangs => Answers::HUNG,
            Self::Gone | Self::Back => Answers::GONE,
        }
    }

    fn strike(self, disk: &RunningDisk) {
        if self == Self::IsSlow {
            disk.set_speed(SLOW);
        }
        disk.answer(self.answers());
    }

    /// Whether a target that this happens to is seen to be bad, whatever the stage.
    const fn must_be_seen(self) -> bool {
        matches!(
            self,
            Self::RefusesWrites | Self::RefusesFlushes | Self::Hangs | Self::Gone
        )
    }
}

fn heal(disk: &RunningDisk) {
    disk.set_speed(Speed::Full);
    disk.answer(Answers::GOOD);
}

#[test]
fn whatever_fails_whenever_it_does_loses_nothing_that_was_acknowledged() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(15))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            for stage in STAGES {
                for way in WAYS {
                    for struck in [Kept::Source, Kept::Target] {
                        println!("{stage:?}: the {struck:?} {way:?}");
                        one(&disks, stage, way, struck);
                    }
                }
            }
        })
        .run();
}

fn one(disks: &[RunningDisk; 2], stage: Stage, way: Way, struck: Kept) {
    let [source, target] = disks;
    let disk = if struck == Kept::Source {
        source
    } else {
        target
    };
    // All of it on one member: so the other is nothing but a target.
    let all = [extent(0, REGIONS, leg(0, 0))];
    let mut rig = Rig::of([source.path(), target.path()], &all);
    let path = rig.path();
    fill(&path, region_offset(2), 3 << 20, OLD).unwrap();
    let add = tried(an_add(), stage.policy(way), false);
    rig.backend.add_legs(&[add]).unwrap();
    wait_until("the stage is reached", LONG, || {
        let mirror = rig.state(ID);
        assert!(mirror.is_well(), "{mirror:?}");
        stage.is_reached(&mirror)
    });
    way.strike(disk);
    let asked = Asked::start(&path);
    if way == Way::Back || way == Way::Hangs && struck == Kept::Source {
        std::thread::sleep(MOMENT);
        heal(disk);
    }
    let must_be_seen = way.must_be_seen() && struck == Kept::Target;
    let mirror = seen(&mut rig, must_be_seen);
    let (kept, fault) = (decide(&mut rig, &add, mirror), mirror.fault);
    if way == Way::Hangs {
        heal(disk);
    }
    let said = format!("{stage:?}: the {struck:?} {way:?}: {kept:?} is kept, {fault:?}");
    assert!(!matches!(fault, Some(LegFault::Differs { .. })), "{said}");
    if must_be_seen {
        assert!(fault.is_some() && kept == Kept::Source, "{said}");
    }
    let answers = asked.answers();
    if kept != struck || way == Way::IsSlow {
        answers.read.as_ref().expect(&said);
        answers.written.as_ref().expect(&said);
    }
    if let Ok(read) = answers.read {
        assert!(read.iter().all(|byte| *byte == OLD), "{said}");
    }
    heal(disk);
    wait_until("the move is forgotten", LONG, || {
        rig.backend.set_map(&[ID]).is_ok()
    });
    let found = read(&path, region_offset(3), 4096).expect(&said);
    // What failed may be there all the same.
    let may_be_old = answers.written.is_err() && found == [OLD; 4096];
    assert!(may_be_old || found == [NEW; 4096], "{said}");
    assert_filled(&path, region_offset(2), 1 << 20, OLD);
    assert_filled(&path, region_offset(3) + 4096, (2 << 20) - 4096, OLD);
    flush(&path).expect(&said);
    rig.stop();
}

/// How the move stands once a fault was seen; or a while after it happened, if none need be.
fn seen(rig: &mut Rig, must_be: bool) -> MirrorState {
    let begins = Instant::now();
    let limit = if must_be { LONG } else { ENOUGH };
    loop {
        let state = rig.state(ID);
        if !state.is_well() || begins.elapsed() > limit {
            return state;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Ends the move as the engine does, as far as its target does not hang.
fn decide(rig: &mut Rig, add: &AddLeg, state: MirrorState) -> Kept {
    let has_all = state.in_sync_chunks == state.total_chunks;
    let is_moved = !state.source_alive && state.target_alive && has_all;
    let (kept, drop) = if is_moved {
        (Kept::Target, finish(add))
    } else {
        (Kept::Source, undo(add))
    };
    let dropped = rig.backend.drop_leg(DropLeg {
        require_complete: false,
        ..drop
    });
    match dropped {
        Ok(DropOutcome::Dropped(_)) => {}
        Ok(refused) => panic!("{refused:?}: {state:?}"),
        Err(error) => assert!(error.is_transient(), "{error}"),
    }
    kept
}

/// Requests to what moves, all at once.
struct Asked {
    read: Pending<Result<Vec<u8>, BlockError>>,
    write: Pending<Result<(), BlockError>>,
}

struct Answered {
    read: Result<Vec<u8>, BlockError>,
    written: Result<(), BlockError>,
}

impl Asked {
    fn start(path: &Path) -> Self {
        let (reads, writes) = (path.to_owned(), path.to_owned());
        Self {
            read: Pending::start(move || read(&reads, region_offset(2) + 65536, 8192)),
            write: Pending::start(move || {
                let written = fill(&writes, region_offset(3), 4096, NEW);
                // Tells of a leg that cannot; the write is acknowledged whatever it says.
                let _ = flush(&writes);
                written
            }),
        }
    }

    fn answers(&self) -> Answered {
        Answered {
            read: self.read.within(LONG).expect("the read is answered"),
            written: self.write.within(LONG).expect("the write is answered"),
        }
    }
}
