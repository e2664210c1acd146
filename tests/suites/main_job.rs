//! The main job in an emulated machine: what `tests/demo` shows, asserted.
//!
//! One boot serves it all, since booting is what takes long: the job itself, then the probe's
//! counts beside fio's, then counting without the probe. What the guest has seen and recorded is
//! judged on the host, which is faster.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    clippy::print_stdout,
    reason = "what was seen is shown when the test fails"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tier_core::command::{Command, MoveReport, Stage as CoreStage};
use tier_core::event::Event;
use tier_core::policy::PolicyConfig;
use tier_core::record::{Recorded, read, replay};
use tier_tests::command::run;
use tier_tests::demo::job::{self, Settings, VOLUME};
use tier_tests::demo::outcome::Outcome;
use tier_tests::demo::summary::summary;
use tier_tests::demo::witness::Member;
use tier_tests::guest::{Drive, Guest, Inside};
use tier_tests::io::wait_until;
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs};
use tier_wire::{Cause, Class, HeatMap, Move, ProbeStatus, Stage, Status};

/// The members; what is written first lies on the first.
const MEMBERS: [(Class, u64); 3] = [
    (Class::Hdd, 320 << 20),
    (Class::Ssd, 96 << 20),
    (Class::Nvme, 96 << 20),
];
/// By which the policy's times are multiplied.
const SCALE: f64 = 0.1;
/// Where each daemon of the test records its events.
const JOB: &str = "job.events";
const COUNTED: &str = "counted.events";
const FALLBACK: &str = "fallback.events";

/// What fio says it did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Done {
    reads: u64,
    writes: u64,
    read_bytes: u64,
    written_bytes: u64,
}

#[test]
fn hot_data_moves_to_nvme_by_itself_and_every_read_of_it_is_counted() {
    // Two, for the probe counts on each by itself.
    let mut guest = Guest::qemu(test_name!())
        .processors(2)
        .deadline(Duration::from_mins(15));
    for (class, bytes) in MEMBERS {
        guest = guest.drive(match class {
            Class::Nvme => Drive::nvme("nvme", bytes),
            Class::Ssd => Drive::ssd("ssd", bytes).requests_per_second(3000),
            Class::Hdd => Drive::hdd("hdd", bytes),
        });
    }
    let scratch = guest
        .phase(|guest| {
            let settings = settings(guest);
            do_the_job(guest, &settings);
            count_with_the_probe(guest, &settings);
            count_without_the_probe(guest, &settings);
        })
        .run();
    let Some(scratch) = scratch else {
        return;
    };
    let outcome: Outcome = note(scratch.path(), "outcome");
    println!("{}", summary(&outcome));
    the_job_was_done(&outcome);
    each_move_has_a_reason(&outcome.moves);
    what_came_of_a_move_is_told(&outcome);
    a_replay_decides_the_same(scratch.path(), &outcome.moves);
    the_probe_counted_what_fio_did(scratch.path());
    the_fallback_counted_what_fio_did(scratch.path());
}

fn settings(guest: &Inside) -> Settings {
    let member = |(class, _): (Class, u64)| Member {
        class,
        path: guest.drive(class.name()),
    };
    Settings {
        programs: Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test")),
        folder: guest.scratch().to_owned(),
        run: PathBuf::from("/run/tierd-main-job"),
        members: MEMBERS.map(member).to_vec(),
        file_bytes: 64 << 20,
        hot_bytes: 12 << 20,
        ledger_bytes: 2 << 20,
        measured: Duration::from_secs(10),
        patience: Duration::from_mins(6),
        moved_share: 0.85,
        scale: SCALE,
        record: Some(guest.file(JOB)),
    }
}

fn do_the_job(guest: &Inside, settings: &Settings) {
    let (outcome, daemon) = job::run(settings, |scene| {
        println!("{:?} {} {:?}", scene.stage, scene.detail, scene.served);
    });
    guest.note("outcome", serde_json::to_vec(&outcome).unwrap());
    assert!(daemon.stop().success());
}

/// A daemon that moves nothing, and records what it counts.
fn counting(guest: &Inside, settings: &Settings, record: &str, more: &str) -> Daemon {
    let record = guest.file(record);
    let record = record.display();
    let config = format!("[policy]\nenabled = false\n[record]\nevents = \"{record}\"\n{more}");
    settings.daemon(&config).run()
}

/// Reads of one size, on all of the volume. fio opens it read-only, so that udev has no reason to
/// look at it.
const READS: &[&str] = &["--readonly", "--rw=randread", "--number_ios=1200"];
const READS_AND_WRITES: &[&str] = &["--rw=randrw", "--number_ios=1200"];

