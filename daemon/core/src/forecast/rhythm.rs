//! What was used at this time of earlier periods will be used at this time of this one.
//!
//! Owns: for each group of regions, how much it was used in each of the last windows, on scales from
//! a minute to hours, and the period that is found in that: the smallest lag at which the use
//! resembles itself (autocorrelation; Box and Jenkins, "Time Series Analysis", ch. 2). A group
//! without one is expected to go on as it was, and one that is new was silent before. Invariants:
//! bounded memory; a period is one only if one and a half of them, at least, were watched; what came
//! once in three periods is not expected again.

mod halves;
mod scale;
pub(super) mod series;

use serde::{Deserialize, Serialize};

use self::halves::{Half, differ};
use self::scale::{NEARLY_BEST, Scale};
use super::history::{self, Codes, GROUP_REGIONS};
use super::lasting::Lasting;
use super::shapes::{Run, Shapes};
use super::windows::{Windows, WindowsMemory};
use super::{Expected, Expert, ExpertName, HORIZONS, LAST, Scene, Spans, Timing, Touched};
use crate::heat::{LASTING, View};
use crate::units::{Now, VolumeRegion};

/// Scales: each has windows so many times as long as those before it.
const SCALES: usize = 4;
const SCALE_FACTOR: u64 = 8;
/// A group is out of its rhythm while it is used so many times as much as was expected of it, and
/// so many touches more.
const OUT_TIMES: f64 = 4.0;
const OUT_TOUCHES: f64 = 8.0;
/// Groups that are followed, at most.
const GROUPS_MAX: usize = 1 << 16;
/// Windows between two looks at how a group's halves are used.
const RESHAPE_EVERY: u64 = 16;
/// Difference between two halves from which on they are groups of their own.
const SPLIT_FROM: f64 = 0.4;
/// And below which they are one again; between them, they stay as they are.
const JOIN_BELOW: f64 = 0.1;
/// Horizon within which regions that are to be used are named.
const SOON: usize = 1;
/// A window belongs to a group's demand if this share of what the busiest of the period gets is
/// expected in it: what a set gets between its turns, from others or by chance, is far less.
const DEMAND_SHARE: f64 = 0.25;

/// A group of regions.
#[derive(Clone, Debug)]
pub(super) struct Group {
    scales: [Scale; SCALES],
    /// Use of each of its halves, unless it is one region.
    halves: Option<Box<[Half; 2]>>,
    /// Touches since it is followed.
    total: f64,
    /// Of these, those that the fastest tier did not serve.
    missed: f64,
    /// Whether it ever had a period.
    had_period: bool,
    /// Touches of the lasting span of all its regions.
    heat: f64,
    /// Touches that it expects until each horizon but the last, if it has a period.
    expected: Option<[f64; LAST]>,
    /// When the next demand that its period lets expect begins and ends; that which goes on has
    /// begun with the window.
    demand: Option<(Now, Now)>,
    /// Touches that it, or its heat, let expect of the running window when that began.
    foreseen: f64,
    /// Whether it was used in the last window as neither of them let expect: a burst.
    is_out: bool,
}

/// A group, as it is remembered. What its halves were, and what of it was missed, is not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupMemory {
    first: u32,
    count: u32,
    total: f64,
    scales: Vec<(WindowsMemory, Option<(f64, f64)>)>,
}

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    lasting: Lasting,
    horizons_nanos: Spans,
    groups: Shapes<Group>,
    /// Since when it is known what is used: what was not, was silent.
    began: Option<Now>,
    refreshed_in: u64,
    /// What it would have foreseen of groups whose period was found since this was taken.
    hindsight: Vec<Hindsight>,
}

/// What a period, had it been known, would have let foresee of a region in the last one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hindsight {
    pub(super) region: VolumeRegion,
    /// Touches that came again, and that the fastest tier did not serve.
    pub(super) missed: f64,
}

