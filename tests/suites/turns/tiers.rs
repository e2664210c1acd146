//! The lanes of tierd: a volume over both disks, all of it on the slow one at first.

use std::path::{Path, PathBuf};

use tier_tests::api;
use tier_tests::guest::Inside;
use tier_tests::tierd::{Programs, Setting};
use tier_wire::{Class, Status};

use super::ledger::Ledger;
use super::{CYCLES, CYCLES_BESIDE, Disks, FAST, Lane, MIB, turn};

/// By which the policy's times are multiplied: a turn of five seconds stands for one of five
/// and a half minutes.
const SCALE: f64 = 0.015;

/// Bytes of a region: a set has four, so that all of it moves in few moves.
const REGION: u64 = 2 * MIB;

/// Runs the sets on a volume of tierd.
pub(super) fn run(guest: &Inside, lane: &str, foresight: bool, ledger: &Ledger) -> Lane {
    let disks = Disks::start(guest, lane);
    let run = PathBuf::from(format!("/run/tierd-{lane}"));
    std::fs::create_dir_all(&run).unwrap();
    let socket = run.join("tierd.sock");
    let programs = Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test"));
    let daemon = Setting::in_folders(guest.scratch(), &run, programs)
        .config(&config(&socket, foresight))
        .run();
    daemon.must(&[
        "volume",
        "create",
        lane,
        "--yes",
        &format!("--region-size={REGION}"),
        &format!("{}=hdd", disks.slow.node()),
        &format!("{}=nvme", disks.fast.node()),
    ]);
    let path = format!("/v1/volumes/{lane}/status");
    let status =
        || -> Status { serde_json::from_value(api::get(&socket, &path).unwrap()).unwrap() };
    has_room(&status());
    let device = Path::new("/dev/tierd").join(lane);
    let cycles = if foresight { CYCLES } else { CYCLES_BESIDE };
    let turns = turn::take((&device, cycles), &disks, ledger, || believed(&status()));
    let notes = notes(&status());
    daemon.must(&["volume", "stop", lane]);
    assert!(daemon.stop().success());
    Lane {
        name: format!("tierd {lane} foresight"),
        turns,
        notes,
    }
}

/// The defaults but for the scale. User-Mode Linux has no eBPF: device-mapper's statistics count.
fn config(socket: &Path, foresight: bool) -> String {
    format!(
        "[daemon]\nsocket = \"{}\"\n[daemon.scan]\ninclude = [\"/dev/nbd*\"]\n\
         [intervals]\nscale = {SCALE}\n[probe]\nenabled = false\n\
         [policy]\nforesight = {foresight}\n",
        socket.display()
    )
}

/// The fast tier has room for one and a half sets beside what the policy leaves free.
fn has_room(status: &Status) {
    let fast = status.tiers.iter().find(|tier| tier.class == Class::Nvme);
    let fast = fast.unwrap();
    assert_eq!(fast.capacity_bytes - fast.headroom_bytes, FAST, "{fast:?}");
}

/// Who is believed.
fn believed(status: &Status) -> String {
    let believed = status.experts.iter().find(|expert| expert.is_believed);
    believed.map_or_else(String::new, |expert| expert.name.clone())
}

fn notes(status: &Status) -> Vec<String> {
    let moves = &status.moves;
    let experts = status.experts.iter();
    let leads: Vec<String> = experts
        .map(|expert| format!("{} {:.1}", expert.name, expert.lead_seconds))
        .collect();
    vec![
        format!(
            "{} moves done, {} failed or undone; {} MiB",
            moves.done,
            moves.failed + moves.undone,
            moves.done_bytes >> 20
        ),
        format!("leads in seconds: {}", leads.join(", ")),
    ]
}