fn fio(settings: &Settings, words: &[&str]) -> Done {
    let file = format!("--filename={}", settings.device().display());
    let common = [
        "--name=known",
        "--direct=1",
        "--ioengine=io_uring",
        "--iodepth=8",
        "--bs=4k",
        "--norandommap",
        "--output-format=json",
    ];
    let mut all = vec![file.as_str()];
    all.extend(common);
    all.extend(words);
    let report: serde_json::Value = serde_json::from_str(&run("fio", &all)).unwrap();
    let number = |kind: &str, field: &str| report["jobs"][0][kind][field].as_u64().unwrap();
    Done {
        reads: number("read", "total_ios"),
        writes: number("write", "total_ios"),
        read_bytes: number("read", "io_bytes"),
        written_bytes: number("write", "io_bytes"),
    }
}

fn status(daemon: &Daemon) -> Status {
    serde_json::from_value(daemon.json(&["status", VOLUME])).unwrap()
}

fn count_with_the_probe(guest: &Inside, settings: &Settings) {
    let daemon = counting(guest, settings, COUNTED, "");
    let counted = || match status(&daemon).probe {
        ProbeStatus::On {
            counted,
            lost: 0,
            skipped: 0,
            ..
        } => counted,
        other => panic!("the probe is not on, or lost something: {other:?}"),
    };
    // Without tierd's rules udev looks into the volume after each swap. On a busy machine it has
    // minutes to catch up, so that it rests instead.
    run("udevadm", &["control", "--stop-exec-queue"]);
    let quiet = Duration::from_secs(10);
    let (mut last, mut since) = (counted(), Instant::now());
    wait_until("nobody reads", Duration::from_mins(3), || {
        let now = counted();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= quiet
    });
    let before = counted();
    let read = fio(settings, READS);
    assert!(read.reads >= 1000, "{read:?}");
    assert_eq!(counted() - before, read.reads, "requests, at once");
    let mixed = fio(settings, READS_AND_WRITES);
    assert!(mixed.writes >= 400, "{mixed:?}");
    guest.note("read", serde_json::to_vec(&read).unwrap());
    guest.note("mixed", serde_json::to_vec(&mixed).unwrap());
    wait_for_a_sample(&daemon, mixed.writes);
    assert!(daemon.stop().success());
}

fn count_without_the_probe(guest: &Inside, settings: &Settings) {
    let daemon = counting(guest, settings, FALLBACK, "[probe]\nenabled = false\n");
    match status(&daemon).probe {
        ProbeStatus::Fallback { source, reason } => {
            assert_eq!(source, "device-mapper statistics");
            assert!(reason.contains("probe.enabled"), "{reason}");
        }
        other => panic!("no fallback: {other:?}"),
    }
    let read = fio(settings, READS);
    guest.note("fallback", serde_json::to_vec(&read).unwrap());
    wait_for_a_sample(&daemon, read.reads);
    daemon.must(&["volume", "stop", VOLUME]);
    assert!(daemon.stop().success());
}

/// Waits until the heat map shows the counts of a load of so many accesses: they are recorded then.
fn wait_for_a_sample(daemon: &Daemon, accesses: u64) {
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let most_of_them = accesses as f64 / 2.0;
    wait_until("the load's heat", Duration::from_mins(2), || {
        let map: HeatMap = serde_json::from_value(daemon.json(&["heat", VOLUME])).unwrap();
        map.buckets.iter().map(|bucket| bucket.heat).sum::<f64>() >= most_of_them
    });
    // The interval in which the load ended may not be over; the next one certainly is.
    std::thread::sleep(Duration::from_secs_f64(2.0 * 10.0 * SCALE));
}

fn note<T: for<'de> Deserialize<'de>>(scratch: &Path, name: &str) -> T {
    serde_json::from_slice(&std::fs::read(scratch.join(name)).unwrap()).unwrap()
}

fn recording(scratch: &Path, name: &str) -> (PolicyConfig, Vec<Recorded>) {
    read(&std::fs::read_to_string(scratch.join(name)).unwrap()).unwrap()
}

fn events(scratch: &Path, name: &str) -> Vec<Recorded> {
    recording(scratch, name).1
}

fn the_job_was_done(outcome: &Outcome) {
    assert!(outcome.complaints.is_empty(), "{:?}", outcome.complaints);
    assert!(outcome.kernel.starts_with("6.12"), "{}", outcome.kernel);
    assert!(outcome.files > 50 && outcome.file_bytes >= 64 << 20);
    assert!(outcome.ledger_writes > 100, "{}", outcome.ledger_writes);
    match outcome.probe {
        ProbeStatus::On { lost: 0, .. } => {}
        ref other => panic!("the probe is not on, or lost something: {other:?}"),
    }
    let (before, after) = (&outcome.before, &outcome.after);
    assert!(before.share(Class::Nvme) < 0.1, "{before:?}");
    assert!(outcome.moved_in_seconds.is_some(), "nothing moved in time");
    assert!(after.share(Class::Nvme) > 0.8, "{after:?}");
    assert!(
        after.reads.p50_seconds < before.reads.p50_seconds / 2.0,
        "reads are hardly faster: {before:?} {after:?}"
    );
}

