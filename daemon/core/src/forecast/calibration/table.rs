//! What came, by what was expected.
//!
//! Owns: the bins of both. What was expected falls into halves of each power of two up to 64, which
//! is where most moves are decided, and into whole ones from there; what came, a count, into bins of
//! its own up to 7, and into quarters of each power of two from there.

use serde::{Deserialize, Serialize};

/// Bins of what was expected.
pub(super) const EXPECTED_BINS: usize = 32;
/// From which on they are halves of a power of two.
const LEAST_EXPECTED: f64 = 1.0 / 16.0;
/// How many of them are.
const HALVES: usize = 20;
/// Where each but the first begins.
static EXPECTED_FROM: [f64; EXPECTED_BINS - 1] = borders();
/// Bins of what came: up to 2 to the power of 17, and all that is more in the last.
const CAME_BINS: usize = 64;
/// Bins to a power of two.
const QUARTERS: u32 = 4;
/// What is left of outcomes when they are forgotten.
const FORGOTTEN: f32 = 1e-3;

const fn borders() -> [f64; EXPECTED_BINS - 1] {
    let mut all = [0.0; EXPECTED_BINS - 1];
    let (mut at, mut power) = (0, LEAST_EXPECTED);
    while at < EXPECTED_BINS - 1 {
        if at < HALVES && at % 2 == 1 {
            all[at] = power * std::f64::consts::SQRT_2;
            power *= 2.0;
        } else {
            all[at] = power;
            if at >= HALVES {
                power *= 2.0;
            }
        }
        at += 1;
    }
    all
}

/// The bin of what was expected.
pub(super) fn expected_bin(expected: f64) -> u8 {
    let bin = EXPECTED_FROM.partition_point(|from| *from <= expected);
    u8::try_from(bin).unwrap_or(u8::MAX)
}

/// The end of a bin of what was expected; of the first, nothing.
pub(super) fn expected_until(bin: usize) -> f64 {
    let next = EXPECTED_FROM.get(bin).copied();
    match (bin, next) {
        (0, _) => 0.0,
        (_, Some(next)) => next,
        (_, None) => EXPECTED_FROM[EXPECTED_BINS - 2] * 2.0,
    }
}

/// The bin of a count, its first count, and how many counts it has.
fn came_bin(count: u32) -> (usize, u32, u32) {
    if count < QUARTERS {
        return (count as usize, count, 1);
    }
    let power = count.ilog2();
    let width = 1 << (power - QUARTERS.ilog2());
    let quarter = count / width - QUARTERS;
    let bin = (QUARTERS * (power - 1) + quarter) as usize;
    (bin, count / width * width, width)
}

/// A bin of what was expected, one of what came, and how often both were so.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::forecast) struct Cell(u8, u8, f32);

/// How often what came of what was expected, one horizon ahead; empty until something came.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    rows: Vec<[f32; CAME_BINS]>,
}

