//! What came of forecasts: local history to learn from, and how good the network is.
//!
//! Owns: [`Examples`]: in each window some groups are chosen, and the touches that come to them
//! until each horizon are counted. Invariants: bounded memory; which groups are chosen depends on
//! their number and the window alone, not on how they are used, so that examples are drawn evenly.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::drift::Drift;
use super::history::{Codes, listed};
use super::rhythm::{Group, Rhythm};
use super::shapes::Run;
use super::{FINITE, Known, code};
use crate::units::VolumeRegion;

/// Examples begun in a window, at most.
const BEGUN_MAX: usize = 8;
/// Examples of which the outcome is awaited, at most.
const AWAITED_MAX: usize = 4_096;
/// Codes to a power of e.
const CODES: f64 = 16.0;

/// A group's history, and what came after it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// What had been counted in its last windows.
    #[serde(with = "listed")]
    pub codes: Codes,
    /// Its touches from then on until each horizon but the last.
    pub touches: [f32; FINITE],
}

/// The forecasts of the network have become worse for good. Errors are how far the logarithm of
/// what was forecast was from that of what came, in powers of e, as a mean of the horizons.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drifted {
    /// Mean error before.
    pub error_before: f64,
    /// And of late.
    pub error_late: f64,
}

#[derive(Clone, Debug)]
struct Awaited {
    run: Run,
    window: u64,
    codes: Codes,
    /// What the network, and the reactive expert, expected.
    said: Option<[f64; FINITE]>,
    naive: [f64; FINITE],
    /// The group's counter when it was last looked at.
    counter: f64,
    /// Touches since it was begun, until each horizon.
    touches: [f64; FINITE],
}

/// The examples.
#[derive(Clone, Debug, Default)]
pub(super) struct Examples {
    awaited: VecDeque<Awaited>,
    network: Drift,
    naive: Drift,
}

/// How far what was expected was from what came.
fn error(said: &[f64; FINITE], came: &[f64; FINITE]) -> f64 {
    let pairs = said.iter().zip(came);
    let sum: f64 = pairs
        .map(|(said, came)| f64::from(code(*said).abs_diff(code(*came))) / CODES)
        .sum();
    #[allow(clippy::cast_precision_loss, reason = "some horizons")]
    let horizons = FINITE as f64;
    sum / horizons
}

/// Whether examples of a group are begun in a window, of which one group in `part` is chosen.
fn is_chosen(first: u32, window: u64, part: u32) -> bool {
    // Both are spread by odd constants (Knuth, 6.4), so that neighbours have their turns apart.
    let window = u32::try_from(window % u64::from(u32::MAX)).unwrap_or(0);
    let spread = first.wrapping_mul(0x9e37_79b9) ^ window.wrapping_mul(0x85eb_ca6b);
    (spread.wrapping_mul(0xc2b2_ae35) >> 16).is_multiple_of(part.max(1))
}

impl Examples {
    /// Begins examples of some of these groups, which are asked about in this window.
    pub(super) fn begin(&mut self, window: u64, groups: &[Known]) {
        let part = u32::try_from(groups.len() / BEGUN_MAX).unwrap_or(u32::MAX);
        let chosen = groups
            .iter()
            .filter(|one| is_chosen(one.history.first.0, window, part));
        for one in chosen.take(BEGUN_MAX) {
            if self.awaited.len() >= AWAITED_MAX {
                return;
            }
            self.awaited.push_back(Awaited {
                run: Run {
                    first: one.history.first.0,
                    count: one.history.count,
                },
                window,
                codes: one.history.codes,
                said: None,
                naive: one.naive,
                counter: one.counter,
                touches: [0.0; FINITE],
            });
        }
    }

    /// Takes in what was forecast in a window.
    pub(super) fn said(&mut self, window: u64, of: impl Fn(Run) -> Option<[f64; FINITE]>) {
        let begun = self.awaited.iter_mut().rev();
        for one in begun.take_while(|one| one.window == window) {
            one.said = of(one.run);
        }
    }

    /// Takes in what was counted until this window began. `ends` are the windows after which the
    /// horizons end. Gives the examples that are whole now, and tells of a change for the worse.
    pub(super) fn look(
        &mut self,
        window: u64,
        ends: [u64; FINITE],
        rhythm: &Rhythm,
    ) -> (Vec<Example>, Option<Drifted>) {
        // What was halved or joined meanwhile is no longer what was asked about.
        let is_other = |one: &Awaited| rhythm.run_of(VolumeRegion(one.run.first)) != Some(one.run);
        let is_gone = |one: &Awaited| rhythm.run_of(VolumeRegion(one.run.first)).is_none();
        self.awaited.retain(|one| is_gone(one) || !is_other(one));
        for one in &mut self.awaited {
            // A group that was silent for long is forgotten, and counted from nothing after that.
            let counter = rhythm.group(one.run).map_or(0.0, Group::total);
            let more = if counter < one.counter {
                counter
            } else {
                counter - one.counter
            };
            one.counter = counter;
            let passed = window.saturating_sub(one.window);
            for (touches, end) in one.touches.iter_mut().zip(ends) {
                if passed <= end {
                    *touches += more;
                }
            }
        }
        let last = ends.iter().copied().max().unwrap_or(0);
        let (mut whole, mut drifted) = (Vec::new(), None);
        while let Some(one) = self.awaited.front()
            && window.saturating_sub(one.window) >= last
        {
            if let Some(said) = &one.said {
                self.naive.note(error(&one.naive, &one.touches));
                let change = self.network.note(error(said, &one.touches));
                drifted = drifted.or(change);
            }
            #[allow(clippy::cast_possible_truncation, reason = "a count needs no 53 bits")]
            let touches = one.touches.map(|touches| touches as f32);
            whole.push(Example {
                codes: one.codes,
                touches,
            });
            self.awaited.pop_front();
        }
        let drifted = drifted.map(|change| Drifted {
            error_before: change.before,
            error_late: change.late,
        });
        (whole, drifted)
    }

    /// Mean errors of late of the network and of the reactive expert.
    pub(super) fn errors(&self) -> Option<(f64, f64)> {
        Some((self.network.late()?, self.naive.late()?))
    }
}
