//! Disks that fail at each step of a move, under a load that verifies: nothing acknowledged is
//! lost, good blocks are readable again within a second, and people are told why.
//!
//! The whole daemon runs, with its disks behind it. A fault comes while the daemon stands still at
//! the step (a stop point), or in the middle of the copy. What the disks lose for good is said by
//! each row of the tables; everything else must be there, at once and after the disk is well again.
//! How long good blocks could not be read is printed for each row (`--nocapture`), and bounded: so
//! each guest is alone on the machine.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]
#![allow(
    clippy::print_stdout,
    reason = "how long good blocks could not be read is a figure to look at"
)]

mod flushes;
mod metadata;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use tier_tests::disk::{Answer, Answers, Disk, RunningDisk, Speed, Spoil};
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{read, wait_until};
use tier_tests::outage::Outage;
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
const MIB: u64 = 1 << 20;

/// How soon good blocks must be readable again: the issue's own figure.
const READABLE_WITHIN: Duration = Duration::from_secs(1);
/// Longer than anything takes that comes to an end.
const LONG: Duration = Duration::from_secs(30);

/// Two small disks that carry the metadata, so that the disks that fail carry none.
const META_BYTES: u64 = 8 * MIB;
/// The disk that moves go to: 111 regions after its labels, 99 of them in the volume.
const SSD_BYTES: u64 = 112 * MIB;
/// The disk that moves come from: 31 regions after its labels, 27 of them in the volume.
const HDD_BYTES: u64 = 32 * MIB;
/// Where data begin on a disk without metadata.
const DATA_START: u64 = MIB;
/// First region of the volume that lies on the source.
const FIRST_ON_HDD: u64 = 4 + 99;
/// The regions that move: six, in the middle of the source.
const MOVED: std::ops::Range<u64> = FIRST_ON_HDD + 11..FIRST_ON_HDD + 17;
const MOVED_BYTES: u64 = (MOVED.end - MOVED.start) * MIB;
/// Where they begin on the source.
const ON_SOURCE: u64 = DATA_START + 11 * MIB;
/// Where the first free regions of the target begin.
const ON_TARGET: u64 = DATA_START + 99 * MIB;
/// Where a block goes bad in the regions that move: in the last chunk that is copied.
const BAD: u64 = 5 * MIB + MIB / 2 + 64 * 1024;

const VOLUME: &str = "/dev/tierd/v";
const STOPPED: &str = "/run/stopped";

/// Where in a move the fault comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Some chunks are in sync, and some are not.
    Copying,
    /// The copy is complete, and not flushed.
    Copied,
    /// The target is durably the home, and the mirror is still there.
    Committed,
    /// The extent is linear on its target, which the volume's own table does not say yet.
    Swapped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Source,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Reads,
    Writes,
    Flushes,
    BadBlock,
    Gone,
}

/// What cannot be read while the fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unreadable {
    Nothing,
    /// The bad block alone.
    BadBlock,
    /// All that moves: its only good disk is gone.
    Everything,
}

/// A fault, and what must come of it.
struct Case {
    step: Step,
    leg: Leg,
    fault: Fault,
    unreadable: Unreadable,
    /// `None` if the move is done; else the reasons of which people must be told one, in part.
    reasons: Option<&'static [&'static str]>,
}

impl Case {
    const fn done(step: Step, leg: Leg, fault: Fault) -> Self {
        Self {
            step,
            leg,
            fault,
            unreadable: Unreadable::Nothing,
            reasons: None,
        }
    }

    const fn failed(step: Step, leg: Leg, fault: Fault, reasons: &'static [&'static str]) -> Self {
        Self {
            reasons: Some(reasons),
            ..Self::done(step, leg, fault)
        }
    }

    /// The copy itself does not meet such a fault, and a write does only where the legs are in sync
    /// already: the copy may be complete before the mirror knows. Then the move is done.
    fn may_be_met_too_late(&self) -> bool {
        (self.step, self.leg, self.fault) == (Step::Copying, Leg::Source, Fault::Writes)
    }

    const fn unreadable(self, unreadable: Unreadable) -> Self {
        Self { unreadable, ..self }
    }
}

const SOURCE: &str = "its source failed, on member 3 from region 11 on: ";
const TARGET: &str = "its target failed, on member 2 from region 99 on: ";
const FLUSH: &str = "its target on member 2 could not be flushed: cannot make /dev/nbd";
/// The flush or a write of the load meets the fault first.
const TARGET_OR_FLUSH: &[&str] = &[TARGET, FLUSH];

