//! Moves churn every region several times between three members, beneath loads that verify.
//!
//! The moves are asked for by `tierctl move`, many at once. The loads are fio with its own headers
//! in each block (random places, mixed sizes), [`Load`], which knows what every block must hold at
//! any moment, and a file system with files. Nothing may fail, and what is there at the end is
//! there after the volume was stopped and started, and after a fresh daemon.
//!
//! `TIER_CHURN_MOVES=N` asks for more moves of each region than three, for a campaign.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    clippy::print_stdout,
    reason = "shown with --nocapture, and when a test fails"
)]

mod files;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tier_tests::command::run;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::read;
use tier_tests::load::Load;
use tier_tests::rig::{REGION_BYTES, Rig, VOLUME, moves, wait_for_moves};
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs};

/// How often each region has to move at least.
const MOVES_MIN: u32 = 3;
/// Regions that one request asks for; several moves, as a move has two regions.
const REGIONS_A_REQUEST: u32 = 6;

#[test]
fn every_region_moves_several_times_under_loads_that_verify() {
    churn(&test_name!(), false);
}

/// Not one discard may be refused while something moves (rule 13).
#[test]
fn every_region_moves_several_times_while_blocks_are_discarded_too() {
    churn(&test_name!(), true);
}

/// How long so many moves of each region may take.
fn deadline() -> Duration {
    Duration::from_mins(1) + Duration::from_mins(1) * wanted()
}

fn churn(test: &str, discard: bool) {
    Guest::uml(test)
        .deadline(deadline())
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), discard);
            rig.slow_down_the_hdd();
            let bytes = u64::from(rig.regions()) * REGION_BYTES;
            let daemon = rig.run();
            let fio = Fio::start(guest, bytes / 2, discard);
            let load = Load::start(Path::new(VOLUME), bytes / 2..bytes, 11, discard);
            churn_all(&rig, &daemon, || {
                load.check();
                fio.check();
            });
            let passes = fio.stop();
            println!(
                "{passes} passes of fio, {} requests of the load, longest {:?}",
                load.requests(),
                load.longest()
            );
            let content = load.stop();
            content.verify();
            let length = usize::try_from(bytes).unwrap();
            let before = read(Path::new(VOLUME), 0, length).unwrap();
            daemon.must(&["volume", "stop", "v"]);
            assert!(!Path::new(VOLUME).exists());
            daemon.must(&["volume", "start", "v"]);
            content.verify();
            // Discarded blocks may read as anything, at any time.
            assert!(
                discard || before == read(Path::new(VOLUME), 0, length).unwrap(),
                "stop and start"
            );
            assert!(daemon.stop().success());
            rig.assert_checked();
            let fresh = rig.run();
            content.verify();
            assert!(fresh.stop().success());
            rig.assert_all_linear();
        })
        .run();
}

fn programs() -> Programs {
    Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test"))
}

/// How often each region has to move in this run.
fn wanted() -> u32 {
    std::env::var("TIER_CHURN_MOVES").map_or(MOVES_MIN, |text| text.parse().unwrap())
}

/// Moves regions, many at once, until each has moved often enough.
fn churn_all(rig: &Rig<'_>, daemon: &Daemon, mut check: impl FnMut()) {
    let wanted = wanted();
    let mut seen = 0;
    let mut moved = vec![0; rig.regions() as usize];
    let mut rounds = 0;
    while moved.iter().any(|&times| times < wanted) {
        rounds += 1;
        assert!(rounds <= 6 * wanted, "too many rounds: {moved:?}");
        let homes = rig.homes();
        let mut asked = 0;
        for first in (0..rig.regions()).step_by(REGIONS_A_REQUEST as usize) {
            let last = (first + REGIONS_A_REQUEST).min(rig.regions()) - 1;
            // Another member than the first region's; the other one if there is no room.
            let to = |step: usize| (homes[first as usize] + 1 + (rounds as usize + step) % 2) % 3;
            asked += [to(0), to(1)]
                .into_iter()
                .find_map(|member| ask(daemon, first, last, member))
                .unwrap_or(0);
        }
        assert!(asked > 0, "no room for any move: {homes:?}");
        wait_for_moves(daemon);
        check();
        seen = count_ended(seen, &mut moved);
        println!(
            "round {rounds}: {asked} moves asked for, each region moved {} times at least",
            moved.iter().min().unwrap()
        );
    }
}

