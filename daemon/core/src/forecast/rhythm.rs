//! What was used at this time of earlier periods will be used at this time of this one.
//!
//! Owns: for each group of regions, how much it was used in each of the last windows, on scales from
//! a minute to hours, and the period that is found in that: the smallest lag at which the use
//! resembles itself (autocorrelation; Box and Jenkins, "Time Series Analysis", ch. 2). A group
//! without one is expected to go on as it was. Invariants: bounded memory; a period is one only if
//! half of it, at least, was seen to come again.

use std::collections::BTreeMap;

use super::history::GROUP_REGIONS;
use super::lasting::Lasting;
use super::windows::{WINDOWS, Windows};
use super::{Expected, Expert, ExpertName, HORIZONS, LAST, Scene, Spans, Touched};
use crate::heat::{LASTING, View};
use crate::units::{Now, VolumeRegion};

/// Scales: each has windows so many times as long as those before it.
const SCALES: usize = 4;
const SCALE_FACTOR: u64 = 8;
/// The shortest period, in windows; a shorter one is found on a finer scale.
const LAG_MIN: usize = 4;
/// The longest.
const LAG_MAX: usize = WINDOWS / 2;
/// Windows between two looks for a period, at most.
const LOOK_EVERY: u64 = 8;
/// Of the windows that are known, so many pass between two looks: while few are, each tells much.
const LOOK_SHARE: u64 = 16;
/// Resemblance from which a period is one.
const RESEMBLANCE_MIN: f64 = 0.3;
/// A shorter lag, or one on a finer scale, is the period if it resembles by this share of the best.
const NEARLY_BEST: f64 = 0.75;
/// Earlier periods that are averaged, at most.
const PERIODS: usize = 3;
/// Groups that are followed, at most.
const GROUPS_MAX: usize = 1 << 16;
/// Horizon within which regions that are to be used are named.
const SOON: usize = 1;

/// Use on one scale.
#[derive(Clone, Debug)]
struct Scale {
    windows: Windows,
    /// Period in windows, and how much the use resembles itself after it.
    period: Option<(f64, f64)>,
}

/// A group of regions.
#[derive(Clone, Debug)]
struct Group {
    scales: [Scale; SCALES],
    /// Touches of the lasting span of all its regions.
    heat: f64,
    /// Touches that it expects until each horizon but the last, if it has a period.
    expected: Option<[f64; LAST]>,
}

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    lasting: Lasting,
    horizons_nanos: Spans,
    groups: BTreeMap<u32, Group>,
    refreshed_in: u64,
}

impl Scale {
    const fn new(window: u64) -> Self {
        Self {
            windows: Windows::new(window),
            period: None,
        }
    }

    /// Ends all windows before this one. Those with the same `phase` look for a period at the same
    /// time.
    fn advance(&mut self, window: u64, phase: u64) {
        let ended = self.windows.running();
        if window <= ended {
            return;
        }
        self.windows.advance(window);
        let every = (self.windows.known() / LOOK_SHARE).clamp(1, LOOK_EVERY);
        if (ended + phase) / every != (window + phase) / every {
            self.period = self.find_period();
        }
    }

    fn find_period(&self) -> Option<(f64, f64)> {
        // Roots of counts vary by about as much whatever the count (Bartlett 1936).
        let roots: Vec<f64> = self.windows.ended().map(f64::sqrt).collect();
        // Of what has come three times, the third is foreseen: half of the second is enough.
        let lag_max = LAG_MAX.min(roots.len() * 2 / 3);
        let resembles = autocorrelation(&roots, lag_max + 1)?;
        let is_peak = |lag: usize| {
            let at = |lag: usize| resembles.get(lag).copied().unwrap_or(f64::MIN);
            at(lag) >= RESEMBLANCE_MIN && at(lag) >= at(lag - 1) && at(lag) >= at(lag + 1)
        };
        let peaks: Vec<usize> = (LAG_MIN..=lag_max).filter(|lag| is_peak(*lag)).collect();
        let best = peaks.iter().map(|lag| resembles[*lag]).fold(0.0, f64::max);
        let lag = peaks
            .into_iter()
            .find(|lag| resembles[*lag] >= best * NEARLY_BEST)?;
        Some((between_windows(&resembles, lag), resembles[lag]))
    }

