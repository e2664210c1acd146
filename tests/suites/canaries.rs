//! Mistakes of the protocol, built into the daemon on purpose: each must be caught, on a real
//! kernel, by what the other suites check for.
//!
//! Each test runs the same scenario with the rule kept and with the rule broken (`TIERD_CANARY`).
//! With the rule kept the check must find nothing; with the rule broken it must find the loss. The
//! mistakes of a single mirror (no `handle_errors`, `nosync`, a live mirror loaded again) have their
//! canaries in `backend_dm` too, and all mistakes of the protocol in the simulation of `tier-core`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tier_tests::disk::{Disk, PowerLoss, RunningDisk};
use tier_tests::guest::{Guest, Inside, PowerIsOff};
use tier_tests::io::{fill, flush, read, wait_until};
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
const MIB: u64 = 1 << 20;
/// Longer than anything takes that comes to an end.
const LONG: Duration = Duration::from_secs(30);

/// Two small disks carry the metadata; moves go from the last disk to the one before.
const DISKS: [(&str, &str, u64); 4] = [
    ("m0", "nvme", 8 * MIB),
    ("m1", "nvme", 8 * MIB),
    ("ssd", "ssd", 32 * MIB),
    ("hdd", "hdd", 32 * MIB),
];
/// First region that moves: the first on the last disk, behind 2 + 2 + 27.
const MOVED: u64 = 31;
/// How many move.
const COUNT: u64 = 2;
const VOLUME: &str = "/dev/tierd/v";

/// Content before the move, and after it.
const OLD: u8 = 1;
const NEW: u8 = 2;

fn disks(guest: &Inside) -> Vec<RunningDisk> {
    DISKS
        .iter()
        .map(|(name, _, bytes)| {
            Disk::new(guest.file(name), *bytes)
                .on_power_loss(PowerLoss::Lost)
                .start()
        })
        .collect()
}

/// Disks that hold nothing of an earlier round.
fn fresh_disks(guest: &Inside) -> Vec<RunningDisk> {
    for (name, _, _) in DISKS {
        // There is none in the first round.
        let _ = std::fs::remove_file(guest.file(name));
    }
    disks(guest)
}

fn setting<'inside>(guest: &'inside Inside, mistake: Option<&str>) -> Setting<'inside> {
    let setting = Setting::new(guest, Programs::beside(TIERD));
    match mistake {
        Some(name) => setting.environment("TIERD_CANARY", name),
        None => setting,
    }
}

/// Makes the volume, and sees that the daemon is built to make the mistake.
fn create(daemon: &Daemon, disks: &[RunningDisk], mistake: Option<&str>) {
    let classes = DISKS.iter().map(|(_, class, _)| *class);
    let members: Vec<_> = classes.zip(disks.iter().map(RunningDisk::path)).collect();
    daemon.create("v", &members);
    if mistake.is_some() {
        let log = daemon.log();
        assert!(log.contains("makes a mistake on purpose"), "{log}");
    }
}

/// Fills what moves, durably.
fn write(value: u8) {
    let length = usize::try_from(COUNT * MIB).unwrap();
    fill(Path::new(VOLUME), MOVED * MIB, length, value).unwrap();
    flush(Path::new(VOLUME)).unwrap();
}

/// Whether all of what moves holds this value.
fn holds(value: u8) -> bool {
    let length = usize::try_from(COUNT * MIB).unwrap();
    let data = read(Path::new(VOLUME), MOVED * MIB, length).unwrap();
    data.iter().all(|byte| *byte == value)
}

fn begin_move(daemon: &Daemon) {
    let range = format!("{MOVED}-{}", MOVED + COUNT - 1);
    daemon.must(&["move", "v", "--regions", &range, "--to", "ssd"]);
}

fn wait_until_moved(daemon: &Daemon) {
    wait_until("the move is done", LONG, || {
        daemon.json(&["moves", "v", "--history"])["history"][0]["stage"] == "done"
    });
}

fn problems(daemon: &Daemon) -> String {
    daemon.json(&["status", "v"])["problems"].to_string()
}

