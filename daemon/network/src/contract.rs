//! What the daemon and the network agree on: version 2 of the model.
//!
//! A *group* is 64 regions that lie side by side. Its *history* is how often it was touched in each
//! of the last 32 windows that have ended, oldest first, on three scales of windows, the coarsest
//! first: 96 codes. A forecast is made when a window of the finest scale ends; windows in which the
//! group was not yet known count as silent. Touches are those of the engine's heat
//! ([`tier_core::heat::touches`]).
//!
//! The network is an ONNX file (opset 14, `ir_version` 8):
//!
//! | tensor     | type and shape         | meaning                                                   |
//! |------------|------------------------|-----------------------------------------------------------|
//! | `history`  | f32 `[batch, 8, 12]`   | each step: [`features`], four windows of each scale       |
//! | `naive`    | f32 `[batch, 4]`       | [`naive_logs`]                                            |
//! | `expected` | f32 `[batch, 4]`       | touches of the group until each horizon, from now on      |
//!
//! In it: one GRU of 48 (`linear_before_reset` = 1, gates in the order z, r, h), whose last state
//! goes through a linear layer; that and the naive logarithms are added, and go through
//! [`LOG_RANGE`] and an exponential. So what is learned is by which factor the naive forecast is
//! off, and a layer of zeros is the naive forecast.

use std::sync::LazyLock;

// What the engine tells: a window's touches in a byte, 16 ln(1 + touches), window by window.
pub use tier_core::forecast::history::{
    Codes, GROUP_REGIONS, SCALES, STEPS, WINDOW_TIMES, WINDOWS,
};
pub use tier_core::forecast::{code, touches};

/// Version of all that stands here. A model of another version is refused.
pub const VERSION: u32 = 2;
/// Seconds of a window of each scale, coarsest first. Each is a multiple of the next.
pub const WINDOW_SECONDS: [u32; SCALES] = [3_840, 480, 60];
/// Adjacent windows of each scale of which the network is told in one step: the steps are what takes
/// its time, one after the other.
pub const STEP_WINDOWS: usize = 4;
/// Steps of the network, the oldest windows of each scale first.
pub const NETWORK_STEPS: usize = WINDOWS / STEP_WINDOWS;
/// Numbers by which the network is told of a step.
pub const FEATURES: usize = SCALES * STEP_WINDOWS;
/// Horizons, in seconds from now.
pub const HORIZON_SECONDS: [u32; HORIZONS] = [60, 600, 3_600, 21_600];
/// Number of horizons.
pub const HORIZONS: usize = 4;
/// State of the recurrent layer.
pub const HIDDEN: usize = 48;
/// Least and greatest natural logarithm of an expected number of touches.
pub const LOG_RANGE: [f32; 2] = [-9.0, 16.0];
/// Name of the network's input of histories.
pub const INPUT: &str = "history";
/// Name of its input of naive forecasts.
pub const NAIVE_INPUT: &str = "naive";
/// Name of its output.
pub const OUTPUT: &str = "expected";

/// What a code is divided by for the network.
const CODE_SCALE: f32 = 128.0;
/// Half-life of the naive forecast: that of the engine's lasting heat.
const HALF_LIFE_SECONDS: f64 = 10_000.0;

/// Touches a second that are added to the naive rate, so that it has a logarithm: six an hour, about
/// what is best for it on the made-up loads.
const RATE_FLOOR: f64 = 6.0 / 3_600.0;

/// What the network is told in step `at` of a history: the codes of [`STEP_WINDOWS`] windows of each
/// scale, the coarsest scale first and the older window first, each divided by 128.
///
/// Beyond [`NETWORK_STEPS`], all are zero.
#[must_use]
pub fn features(at: usize, codes: &Codes) -> [f32; FEATURES] {
    let mut features = [0.0; FEATURES];
    let scales = features.chunks_exact_mut(STEP_WINDOWS);
    for (own, codes) in scales.zip(codes.chunks_exact(WINDOWS)) {
        let windows = codes.chunks_exact(STEP_WINDOWS).nth(at).unwrap_or_default();
        for (own, code) in own.iter_mut().zip(windows) {
            *own = f32::from(*code) / CODE_SCALE;
        }
    }
    features
}

/// What a history says if what was used for a while goes on: the rate of touches, each counting
/// half as much with every 10,000 s, times the horizon.
///
/// Where scales overlap, the finer one counts. Its 32 windows are as long as some of the next
/// scale's, which are left out: the newest of those may have ended a little earlier.
#[must_use]
pub fn naive(codes: &Codes) -> [f64; HORIZONS] {
    let rate = rate(codes);
    HORIZON_SECONDS.map(|horizon| rate * f64::from(horizon))
}

/// The naive rate, in touches a second.
fn rate(codes: &Codes) -> f64 {
    let counted = codes.iter().zip(&*RATES);
    counted.map(|(code, rate)| touches(*code) * rate).sum()
}

/// Natural logarithms of the naive forecast, from each of which the network goes on; within
/// [`LOG_RANGE`].
///
/// Six touches an hour are added, so that what was silent has one, too.
#[must_use]
pub fn naive_logs(codes: &Codes) -> [f32; HORIZONS] {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "a logarithm needs no 53 bits"
    )]
    let log = |touches: f64| touches.ln() as f32;
    let rate = rate(codes) + RATE_FLOOR;
    HORIZON_SECONDS.map(|horizon| {
        let log = log(rate * f64::from(horizon));
        log.clamp(LOG_RANGE[0], LOG_RANGE[1])
    })
}