#[test]
fn a_source_that_fails_in_the_copy_is_kept_for_its_good_blocks() {
    let case = |fault| Case::failed(Step::Copying, Leg::Source, fault, &[SOURCE]);
    guest_of(
        test_name!(),
        &[
            case(Fault::Writes),
            case(Fault::BadBlock).unreadable(Unreadable::BadBlock),
            case(Fault::Reads).unreadable(Unreadable::Everything),
            case(Fault::Gone).unreadable(Unreadable::Everything),
        ],
    );
}

#[test]
fn a_target_that_fails_in_the_copy_is_given_up() {
    let case = |fault| Case::failed(Step::Copying, Leg::Target, fault, &[TARGET]);
    guest_of(
        test_name!(),
        &[
            case(Fault::Writes),
            case(Fault::BadBlock),
            case(Fault::Gone),
            Case::failed(Step::Copying, Leg::Target, Fault::Flushes, &[FLUSH]),
        ],
    );
}

#[test]
fn a_source_that_fails_after_the_copy_is_left_for_the_target() {
    let case = |fault| Case::done(Step::Copied, Leg::Source, fault);
    guest_of(
        test_name!(),
        &[
            case(Fault::Reads),
            case(Fault::Writes),
            case(Fault::BadBlock),
            case(Fault::Gone),
        ],
    );
}

#[test]
fn a_target_that_fails_after_the_copy_is_given_up() {
    let case = |fault| Case::failed(Step::Copied, Leg::Target, fault, &[TARGET]);
    guest_of(
        test_name!(),
        &[
            case(Fault::Writes),
            Case::failed(Step::Copied, Leg::Target, Fault::Gone, TARGET_OR_FLUSH),
            Case::failed(Step::Copied, Leg::Target, Fault::Flushes, &[FLUSH]),
        ],
    );
}

#[test]
fn a_leg_that_fails_after_the_commit_is_dropped_whichever_it_is() {
    guest_of(
        test_name!(),
        &[
            Case::done(Step::Committed, Leg::Source, Fault::Gone),
            Case::done(Step::Committed, Leg::Source, Fault::Writes),
            Case::failed(Step::Committed, Leg::Target, Fault::Writes, &[TARGET]),
            Case::failed(Step::Committed, Leg::Target, Fault::Gone, &[TARGET]),
        ],
    );
}

#[test]
fn after_the_swap_the_source_is_not_missed_and_the_target_serves_what_it_can() {
    let target = |fault| Case::done(Step::Swapped, Leg::Target, fault);
    guest_of(
        test_name!(),
        &[
            Case::done(Step::Swapped, Leg::Source, Fault::Gone),
            target(Fault::BadBlock).unreadable(Unreadable::BadBlock),
            target(Fault::Gone).unreadable(Unreadable::Everything),
        ],
    );
}

/// Runs the cases one after the other in one guest, each on disks and a volume of its own.
fn guest_of(test: String, cases: &[Case]) {
    Guest::uml(test)
        .alone()
        .deadline(Duration::from_mins(4))
        .phase(|guest| {
            for (number, case) in cases.iter().enumerate() {
                fails_as_planned(guest, number, case);
            }
        })
        .run();
}

/// Four disks: two for the metadata, the target and the source.
struct Disks {
    meta: [RunningDisk; 2],
    ssd: RunningDisk,
    hdd: RunningDisk,
}

impl Disks {
    fn start(guest: &Inside, number: usize) -> Self {
        let disk = |name: &str, bytes| {
            let image = guest.file(&format!("{number}-{name}"));
            Disk::new(image, bytes).start()
        };
        Self {
            meta: [disk("m0", META_BYTES), disk("m1", META_BYTES)],
            ssd: disk("ssd", SSD_BYTES),
            hdd: disk("hdd", HDD_BYTES),
        }
    }

    fn create(&self, daemon: &Daemon) {
        let [first, second] = &self.meta;
        daemon.create(
            "v",
            &[
                ("nvme", first.path()),
                ("nvme", second.path()),
                ("ssd", self.ssd.path()),
                ("hdd", self.hdd.path()),
            ],
        );
    }