impl Rhythm {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        Self {
            lasting,
            horizons_nanos,
            groups: Shapes::new(GROUPS_MAX),
            began: None,
            refreshed_in: 0,
            hindsight: Vec::new(),
        }
    }

    /// The window in which it last looked at what is about to come.
    pub(super) const fn refreshed_in(&self) -> u64 {
        self.refreshed_in
    }

    /// What it would have foreseen of groups whose period was found since the last time.
    pub(super) fn take_hindsight(&mut self) -> Vec<Hindsight> {
        std::mem::take(&mut self.hindsight)
    }

    /// Once for each group: touches that its first period would have let foresee, and that the
    /// fastest tier did not serve.
    fn look_back(group: &mut Group) -> Option<f64> {
        let (at, period) = Self::period(group)?;
        if std::mem::replace(&mut group.had_period, true) {
            return None;
        }
        let missed_share = group.missed / group.total.max(1.0);
        Some(group.scales[at].came_again(period) * missed_share)
    }

    fn window_nanos(&self, scale: usize) -> u64 {
        let factor = SCALE_FACTOR.pow(u32::try_from(scale).unwrap_or(0));
        (self.horizons_nanos[0].max(1)).saturating_mul(factor)
    }

    /// Number of the running window of a scale, the finest being the first.
    pub(super) fn window(&self, scale: usize, now: Now) -> u64 {
        now.0 / self.window_nanos(scale)
    }

    /// What is known of each group.
    pub(super) fn remember(&self) -> Vec<GroupMemory> {
        let remember = |(run, group): (Run, &Group)| GroupMemory {
            first: run.first,
            count: run.count,
            total: group.total,
            scales: group
                .scales
                .iter()
                .map(|scale| (scale.windows.remember(), scale.period))
                .collect(),
        };
        self.groups.iter().map(remember).collect()
    }

    /// Takes in what is remembered of groups.
    pub(super) fn recall(&mut self, groups: &[GroupMemory], now: Now) {
        let running: [u64; SCALES] = std::array::from_fn(|scale| self.window(scale, now));
        for one in groups.iter().take(GROUPS_MAX) {
            let run = Run {
                first: one.first,
                count: one.count,
            };
            let mut group = Group::new(running.map(Windows::new), run);
            for (scale, (windows, period)) in group.scales.iter_mut().zip(&one.scales) {
                scale.windows = Windows::recalled(windows);
                scale.period = *period;
            }
            group.total = one.total;
            group.had_period = Self::period(&group).is_some();
            group.advance(running, phase(run));
            if group.is_known() {
                self.groups.insert(run, group);
            }
        }
    }

    /// The groups that are followed.
    pub(super) fn groups(&self) -> impl Iterator<Item = (Run, &Group)> {
        self.groups.iter()
    }

    /// The regions that are forecast as one with this one, if they are followed.
    pub(super) fn run_of(&self, region: VolumeRegion) -> Option<Run> {
        self.groups.run_of(region.0)
    }

    /// One of them, if it is one still.
    pub(super) fn group(&self, run: Run) -> Option<&Group> {
        let is_same = self.groups.run_of(run.first) == Some(run);
        self.groups.get(run.first).filter(|_| is_same)
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

    /// When the next demand of a group begins and ends: the first coming windows of its profile that
    /// are busy.
    fn group_demand(&self, group: &Group, now: Now) -> Option<(Now, Now)> {
        let (at, period) = Self::period(group)?;
        let scale = &group.scales[at];
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "some windows"
        )]
        let ahead = period.ceil() as u64;
        let profile: Vec<f64> = (0..ahead)
            .map(|one| scale.expected_in(one, period))
            .collect();
        let busiest = profile.iter().copied().fold(0.0, f64::max);
        let is_busy = |touches: &f64| *touches > 0.0 && *touches >= busiest * DEMAND_SHARE;
        let begins = profile.iter().position(is_busy)?;
        let lasts = profile.iter().skip(begins).take_while(|one| is_busy(one));
        let window_nanos = self.window_nanos(at);
        let begin_of = |windows: usize| {
            let window = self.window(at, now).saturating_add(windows as u64);
            Now(window.saturating_mul(window_nanos))
        };
        Some((begin_of(begins), begin_of(begins + lasts.count())))
    }

    /// Takes in the first of these regions and those of its group, and gives the others.
    fn used<'a>(&mut self, touched: &'a [Touched], windows: [u64; SCALES]) -> &'a [Touched] {
        let Some(first) = touched.first().map(|one| one.region.0) else {
            return &[];
        };
        let began = self.began.unwrap_or_default();
        let silent = std::array::from_fn(|scale| {
            Windows::silent_since(self.window(scale, began), windows[scale])
        });
        let followed = self.groups.follow(first, |run| Group::new(silent, run));
        let (Some(run), Some(group)) = (followed, self.groups.get_mut(first)) else {
            return &touched[1..];
        };
        let end = touched.partition_point(|one| one.region.0 < run.first + run.count);
        let (own, others) = touched.split_at(end);
        group.advance(windows, phase(run));
        group.add(run, own);
        others
    }

    /// Looks anew at what each group with a period is about to do.
    fn refresh(&mut self, scene: Scene<'_>) -> Vec<VolumeRegion> {
        let windows = std::array::from_fn(|scale| self.window(scale, scene.now));
        self.groups.retain(|run, group| {
            group.advance(windows, phase(run));
            group.is_known()
        });
        self.reshape(windows);
        let mut names = Vec::new();
        let mut groups = std::mem::replace(&mut self.groups, Shapes::new(0));
        for (run, group) in groups.iter_mut() {
            group.is_out = group.is_beyond_what_was_foreseen();
            group.expected = self.group_expects(group, scene.now);
            group.demand = self.group_demand(group, scene.now);
            group.foreseen = f64::INFINITY;
            if let Some(expected) = group.expected {
                let views: Vec<(VolumeRegion, View)> = views(run, scene).collect();
                group.heat = views.iter().map(|(_, view)| view.spans[LASTING]).sum();
                let lasting = self.lasting.of_heat(group.heat).soon();
                group.foreseen = lasting.max(expected[0]);
                let soon = expected[SOON];
                let is_due = |view: &View| soon * group.share(view) >= 1.0;
                let due = views.iter().filter(|(_, view)| is_due(view));
                names.extend(due.map(|(region, _)| *region));
                if let Some(missed) = Self::look_back(group) {
                    let of = |(region, view): &(VolumeRegion, View)| Hindsight {
                        region: *region,
                        missed: missed * group.share(view),
                    };
                    self.hindsight.extend(views.iter().map(of));
                }
            }
        }
        self.groups = groups;
        names
    }

    /// Halves groups whose halves are used at different times, and joins those that no longer are.
    fn reshape(&mut self, windows: [u64; SCALES]) {
        let is_its_turn = |run: Run| (windows[0] + phase(run)).is_multiple_of(RESHAPE_EVERY);
        let turns = self.groups.iter().filter(|(run, _)| is_its_turn(*run));
        let (mut split, mut join) = (Vec::new(), Vec::new());
        for (run, group) in turns {
            match &group.halves {
                Some(halves) if differ(&halves[0], &halves[1]) > SPLIT_FROM => split.push(run),
                _ => join.push(run),
            }
        }
        for run in join {
            self.groups.join(run, |one, other| {
                let halves = [one, other].map(Group::windows);
                let is_alike = differ(&halves[0], &halves[1]) < JOIN_BELOW;
                is_alike.then(|| Group::joined([one, other], halves))
            });
        }
        for run in split {
            self.groups.split(run, |group| group.split(run));
        }
    }
}

