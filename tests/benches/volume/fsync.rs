//! What a flush costs by the number of extents.
//!
//! The tables are as a volume's: adjacent linear targets none of which continues the one before.
//! They are loaded by hand, since ten thousand moves would measure something else.

use std::fmt::Write as _;
use std::path::Path;

use tier_tests::command::run;

use crate::effort::Effort;
use crate::fio::{Span, fsync};
use crate::page::Table;
use crate::rig::REGION_BYTES;
use crate::spread::Spread;

const EXTENTS: [u64; 4] = [1, 100, 1_000, 10_000];
/// All tables map this much, so that only the number of their targets differs.
const REGIONS: u64 = 10_000;
/// Where the writes go.
const SPAN_BYTES: u64 = 64 * REGION_BYTES;

/// Latency of fdatasync after a write.
pub(crate) fn measure(device: &Path) -> String {
    let effort = Effort::rounds(7);
    let volumes: Vec<Span> = EXTENTS
        .iter()
        .map(|&extents| {
            let table = reversed(device, extents);
            // A table of ten thousand lines is too long for a command line.
            let file = format!("/run/table-{extents}");
            std::fs::write(&file, table).expect("table");
            let name = format!("extents-{extents}");
            run("dmsetup", &["create", &name, &file]);
            Span::start(&Path::new("/dev/mapper").join(name), SPAN_BYTES)
        })
        .collect();
    let mut medians = vec![Spread::default(); EXTENTS.len()];
    let mut tails = medians.clone();
    for round in 0..effort.rounds as usize {
        for at in 0..EXTENTS.len() {
            let at = (at + round) % EXTENTS.len();
            let (median, tail) = fsync(&volumes[at], effort.seconds);
            medians[at].note(median);
            tails[at].note(tail);
        }
    }
    let mut table = Table::new(
        "fdatasync after a write of 4 KiB",
        &["extents", "median µs", "p99 µs"],
    );
    for (at, extents) in EXTENTS.iter().enumerate() {
        table.row(&[
            extents.to_string(),
            medians[at].shown(0),
            tails[at].shown(0),
        ]);
    }
    table.end(&format!(
        "{} rounds of {} s in turn, on one member.",
        effort.rounds, effort.seconds
    ))
}

/// A table of so many targets, the last part of the device first.
fn reversed(device: &Path, extents: u64) -> String {
    let sectors = REGIONS / extents * REGION_BYTES / 512;
    let mut table = String::new();
    for extent in 0..extents {
        writeln!(
            table,
            "{} {sectors} linear {} {}",
            extent * sectors,
            device.display(),
            (extents - 1 - extent) * sectors
        )
        .expect("string");
    }
    table
}
