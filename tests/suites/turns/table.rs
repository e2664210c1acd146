//! What was seen, for people.

use std::fmt::Write as _;

use super::turn::{Turn, mean_share};
use super::{Lane, SETS, Seen};

/// The whole of it: by cycle, the share of reads that the fast disk served in each turn.
pub(super) fn of(seen: &Seen) -> String {
    let mut text = format!(
        "the slow disk reads {:.0} MB/s in one go; share of reads from NVMe:\n",
        seen.slow_bytes_per_second / 1e6
    );
    for lane in &seen.lanes {
        let _ = writeln!(text, "{}", lane.name);
        for (number, turns) in (1..).zip(cycles(lane)) {
            let mean = mean_share(turns) * 100.0;
            let turns: Vec<String> = turns.iter().map(one).collect();
            let _ = writeln!(
                text,
                "  cycle {number}: {mean:>3.0} %: {}",
                turns.join(", ")
            );
        }
        for note in &lane.notes {
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

fn cycles(lane: &Lane) -> std::slice::Chunks<'_, Turn> {
    lane.turns.chunks(usize::try_from(SETS).unwrap())
}

fn one(turn: &Turn) -> String {
    let share = turn.share() * 100.0;
    format!("{share:.0} % of {} {}", turn.reads, turn.note)
        .trim_end()
        .to_owned()
}