/// `tierctl explain` says who expected a promotion to pay, and that it did.
fn what_came_of_a_move_is_told(outcome: &Outcome) {
    let told = outcome.explained.as_ref().unwrap();
    let believed = told.experts.iter().filter(|expert| expert.is_believed);
    assert_eq!(believed.count(), 1, "{:?}", told.experts);
    assert_eq!(
        told.newest_move.as_ref().map(|one| one.first),
        Some(told.region)
    );
    let came = told.came.unwrap();
    assert!(came.touches > 0.0 && came.saved_seconds > 0.0, "{came:?}");
}

fn each_move_has_a_reason(moves: &[Move]) {
    let (mut promoted, mut waited) = (0, 0);
    for one in moves {
        if let Some(error) = &one.error {
            // The hard disk answers 150 requests a second: a hold may find more than it may wait for.
            assert!(error.contains("I/O in flight on"), "{one:?}");
            waited += 1;
        }
        assert!(!one.reason.text.is_empty(), "{one:?}");
        match one.reason.cause {
            Cause::Promotion {
                touches,
                benefit_seconds,
                cost_seconds,
                ..
            } => {
                assert!(one.to.class < one.from.class, "{one:?}");
                assert!(touches >= 2 && benefit_seconds > cost_seconds, "{one:?}");
                promoted += u32::from(one.to.class == Class::Nvme) * one.count;
            }
            Cause::Demotion { .. } | Cause::Worn { .. } => {
                assert!(one.to.class > one.from.class, "{one:?}");
            }
            Cause::ByHand | Cause::Adopted => panic!("nobody asked for {one:?}"),
        }
    }
    assert!(promoted >= 8, "{promoted} regions came to nvme");
    assert!(waited * 4 < moves.len(), "{waited} moves found no moment");
}

/// Two replays of what the engine was told give the same commands to the byte, and among them the
/// moves that were seen.
fn a_replay_decides_the_same(scratch: &Path, moves: &[Move]) {
    let (config, events) = recording(scratch, JOB);
    let commands =
        || -> Vec<Vec<Command>> { replay(config.clone(), events.iter().cloned()).collect() };
    let first = commands();
    assert_eq!(
        serde_json::to_string(&first).unwrap(),
        serde_json::to_string(&commands()).unwrap()
    );
    let ended = |command: &Command| match command {
        Command::Report(report) if report.stage == CoreStage::Done => Some(of_report(report)),
        _ => None,
    };
    let mut replayed: Vec<_> = first.iter().flatten().filter_map(ended).collect();
    let done = moves.iter().filter(|one| one.stage == Stage::Done);
    let mut seen: Vec<_> = done
        .map(|one| {
            let (from, to) = (one.from.class.to_string(), one.to.class.to_string());
            (one.id, one.first, one.count, from, to)
        })
        .collect();
    replayed.sort_unstable();
    seen.sort_unstable();
    assert!(!seen.is_empty());
    // What ended between the look at the history and the end of the recording is not in the first.
    replayed.retain(|one| seen.iter().any(|other| other.0 == one.0));
    assert_eq!(replayed, seen);
}

fn of_report(report: &MoveReport) -> (u64, u32, u32, String, String) {
    (
        report.id.0,
        report.first.0,
        report.count,
        report.from.to_string(),
        report.to.to_string(),
    )
}

/// What a daemon's samples say in sum, and what they lost.
fn sums(events: &[Recorded]) -> (Done, u64) {
    let mut lost = 0;
    let mut sum = Done {
        reads: 0,
        writes: 0,
        read_bytes: 0,
        written_bytes: 0,
    };
    for recorded in events {
        let Event::Samples(samples) = &recorded.event else {
            continue;
        };
        lost += samples.lost;
        for region in &samples.regions {
            sum.reads += u64::from(region.reads);
            sum.writes += u64::from(region.writes);
            sum.read_bytes += region.read_bytes.0;
            sum.written_bytes += region.written_bytes.0;
        }
    }
    (sum, lost)
}

fn the_probe_counted_what_fio_did(scratch: &Path) {
    let (read, mixed): (Done, Done) = (note(scratch, "read"), note(scratch, "mixed"));
    let (counted, lost) = sums(&events(scratch, COUNTED));
    assert_eq!(lost, 0);
    assert_eq!(counted.writes, mixed.writes);
    assert_eq!(counted.written_bytes, mixed.written_bytes);
    // udev may look at a device that was written to; the reads alone were compared in the guest.
    assert!(counted.reads >= read.reads + mixed.reads, "{counted:?}");
}

fn the_fallback_counted_what_fio_did(scratch: &Path) {
    let (counted, lost) = sums(&events(scratch, FALLBACK));
    let fio: Done = note(scratch, "fallback");
    assert_eq!((counted, lost), (fio, 0));
}