    /// Touches in the window so many windows after the running one, as in earlier periods.
    fn expected_in(&self, ahead: u64, period: f64) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some windows"
        )]
        for periods in 1.. {
            // So many periods before it, and not in the future.
            let back = (period * f64::from(periods)).round() as u64;
            if back <= ahead {
                continue;
            }
            let Some(touches) = self.windows.back(back - ahead) else {
                break;
            };
            sum += touches;
            count += 1.0;
            if count >= PERIODS as f64 {
                break;
            }
        }
        if count > 0.0 { sum / count } else { 0.0 }
    }
}

/// How much a series resembles itself after each lag below `lags`; `None` if it never changes.
fn autocorrelation(series: &[f64], lags: usize) -> Option<Vec<f64>> {
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
fn between_windows(resembles: &[f64], lag: usize) -> f64 {
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

impl Rhythm {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        Self {
            lasting,
            horizons_nanos,
            groups: BTreeMap::new(),
            refreshed_in: 0,
        }
    }

    /// The window in which it last looked at what is about to come.
    pub(super) const fn refreshed_in(&self) -> u64 {
        self.refreshed_in
    }

    fn window_nanos(&self, scale: usize) -> u64 {
        let factor = SCALE_FACTOR.pow(u32::try_from(scale).unwrap_or(0));
        (self.horizons_nanos[0].max(1)).saturating_mul(factor)
    }

    fn window(&self, scale: usize, now: Now) -> u64 {
        now.0 / self.window_nanos(scale)
    }

    /// The scale on which a group's use has its period, and the period in windows. On a coarse
    /// scale a turn is lost within a window, and some periods are taken for one.
    fn period(group: &Group) -> Option<(usize, f64)> {
        let periods = || group.scales.iter().filter_map(|scale| scale.period);
        let best = periods()
            .map(|(_, resembles)| resembles)
            .fold(0.0, f64::max);
        let mut scales = group.scales.iter().enumerate();
        scales.find_map(|(at, scale)| {
            let (period, resembles) = scale.period?;
            (resembles >= best * NEARLY_BEST).then_some((at, period))
        })
    }

    /// Touches of a whole group until each horizon but the last.
    fn group_expects(&self, group: &Group, now: Now) -> Option<[f64; LAST]> {
        let (at, period) = Self::period(group)?;
        let scale = &group.scales[at];
        let window_nanos = self.window_nanos(at);
        #[allow(clippy::cast_precision_loss, reason = "shares of windows")]
        let windows = |nanos: u64| nanos as f64 / window_nanos as f64;
        let into_window = windows(now.0 % window_nanos);
        // Until so many windows from now, within one period.
        let within = |windows: f64| {
            let (mut sum, mut ahead, mut begin) = (0.0, 0, -into_window);
            while begin < windows {
                let share = (begin + 1.0).min(windows) - begin.max(0.0);
                sum += scale.expected_in(ahead, period) * share;
                begin += 1.0;
                ahead += 1;
            }
            sum
        };
        let whole = within(period);
        let until = |horizon: usize| {
            let windows = windows(self.horizons_nanos[horizon]);
            let periods = (windows / period).floor();
            whole * periods + within(windows - periods * period)
        };
        Some(std::array::from_fn(until))
    }

    /// A group was used.
    fn used(&mut self, number: u32, touches: f64, windows: [u64; SCALES]) {
        if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(&number) {
            return;
        }
        let group = self.groups.entry(number);
        let group = group.or_insert_with(|| Group::new(windows));
        group.advance(windows, number);
        for scale in &mut group.scales {
            scale.windows.add(touches);
        }
    }

    /// Looks anew at what each group with a period is about to do.
    fn refresh(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion> {
        let mut names = Vec::new();
        let windows = std::array::from_fn(|scale| self.window(scale, scene.now));
        let mut groups = std::mem::take(&mut self.groups);
        groups.retain(|number, group| {
            group.advance(windows, *number);
            group.is_known()
        });
        for (number, group) in &mut groups {
            group.expected = self.group_expects(group, scene.now);
            if let Some(expected) = group.expected {
                group.heat = 0.0;
                let first = number * GROUP_REGIONS;
                let views: Vec<(VolumeRegion, View)> = (first..first + GROUP_REGIONS)
                    .map(VolumeRegion)
                    .filter_map(|region| Some((region, scene.heat.view(region, scene.now)?)))
                    .collect();
                group.heat = views.iter().map(|(_, view)| view.spans[LASTING]).sum();
                let soon = expected[SOON];
                let is_due = |view: &View| soon * group.share(view) >= 1.0;
                let due = views.iter().filter(|(_, view)| is_due(view));
                names.extend(due.map(|(region, _)| *region));
            }
        }
        self.groups = groups;
        names
    }
}

impl Group {
    fn new(windows: [u64; SCALES]) -> Self {
        Self {
            scales: windows.map(Scale::new),
            heat: 0.0,
            expected: None,
        }
    }

    /// Ends all windows before these.
    fn advance(&mut self, windows: [u64; SCALES], number: u32) {
        for (scale, window) in self.scales.iter_mut().zip(windows) {
            scale.advance(window, u64::from(number));
        }
    }

    /// Whether it was used within what is remembered.
    fn is_known(&self) -> bool {
        self.scales.iter().any(|scale| !scale.windows.is_silent())
    }

    /// Share of the group's touches that come to a region.
    fn share(&self, view: &View) -> f64 {
        if self.heat > f64::EPSILON {
            view.spans[LASTING] / self.heat
        } else {
            0.0
        }
    }
}

impl Expert for Rhythm {
    fn name(&self) -> ExpertName {
        ExpertName::Rhythm
    }

    fn touched(&mut self, touched: &[Touched], scene: Scene<'_>) {
        let windows = std::array::from_fn(|scale| self.window(scale, scene.now));
        let number = |one: &Touched| one.region.0 / GROUP_REGIONS;
        for group in touched.chunk_by(|one, other| number(one) == number(other)) {
            let sum = group.iter().map(|one| one.touches).sum();
            if let Some(first) = group.first() {
                self.used(number(first), sum, windows);
            }
        }
    }

    fn expected(&self, region: VolumeRegion, view: &View, running: f64, _: Scene<'_>) -> Expected {
        let lasting = self.lasting.of(view, running);
        let group = self.groups.get(&(region.0 / GROUP_REGIONS));
        let Some((group, expected)) = group.and_then(|one| Some((one, one.expected?))) else {
            return lasting;
        };
        let share = group.share(view);
        let mut all = [0.0; HORIZONS];
        for (all, expected) in all.iter_mut().zip(expected) {
            *all = expected * share;
        }
        all[LAST] = lasting.in_all().max(all[LAST - 1]);
        Expected(all)
    }

    fn names(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion> {
        let window = self.window(0, scene.now);
        if window == self.refreshed_in {
            return Vec::new();
        }
        self.refreshed_in = window;
        self.refresh(scene)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The use of windows, one after the other.
    fn scale(windows: u64, of: impl Fn(u64) -> f64) -> Scale {
        let mut scale = Scale::new(1_000);
        for window in 0..windows {
            scale.advance(1_000 + window, 0);
            scale.windows.add(of(window));
        }
        scale.advance(1_000 + windows, 0);
        scale
    }

    /// Busy for a fifth of each period.
    fn shifts(period: f64) -> impl Fn(u64) -> f64 {
        move |window| {
            #[allow(clippy::cast_precision_loss, reason = "a small number")]
            let phase = window as f64 % period;
            if phase < period / 5.0 { 100.0 } else { 0.0 }
        }
    }

    #[test]
    fn a_period_is_found_when_half_of_it_has_come_again_and_not_before() {
        for (period, seen) in [(20.0, 30), (20.0, 40), (22.5, 112), (60.0, 128)] {
            let (found, resembles) = scale(seen, shifts(period)).find_period().unwrap();
            assert!((found - period).abs() < 1.0, "{found}, not {period}");
            assert!(resembles > 0.5, "{resembles}");
        }
        assert_eq!(scale(29, shifts(20.0)).find_period(), None);
    }

    #[test]
    fn what_is_new_is_looked_at_in_each_window_and_what_is_known_for_long_in_each_eighth() {
        let mut scale = scale(30, shifts(20.0));
        assert!(scale.period.is_some(), "at once, whatever the phase");
        for window in 30..1_000 {
            scale.windows.add(shifts(20.0)(window));
            scale.period = None;
            scale.advance(1_001 + window, 3);
            let looked = scale.period.is_some();
            let known = u64::min(window + 1, WINDOWS as u64 - 1);
            let every = (known / LOOK_SHARE).clamp(1, LOOK_EVERY);
            assert_eq!(looked, (1_004 + window) % every == 0, "{window}");
        }
    }

    #[test]
    fn of_scales_that_resemble_about_as_much_the_finest_has_the_period() {
        let with = |periods: [Option<(f64, f64)>; SCALES]| {
            let mut group = Group::new([0; SCALES]);
            for (scale, period) in group.scales.iter_mut().zip(periods) {
                scale.period = period;
            }
            Rhythm::period(&group)
        };
        let coarse = Some((6.2, 0.9));
        assert_eq!(
            with([Some((25.0, 0.7)), coarse, None, None]),
            Some((0, 25.0))
        );
        assert_eq!(
            with([Some((25.0, 0.6)), coarse, None, None]),
            Some((1, 6.2))
        );
        assert_eq!(with([None; SCALES]), None);
    }

    #[test]
    fn what_is_steady_has_no_period_and_what_has_no_order_resembles_itself_little() {
        assert_eq!(scale(128, |_| 50.0).find_period(), None);
        assert_eq!(scale(128, |_| 0.0).find_period(), None);
        // The middle of squares has no order (von Neumann).
        let orderless = |window: u64| {
            let square = (window * 7_919 + 12_345).pow(2) / 1_000 % 100;
            if square < 20 { 100.0 } else { 0.0 }
        };
        let found = scale(128, orderless).find_period();
        assert!(
            found.is_none_or(|(_, resembles)| resembles < 0.5),
            "{found:?}"
        );
    }

    #[test]
    fn the_next_window_is_expected_to_be_as_it_was_in_earlier_periods() {
        // The next window is the hundredth, and the beginning of a shift.
        let scale = scale(100, shifts(20.0));
        let expected: Vec<f64> = (0..20)
            .map(|ahead| scale.expected_in(ahead, 20.0))
            .collect();
        assert!(
            expected[..4].iter().all(|one| (one - 100.0).abs() < 10.0),
            "{expected:?}"
        );
        assert!(
            expected[4..].iter().all(|one| one.abs() < 1e-9),
            "{expected:?}"
        );
        // And so in the periods after this one.
        assert!((scale.expected_in(40, 20.0) - 100.0).abs() < 10.0);
        assert!(scale.expected_in(50, 20.0).abs() < 1e-9);
    }

    #[test]
    fn windows_in_which_nothing_was_asked_for_were_silent() {
        let mut scale = scale(60, shifts(20.0));
        scale.advance(1_000 + 60 + 300, 0);
        assert!(scale.windows.ended().all(|touches| touches.abs() < 1e-9));
        assert_eq!(scale.find_period(), None);
    }

    #[test]
    fn between_two_windows_the_peak_is_found_by_its_slopes() {
        let peak = |before, after| between_windows(&[0.0, before, 1.0, after], 2);
        assert!((peak(0.5, 0.5) - 2.0).abs() < 1e-9);
        assert!((2.0..2.5).contains(&peak(0.5, 0.8)));
        assert!((1.5..2.0).contains(&peak(0.8, 0.5)));
    }
}