impl Table {
    /// Takes in an outcome.
    pub(super) fn count(&mut self, expected_bin: u8, came: f64) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from float to integer saturates"
        )]
        let (bin, _, _) = came_bin(came as u32);
        self.add(Cell(
            expected_bin,
            u8::try_from(bin).unwrap_or(u8::MAX),
            1.0,
        ));
    }

    fn add(&mut self, cell: Cell) {
        let Cell(expected, came, weight) = cell;
        if self.rows.is_empty() {
            self.rows = vec![[0.0; CAME_BINS]; EXPECTED_BINS];
        }
        let came = usize::from(came).min(CAME_BINS - 1);
        let row = self.rows.get_mut(usize::from(expected));
        if let Some(count) = row.and_then(|row| row.get_mut(came)) {
            *count += weight;
        }
    }

    /// Leaves so much of each outcome.
    pub(super) fn fade(&mut self, left: f32) {
        for count in self.rows.as_flattened_mut() {
            *count *= left;
            if *count < FORGOTTEN {
                *count = 0.0;
            }
        }
    }

    /// Of a bin of what was expected, how often at least so many touches came, and how often any
    /// number. Counts within a bin of what came are taken to be as frequent as each other.
    pub(super) fn at_least(&self, expected_bin: usize, touches: f64) -> (f64, f64) {
        let Some(row) = self.rows.get(expected_bin) else {
            return (0.0, 0.0);
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast from float to integer saturates"
        )]
        let least = touches.ceil() as u32;
        let (bin, first, width) = came_bin(least);
        let above: f64 = row.iter().skip(bin + 1).copied().map(f64::from).sum();
        let share = f64::from(width - (least - first)) / f64::from(width);
        let within = row.get(bin).copied().map_or(0.0, f64::from);
        let all = row.iter().copied().map(f64::from).sum();
        (above + within * share, all)
    }

    /// What is remembered of it.
    pub(super) fn cells(&self) -> Vec<Cell> {
        let rows = (0_u8..).zip(&self.rows);
        let all = rows.flat_map(|(expected, row)| {
            let row = (0_u8..).zip(row);
            row.map(move |(came, count)| Cell(expected, came, *count))
        });
        all.filter(|cell| cell.2 > 0.0).collect()
    }

    /// From what is remembered.
    pub(super) fn of_cells(cells: &[Cell]) -> Self {
        let mut table = Self::default();
        for cell in cells {
            if cell.2.is_finite() && cell.2 > 0.0 {
                table.add(*cell);
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_count_is_in_one_bin_and_small_ones_have_their_own() {
        let mut last = 0;
        for count in 0..131_072 {
            let (bin, first, width) = came_bin(count);
            assert!(first <= count && count < first + width, "{count}");
            assert!(bin == last || bin == last + 1, "{count}: {bin}");
            assert!(count >= 8 || width == 1, "{count}");
            last = bin;
        }
        assert_eq!(last, CAME_BINS - 1);
    }

    #[test]
    fn what_is_expected_is_in_the_bin_that_ends_after_it() {
        assert_eq!(usize::from(expected_bin(f64::MAX)), EXPECTED_BINS - 1);
        assert_eq!((expected_bin(0.0), expected_bin(0.06)), (0, 0));
        for bin in 1..EXPECTED_BINS {
            let (from, until) = (EXPECTED_FROM[bin - 1], expected_until(bin));
            assert_eq!(usize::from(expected_bin(from)), bin);
            assert_eq!(usize::from(expected_bin(until * 0.999)), bin);
            let wanted = if until <= 65.0 { 2.0_f64.sqrt() } else { 2.0 };
            assert!(
                (until / from / wanted - 1.0).abs() < 1e-12,
                "{bin}: {from} {until}"
            );
        }
        assert!(
            (EXPECTED_FROM[30] - 65_536.0).abs() < 1e-6,
            "{}",
            EXPECTED_FROM[30]
        );
    }

    #[test]
    fn at_least_so_many_came_as_often_as_they_did() {
        let mut table = Table::default();
        for came in [0.0, 1.0, 2.0, 2.9, 3.0, 40.0, 1e9] {
            table.count(5, came);
        }
        let at_least = |touches| table.at_least(5, touches);
        for (touches, came) in [(1.0, 6.0), (2.0, 5.0), (2.5, 3.0), (3.0, 3.0), (4.0, 2.0)] {
            let (is, all) = at_least(touches);
            assert!(
                (is - came).abs() < 1e-6 && (all - 7.0).abs() < 1e-6,
                "{touches}: {is}"
            );
        }
        // 40 is one of eight counts that are not told apart, of which five are 43 and more.
        assert!(
            (at_least(43.0).0 - 1.625).abs() < 1e-6,
            "{:?}",
            at_least(43.0)
        );
        assert!(at_least(1e12).0.abs() < 1e-6);
        assert_eq!(table.at_least(6, 1.0), (0.0, 0.0));
        assert_eq!(Table::of_cells(&table.cells()).rows, table.rows);
        table.fade(0.5);
        assert!((table.at_least(5, 1.0).0 - 3.0).abs() < 1e-6);
        for _ in 0..12 {
            table.fade(0.5);
        }
        assert_eq!(table.cells(), []);
    }
}
