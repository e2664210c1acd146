//! What the experts learned, and how they stand, kept over a restart.

use serde::{Deserialize, Serialize};

use super::calibration::CalibrationMemory;
use super::following::FollowingMemory;
use super::rhythm::GroupMemory;
use super::touch::TouchMemory;
use super::{Expert, ExpertName, Forecasts, Scene, nearby};
use crate::units::Now;

/// What the experts learned, and how they stand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ForecastMemory {
    groups: Vec<GroupMemory>,
    neighbours: Vec<(nearby::Key, f64, f64)>,
    leads_seconds: Vec<(ExpertName, f64)>,
    believed: ExpertName,
    calibration: Vec<CalibrationMemory>,
}

impl Forecasts {
    /// What was learned.
    pub(crate) fn remember(&self) -> ForecastMemory {
        let names = self.experts.all().map(Expert::name);
        ForecastMemory {
            groups: self.experts.rhythm.remember(),
            neighbours: self.experts.nearby.remember(),
            leads_seconds: names.into_iter().zip(*self.contest.leads()).collect(),
            believed: self.believed(),
            calibration: self.calibration.remember(&names),
        }
    }

    /// What follows what, as far as it was learned.
    pub(crate) fn remember_following(&self) -> FollowingMemory {
        self.experts.following.remember()
    }

    /// Takes that in.
    pub(crate) fn recall_following(&mut self, memory: &FollowingMemory) {
        self.experts.following.recall(memory);
    }

    /// What was learned of touches.
    pub(crate) fn remember_touches(&self, scene: Scene<'_>) -> TouchMemory {
        self.experts.touch.remember(scene)
    }

    /// Takes in what is remembered of touches.
    pub(crate) fn recall_touches(&mut self, memory: &TouchMemory, scene: Scene<'_>) {
        self.experts.touch.recall(memory, scene);
    }

    /// Takes in what is remembered. What each expert's tier would hold is not, so that they start
    /// over from the same.
    pub(crate) fn recall(&mut self, memory: &ForecastMemory, now: Now) {
        self.experts.rhythm.recall(&memory.groups, now);
        self.experts.nearby.recall(&memory.neighbours);
        let names = self.experts.all().map(Expert::name);
        self.calibration.recall(&memory.calibration, &names, now);
        for (at, name) in names.into_iter().enumerate() {
            let mut known = memory.leads_seconds.iter();
            if let Some((_, lead_seconds)) = known.find(|(known, _)| *known == name) {
                self.contest.lead(at, *lead_seconds);
            }
        }
        let believed = names.into_iter().position(|name| name == memory.believed);
        if let Some(at) = believed.filter(|_| self.foresight) {
            self.contest.believe(at);
        }
    }
}
