//! What was used will be used: the decayed count of one span goes on as it was.

use super::{Expected, Expert, ExpertName, HORIZONS, Scene, Spans, Touched};
use crate::heat::{Heat, SPANS, View};
use crate::units::VolumeRegion;

/// By span.
const NAMES: [ExpertName; SPANS] = [ExpertName::Recent, ExpertName::Lasting, ExpertName::Long];

/// The expert of one of the heat's spans.
#[derive(Clone, Debug)]
pub(crate) struct Lasting {
    span: usize,
    /// Share of the decayed count that is expected until each horizon.
    shares: [f64; HORIZONS],
}

impl Lasting {
    pub(crate) fn new(span: usize, horizons_nanos: Spans, heat: &Heat) -> Self {
        let share = |nanos| 1.0 - f64::from(heat.left(nanos)[span]);
        Self {
            span,
            shares: horizons_nanos.map(share),
        }
    }

    pub(super) fn of(&self, view: &View, running: f64) -> Expected {
        self.of_heat(view.spans[self.span] + running)
    }

    /// Of so many decayed touches.
    pub(super) fn of_heat(&self, heat: f64) -> Expected {
        Expected(self.shares.map(|share| heat * share))
    }
}

impl Expert for Lasting {
    fn name(&self) -> ExpertName {
        NAMES[self.span]
    }

    fn touched(&mut self, _: &[Touched], _: Scene<'_>) {}

    fn expected(&self, _: VolumeRegion, view: &View, running: f64, _: Scene<'_>) -> Expected {
        self.of(view, running)
    }

    fn names(&mut self, _: Scene<'_>) -> Vec<VolumeRegion> {
        Vec::new()
    }
}