/// Runs a scenario that ends in a cut, and the look at what is left; first with the rule kept,
/// then with it broken.
fn cut_and_look(
    test: String,
    mistake: &'static str,
    until_cut: fn(&Inside, Option<&str>) -> PowerIsOff,
    value: u8,
) {
    let mut guest = Guest::uml(test);
    for broken in [None, Some(mistake)] {
        guest = guest
            .until_cut(move |guest| until_cut(guest, broken))
            .phase(move |guest| {
                let _disks = disks(guest);
                let daemon = setting(guest, None).run();
                let kept = holds(value);
                assert_eq!(kept, broken.is_none(), "{broken:?}: {}", daemon.log());
            });
    }
    guest.run();
}

/// Against the power cuts of `power`: what the kernel copied is in the target's volatile cache.
#[test]
fn a_commit_before_the_flush_loses_what_was_copied_at_a_power_cut() {
    fn until_cut(guest: &Inside, mistake: Option<&str>) -> PowerIsOff {
        let disks = fresh_disks(guest);
        let daemon = setting(guest, mistake)
            .cut_power_at("commit:after", 1)
            .run();
        create(&daemon, &disks, mistake);
        write(OLD);
        begin_move(&daemon);
        guest.wait_for_cut()
    }
    cut_and_look(test_name!(), "commit-before-flush", until_cut, OLD);
}

/// Against the power cuts of `power`: what was written after the swap is on a leg that no record
/// names. The engine sees it as well, and begins nothing more.
#[test]
fn a_swap_before_the_commit_loses_what_was_written_after_it_at_a_power_cut() {
    fn until_cut(guest: &Inside, mistake: Option<&str>) -> PowerIsOff {
        let disks = fresh_disks(guest);
        let daemon = setting(guest, mistake).run();
        create(&daemon, &disks, mistake);
        write(OLD);
        begin_move(&daemon);
        if mistake.is_some() {
            wait_until("the engine sees it", LONG, || {
                problems(&daemon).contains("nothing more is moved until")
            });
        } else {
            wait_until_moved(&daemon);
            assert_eq!(problems(&daemon), "[]");
        }
        write(NEW);
        guest.cut_power()
    }
    cut_and_look(test_name!(), "swap-before-commit", until_cut, NEW);
}

/// Against every suite that compares content after a move.
#[test]
fn a_mirror_that_begins_with_nosync_ends_with_other_content() {
    Guest::uml(test_name!())
        .phase(|guest| {
            for mistake in [None, Some("nosync")] {
                let disks = fresh_disks(guest);
                let daemon = setting(guest, mistake).run();
                create(&daemon, &disks, mistake);
                write(OLD);
                begin_move(&daemon);
                wait_until_moved(&daemon);
                assert_eq!(holds(OLD), mistake.is_none(), "{mistake:?}");
                end(daemon);
            }
        })
        .run();
}

fn end(daemon: Daemon) {
    daemon.must(&["volume", "stop", "v"]);
    daemon.must(&["volume", "destroy", "v", "--yes"]);
    assert_eq!(daemon.stop().code(), Some(0));
}

/// Number of former homes that the metadata keep from being used again.
fn retired(daemon: &Daemon, disks: &[RunningDisk]) -> usize {
    let nodes = disks.iter().map(RunningDisk::node);
    let arguments: Vec<&str> = std::iter::once("dump").chain(nodes).collect();
    let dump = daemon.json(&arguments);
    dump["metadata"]["retired"].as_array().map_or(0, Vec::len)
}

