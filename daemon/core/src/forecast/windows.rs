//! How much something was used in each of the last windows of time.
//!
//! Owns: [`Windows`], which keeps the touches of each window in a byte: the logarithm of one more
//! than them, in sixteenths, so that any count up to millions comes back within some percent.

use serde::{Deserialize, Serialize};

/// Windows that are remembered.
pub(crate) const WINDOWS: usize = 128;

/// A sixteenth of a power of e.
const STEP: f64 = 1.064_494_458_917_859_3;
/// Half of that.
const HALF_STEP: f64 = 1.031_743_407_499_102_7;
const CODES: usize = 256;

/// What each code stands for: e to the power of its sixteenths, less one. By multiplication alone,
/// which IEEE 754 rounds the same everywhere.
static TOUCHES: [f64; CODES] = touches_of_codes();

const fn touches_of_codes() -> [f64; CODES] {
    let mut all = [0.0; CODES];
    let (mut code, mut power) = (0, 1.0);
    while code < CODES {
        all[code] = power - 1.0;
        power *= STEP;
        code += 1;
    }
    all
}

/// The code of a number of touches: the nearest, by its logarithm. What is negative or no number is
/// none.
#[must_use]
pub fn code(touches: f64) -> u8 {
    let below = |of: &f64| (of + 1.0) * HALF_STEP <= touches + 1.0;
    u8::try_from(TOUCHES.partition_point(below)).unwrap_or(u8::MAX)
}

/// The touches that a code stands for.
#[must_use]
pub fn touches(code: u8) -> f64 {
    TOUCHES[usize::from(code)]
}

/// Use in the last windows, each as long as the others.
#[derive(Clone, Debug)]
pub(crate) struct Windows {
    /// The touches in each window, at its number modulo their count.
    codes: [u8; WINDOWS],
    /// Number of the running window.
    running: u64,
    /// Number of the first.
    first: u64,
    /// Touches in the running window so far.
    touches: f64,
}

/// Use in the last windows, as it is remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WindowsMemory {
    /// From the first one's place on; those of silence at the end are left out.
    codes: Vec<u8>,
    running: u64,
    first: u64,
    touches: f64,
}

impl Windows {
    pub(crate) fn remember(&self) -> WindowsMemory {
        let used = self.codes.iter().rposition(|code| *code != 0);
        WindowsMemory {
            codes: self.codes[..used.map_or(0, |last| last + 1)].to_vec(),
            running: self.running,
            first: self.first,
            touches: self.touches,
        }
    }

    pub(crate) fn recalled(memory: &WindowsMemory) -> Self {
        let mut codes = [0; WINDOWS];
        for (code, remembered) in codes.iter_mut().zip(&memory.codes) {
            *code = *remembered;
        }
        Self {
            codes,
            running: memory.running,
            first: memory.first.min(memory.running),
            touches: memory.touches,
        }
    }

    /// What both come to together, and who was used. Both have ended the same windows.
    pub(crate) fn sum(&self, other: &Self) -> Self {
        let both = |one: u8, other: u8| code(touches(one) + touches(other));
        Self {
            codes: std::array::from_fn(|at| both(self.codes[at], other.codes[at])),
            running: self.running,
            first: self.first.min(other.first),
            touches: self.touches + other.touches,
        }
    }

    /// Touches in the windows that have ended.
    pub(crate) fn total(&self) -> f64 {
        self.ended().sum()
    }

    /// From a window on.
    pub(crate) const fn new(window: u64) -> Self {
        Self::silent_since(window, window)
    }

    /// Of what was silent from the window `first` until now, the window `running`.
    pub(crate) const fn silent_since(first: u64, running: u64) -> Self {
        Self {
            codes: [0; WINDOWS],
            running,
            first,
            touches: 0.0,
        }
    }

    fn place(window: u64) -> usize {
        usize::try_from(window % WINDOWS as u64).unwrap_or(0)
    }

