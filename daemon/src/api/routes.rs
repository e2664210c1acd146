//! The routes: each reads a request, asks [`Control`] within a deadline, and writes the answer.
//!
//! Owns: the router, the deadlines, and the bound on requests under way. May not interpret what
//! passes through.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use tier_wire::{
    CancelMove, CreateVolume, DestroyVolume, ErrorBody, ErrorKind, ExplainQuery, HeatQuery,
    MoveRange, MoveRequest, MovesQuery, Pause, Retrain, Rollback, SetPriority, StartVolume,
    StopVolume, VolumeName, route,
};
use tokio::sync::Semaphore;

use super::control::{Answer, Control};
use super::extract::{Failure, InBody, InPath, InQuery};

/// Most requests under way at once, those whose client has gone included.
pub const REQUESTS_MAX: usize = 32;

/// Largest body of a request: 64 KiB, far above the longest list of members.
const BODY_BYTES_MAX: usize = 64 << 10;

/// How long a client waits at most.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// For what only looks.
    pub look: Duration,
    /// For what changes something: creating, starting and stopping wait for devices.
    pub change: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            look: Duration::from_secs(10),
            change: Duration::from_mins(2),
        }
    }
}

/// What the handlers share.
struct Shared<C> {
    control: Arc<C>,
    metrics: PrometheusHandle,
    deadlines: Deadlines,
    places: Arc<Semaphore>,
}

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self {
            control: Arc::clone(&self.control),
            metrics: self.metrics.clone(),
            deadlines: self.deadlines,
            places: Arc::clone(&self.places),
        }
    }
}

/// The whole API, answered by `control`, with `/metrics` rendered from `metrics`.
pub fn router<C: Control>(
    control: Arc<C>,
    metrics: PrometheusHandle,
    deadlines: Deadlines,
) -> Router {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    Router::new()
        .route(route::HEALTH, get(health::<C>))
        .route(route::VOLUMES, get(volumes::<C>).post(create::<C>))
        .route(route::VOLUME, get(volume::<C>))
        .route(route::START, post(start::<C>))
        .route(route::STOP, post(stop::<C>))
        .route(route::DESTROY, post(destroy::<C>))
        .route(route::MEMBERS, get(members::<C>))
        .route(route::STATUS, get(status::<C>))
        .route(route::HEAT, get(heat::<C>))
        .route(route::PLAN, get(plan::<C>))
        .route(route::EXPLAIN, get(explain::<C>))
        .route(route::MODELS, get(models::<C>))
        .route(route::RETRAIN, post(retrain::<C>))
        .route(route::ROLLBACK, post(roll_back::<C>))
        .route(route::MOVES, get(moves::<C>).post(begin_moves::<C>))
        .route(route::CANCEL, post(cancel::<C>))
        .route(route::PRIORITY, post(set_priority::<C>))
        .route(route::PAUSE, post(pause::<C>))
        .route(route::RESUME, post(resume::<C>))
        .route(route::METRICS, get(render_metrics::<C>))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(Shared {
            control,
            metrics,
            deadlines,
            places,
        })
}

impl<C: Control> Shared<C> {
    /// Answers a request that only looks.
    async fn look<T, F>(self, ask: impl FnOnce(Arc<C>) -> F) -> Response
    where
        T: Serialize + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let deadline = self.deadlines.look;
        self.within(deadline, ask).await
    }

    /// Answers a request that changes something.
    async fn change<T, F>(self, ask: impl FnOnce(Arc<C>) -> F) -> Response
    where
        T: Serialize + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let deadline = self.deadlines.change;
        self.within(deadline, ask).await
    }

    /// Runs the work in a task of its own, so that neither a deadline nor a client that hangs up
    /// leaves it half done.
    async fn within<T, F>(self, deadline: Duration, ask: impl FnOnce(Arc<C>) -> F) -> Response
    where
        T: Serialize + Send + 'static,
        F: Future<Output = Answer<T>> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Failure(
                ErrorBody::new(
                    ErrorKind::Unavailable,
                    format!("tierd has {REQUESTS_MAX} requests under way already"),
                )
                .with_hint("try again when they have been answered"),
            )
            .into_response();
        };
        let work = ask(self.control);
        let task = tokio::spawn(async move {
            let answer = work.await;
            drop(place);
            answer
        });
        match tokio::time::timeout(deadline, task).await {
            Ok(Ok(Ok(answer))) => Json(answer).into_response(),
            Ok(Ok(Err(error))) => Failure(error).into_response(),
            Ok(Err(error)) => {
                tracing::error!(%error, "a request of the control API died");
                Failure(
                    ErrorBody::new(ErrorKind::Internal, "the request died inside tierd")
                        .with_hint("the daemon's log has more: journalctl -u tierd"),
                )
                .into_response()
            }
            Err(_) => Failure(
                ErrorBody::new(
                    ErrorKind::Timeout,
                    format!("tierd had no answer within {} s", deadline.as_secs_f64()),
                )
                .with_hint("the work goes on; look at the volume before you ask again"),
            )
            .into_response(),
        }
    }
}

async fn health<C: Control>(State(shared): State<Shared<C>>) -> Response {
    shared
        .look(|control| async move { control.health().await })
        .await
}

async fn volumes<C: Control>(State(shared): State<Shared<C>>) -> Response {
    shared
        .look(|control| async move { control.volumes().await })
        .await
}

