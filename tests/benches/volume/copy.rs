//! How fast moves copy, beside `dd` between the same places of the same members.
//!
//! A move is timed from the request to its end: two holds or more, the copy, the flush of the
//! target, and the commits of the new home and of the freed old one are all in it. `dd` copies
//! with the same block size as the mirrors' chunk, past the page cache, and flushes at its end.
//! Mirrors by hand with other chunks show what the choice of that size is worth.

use std::path::Path;
use std::time::{Duration, Instant};

use tier_sys::dm::{HoldControl, UdevRules};
use tier_tests::command::run;
use tier_tests::dm::Device;
use tier_tests::guest::Inside;
use tier_tests::io::flush;
use tierd::backend::dm::status::parse_mirror_status;

use crate::effort::Effort;
use crate::fio::Span;
use crate::page::Table;
use crate::rig::{Devices, REGION_BYTES, Rig, VOLUME, segments};
use crate::spread::Spread;

/// The chunk of the daemon's mirrors, in KiB.
const CHUNK_KIB: u64 = 512;
/// Other chunks, tried by hand.
const CHUNKS_KIB: [u64; 3] = [512, 1024, 2048];
/// Regions of one move: what it takes at most by default.
const MOVE_REGIONS: u64 = 64;
/// Moves at a time: the default as well.
const MOVES: u64 = 8;

/// Bytes of `moves` moves.
const fn bytes(moves: u64) -> u64 {
    moves * MOVE_REGIONS * REGION_BYTES
}

/// Throughput of one and of several moves, in so many rounds.
pub(crate) fn measure(guest: &Inside, devices: &Devices, rounds: u32) -> String {
    let effort = Effort::rounds(rounds);
    let rig = Rig::new(guest, devices);
    let source = segments(devices).remove(1);
    assert!(source.beneath.length_bytes >= bytes(MOVES));
    let first = source.start_bytes / REGION_BYTES;
    Span {
        device: VOLUME.into(),
        offset_bytes: source.start_bytes,
        length_bytes: bytes(MOVES),
    }
    .fill();
    // Moved once to learn where there is room on the other member, and back.
    let target = move_there(&rig, devices, first, MOVES).1;
    move_back(&rig, first, MOVES);

    let from = source.beneath;
    let mut rows: Vec<(String, u64, Spread)> = Vec::new();
    let mut note = |name: String, moves: u64, time: Duration| {
        let rate = |bytes: u64| to_mib(bytes) / time.as_secs_f64();
        let at = rows
            .iter()
            .position(|(known, of, _)| (known, *of) == (&name, moves));
        let at = at.unwrap_or_else(|| {
            rows.push((name, moves, Spread::default()));
            rows.len() - 1
        });
        rows[at].2.note(rate(bytes(moves)));
    };
    for _round in 0..effort.rounds {
        for moves in [1, MOVES] {
            note(
                format!("`dd bs={CHUNK_KIB}K`"),
                moves,
                dd(&from, &target, bytes(moves)),
            );
            let time = move_there(&rig, devices, first, moves).0;
            note("tierd".to_owned(), moves, time);
            move_back(&rig, first, moves);
            for chunk_kib in CHUNKS_KIB {
                let time = mirrors(&from, &target, moves, chunk_kib);
                note(format!("bare mirrors, chunk {chunk_kib} KiB"), moves, time);
            }
        }
    }
    table(&rows, effort)
}

#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn to_mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn table(rows: &[(String, u64, Spread)], effort: Effort) -> String {
    let mut table = Table::new("Copying", &["", "moves at a time", "MiB/s", "of dd"]);
    for (name, moves, rates) in rows {
        let (_, _, dd) = rows
            .iter()
            .find(|(name, of, _)| name.starts_with("`dd") && of == moves)
            .expect("dd is a row");
        table.row(&[
            name.clone(),
            moves.to_string(),
            rates.shown(0),
            format!("{:.2}", rates.median() / dd.median()),
        ]);
    }
    table.end(&format!(
        "{} rounds in turn, {MOVE_REGIONS} MiB a move, the flush of the target included, and in tierd's \
         rows the holds and commits too. Goal: 0.9 of dd.",
        effort.rounds
    ))
}

