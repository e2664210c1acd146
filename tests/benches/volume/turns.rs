//! I/O through the volume in very short turns, beside a plain linear device on the same sectors
//! and the sectors themselves.
//!
//! A busy machine disturbs whole seconds. Turns of some milliseconds, hundreds of them, disturb
//! neighbours alike, and the median of their ratios tells differences of a percent. fio cannot
//! change its device that often, so the I/O is done here: one request in flight, past the page
//! cache.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use tier_tests::guest::Inside;

use crate::effort::Effort;
use crate::fio::Span;
use crate::page::Table;
use crate::rig::{Devices, REGION_BYTES, Rig, VOLUME, beneath, counting_name, countings};
use crate::spread::Spread;

const BLOCK: usize = 4096;
/// Where the I/O goes.
const SPAN_BYTES: u64 = 128 * REGION_BYTES;
/// One I/O in so many is timed: in a guest the clock costs as much as a fast disk.
const TIMED_ONE_IN: u32 = 16;
/// The lanes in the order in which they take turns at first.
const LANES: [&str; 3] = ["raw member", "plain dm-linear", "volume"];
const PLAIN: usize = 1;

/// One of the devices, and what was read of it in one state of the daemon.
struct Lane {
    file: File,
    first_block: u64,
    /// I/Os per second of each turn: reads, writes.
    iops: [Vec<f64>; 2],
    /// Latencies in microseconds.
    latencies: [Spread; 2],
}

impl Lane {
    fn open(span: &Span) -> Self {
        let file = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlag::O_DIRECT.bits())
            .open(&span.device)
            .expect("device of the bench");
        Self {
            file,
            first_block: span.offset_bytes / BLOCK as u64,
            iops: Default::default(),
            latencies: Default::default(),
        }
    }

    /// Reads or writes at random for so long.
    fn turn(
        &mut self,
        way: usize,
        buffer: &mut [u8],
        random: &mut fastrand::Rng,
        length: Duration,
    ) {
        let begun = Instant::now();
        let mut done: u32 = 0;
        while begun.elapsed() < length {
            let one = Instant::now();
            self.one(way, buffer, random);
            self.latencies[way].note(one.elapsed().as_secs_f64() * 1e6);
            for _untimed in 1..TIMED_ONE_IN {
                self.one(way, buffer, random);
            }
            done += TIMED_ONE_IN;
        }
        self.iops[way].push(f64::from(done) / begun.elapsed().as_secs_f64());
    }

    fn one(&self, way: usize, buffer: &mut [u8], random: &mut fastrand::Rng) {
        let block = self.first_block + random.u64(0..SPAN_BYTES / BLOCK as u64);
        let at = block * BLOCK as u64;
        let done = if way == 0 {
            self.file.read_exact_at(buffer, at)
        } else {
            self.file.write_all_at(buffer, at)
        };
        done.expect("I/O of the bench");
    }
}

/// IOPS and latency of random I/O.
pub(crate) fn measure(guest: &Inside, devices: &Devices, length: Duration) -> String {
    let effort = Effort::rounds(300);
    let mut rig = Rig::new(guest, devices);
    rig.stop();
    let [raw, linear] = beneath(devices, SPAN_BYTES);
    let spans = [raw, linear, Span::start(VOLUME.as_ref(), SPAN_BYTES)];

    let mut table = Table::new(
        "Random I/O of 4 KiB, one in flight, in short turns",
        &[
            "",
            "read IOPS",
            "of plain",
            "p99 µs",
            "write IOPS",
            "of plain",
            "p99 µs",
        ],
    );
    for counting in countings() {
        if let Some(counting) = counting {
            rig.start(counting);
        }
        let mut lanes = spans.each_ref().map(Lane::open);
        race(&mut lanes, effort.rounds, length);
        rows(&mut table, &lanes, counting_name(counting));
        if counting.is_some() {
            rig.stop();
        }
    }
    table.end(&format!(
        "{} rounds of turns of {} ms, in which the three devices and reads and writes alternate. \
         \"Of plain\" is the median of the rounds' ratios to plain dm-linear on the same sectors. \
         Goal: 0.97.",
        effort.rounds,
        length.as_millis()
    ))
}

fn race(lanes: &mut [Lane; 3], rounds: u32, length: Duration) {
    // Direct I/O wants memory that is aligned to blocks.
    let mut memory = vec![7; 2 * BLOCK];
    let start = memory.as_ptr().align_offset(BLOCK);
    let buffer = &mut memory[start..start + BLOCK];
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..rounds as usize {
        for way in 0..2 {
            for at in 0..LANES.len() {
                // What comes later in a round has no advantage in the next.
                lanes[(at + round) % LANES.len()].turn(way, buffer, &mut random, length);
            }
        }
    }
}

fn rows(table: &mut Table, lanes: &[Lane; 3], counting: &str) {
    for (lane, name) in lanes.iter().zip(LANES) {
        let mut cells = vec![format!("{name}, {counting}")];
        for way in 0..2 {
            let plain = &lanes[PLAIN].iops[way];
            let ratios = lane.iops[way].iter().zip(plain).map(|(a, b)| a / b);
            cells.push(format!(
                "{:.0}",
                Spread::of(lane.iops[way].iter().copied()).median()
            ));
            cells.push(Spread::of(ratios).shown(3));
            cells.push(format!("{:.0}", lane.latencies[way].quantile(0.99)));
        }
        table.row(&cells);
    }
}