    fn break_leg(&self, leg: Leg, fault: Fault) {
        let (disk, start) = match leg {
            Leg::Source => (&self.hdd, ON_SOURCE),
            Leg::Target => (&self.ssd, ON_TARGET),
        };
        let good = Answers::GOOD;
        match fault {
            Fault::Reads => disk.answer(Answers {
                read: Answer::Fail,
                ..good
            }),
            Fault::Writes => disk.answer(Answers {
                write: Answer::Fail,
                ..good
            }),
            Fault::Flushes => disk.answer(Answers {
                flush: Answer::Fail,
                ..good
            }),
            Fault::BadBlock => disk.spoil(start + BAD, 4096, Spoil::ForEver),
            Fault::Gone => disk.answer(Answers::GONE),
        }
    }

    /// The home of the first region that moves: (member, region on it), as the metadata say.
    fn home(&self, daemon: &Daemon) -> (u64, u64) {
        let nodes = [
            self.meta[0].node(),
            self.meta[1].node(),
            self.ssd.node(),
            self.hdd.node(),
        ];
        let dump = daemon.json(&[&["dump"][..], &nodes].concat());
        let extents = dump["metadata"]["extents"].as_array().unwrap().clone();
        let extent = extents
            .iter()
            .rfind(|extent| number(&extent["first"]) <= MOVED.start);
        let extent = extent.unwrap();
        let leg = &extent["legs"][0];
        let inside = MOVED.start - number(&extent["first"]);
        (number(&leg["member"]), number(&leg["first"]) + inside)
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn setting(guest: &Inside, step: Step) -> Setting<'_> {
    let setting = Setting::new(guest, Programs::beside(TIERD));
    let place = match step {
        Step::Copying => return setting,
        Step::Copied => "flush:before#1",
        Step::Committed => "commit:after#1",
        Step::Swapped => "drop_leg:after#1",
    };
    setting
        .environment("TIERD_STOP_AT", place)
        .environment("TIERD_STOP_HOW", "wait")
        .environment("TIERD_STOP_FILE", STOPPED)
}

/// Begins the move, and breaks a leg at the step.
fn move_and_break(daemon: &Daemon, disks: &Disks, case: &Case) {
    if case.step == Step::Copying {
        // Six seconds for six regions; the source answers as fast as ever. Not slower: what is
        // in flight then has to end before good blocks are readable again.
        disks.ssd.set_speed(Speed::Flash {
            latency: Duration::ZERO,
            bytes_per_second: MIB,
        });
    }
    let id = begin_move(daemon);
    if case.step == Step::Copying {
        let mirror = Device::named(&format!("tierd-v-mirror-{id}"));
        wait_until("a chunk is copied", LONG, || {
            mirror.is_live() && MirrorStatus::of(&mirror).in_sync > 0
        });
        let status = MirrorStatus::of(&mirror);
        assert!(status.in_sync < status.chunks, "too late: {status:?}");
    } else {
        wait_until("the daemon is at the step", LONG, || {
            Path::new(STOPPED).exists()
        });
    }
    disks.break_leg(case.leg, case.fault);
    if case.step == Step::Copied && case.leg == Leg::Source {
        wait_until("the mirror has met the fault", LONG, || {
            let block = MOVED.start * MIB + BAD;
            read(Path::new(VOLUME), block, 4096).unwrap();
            let mirror = Device::named(&format!("tierd-v-mirror-{id}"));
            !MirrorStatus::of(&mirror).health.starts_with('A')
        });
    }
    if case.step == Step::Copying {
        disks.ssd.set_speed(Speed::Full);
    } else {
        std::fs::remove_file(STOPPED).unwrap();
    }
}

/// Asks for the move, and gives its number.
fn begin_move(daemon: &Daemon) -> u64 {
    let range = format!("{}-{}", MOVED.start, MOVED.end - 1);
    let accepted = daemon.json(&["move", "v", "--regions", &range, "--to", "ssd"]);
    number(&accepted["moves"][0])
}

/// The newest move that has ended, once none is under way.
fn ended_move(daemon: &Daemon) -> Value {
    let begun = Instant::now();
    loop {
        let moves = daemon.json(&["moves", "v", "--history"]);
        let is_empty = |list: &str| moves[list].as_array().unwrap().is_empty();
        if is_empty("live") && is_empty("pending") && !is_empty("history") {
            return moves["history"][0].clone();
        }
        assert!(begun.elapsed() < LONG, "the move does not end: {moves}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn problems(daemon: &Daemon) -> String {
    daemon.json(&["status", "v"])["problems"].to_string()
}

fn fails_as_planned(guest: &Inside, number: usize, case: &Case) {
    let disks = Disks::start(guest, number);
    let daemon = setting(guest, case.step).run();
    disks.create(&daemon);
    let moving = Outage::start(Path::new(VOLUME), MOVED.start * MIB, MOVED_BYTES);
    let elsewhere = Outage::start(Path::new(VOLUME), 0, MIB);
    move_and_break(&daemon, &disks, case);
    let ended = ended_move(&daemon);
    let was_done = case.may_be_met_too_late() && ended["stage"] == "done";
    if !was_done {
        told_why(&daemon, case, &ended);
    }

    // Two rounds end: the first of them may have begun before the fault.
    let (writes, rounds) = (elsewhere.writes(), moving.rounds());
    wait_until(
        "the load goes on, and has looked at every block",
        LONG,
        || elsewhere.writes() > writes + 50 && moving.rounds() >= rounds + 2,
    );
    let (seen, acknowledged) = moving.stop();
    let (_, others) = elsewhere.stop();
    let (step, leg, fault) = (case.step, case.leg, case.fault);
    println!("{step:?}, {leg:?}, {fault:?}: {seen:?}");
    assert!(seen.writes > 0);
    assert!(
        seen.longest_outage < READABLE_WITHIN,
        "good blocks could not be read for {:?}",
        seen.longest_outage
    );
    let bad = BTreeSet::from([MOVED.start * MIB + BAD]);
    let lost = match case.unreadable {
        Unreadable::Nothing => BTreeSet::new(),
        Unreadable::BadBlock => bad,
        Unreadable::Everything => seen.unreadable.clone(),
    };
    assert_eq!(seen.unreadable, lost, "what cannot be read");
    assert_eq!(lost.is_empty(), case.unreadable == Unreadable::Nothing);

    // The disk is well again, but for its bad block.
    disks.ssd.answer(Answers::GOOD);
    disks.hdd.answer(Answers::GOOD);
    let gone_for_good = match case.unreadable {
        Unreadable::BadBlock => lost,
        _ => BTreeSet::new(),
    };
    acknowledged.verify(&gone_for_good).unwrap();
    others.verify(&BTreeSet::new()).unwrap();
    if case.reasons.is_some() && case.fault != Fault::BadBlock && !was_done {
        moves_elsewhere_now(&daemon, &disks, case);
    }
    daemon.must(&["volume", "stop", "v"]);
    daemon.must(&["volume", "start", "v"]);
    acknowledged.verify(&gone_for_good).unwrap();
    others.verify(&BTreeSet::new()).unwrap();
    daemon.must(&["volume", "stop", "v"]);
    daemon.must(&["volume", "destroy", "v", "--yes"]);
    assert_eq!(daemon.stop().code(), Some(0));
}

/// The move ended as it had to, and says why.
fn told_why(daemon: &Daemon, case: &Case, ended: &Value) {
    let Some(reasons) = case.reasons else {
        assert_eq!(ended["stage"], "done", "{ended}");
        if case.leg == Leg::Source && case.step != Step::Swapped {
            let problems = problems(daemon);
            assert!(problems.contains(SOURCE), "{problems}");
        }
        return;
    };
    assert_eq!(ended["stage"], "failed", "{ended}");
    let error = ended["error"].as_str().unwrap();
    let told = reasons.iter().find(|reason| error.contains(**reason));
    let reason = told.unwrap_or_else(|| panic!("{error}"));
    assert!(error.len() > reason.len(), "the cause is missing: {error}");
    let shown = daemon.must(&["moves", "v", "--history"]);
    assert!(shown.contains(error), "people are told too: {shown}");
}

/// The same regions are moved again by hand, onto others than those that failed.
fn moves_elsewhere_now(daemon: &Daemon, disks: &Disks, case: &Case) {
    begin_move(daemon);
    let ended = ended_move(daemon);
    assert_eq!(ended["stage"], "done", "{ended}");
    let first = match case.leg {
        Leg::Source => 99,
        Leg::Target => 105,
    };
    assert_eq!(disks.home(daemon), (2, first), "(member, region)");
}
