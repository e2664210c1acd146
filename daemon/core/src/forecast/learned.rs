//! What somebody outside the engine, who runs a network, says will be used.
//!
//! Owns: which groups are asked about, and the answers. Once in each window of the finest scale
//! the groups that could repay a copy are asked about; a group is believed to be used as was said
//! until the next answer, and as the reactive expert says where there is none.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::examples::{Drifted, Example, Examples};
use super::history::{Codes, STEPS, WINDOW_TIMES, WINDOWS, listed};
use super::lasting::Lasting;
use super::rhythm::{Rhythm, views};
use super::shapes::Run;
use super::{
    Expected, Expert, ExpertName, FINITE, HORIZONS, LAST, Scene, Spans, Stakes, Touched, touches,
};
use crate::engine::NetworkStatus;
use crate::heat::{LASTING, View};
use crate::units::VolumeRegion;

/// Windows after which an answer is worth nothing any more.
const STALE_WINDOWS: u64 = 3;
/// Horizon within which regions that are to be used are named.
const SOON: usize = 1;

/// A group that is asked about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupHistory {
    /// Its first region.
    pub first: VolumeRegion,
    /// Its regions: a power of two, 64 at most.
    pub count: u32,
    /// What was counted in its last windows.
    #[serde(with = "listed")]
    pub codes: Codes,
}

/// What is forecast of a group.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupForecast {
    /// Its first region.
    pub first: VolumeRegion,
    /// Its touches from the end of the last window until each horizon but the last.
    pub touches: [f32; FINITE],
}

/// What others are asked and told when a window has ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) window: u64,
    pub(crate) groups: Vec<GroupHistory>,
    pub(crate) examples: Vec<Example>,
    pub(crate) drifted: Option<Drifted>,
}

/// A group that is asked about, and what is known of it.
pub(super) struct Known {
    pub(super) history: GroupHistory,
    /// Its touches since it is followed.
    pub(super) counter: f64,
    /// What the reactive expert expects.
    pub(super) naive: [f64; FINITE],
}

#[derive(Clone, Copy, Debug)]
struct Answer {
    run: Run,
    touches: [f64; FINITE],
    /// Touches of the lasting span of all its regions.
    heat: f64,
}

/// The expert.
#[derive(Clone, Debug)]
pub(crate) struct Learned {
    lasting: Lasting,
    horizons_nanos: Spans,
    ready: bool,
    asked_in: u64,
    answered_in: u64,
    answers: BTreeMap<u32, Answer>,
    names: Vec<VolumeRegion>,
    examples: Examples,
}

fn heat_of(run: Run, scene: Scene<'_>) -> f64 {
    let views = views(run, scene);
    views.map(|(_, view)| view.spans[LASTING]).sum()
}

/// Touches until the farthest horizon, were the group used all the time as it was in its busiest
/// window.
fn touches_at_most(codes: &Codes, farthest_windows: f64) -> f64 {
    let scales = codes.chunks_exact(WINDOWS).zip(WINDOW_TIMES);
    let rates = scales.map(|(codes, times)| {
        let most = codes.iter().copied().max().unwrap_or(0);
        touches(most) / f64::from(times)
    });
    rates.fold(0.0, f64::max) * farthest_windows
}

impl Learned {
    pub(crate) fn new(lasting: Lasting, horizons_nanos: Spans) -> Self {
        const { assert!(STEPS == WINDOW_TIMES.len() * WINDOWS) };
        Self {
            lasting,
            horizons_nanos,
            ready: false,
            asked_in: 0,
            answered_in: 0,
            answers: BTreeMap::new(),
            names: Vec::new(),
            examples: Examples::default(),
        }
    }

    /// Somebody answers from now on, or nobody does.
    pub(crate) fn forecaster(&mut self, ready: bool) {
        self.ready = ready;
        if !ready {
            self.answers.clear();
            self.names.clear();
        }
    }

    pub(crate) fn status(&self) -> NetworkStatus {
        let errors = self.examples.errors();
        NetworkStatus {
            is_asked: self.ready,
            error: errors.map(|(network, _)| network),
            naive_error: errors.map(|(_, naive)| naive),
        }
    }

    fn window_nanos(&self) -> u64 {
        self.horizons_nanos[0].max(1)
    }