/// Against the start after a kill: a live mirror whose other leg the record has given up is found.
#[test]
fn a_home_that_was_freed_before_the_swap_is_found_by_the_next_start() {
    Guest::uml(test_name!())
        .phase(|guest| {
            for mistake in [None, Some("free-too-early")] {
                let disks = fresh_disks(guest);
                // The swap never comes: the thread that would make it stands still.
                let stuck = "/run/stuck";
                let daemon = setting(guest, mistake)
                    .environment("TIERD_STOP_AT", "drop_leg:before#1")
                    .environment("TIERD_STOP_HOW", "hang")
                    .environment("TIERD_STOP_FILE", stuck)
                    .run();
                create(&daemon, &disks, mistake);
                write(OLD);
                begin_move(&daemon);
                wait_until("the swap is due", LONG, || Path::new(stuck).exists());
                std::fs::remove_file(stuck).unwrap();
                if mistake.is_some() {
                    wait_until("the former home is freed", LONG, || {
                        retired(&daemon, &disks) == 0
                    });
                } else {
                    assert_eq!(retired(&daemon, &disks), 1);
                }
                daemon.kill();
                let daemon = setting(guest, None).run();
                found_at_start(&daemon, mistake.is_some());
                assert!(holds(OLD));
                if mistake.is_none() {
                    end(daemon);
                }
            }
        })
        .run();
}

fn found_at_start(daemon: &Daemon, broken: bool) {
    if broken {
        let problems = problems(daemon);
        assert!(problems.contains("its former home was freed"), "{problems}");
        return;
    }
    wait_until("the adopted move has ended", LONG, || {
        let moves = daemon.json(&["moves", "v"]);
        moves["live"].as_array().is_some_and(Vec::is_empty)
    });
    assert_eq!(problems(daemon), "[]");
}

/// What a metadata area holds, from its first byte to the data behind it.
const AREA: std::ops::Range<u64> = 960 * 1024..5 * MIB;

fn areas(disks: &[RunningDisk]) -> Vec<Vec<u8>> {
    let length = usize::try_from(AREA.end - AREA.start).unwrap();
    disks[..2]
        .iter()
        .map(|disk| read(disk.path(), AREA.start, length).unwrap())
        .collect()
}

fn put_areas(disks: &[RunningDisk], areas: &[Vec<u8>]) {
    use tier_sys::block::{Access, BlockDevice};
    for (disk, area) in disks.iter().zip(areas) {
        let device = BlockDevice::open(disk.path(), Access::ReadWrite).unwrap();
        device.write_at(AREA.start, area).unwrap();
        device.sync_data().unwrap();
    }
}

/// Both replicas are put back to what they were before a move that was acted on. The marks in the
/// labels forbid the start; without them old data would be served, and nobody would know.
#[test]
fn an_older_generation_than_one_that_was_acted_on_is_never_served() {
    Guest::uml(test_name!())
        .phase(|guest| {
            for mistake in [None, Some("skip-mark")] {
                let disks = fresh_disks(guest);
                let setting = setting(guest, mistake);
                let daemon = setting.run();
                create(&daemon, &disks, mistake);
                write(OLD);
                daemon.must(&["volume", "stop", "v"]);
                let older = areas(&disks);
                daemon.must(&["volume", "start", "v"]);
                begin_move(&daemon);
                wait_until_moved(&daemon);
                write(NEW);
                daemon.must(&["volume", "stop", "v"]);
                let newer = areas(&disks);
                put_areas(&disks, &older);
                if mistake.is_some() {
                    daemon.must(&["volume", "start", "v"]);
                    assert!(holds(OLD), "old data are served, as they must not be");
                } else {
                    refuses_the_older(&daemon, &setting);
                    put_areas(&disks, &newer);
                    daemon.must(&["volume", "start", "v"]);
                    assert!(holds(NEW));
                }
                end(daemon);
            }
        })
        .run();
}

fn refuses_the_older(daemon: &Daemon, setting: &Setting<'_>) {
    let why = daemon.ctl(&["volume", "start", "v"]).unwrap_err();
    assert!(why.contains("exit status: 10"), "{why}");
    assert!(why.contains("volume v acted on generation"), "{why}");
    assert!(why.contains("would serve old data"), "{why}");
    assert!(!Path::new(VOLUME).exists());
    assert_eq!(setting.activate().code(), Some(9), "no read-write start");
    assert!(!Path::new(VOLUME).exists());
    assert_eq!(
        daemon.json(&["volume", "show", "v"])["state"],
        Value::from("stopped")
    );
}