/// Asks for a move by `tierctl`. `None` if there is no room.
fn ask(daemon: &Daemon, first: u32, last: u32, member: usize) -> Option<usize> {
    let (range, to) = (format!("{first}-{last}"), format!("member:{member}"));
    match daemon.ctl(&["move", "v", "--regions", &range, "--to", &to, "--json"]) {
        Ok(said) => {
            let said: Value = serde_json::from_str(&said).unwrap();
            Some(said["moves"].as_array().unwrap().len())
        }
        Err(why) => {
            assert!(why.contains("demote something first"), "{why}");
            None
        }
    }
}

/// Counts, region by region, the moves that ended since `seen`; the newest that ended. Each must
/// have done what it was to do: the disks are good. On a busy machine they may take longer for what
/// is in flight than a hold may wait; such a move has changed nothing, and a later round asks again.
fn count_ended(seen: u64, moved: &mut [u32]) -> u64 {
    let mut newest = seen;
    for ended in moves().unwrap()["history"].as_array().unwrap() {
        let number = |key: &str| ended[key].as_u64().unwrap();
        if number("id") <= seen {
            continue;
        }
        newest = newest.max(number("id"));
        let why = ended["error"].as_str().unwrap_or_default();
        if why.contains("so it was not held") {
            println!("not moved: {ended}");
            continue;
        }
        assert_eq!(ended["stage"], "done", "{ended}");
        for region in number("first")..number("first") + number("count") {
            moved[usize::try_from(region).unwrap()] += 1;
        }
    }
    newest
}

/// fio, one pass after another: each writes its part of the volume in a random order and in mixed
/// sizes, and then reads and verifies all of it.
struct Fio {
    end: Arc<AtomicBool>,
    thread: JoinHandle<u32>,
}

impl Fio {
    fn start(guest: &Inside, bytes: u64, discard: bool) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let folder = guest.scratch().to_owned();
        let thread = std::thread::spawn({
            let end = Arc::clone(&end);
            move || {
                let mut passes = 0;
                while !end.load(Ordering::SeqCst) || passes == 0 {
                    pass(&folder, bytes, passes, discard);
                    passes += 1;
                }
                passes
            }
        });
        Self { end, thread }
    }

    fn check(&self) {
        assert!(!self.thread.is_finished(), "fio failed; see above");
    }

    /// Lets the pass under way end; how many there were.
    fn stop(self) -> u32 {
        self.end.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

fn pass(folder: &Path, bytes: u64, seed: u32, discard: bool) {
    // Where it trims, fio verifies what it wrote after the trim of the same block.
    let rw = if discard {
        "randtrimwrite"
    } else {
        "randwrite"
    };
    let sizes = if discard {
        "--bs=16k"
    } else {
        "--bsrange=4k-64k"
    };
    run(
        "fio",
        &[
            "--name=churn".to_owned(),
            format!("--aux-path={}", folder.display()),
            format!("--filename={VOLUME}"),
            format!("--rw={rw}"),
            sizes.to_owned(),
            format!("--size={bytes}"),
            "--direct=1".to_owned(),
            "--ioengine=libaio".to_owned(),
            "--iodepth=4".to_owned(),
            "--verify=crc32c".to_owned(),
            "--verify_fatal=1".to_owned(),
            "--verify_state_save=0".to_owned(),
            "--do_verify=1".to_owned(),
            "--rate_iops=400".to_owned(),
            format!("--randseed={seed}"),
        ],
    );
}
