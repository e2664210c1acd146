//! What the daemon and the network agree on: version 1 of the model.
//!
//! A *group* is 64 regions that lie side by side. Its *history* is how often it was touched in each
//! of the last 32 windows that have ended, oldest first, on three scales of windows, the coarsest
//! first: 96 steps. A forecast is made when a window of the finest scale ends; windows in which the
//! group was not yet known count as silent. Touches are those of the engine's heat
//! ([`tier_core::heat::touches`]).
//!
//! The network is an ONNX file (opset 14, `ir_version` 8):
//!
//! | tensor     | type and shape         | meaning                                                   |
//! |------------|------------------------|-----------------------------------------------------------|
//! | `history`  | f32 `[batch, 96, 4]`   | each step: code / 128, then a one-hot of its scale        |
//! | `expected` | f32 `[batch, 4]`       | touches of the group until each horizon, from now on      |
//!
//! In it: one GRU of 32 (`linear_before_reset` = 1, gates in the order z, r, h), whose last state
//! goes through a linear layer, [`LOG_RANGE`] and an exponential.

// What the engine tells: a window's touches in a byte, 16 ln(1 + touches), window by window.
pub use tier_core::forecast::history::{
    Codes, GROUP_REGIONS, SCALES, STEPS, WINDOW_TIMES, WINDOWS,
};
pub use tier_core::forecast::{code, touches};

/// Version of all that stands here. A model of another version is refused.
pub const VERSION: u32 = 1;
/// Seconds of a window of each scale, coarsest first. Each is a multiple of the next.
pub const WINDOW_SECONDS: [u32; SCALES] = [3_840, 480, 60];
/// Numbers by which the network is told of a step.
pub const FEATURES: usize = 1 + SCALES;
/// Horizons, in seconds from now.
pub const HORIZON_SECONDS: [u32; HORIZONS] = [60, 600, 3_600, 21_600];
/// Number of horizons.
pub const HORIZONS: usize = 4;
/// State of the recurrent layer.
pub const HIDDEN: usize = 32;
/// Least and greatest natural logarithm of an expected number of touches.
pub const LOG_RANGE: [f32; 2] = [-9.0, 16.0];
/// Name of the network's input.
pub const INPUT: &str = "history";
/// Name of its output.
pub const OUTPUT: &str = "expected";

/// What a code is divided by for the network.
const CODE_SCALE: f32 = 128.0;
/// Half-life of the naive forecast: that of the engine's lasting heat.
const HALF_LIFE_SECONDS: f64 = 10_000.0;

/// What the network is told of step `at` of a history.
#[must_use]
pub fn features(at: usize, code: u8) -> [f32; FEATURES] {
    let mut features = [0.0; FEATURES];
    features[0] = f32::from(code) / CODE_SCALE;
    if let Some(one) = features.get_mut(1 + at / WINDOWS) {
        *one = 1.0;
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
    let mut decayed = 0.0;
    for (scale, seconds) in WINDOW_SECONDS.into_iter().enumerate() {
        let seconds = f64::from(seconds);
        let finer = WINDOW_SECONDS.get(scale + 1).copied().map(f64::from);
        let told_finer = finer.map_or(0.0, |finer| finer * count(WINDOWS));
        let windows = codes.iter().skip(scale * WINDOWS).take(WINDOWS);
        for (back, code) in windows.rev().enumerate() {
            let age = seconds * (count(back) + 0.5);
            if age > told_finer {
                decayed += touches(*code) * (-age / HALF_LIFE_SECONDS).exp2();
            }
        }
    }
    let rate = decayed * std::f64::consts::LN_2 / HALF_LIFE_SECONDS;
    HORIZON_SECONDS.map(|horizon| rate * f64::from(horizon))
}

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
    fn features_name_the_scale() {
        // Halves and wholes: exact.
        let is = |at, code, wanted: [f32; FEATURES]| {
            assert_eq!(
                features(at, code).map(f32::to_bits),
                wanted.map(f32::to_bits)
            );
        };
        is(0, 128, [1.0, 1.0, 0.0, 0.0]);
        is(WINDOWS, 64, [0.5, 0.0, 1.0, 0.0]);
        is(STEPS - 1, 0, [0.0, 0.0, 0.0, 1.0]);
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
