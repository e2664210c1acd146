//! What people read at the end.
//!
//! Owns: the words of the summary. Figures are those of [`Outcome`], unchanged but for rounding.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tier_wire::{Cause, Class, Move, ProbeStatus, Stage};

use super::outcome::{Measured, Outcome};

/// The line that has to stand at the end, or the job has failed.
pub const VERIFIED: &str = "all files verified";

/// A latency for people.
#[must_use]
pub fn time(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

/// A move on one line.
#[must_use]
pub fn one_move(one: &Move) -> String {
    format!(
        "{:>4}  regions {}..{}  {} → {}  {:.0} %  {}",
        one.id,
        one.first,
        one.first + one.count,
        one.from.class,
        one.to.class,
        one.progress * 100.0,
        one.reason.text
    )
}

/// The summary.
#[must_use]
pub fn summary(outcome: &Outcome) -> String {
    let mut text = String::new();
    figures(&mut text, outcome);
    moves(&mut text, &outcome.moves);
    let holds = &outcome.holds;
    let _ = writeln!(
        text,
        "\nHolds for {} table swaps: median {}, 99th percentile {}, longest {}",
        holds.count,
        time(holds.p50_seconds),
        time(holds.p99_seconds),
        time(holds.max_seconds)
    );
    let _ = writeln!(text, "Probe: {}", probe(&outcome.probe));
    let _ = writeln!(text, "\nHeat before:\n{}", outcome.heat[0]);
    let _ = writeln!(text, "Heat after:\n{}", outcome.heat[1]);
    verdict(&mut text, outcome);
    text
}

fn figures(text: &mut String, outcome: &Outcome) {
    let (before, after) = (&outcome.before, &outcome.after);
    let _ = writeln!(text, "{:36} {:>12} {:>12}", "", "before", "after");
    let mut row = |what: &str, figure: &dyn Fn(&Measured) -> String| {
        let _ = writeln!(
            text,
            "{what:36} {:>12} {:>12}",
            figure(before),
            figure(after)
        );
    };
    row("I/O per second", &|one| format!("{:.0}", one.iops()));
    row("read latency, mean", &|one| time(one.reads.mean_seconds));
    row("read latency, median", &|one| time(one.reads.p50_seconds));
    row("read latency, 99th percentile", &|one| {
        time(one.reads.p99_seconds)
    });
    row("write latency, median", &|one| time(one.writes.p50_seconds));
    row("write latency, 99th percentile", &|one| {
        time(one.writes.p99_seconds)
    });
    for class in Class::ALL {
        row(&format!("reads served by {class}"), &|one| {
            format!("{:.1} %", one.share(class) * 100.0)
        });
    }
    let _ = match outcome.moved_in_seconds {
        Some(seconds) => writeln!(text, "\nThe hot data moved to nvme in {seconds:.0} s."),
        None => writeln!(text, "\nThe hot data did not move to nvme in time."),
    };
}

/// Moves of one kind.
#[derive(Default)]
struct Kind<'moves> {
    count: u64,
    bytes: u64,
    /// Why the first of them was made.
    example: &'moves str,
}

/// What moved and why, by kind.
fn moves(text: &mut String, moves: &[Move]) {
    let mut kinds: BTreeMap<_, Kind<'_>> = BTreeMap::new();
    for one in moves {
        let (from, to) = (one.from.class, one.to.class);
        let kind = (rule(&one.reason.cause), from, to, one.stage.name());
        let kind = kinds.entry(kind).or_default();
        kind.count += 1;
        kind.bytes += one.bytes;
        kind.example = &one.reason.text;
    }
    let done = moves.iter().filter(|one| one.stage == Stage::Done);
    let bytes: u64 = done.clone().map(|one| one.bytes).sum();
    let _ = writeln!(text, "{} moves, {} MiB:", done.count(), bytes >> 20);
    for ((rule, from, to, stage), kind) in kinds {
        let (count, mib, example) = (kind.count, kind.bytes >> 20, kind.example);
        let _ = writeln!(
            text,
            "  {count:>4} × {rule} {from} → {to}, {stage}, {mib} MiB; such as: {example}"
        );
    }
}

const fn rule(cause: &Cause) -> &'static str {
    match cause {
        Cause::ByHand => "by hand",
        Cause::Promotion { .. } => "promotion",
        Cause::Demotion { .. } => "demotion",
        Cause::Worn { .. } => "wear",
        Cause::Adopted => "adopted",
    }
}

fn probe(probe: &ProbeStatus) -> String {
    match probe {
        ProbeStatus::On {
            counted,
            lost,
            skipped,
            memory_bytes,
        } => format!(
            "eBPF, {counted} requests counted, {lost} lost, {skipped} skipped, {} KiB of maps",
            memory_bytes >> 10
        ),
        ProbeStatus::Fallback { source, reason } => format!("{source}, because: {reason}"),
        ProbeStatus::Off { reason } => format!("off, because: {reason}"),
    }
}

fn verdict(text: &mut String, outcome: &Outcome) {
    let _ = writeln!(
        text,
        "{} files of {} MiB and a file with {} overwrites, read again after the volume was stopped \
         and started; e2fsck; {:.0} s on Linux {}",
        outcome.files,
        outcome.file_bytes >> 20,
        outcome.ledger_writes,
        outcome.seconds,
        outcome.kernel
    );
    for complaint in &outcome.complaints {
        let _ = writeln!(text, "WRONG: {complaint}");
    }
    if outcome.complaints.is_empty() {
        let _ = writeln!(text, "{VERIFIED}");
    }
}

#[cfg(test)]
#[path = "summary_tests.rs"]
mod tests;
