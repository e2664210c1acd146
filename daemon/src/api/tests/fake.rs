//! A daemon that answers with samples.

use super::*;

/// Knows the volume `data`; `slow` answers late, `never` not at all, `broken` panics.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) slow_start_has_begun: AtomicBool,
    pub(super) slow_start_has_ended: AtomicBool,
}

/// How long `slow` takes, and how long the tests' clients wait at most.
const SLOW: Duration = Duration::from_millis(300);
pub(super) const DEADLINE: Duration = Duration::from_millis(50);

fn known<T>(name: &VolumeName, answer: T) -> Answer<T> {
    if *name == samples::name() {
        Ok(answer)
    } else {
        Err(
            ErrorBody::new(ErrorKind::NotFound, format!("there is no volume {name}"))
                .with_hint("`tierctl volume list` shows those there are"),
        )
    }
}

impl Control for Fake {
    async fn health(&self) -> Answer<Health> {
        Ok(samples::health())
    }
    async fn volumes(&self) -> Answer<VolumeList> {
        Ok(samples::volumes())
    }
    async fn volume(&self, name: VolumeName) -> Answer<Volume> {
        match name.as_str() {
            "never" => std::future::pending().await,
            "broken" => panic!("this fake is broken on purpose"),
            _ => known(&name, samples::volume()),
        }
    }
    async fn create(&self, request: CreateVolume) -> Answer<VolumeChange> {
        if request.name == samples::name() {
            return Err(ErrorBody::new(ErrorKind::Exists, "volume data exists"));
        }
        Ok(samples::change(request.dry_run))
    }
    async fn start(&self, name: VolumeName, request: StartVolume) -> Answer<VolumeChange> {
        if name.as_str() == "slow" {
            self.slow_start_has_begun.store(true, Ordering::SeqCst);
            tokio::time::sleep(SLOW).await;
            self.slow_start_has_ended.store(true, Ordering::SeqCst);
            return Ok(samples::change(false));
        }
        known(&name, samples::change(request.dry_run))
    }
    async fn stop(&self, name: VolumeName, request: StopVolume) -> Answer<VolumeChange> {
        known(&name, samples::change(request.dry_run))
    }
    async fn destroy(&self, name: VolumeName, request: DestroyVolume) -> Answer<VolumeChange> {
        known(&name, samples::change(request.dry_run))
    }
    async fn members(&self, name: VolumeName) -> Answer<MemberList> {
        known(&name, samples::members())
    }
    async fn status(&self, name: VolumeName) -> Answer<Status> {
        known(&name, samples::status())
    }
    async fn heat(&self, name: VolumeName, query: HeatQuery) -> Answer<HeatMap> {
        let mut map = samples::heat();
        map.buckets
            .truncate(usize::try_from(query.buckets).unwrap());
        known(&name, map)
    }
    async fn plan(&self, name: VolumeName) -> Answer<Plan> {
        known(&name, samples::plan())
    }
    async fn explain(&self, name: VolumeName, query: ExplainQuery) -> Answer<Explanation> {
        let explained = if query.id.is_some() {
            samples::explained_move()
        } else {
            samples::explanation()
        };
        known(&name, explained)
    }
    async fn models(&self, name: VolumeName) -> Answer<ModelList> {
        known(&name, samples::models())
    }
    async fn retrain(&self, name: VolumeName) -> Answer<ModelList> {
        let mut list = samples::models();
        list.training.runs = true;
        known(&name, list)
    }
    async fn roll_back(&self, name: VolumeName, request: Rollback) -> Answer<ModelList> {
        let mut list = samples::models();
        for model in &mut list.models {
            model.is_current = Some(model.number) == request.to;
        }
        known(&name, list)
    }
    async fn begin_moves(&self, name: VolumeName, request: MoveRequest) -> Answer<MoveAccepted> {
        assert!(!matches!(
            request.range,
            MoveRange::Regions { count: 0, .. }
        ));
        known(&name, samples::accepted(request.dry_run))
    }
    async fn moves(&self, name: VolumeName, query: MovesQuery) -> Answer<MoveList> {
        let mut list = samples::moves();
        list.history
            .truncate(usize::try_from(query.history).unwrap());
        known(&name, list)
    }
    async fn cancel(&self, name: VolumeName, id: u64, _: CancelMove) -> Answer<Move> {
        let mut taken_back = samples::moves().live.remove(0);
        taken_back.id = id;
        known(&name, taken_back)
    }
    async fn set_priority(&self, name: VolumeName, id: u64, to: SetPriority) -> Answer<Move> {
        let mut changed = samples::moves().live.remove(0);
        (changed.id, changed.priority) = (id, Some(to.priority));
        known(&name, changed)
    }
    async fn pause(&self, name: VolumeName) -> Answer<PauseState> {
        known(&name, samples::pause(true))
    }
    async fn resume(&self, name: VolumeName) -> Answer<PauseState> {
        known(&name, samples::pause(false))
    }
}