/// Moves the parts of the source one by one and tells how long it took, and where they are now.
fn move_there(rig: &Rig<'_>, devices: &Devices, first: u64, moves: u64) -> (Duration, Span) {
    let begun = Instant::now();
    rig.move_to("nvme", first, moves * MOVE_REGIONS);
    rig.wait_for_moves();
    let time = begun.elapsed();
    let start_bytes = first * REGION_BYTES;
    // It may continue the segment before it, and be one with that.
    let landed = segments(devices)
        .into_iter()
        .rfind(|segment| segment.start_bytes <= start_bytes)
        .expect("a segment holds what was moved");
    assert_eq!(landed.beneath.device, devices.fast);
    let landed = Span {
        offset_bytes: landed.beneath.offset_bytes + start_bytes - landed.start_bytes,
        length_bytes: landed.beneath.length_bytes + landed.start_bytes - start_bytes,
        ..landed.beneath
    };
    assert!(landed.length_bytes >= bytes(moves), "{landed:?}");
    (time, landed)
}

/// Moves them back, until the room that they had is free again: others write there next.
fn move_back(rig: &Rig<'_>, first: u64, moves: u64) {
    rig.move_to("hdd", first, moves * MOVE_REGIONS);
    rig.wait_for_moves();
    rig.wait_until_half_is_free("nvme");
}

/// Copies by dd into room that is free on the other member.
fn dd(from: &Span, to: &Span, bytes: u64) -> Duration {
    let begun = Instant::now();
    run(
        "dd",
        &[
            format!("if={}", from.device.display()),
            format!("of={}", to.device.display()),
            format!("bs={CHUNK_KIB}K"),
            format!("count={}", bytes / (CHUNK_KIB << 10)),
            format!("skip={}", from.offset_bytes),
            format!("seek={}", to.offset_bytes),
            "iflag=direct,skip_bytes".to_owned(),
            "oflag=direct,seek_bytes".to_owned(),
            "conv=fsync,notrunc".to_owned(),
            "status=none".to_owned(),
        ],
    );
    begun.elapsed()
}

fn is_complete(control: &mut HoldControl, mirror: &str) -> bool {
    let mut lines = control.status(mirror).expect("status of the mirror");
    let events = lines.events();
    let state = lines.find_map(|line| parse_mirror_status(line.status, events));
    state.expect("it is a mirror").is_complete()
}

/// Copies by mirrors of this chunk, one a move, into the same room. Only calls to the kernel are
/// timed: a `dmsetup` takes as long as a small copy.
fn mirrors(from: &Span, to: &Span, moves: u64, chunk_kib: u64) -> Duration {
    let sectors = bytes(1) / 512;
    let mirror = |number: u64| {
        let at = |span: &Span| {
            let sector = span.offset_bytes / 512 + number * sectors;
            format!("{} {sector}", span.device.display())
        };
        let legs = format!("{} {}", at(from), at(to));
        let table = format!(
            "0 {sectors} mirror core 1 {} 2 {legs} 1 handle_errors",
            chunk_kib * 2
        );
        let device = Device::empty(&format!("mirror-{number}"));
        device.load(&table);
        device
    };
    let all: Vec<Device> = (0..moves).map(mirror).collect();
    let mut control = HoldControl::open().expect("device-mapper");
    let begun = Instant::now();
    for device in &all {
        let started = control.resume(device.name(), UdevRules::NodeOnly);
        started.expect("the mirror starts");
    }
    for device in &all {
        while !is_complete(&mut control, device.name()) {
            assert!(begun.elapsed() < Duration::from_mins(2), "{device:?}");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    flush(Path::new(&to.device)).expect("flush of the target");
    let time = begun.elapsed();
    all.iter().for_each(Device::remove);
    time
}
