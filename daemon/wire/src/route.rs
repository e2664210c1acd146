//! The paths of the API, so that server and client cannot differ.
//!
//! Owns: the path patterns that the daemon serves and the functions that fill them in.

use crate::name::VolumeName;

/// `GET`: [`crate::Health`].
pub const HEALTH: &str = "/v1/health";
/// `GET`: [`crate::VolumeList`]. `POST` [`crate::CreateVolume`]: [`crate::VolumeChange`].
pub const VOLUMES: &str = "/v1/volumes";
/// `GET`: [`crate::Volume`].
pub const VOLUME: &str = "/v1/volumes/{name}";
/// `POST` [`crate::StartVolume`]: [`crate::VolumeChange`].
pub const START: &str = "/v1/volumes/{name}/start";
/// `POST` [`crate::StopVolume`]: [`crate::VolumeChange`].
pub const STOP: &str = "/v1/volumes/{name}/stop";
/// `POST` [`crate::DestroyVolume`]: [`crate::VolumeChange`].
pub const DESTROY: &str = "/v1/volumes/{name}/destroy";
/// `GET`: [`crate::MemberList`].
pub const MEMBERS: &str = "/v1/volumes/{name}/members";
/// `GET`: [`crate::Status`].
pub const STATUS: &str = "/v1/volumes/{name}/status";
/// `GET` with [`crate::HeatQuery`]: [`crate::HeatMap`].
pub const HEAT: &str = "/v1/volumes/{name}/heat";
/// `GET`: [`crate::Plan`].
pub const PLAN: &str = "/v1/volumes/{name}/plan";
/// `GET` with [`crate::ExplainQuery`]: [`crate::Explanation`].
pub const EXPLAIN: &str = "/v1/volumes/{name}/explain";
/// `GET`: [`crate::ModelList`].
pub const MODELS: &str = "/v1/volumes/{name}/models";
/// `POST` [`crate::Retrain`]: [`crate::ModelList`].
pub const RETRAIN: &str = "/v1/volumes/{name}/models/retrain";
/// `POST` [`crate::Rollback`]: [`crate::ModelList`].
pub const ROLLBACK: &str = "/v1/volumes/{name}/models/rollback";
/// `GET` with [`crate::MovesQuery`]: [`crate::MoveList`]. `POST` [`crate::MoveRequest`]:
/// [`crate::MoveAccepted`].
pub const MOVES: &str = "/v1/volumes/{name}/moves";
/// `POST` [`crate::CancelMove`]: [`crate::Move`].
pub const CANCEL: &str = "/v1/volumes/{name}/moves/{id}/cancel";
/// `POST` [`crate::SetPriority`]: [`crate::Move`].
pub const PRIORITY: &str = "/v1/volumes/{name}/moves/{id}/priority";
/// `POST` [`crate::Pause`]: [`crate::PauseState`].
pub const PAUSE: &str = "/v1/volumes/{name}/pause";
/// `POST` [`crate::Pause`]: [`crate::PauseState`].
pub const RESUME: &str = "/v1/volumes/{name}/resume";
/// `GET`: metrics in Prometheus text. It has no version, as scrapers expect.
pub const METRICS: &str = "/metrics";

/// Fills a volume's name into one of the patterns above. Names need no escaping
/// ([`VolumeName`] holds only characters that stand for themselves in a path).
#[must_use]
pub fn of_volume(pattern: &str, name: &VolumeName) -> String {
    pattern.replace("{name}", name.as_str())
}

/// The path that cancels move `id` of volume `name`.
#[must_use]
pub fn cancel(name: &VolumeName, id: u64) -> String {
    of_volume(CANCEL, name).replace("{id}", &id.to_string())
}

/// The path that changes the priority of move `id` of volume `name`.
#[must_use]
pub fn priority(name: &VolumeName, id: u64) -> String {
    of_volume(PRIORITY, name).replace("{id}", &id.to_string())
}