    /// Asks about the groups of which it may matter, once a window.
    pub(crate) fn ask(
        &mut self,
        rhythm: &Rhythm,
        stakes: &Stakes,
        scene: Scene<'_>,
    ) -> Option<Asked> {
        let window = rhythm.window(0, scene.now);
        if window == self.asked_in {
            return None;
        }
        self.asked_in = window;
        if window > self.answered_in.saturating_add(STALE_WINDOWS) {
            self.answers.clear();
        }
        let ends =
            std::array::from_fn(|horizon| self.horizons_nanos[horizon] / self.window_nanos());
        let (examples, drifted) = self.examples.look(window, ends, rhythm);
        let known = self.worth_asking(rhythm, stakes, scene);
        self.examples.begin(window, &known);
        let groups = if self.ready {
            known.into_iter().map(|one| one.history).collect()
        } else {
            Vec::new()
        };
        Some(Asked {
            window,
            groups,
            examples,
            drifted,
        })
    }

    /// Groups that could repay the copy of a region, were they used as they were at most.
    fn worth_asking(&self, rhythm: &Rhythm, stakes: &Stakes, scene: Scene<'_>) -> Vec<Known> {
        #[allow(clippy::cast_precision_loss, reason = "some windows")]
        let farthest = (self.horizons_nanos[LAST - 1] / self.window_nanos()) as f64;
        let mut known = Vec::new();
        for (run, followed) in rhythm.groups() {
            let codes = followed.history();
            let most = touches_at_most(&codes, farthest);
            if most * stakes.gain_seconds > stakes.copy_seconds {
                let heat = heat_of(run, scene);
                let naive = self.lasting.of_heat(heat).0;
                known.push(Known {
                    history: GroupHistory {
                        first: VolumeRegion(run.first),
                        count: run.count,
                        codes,
                    },
                    counter: followed.total(),
                    naive: std::array::from_fn(|horizon| naive[horizon]),
                });
            }
        }
        known
    }

    /// Takes in what was said of groups in the window in which it was asked.
    pub(crate) fn told(
        &mut self,
        window: u64,
        forecasts: &[GroupForecast],
        rhythm: &Rhythm,
        scene: Scene<'_>,
    ) {
        if !self.ready || window != self.asked_in {
            return;
        }
        self.answered_in = window;
        self.answers.clear();
        self.names.clear();
        for one in forecasts {
            let is_count = |touches: &f32| touches.is_finite() && *touches >= 0.0;
            if !one.touches.iter().all(is_count) {
                continue;
            }
            let touches = one.touches.map(f64::from);
            let Some(run) = rhythm.run_of(one.first) else {
                continue;
            };
            let heat = heat_of(run, scene);
            let answer = Answer { run, touches, heat };
            self.answers.insert(run.first, answer);
            if touches[SOON] >= 1.0 {
                let due =
                    views(run, scene).filter(|(_, view)| touches[SOON] * answer.share(view) >= 1.0);
                self.names.extend(due.map(|(region, _)| region));
            }
        }
        let answers = &self.answers;
        let of = |run: Run| Some(answers.get(&run.first)?.touches);
        self.examples.said(window, of);
    }

    /// What was said of the group that a region is in.
    fn answer(&self, region: VolumeRegion) -> Option<&Answer> {
        let (_, answer) = self.answers.range(..=region.0).next_back()?;
        answer.run.has(region.0).then_some(answer)
    }
}

impl Answer {
    /// Share of the group's touches that come to a region.
    fn share(&self, view: &View) -> f64 {
        if self.heat > f64::EPSILON {
            view.spans[LASTING] / self.heat
        } else {
            0.0
        }
    }
}

impl Expert for Learned {
    fn name(&self) -> ExpertName {
        ExpertName::Learned
    }

    fn is_heard(&self) -> bool {
        self.ready
    }

    fn touched(&mut self, _: &[Touched], _: Scene<'_>) {}

    fn expected(&self, region: VolumeRegion, view: &View, running: f64, _: Scene<'_>) -> Expected {
        let lasting = self.lasting.of(view, running);
        let Some(answer) = self.answer(region) else {
            return lasting;
        };
        let share = answer.share(view);
        let mut all = [0.0; HORIZONS];
        for (all, touches) in all.iter_mut().zip(answer.touches) {
            *all = touches * share;
        }
        all[LAST] = lasting.in_all().max(all[LAST - 1]);
        Expected(all)
    }

    fn names(&mut self, _: Scene<'_>) -> Vec<VolumeRegion> {
        std::mem::take(&mut self.names)
    }
}

#[cfg(test)]
mod tests;