async fn volume<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
) -> Response {
    shared
        .look(|control| async move { control.volume(name).await })
        .await
}

async fn create<C: Control>(
    State(shared): State<Shared<C>>,
    InBody(request): InBody<CreateVolume>,
) -> Response {
    if request.members.is_empty() {
        return invalid(
            "a volume needs at least one member",
            "name a block device in `members`",
        );
    }
    shared
        .change(|control| async move { control.create(request).await })
        .await
}

async fn start<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(request): InBody<StartVolume>,
) -> Response {
    shared
        .change(|control| async move { control.start(name, request).await })
        .await
}

async fn stop<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(request): InBody<StopVolume>,
) -> Response {
    shared
        .change(|control| async move { control.stop(name, request).await })
        .await
}

async fn destroy<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(request): InBody<DestroyVolume>,
) -> Response {
    shared
        .change(|control| async move { control.destroy(name, request).await })
        .await
}

async fn members<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
) -> Response {
    shared
        .look(|control| async move { control.members(name).await })
        .await
}

async fn status<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
) -> Response {
    shared
        .look(|control| async move { control.status(name).await })
        .await
}

async fn heat<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InQuery(query): InQuery<HeatQuery>,
) -> Response {
    if !(1..=HeatQuery::BUCKETS_MAX).contains(&query.buckets) {
        let hint = format!("ask for 1 to {} buckets", HeatQuery::BUCKETS_MAX);
        return invalid(&format!("{} buckets cannot be had", query.buckets), &hint);
    }
    shared
        .look(|control| async move { control.heat(name, query).await })
        .await
}

async fn plan<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
) -> Response {
    shared
        .look(|control| async move { control.plan(name).await })
        .await
}

async fn explain<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InQuery(query): InQuery<ExplainQuery>,
) -> Response {
    if query.region.is_some() == query.id.is_some() {
        let hint = "name a region or a move: ?region=N or ?move=ID";
        return invalid("one thing is explained at a time", hint);
    }
    shared
        .look(|control| async move { control.explain(name, query).await })
        .await
}

async fn models<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
) -> Response {
    shared
        .look(|control| async move { control.models(name).await })
        .await
}

async fn retrain<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(Retrain {}): InBody<Retrain>,
) -> Response {
    shared
        .change(|control| async move { control.retrain(name).await })
        .await
}

async fn roll_back<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(request): InBody<Rollback>,
) -> Response {
    shared
        .change(|control| async move { control.roll_back(name, request).await })
        .await
}

async fn moves<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InQuery(query): InQuery<MovesQuery>,
) -> Response {
    if query.history > MovesQuery::HISTORY_MAX {
        let hint = format!("ask for at most {}", MovesQuery::HISTORY_MAX);
        return invalid(
            &format!("{} past moves cannot be had at once", query.history),
            &hint,
        );
    }
    shared
        .look(|control| async move { control.moves(name, query).await })
        .await
}

async fn begin_moves<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(request): InBody<MoveRequest>,
) -> Response {
    let is_empty = match request.range {
        MoveRange::Regions { count, .. } => count == 0,
        MoveRange::Bytes { length, .. } => length == 0,
        MoveRange::All => false,
    };
    if is_empty {
        return invalid(
            "the range to move is empty",
            "ask for one region or one byte at least",
        );
    }
    shared
        .change(|control| async move { control.begin_moves(name, request).await })
        .await
}

async fn cancel<C: Control>(
    State(shared): State<Shared<C>>,
    InPath((name, id)): InPath<(VolumeName, u64)>,
    InBody(request): InBody<CancelMove>,
) -> Response {
    shared
        .change(|control| async move { control.cancel(name, id, request).await })
        .await
}

async fn set_priority<C: Control>(
    State(shared): State<Shared<C>>,
    InPath((name, id)): InPath<(VolumeName, u64)>,
    InBody(request): InBody<SetPriority>,
) -> Response {
    shared
        .change(|control| async move { control.set_priority(name, id, request).await })
        .await
}

async fn pause<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(Pause {}): InBody<Pause>,
) -> Response {
    shared
        .change(|control| async move { control.pause(name).await })
        .await
}

async fn resume<C: Control>(
    State(shared): State<Shared<C>>,
    InPath(name): InPath<VolumeName>,
    InBody(Pause {}): InBody<Pause>,
) -> Response {
    shared
        .change(|control| async move { control.resume(name).await })
        .await
}

/// The text format's own type, from Prometheus' "Exposition formats".
async fn render_metrics<C: Control>(State(shared): State<Shared<C>>) -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4")],
        shared.metrics.render(),
    )
        .into_response()
}

async fn no_such_path() -> Response {
    let error = ErrorBody::new(ErrorKind::NotFound, "the API has no such path").with_hint(format!(
        "this daemon speaks {}; see {}",
        tier_wire::VERSION,
        route::HEALTH
    ));
    Failure(error).into_response()
}

async fn no_such_method() -> Response {
    let error = ErrorBody::new(ErrorKind::Invalid, "this path does not take this method")
        .with_hint("GET looks, POST changes");
    let mut response = Failure(error).into_response();
    *response.status_mut() = axum::http::StatusCode::METHOD_NOT_ALLOWED;
    response
}

fn invalid(message: &str, hint: &str) -> Response {
    Failure(ErrorBody::new(ErrorKind::Invalid, message).with_hint(hint)).into_response()
}