    /// Number of the running window.
    pub(crate) const fn running(&self) -> u64 {
        self.running
    }

    /// Ends all windows before this one.
    pub(crate) fn advance(&mut self, window: u64) {
        if window <= self.running {
            return;
        }
        let ended = self.running;
        self.codes[Self::place(ended)] = code(self.touches);
        self.touches = 0.0;
        let silent = (window - ended - 1).min(WINDOWS as u64);
        for one in window - silent..window {
            self.codes[Self::place(one)] = 0;
        }
        self.running = window;
        self.codes[Self::place(window)] = 0;
    }

    /// Touches in the running window.
    pub(crate) fn add(&mut self, touches: f64) {
        self.touches += touches;
    }

    /// Whether there was no use within what is remembered.
    pub(crate) fn is_silent(&self) -> bool {
        self.touches <= 0.0 && self.codes.iter().all(|code| *code == 0)
    }

    fn oldest(&self) -> u64 {
        let oldest = self.running.saturating_sub(WINDOWS as u64 - 1);
        oldest.max(self.first)
    }

    /// How many windows that have ended are remembered.
    pub(crate) fn known(&self) -> u64 {
        self.running - self.oldest()
    }

    /// Touches in the windows that have ended, from the oldest that is remembered on.
    pub(crate) fn ended(&self) -> impl Iterator<Item = f64> + '_ {
        (self.oldest()..self.running).map(|window| self.of(window))
    }

    /// The code of the window so many before the running one; 0 if it is not remembered.
    pub(crate) fn code_back(&self, windows: u64) -> u8 {
        let window = self.running.checked_sub(windows);
        let window = window.filter(|window| *window >= self.oldest() && windows > 0);
        window.map_or(0, |window| self.codes[Self::place(window)])
    }

    /// Touches in the window so many before the running one, if it is remembered.
    pub(crate) fn back(&self, windows: u64) -> Option<f64> {
        let window = self.running.checked_sub(windows)?;
        let is_known = (self.oldest()..self.running).contains(&window);
        is_known.then(|| self.of(window))
    }

    fn of(&self, window: u64) -> f64 {
        touches(self.codes[Self::place(window)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_remembered_to_some_percent_up_to_millions() {
        for touches in [1.0, 2.0, 7.0, 60.0, 900.0, 3_900.0, 5e4, 8e6_f64] {
            let back = TOUCHES[usize::from(code(touches))];
            assert!((back / touches - 1.0).abs() < 0.07, "{touches}: {back}");
        }
        assert_eq!((code(0.0), code(1e12)), (0, u8::MAX));
        assert_eq!((code(-1.0), code(f64::NAN)), (0, 0));
        for (sixteenths, touches) in (0..=u8::MAX).zip(TOUCHES) {
            assert_eq!(code(touches), sixteenths);
            let exact = (f64::from(sixteenths) / 16.0).exp() - 1.0;
            assert!((touches - exact).abs() <= exact * 1e-12);
        }
    }

    #[test]
    fn windows_follow_one_another_and_those_between_were_silent() {
        let mut windows = Windows::new(10);
        windows.add(3.0);
        windows.advance(11);
        windows.add(5.0);
        windows.advance(14);
        let rounded = |touches: f64| touches.round();
        let ended: Vec<f64> = windows.ended().map(rounded).collect();
        assert_eq!(ended, [3.0, 5.0, 0.0, 0.0]);
        assert_eq!(windows.known(), 4);
        assert_eq!(windows.back(3).map(rounded), Some(5.0));
        assert_eq!((windows.back(5), windows.back(0)), (None, None));
        let silent = Windows::silent_since(7, 10);
        assert_eq!((silent.known(), silent.back(3)), (3, Some(0.0)));
        assert!(silent.is_silent() && silent.back(4).is_none());
        windows.advance(14 + 1_000);
        assert!(windows.is_silent());
        assert_eq!(windows.ended().count(), WINDOWS - 1);
    }
}
