//! A volume on ublk, from creation to destruction, as its users have it: through the daemon, which
//! starts the process that serves it, and goes on without it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by it"
)]

mod cuts;
mod deaths;
#[path = "../power/files.rs"]
mod files;
mod lacking;
mod life;
#[allow(dead_code, reason = "another suite uses more of it")]
#[path = "../power/load.rs"]
mod load;
#[path = "../power/log.rs"]
mod log;
mod postgres;
#[allow(dead_code, reason = "another suite uses more of it")]
#[path = "../power/stamps.rs"]
mod stamps;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::wait_until;
use tier_tests::rig::{REGION_BYTES, Rig, VOLUME, ask_move, moves, wait_for_moves};
use tier_tests::tierd::{Daemon, Programs};

/// Longer than anything here takes that is not parked.
const LONG: Duration = Duration::from_mins(4);

fn programs() -> Programs {
    Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test"))
}

fn guest<'a>(test: &str) -> Guest<'a> {
    Guest::qemu(test)
        .module("ublk_drv")
        .deadline(Duration::from_mins(15))
}

/// Three disks with a volume on ublk.
fn volume(guest: &Inside) -> Rig<'_> {
    Rig::start_on("ublk", guest, programs(), true)
}

/// The process that serves the volume.
fn server() -> i32 {
    let found = tier_tests::command::run("pgrep", &["-f", "serve v$"]);
    found.trim().parse().expect("one process")
}

fn kill(process: i32) {
    let process = nix::unistd::Pid::from_raw(process);
    nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL).unwrap();
}

/// The next process that serves the volume, when there is one.
fn another(than: i32) -> i32 {
    let mut found = than;
    wait_until("another process serves", LONG, || {
        let all = tier_tests::command::attempt("pgrep", &["-f", "serve v$"]);
        let all = all.unwrap_or_default();
        let mut others = all.lines().filter_map(|line| line.trim().parse().ok());
        found = others.find(|one| *one != than).unwrap_or(than);
        found != than
    });
    found
}

/// How the moves that have ended did so.
fn ends(stage: &str) -> usize {
    // Nobody says while the daemon is away.
    let all = moves().unwrap_or_default();
    let past = all["history"].as_array().cloned().unwrap_or_default();
    past.iter().filter(|one| one["stage"] == stage).count()
}

fn shown(daemon: &Daemon) -> Value {
    daemon.json(&["volume", "show", "v"])
}

/// Regions that one request moves: there is room for so many on each member.
const MOVED: u32 = 6;
/// Bytes of the volume that are written and compared: what moves, and as much after it.
const USED_BYTES: u64 = 2 * MOVED as u64 * REGION_BYTES;

/// Moves the first regions to each member in turn.
fn move_around(daemon: &Daemon) {
    for member in [2, 1, 0] {
        moves_to(member);
        wait_for_moves(daemon);
    }
}

/// Moves the first regions, and does not wait for that. What is given up is free a little later.
fn moves_to(member: usize) {
    let mut said = String::new();
    let start = std::time::Instant::now();
    while start.elapsed() < LONG {
        match ask_move(0, MOVED, member) {
            Ok(_) => return,
            Err(why) => said = why,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("cannot move to {member}: {said}");
}

/// Where the volume is.
fn device() -> &'static Path {
    Path::new(VOLUME)
}