/// When a group has its turn, so that not all have it at once.
const fn phase(run: Run) -> u64 {
    (run.first / GROUP_REGIONS) as u64
}

/// The regions of a group that were ever touched.
pub(super) fn views(run: Run, scene: Scene<'_>) -> impl Iterator<Item = (VolumeRegion, View)> {
    (run.first..run.first.saturating_add(run.count))
        .map(VolumeRegion)
        .filter_map(move |region| Some((region, scene.heat.view(region, scene.now)?)))
}

impl Group {
    /// With what was counted of it, and of each of its halves, so far.
    fn new(windows: Half, run: Run) -> Self {
        let halves = || Box::new([windows.clone(), windows.clone()]);
        Self {
            halves: (run.count > 1).then(halves),
            scales: windows.map(Scale::new),
            total: 0.0,
            missed: 0.0,
            had_period: false,
            heat: 0.0,
            expected: None,
            demand: None,
            foreseen: f64::INFINITY,
            is_out: false,
        }
    }

    /// Takes in the touches of its regions.
    fn add(&mut self, run: Run, touched: &[Touched]) {
        let middle = run.first + run.count / 2;
        let (one, other) = touched.split_at(touched.partition_point(|one| one.region.0 < middle));
        let [one, other] = [one, other].map(|half| half.iter().map(|one| one.touches).sum::<f64>());
        self.total += one + other;
        self.missed += touched.iter().map(|one| one.missed).sum::<f64>();
        for scale in &mut self.scales {
            scale.windows.add(one + other);
        }
        if let Some(halves) = &mut self.halves {
            for (half, touches) in halves.iter_mut().zip([one, other]) {
                for windows in half {
                    windows.add(touches);
                }
            }
        }
    }