/// By how much a touch in each window of a history raises the naive rate, in touches a second: an
/// exponential for each would take longer than the network does.
static RATES: LazyLock<[f64; STEPS]> = LazyLock::new(|| {
    let mut rates = [0.0; STEPS];
    let scales = rates.chunks_exact_mut(WINDOWS).zip(WINDOW_SECONDS);
    for (scale, (rates, seconds)) in scales.enumerate() {
        let seconds = f64::from(seconds);
        let finer = WINDOW_SECONDS.get(scale + 1).copied().map(f64::from);
        let told_finer = finer.map_or(0.0, |finer| finer * count(WINDOWS));
        for (back, rate) in rates.iter_mut().rev().enumerate() {
            let age = seconds * (count(back) + 0.5);
            if age > told_finer {
                let left = (-age / HALF_LIFE_SECONDS).exp2();
                *rate = left * std::f64::consts::LN_2 / HALF_LIFE_SECONDS;
            }
        }
    }
    rates
});

#[allow(clippy::cast_precision_loss, reason = "some windows")]
const fn count(windows: usize) -> f64 {
    windows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of a code for a factor of e.
    const CODE_STEPS: f64 = 16.0;

    #[test]
    fn a_code_stands_for_its_touches_within_half_a_step() {
        for count in 0..200_000_u32 {
            let count = f64::from(count) / 16.0;
            let back = touches(code(count));
            let off = ((1.0 + back) / (1.0 + count)).ln().abs() * CODE_STEPS;
            assert!(off <= 0.5 + 1e-9, "{count} came back as {back}");
        }
        for of in 0..=u8::MAX {
            assert_eq!(code(touches(of)), of);
        }
    }

    #[test]
    fn codes_keep_within_a_byte() {
        assert_eq!(code(0.0), 0);
        assert_eq!(code(-1.0), 0);
        assert_eq!(code(f64::NAN), 0);
        assert_eq!(code(f64::INFINITY), 255);
        assert_eq!(code(1e12), 255);
    }

    #[test]
    fn a_step_tells_adjacent_windows_of_each_scale() {
        let codes = std::array::from_fn(|at| u8::try_from(at).unwrap());
        // Parts of 128: exact.
        let told = features(3, &codes).map(|one| (one * CODE_SCALE).to_bits());
        let wanted = [12, 13, 14, 15, 44, 45, 46, 47, 76, 77, 78, 79_u8];
        assert_eq!(told, wanted.map(|one| f32::from(one).to_bits()));
        let newest = features(NETWORK_STEPS - 1, &codes).map(|one| one * CODE_SCALE);
        assert_eq!(newest[FEATURES - 1].to_bits(), 95.0_f32.to_bits());
        // Each code is told once.
        let all = (0..NETWORK_STEPS).flat_map(|at| features(at, &codes));
        let sum: f32 = all.map(|one| one * CODE_SCALE).sum();
        assert!((sum - 4_560.0).abs() < 0.1, "{sum}");
        let beyond = features(NETWORK_STEPS, &[1; STEPS]);
        assert!(beyond.iter().all(|one| *one <= 0.0));
    }

    #[test]
    fn logarithms_of_the_naive_forecast_keep_within_their_range() {
        let codes = std::array::from_fn(|at| code(f64::from(WINDOW_SECONDS[at / WINDOWS]) * 2.0));
        for (log, naive) in naive_logs(&codes).into_iter().zip(naive(&codes)) {
            let off = f64::from(log).exp() / naive - 1.0;
            assert!(off.abs() < 2e-3, "{off}");
        }
        let silent = naive_logs(&[0; STEPS]);
        for (log, wanted) in silent.into_iter().zip([0.1_f64, 1.0, 6.0, 36.0]) {
            assert!((f64::from(log) - wanted.ln()).abs() < 1e-6, "{silent:?}");
        }
        let full = naive_logs(&[255; STEPS]);
        assert!(full.iter().all(|log| *log <= LOG_RANGE[1]));
        assert!(full[3].to_bits() == LOG_RANGE[1].to_bits(), "{full:?}");
    }

    #[test]
    fn what_goes_on_at_one_rate_is_forecast_at_that_rate() {
        let codes = std::array::from_fn(|at| {
            let seconds = f64::from(WINDOW_SECONDS[at / WINDOWS]);
            code(seconds * 2.0)
        });
        for (naive, horizon) in naive(&codes).into_iter().zip(HORIZON_SECONDS) {
            let wanted = 2.0 * f64::from(horizon);
            assert!((naive / wanted - 1.0).abs() < 0.03, "{naive} for {wanted}");
        }
        assert!(naive(&[0; STEPS]).iter().all(|one| *one <= 0.0));
    }

    #[test]
    fn what_lies_back_a_half_life_counts_half() {
        let at = |step: usize| {
            let mut codes = [0; STEPS];
            codes[step] = code(100.0);
            naive(&codes)[0]
        };
        // Windows of 480 s: 10,000 s are 20.8 of them.
        let (near, far) = (at(2 * WINDOWS - 5), at(2 * WINDOWS - 26));
        assert!((far / near - 0.5).abs() < 0.02, "{near} {far}");
    }
}
