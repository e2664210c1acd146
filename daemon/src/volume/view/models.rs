//! The models of a volume, in the words of the wire.

use std::time::{SystemTime, UNIX_EPOCH};

use tier_core::engine::Status as EngineStatus;
use tier_core::forecast::ExpertName;
use tier_wire::{Model, ModelList, Network, Training, TrainingEnd, VolumeName};

use crate::model::{Entry, Models, ModelsView};
use crate::volume::runtime::Runtime;

/// Whom to ask about models, and what the engine makes of the network.
pub(crate) fn network(runtime: &Runtime) -> (Models, EngineStatus) {
    (runtime.parts.models.clone(), runtime.parts.engine.status())
}

/// All of them.
pub(crate) fn models(volume: VolumeName, view: ModelsView, engine: &EngineStatus) -> ModelList {
    let is_learned = |score: &&tier_core::forecast::Score| score.name == ExpertName::Learned;
    let learned = engine.experts.iter().find(is_learned);
    let base = base(&view);
    let trained = view.models.iter().map(|one| model(one, view.current));
    ModelList {
        volume,
        network: Network {
            runs: view.problem.is_none(),
            library: view.library.as_ref().map(|path| path.display().to_string()),
            problem: view.problem.clone(),
            is_believed: learned.is_some_and(|score| score.is_believed),
            error: engine.network.error,
            naive_error: engine.network.naive_error,
        },
        models: std::iter::once(base).chain(trained).collect(),
        examples: view.examples,
        training: Training {
            runs: view.is_training,
            next_seconds: view.next_training.map(|time| time.as_secs_f64()),
            last: view.last_training.map(|last| TrainingEnd {
                ended_seconds_ago: age_seconds(last.ended_unix_seconds),
                made: last.made,
                text: last.text,
            }),
        },
    }
}

fn base(view: &ModelsView) -> Model {
    let (loss, loss_naive) = view.base_loss.clone().unwrap_or_default();
    Model {
        number: 0,
        is_current: view.current == 0,
        from: None,
        age_seconds: None,
        judged_by: None,
        loss,
        loss_before: Vec::new(),
        loss_naive,
    }
}

fn model(entry: &Entry, current: u32) -> Model {
    Model {
        number: entry.number,
        is_current: entry.number == current,
        from: Some(entry.from),
        age_seconds: Some(age_seconds(entry.made_unix_seconds)),
        judged_by: Some(entry.judged_by),
        loss: entry.loss.clone(),
        loss_before: entry.loss_before.clone(),
        loss_naive: entry.loss_naive.clone(),
    }
}

/// Seconds since then; none if the clock was set back.
fn age_seconds(unix_seconds: u64) -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0.0, |since| since.as_secs_f64());
    #[allow(clippy::cast_precision_loss, reason = "a time of the calendar")]
    let age = now - unix_seconds as f64;
    age.max(0.0)
}