    /// Touches since it is followed.
    pub(super) const fn total(&self) -> f64 {
        self.total
    }

    /// What was counted of it in the last windows that have ended.
    pub(super) fn history(&self) -> Codes {
        let mut codes = [0; history::STEPS];
        let coarsest_first = self.scales[..history::SCALES].iter().rev();
        for (codes, scale) in codes.chunks_exact_mut(history::WINDOWS).zip(coarsest_first) {
            for (code, back) in codes.iter_mut().rev().zip(1..) {
                *code = scale.windows.code_back(back);
            }
        }
        codes
    }

    /// Ends all windows before these.
    fn advance(&mut self, windows: [u64; SCALES], phase: u64) {
        for (scale, window) in self.scales.iter_mut().zip(windows) {
            scale.advance(window, phase);
        }
        for half in self.halves.iter_mut().flat_map(|halves| halves.iter_mut()) {
            for (own, window) in half.iter_mut().zip(windows) {
                own.advance(window);
            }
        }
    }

    /// Whether it was used in the window that has just ended as nobody expected.
    fn is_beyond_what_was_foreseen(&self) -> bool {
        let touches = self.scales[0].windows.back(1).unwrap_or(0.0);
        touches > self.foreseen * OUT_TIMES + OUT_TOUCHES
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
        self.began.get_or_insert(scene.now);
        let windows = std::array::from_fn(|scale| self.window(scale, scene.now));
        let mut left = touched;
        while !left.is_empty() {
            left = self.used(left, windows);
        }
    }

    fn expected(&self, region: VolumeRegion, view: &View, running: f64, _: Scene<'_>) -> Expected {
        let lasting = self.lasting.of(view, running);
        let group = self.groups.get(region.0);
        let Some((group, expected)) = group.and_then(|one| Some((one, one.expected?))) else {
            return lasting;
        };
        let share = group.share(view);
        let mut all = [0.0; HORIZONS];
        for (all, expected) in all.iter_mut().zip(expected) {
            *all = expected * share;
        }
        if group.is_out {
            // A burst says nothing of the rhythm, and the rhythm nothing of the burst.
            for (all, lasting) in all.iter_mut().zip(lasting.0) {
                *all = all.max(lasting);
            }
        }
        all[LAST] = lasting.in_all().max(all[LAST - 1]);
        Expected(all)
    }

    fn timing(&self, region: VolumeRegion, scene: Scene<'_>) -> Timing {
        let group = self.groups.get(region.0).filter(|group| !group.is_out);
        let demand = group.and_then(|group| group.demand);
        demand.map_or_else(Timing::default, |(begins, ends)| {
            Timing::of(begins, ends, scene.now)
        })
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
mod tests;
