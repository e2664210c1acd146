//! What became of the moves: the newest report of each, kept for people.
//!
//! Owns: a bounded list of finished moves, newest last. Live moves are the engine's to tell.

use std::collections::VecDeque;
use std::time::SystemTime;

use tier_core::command::{MoveReport, Stage};

/// Finished moves that are remembered.
const FINISHED_MAX: usize = 1_000;

/// A finished move and when it ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    /// The engine's last word on it.
    pub(crate) report: MoveReport,
    /// When that word came; wall-clock time, for people only.
    pub(crate) at: SystemTime,
    /// Touches of its regions until then, since the engine started.
    pub(crate) touches_before: f64,
}

/// The finished moves of a volume.
#[derive(Debug, Default)]
pub(crate) struct History {
    finished: VecDeque<Finished>,
    done: u64,
    done_regions: u64,
    undone: u64,
    failed: u64,
}

impl History {
    /// Takes note of a report, and of the touches that its regions had so far; only those of a
    /// finished move are kept.
    pub(crate) fn note(&mut self, report: &MoveReport, at: SystemTime, touches_before: f64) {
        match report.stage {
            Stage::Pending | Stage::Copying | Stage::Committing | Stage::Swapping => return,
            Stage::Done => {
                self.done += 1;
                self.done_regions += u64::from(report.count);
            }
            Stage::Undone => self.undone += 1,
            Stage::Failed => self.failed += 1,
        }
        if self.finished.len() == FINISHED_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back(Finished {
            report: report.clone(),
            at,
            touches_before,
        });
    }

    /// Finished moves, newest first.
    pub(crate) fn newest_first(&self) -> impl Iterator<Item = &Finished> {
        self.finished.iter().rev()
    }

    /// Regions that moves have brought to their targets since the start.
    pub(crate) fn done_regions(&self) -> u64 {
        self.done_regions
    }

    /// How many moves ended done, undone and failed since the start.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        (self.done, self.undone, self.failed)
    }
}
