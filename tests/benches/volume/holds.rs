//! How long holds keep new I/O waiting, while a load runs and regions move one by one.
//!
//! A hold waits for the I/O in flight, which is the members' time and on a mirror the copy's too,
//! and then does its own work. Both are shown: all of each hold, and what is left of it when that
//! wait is taken away. The members are RAM disks, which serve each I/O in the call that submits
//! it: whatever a hold waits for is in the mirrors, or is the machine's own business.

use std::time::Duration;

use tier_tests::guest::Inside;

use crate::effort::Effort;
use crate::fio::{Background, Span};
use crate::page::Table;
use crate::rig::{Devices, REGION_BYTES, Rig, VOLUME, segments};

/// The verbs of the backend that hold something, and what they hold.
const VERBS: [(&str, &str); 4] = [
    ("add_legs", "add legs: the volume"),
    ("begin_copy", "begin a copy: one extent"),
    ("set_map", "fold: the volume"),
    ("drop_leg", "drop a leg: one extent"),
];
/// Regions that move in one direction before they move back.
const REGIONS: u64 = 64;

/// How long the load runs without moves.
const ALONE: Duration = Duration::from_secs(15);

/// The distribution of holds.
pub(crate) fn measure(guest: &Inside, devices: &Devices) -> String {
    let effort = Effort::rounds(8);
    let rig = Rig::new(guest, devices);
    let all = segments(devices);
    // The last regions of the first member and the first of the second.
    let border = all[1].start_bytes / REGION_BYTES;
    let span = Span {
        device: VOLUME.into(),
        offset_bytes: (border - REGIONS) * REGION_BYTES,
        length_bytes: 2 * REGIONS * REGION_BYTES,
    };
    span.fill();
    // The same load while nothing moves: what is slow then is the machine's.
    let load = Background::start(&span);
    std::thread::sleep(ALONE);
    let (iops_alone, p99_alone_us, longest_alone_us) = load.end();
    let load = Background::start(&span);
    for _round in 0..effort.rounds {
        // Every other region, so that each is an extent of its own and a move of its own.
        for class in ["hdd", "nvme"] {
            for region in (0..REGIONS).step_by(2) {
                rig.move_to(class, border - REGIONS + region, 1);
            }
            rig.wait_for_moves();
        }
    }
    let (iops, p99_us, longest_us) = load.end();
    let holds = &rig.status()["holds"];
    let read = |key: &str| holds[key].as_f64().unwrap_or(f64::NAN);
    let metrics = rig.metrics();
    let moves = u64::from(effort.rounds) * REGIONS;
    distribution(&metrics).end(&format!(
        "{} holds for {moves} moves, under {iops:.0} random reads and writes a second: all of a hold \
         median {:.2} ms, p99 {:.2} ms, longest {:.2} ms; p99 of the wait for I/O in flight \
         {:.2} ms; **without that wait, 99 of 100 holds take at most {} ms** (goal: 2 ms). The \
         load's own reads: p99 {:.2} ms, longest {:.1} ms; while nothing moved, {iops_alone:.0} \
         reads and writes a second, p99 {:.2} ms, longest {:.1} ms.",
        read("count"),
        read("p50_seconds") * 1e3,
        read("p99_seconds") * 1e3,
        read("max_seconds") * 1e3,
        read("drain_p99_seconds") * 1e3,
        p99_bound(&metrics, "own"),
        p99_us / 1e3,
        longest_us / 1e3,
        p99_alone_us / 1e3,
        longest_alone_us / 1e3,
    ))
}

/// The histograms of the metrics, a row each.
fn distribution(metrics: &str) -> Table {
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    for (verb, what) in VERBS {
        for (kind, of) in [("", "all of it"), ("own_", "without the wait")] {
            let buckets = buckets(metrics, kind, verb);
            let count = buckets.last().map_or(0.0, |(_, count)| *count);
            let moves = format!("tierd_held_moves_total{{volume=\"v\",verb=\"{verb}\"}}");
            let moves = counter(metrics, &moves) / count;
            columns = buckets.iter().map(|(bound, _)| bound.clone()).collect();
            let mut row = vec![format!("{what}, {of}"), format!("{moves:.1}")];
            row.extend(buckets.iter().map(|(_, count)| count.to_string()));
            rows.push(row);
        }
    }
    let mut heads = vec!["holds no longer than (ms)", "moves a hold"];
    heads.extend(columns.iter().map(String::as_str));
    let mut table = Table::new("Holds", &heads);
    for row in rows {
        table.row(&row);
    }
    table
}

/// The bucket's bound in milliseconds that 99 of 100 holds of all verbs keep.
fn p99_bound(metrics: &str, kind: &str) -> String {
    let kind = format!("{kind}_");
    let all: Vec<_> = VERBS
        .iter()
        .map(|(verb, _)| buckets(metrics, &kind, verb))
        .collect();
    let within = |at: usize| all.iter().map(|one| one[at].1).sum::<f64>();
    let last = all[0].len() - 1;
    let at = (0..=last).find(|&at| within(at) >= 0.99 * within(last));
    all[0][at.unwrap_or(last)].0.clone()
}

/// Upper bound in milliseconds and number of holds up to it, of each bucket.
fn buckets(metrics: &str, kind: &str, verb: &str) -> Vec<(String, f64)> {
    let prefix = format!("tierd_hold_{kind}seconds_bucket{{volume=\"v\",verb=\"{verb}\",le=\"");
    let found: Vec<_> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(&prefix)?.split_once("\"} "))
        .map(|(bound, count)| {
            let bound = bound.parse::<f64>().unwrap_or(f64::INFINITY) * 1e3;
            let bound = if bound.is_finite() {
                bound.to_string()
            } else {
                "all".to_owned()
            };
            (bound, count.parse().expect("count of holds"))
        })
        .collect();
    assert!(!found.is_empty(), "no histogram of {verb}: {metrics}");
    found
}

fn counter(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|rest| rest.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {metrics}"))
}
