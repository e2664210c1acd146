//! How much a series resembles itself, and what is typical of it.

/// A window counts at most so many times as much as those with any use do on average: a burst is no
/// period.
const BURST_TIMES: f64 = 2.0;

/// How much a series resembles itself after each lag up to `lags`: its autocorrelation, of which 1 is
/// wholly and 0 not at all (Box and Jenkins, "Time Series Analysis", ch. 2), each lag weighed by the
/// pairs that it leaves, so that few may give more than 1. `None` if the series never changes.
#[must_use]
pub fn autocorrelation(series: &[f64], lags: usize) -> Option<Vec<f64>> {
    #[allow(clippy::cast_precision_loss, reason = "some windows")]
    let count = |of: usize| of as f64;
    let mean = series.iter().sum::<f64>() / count(series.len().max(1));
    let off: Vec<f64> = series.iter().map(|one| one - mean).collect();
    let variance = off.iter().map(|one| one * one).sum::<f64>() / count(off.len().max(1));
    if variance <= f64::EPSILON {
        return None;
    }
    let after = |lag: usize| {
        let pairs = off.iter().zip(off.iter().skip(lag));
        let covariance: f64 = pairs.map(|(one, other)| one * other).sum();
        covariance / count(off.len().saturating_sub(lag).max(1)) / variance
    };
    Some((0..=lags).map(after).collect())
}

/// Where between the windows the peak of a lag is: that of the parabola through it.
pub(super) fn between_windows(resembles: &[f64], lag: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "some windows")]
    let whole = lag as f64;
    let [Some(before), Some(at), Some(after)] =
        [lag - 1, lag, lag + 1].map(|lag| resembles.get(lag).copied())
    else {
        return whole;
    };
    let bend = before - 2.0 * at + after;
    if bend >= -f64::EPSILON {
        return whole;
    }
    whole + (0.5 * (before - after) / bend).clamp(-0.5, 0.5)
}

/// What is far above the mean of those that are not zero becomes so many times as much as that.
pub(super) fn without_bursts(series: &mut [f64]) {
    let used = || series.iter().filter(|one| **one > 0.0);
    #[allow(clippy::cast_precision_loss, reason = "some windows")]
    let most = used().sum::<f64>() / used().count().max(1) as f64 * BURST_TIMES;
    for one in series {
        *one = one.min(most);
    }
}

/// The one in the middle of three; the mean of fewer, and nothing of none.
pub(super) fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values {
        [] => 0.0,
        [one] => *one,
        [one, other] => f64::midpoint(*one, *other),
        [_, middle, ..] => *middle,
    }
}
