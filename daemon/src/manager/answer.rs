//! The API's requests, answered.

use tier_core::command::{Refusal, Reply};
use tier_core::event::{Event, Priority, Target};
use tier_core::units::{MemberIndex, MoveId, VolumeRegion};
use tier_store::words::{BackendKind, Facts};
use tier_wire::{
    CancelMove, CreateVolume, DestroyVolume, ErrorBody, ErrorKind, ExplainQuery, Explanation,
    Health, HeatMap, HeatQuery, MemberList, ModelList, Move, MoveAccepted, MoveList, MoveRange,
    MoveRequest, MoveTarget, MovesQuery, PauseState, Plan, Rollback, SetPriority, StartVolume,
    Status, StopVolume, Volume, VolumeChange, VolumeList, VolumeName,
};

use super::Manager;
use super::error::{internal, no_volume, not_running, of_model};
use super::life::running;
use crate::api::control::{Answer, Control};
use crate::volume::handle::Asker;
use crate::volume::runtime::Runtime;
use crate::volume::view;

impl Manager {
    /// A way to ask a volume that has to run.
    async fn served(&self, name: &VolumeName) -> Answer<Asker> {
        if let Some(asker) = self.asker(name.as_str()).await {
            return Ok(asker);
        }
        let known = self.found(name).await;
        Err(known.map_or_else(|_| no_volume(name.as_str()), |_| not_running(name.as_str())))
    }

    async fn set_paused(&self, name: VolumeName, paused: bool) -> Answer<PauseState> {
        let asker = self.served(&name).await?;
        let reply = asker
            .request(move |request| Event::PauseRequested { request, paused })
            .await
            .map_err(|error| internal(&error))?;
        refused(&reply)?;
        Ok(PauseState {
            volume: name,
            paused,
        })
    }
}

/// Looks at a running volume.
async fn look<T: Send + 'static>(
    asker: &Asker,
    look: impl FnOnce(&Runtime) -> T + Send + 'static,
) -> Answer<T> {
    asker.view(look).await.map_err(|error| internal(&error))
}

impl Control for Manager {
    async fn health(&self) -> Answer<Health> {
        let volumes = self.running.lock().await.len();
        let problems = self.problems().values().cloned().collect();
        Ok(Health {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api: tier_wire::VERSION.to_owned(),
            pid: std::process::id(),
            uptime_seconds: self.since.elapsed().as_secs_f64(),
            volumes: u32::try_from(volumes).unwrap_or(u32::MAX),
            problems,
        })
    }

    async fn volumes(&self) -> Answer<VolumeList> {
        let mut volumes = Vec::new();
        for members in self.scan().await {
            let Some(first) = members.first() else {
                continue;
            };
            let Ok(name) = first.label.name.as_str().parse::<VolumeName>() else {
                continue;
            };
            match self.asker(first.label.name.as_str()).await {
                Some(asker) if asker.info.facts.volume == first.label.volume => {
                    volumes.push(running(&asker).await?);
                }
                _ => volumes.push(view::stopped(name, &members)),
            }
        }
        Ok(VolumeList { volumes })
    }

    async fn volume(&self, name: VolumeName) -> Answer<Volume> {
        if let Some(asker) = self.asker(name.as_str()).await {
            return running(&asker).await;
        }
        let members = self.found(&name).await?;
        Ok(view::stopped(name, &members))
    }

    async fn create(&self, request: CreateVolume) -> Answer<VolumeChange> {
        self.create_volume(request).await
    }

    async fn start(&self, name: VolumeName, request: StartVolume) -> Answer<VolumeChange> {
        self.start_volume(name, request).await
    }

    async fn stop(&self, name: VolumeName, request: StopVolume) -> Answer<VolumeChange> {
        self.stop_volume(name, request).await
    }

    async fn destroy(&self, name: VolumeName, request: DestroyVolume) -> Answer<VolumeChange> {
        self.destroy_volume(name, request).await
    }

    async fn members(&self, name: VolumeName) -> Answer<MemberList> {
        let volume = Control::volume(self, name.clone()).await?;
        Ok(MemberList {
            volume: name,
            members: volume.members,
        })
    }

    async fn status(&self, name: VolumeName) -> Answer<Status> {
        let asker = self.served(&name).await?;
        let info = asker.info.clone();
        look(&asker, move |runtime| view::status(runtime, &info, name)).await
    }

    async fn heat(&self, name: VolumeName, query: HeatQuery) -> Answer<HeatMap> {
        let asker = self.served(&name).await?;
        look(&asker, move |runtime| {
            view::heat(runtime, name, query.buckets)
        })
        .await
    }

    async fn plan(&self, name: VolumeName) -> Answer<Plan> {
        let asker = self.served(&name).await?;
        look(&asker, move |runtime| view::plan(runtime, name)).await
    }

    async fn explain(&self, name: VolumeName, query: ExplainQuery) -> Answer<Explanation> {
        let asker = self.served(&name).await?;
        look(&asker, move |runtime| view::explain(runtime, name, query)).await?
    }

    async fn models(&self, name: VolumeName) -> Answer<ModelList> {
        let asker = self.served(&name).await?;
        let (models, engine) = look(&asker, view::network).await?;
        let view = models.view().await.map_err(|error| of_model(&error))?;
        Ok(view::models(name, view, &engine))
    }

    async fn retrain(&self, name: VolumeName) -> Answer<ModelList> {
        let asker = self.served(&name).await?;
        let (models, _) = look(&asker, view::network).await?;
        models.train().await.map_err(|error| of_model(&error))?;
        Control::models(self, name).await
    }

    async fn roll_back(&self, name: VolumeName, request: Rollback) -> Answer<ModelList> {
        let asker = self.served(&name).await?;
        let (models, _) = look(&asker, view::network).await?;
        let done = models.roll_back(request.to).await;
        done.map_err(|error| of_model(&error))?;
        Control::models(self, name).await
    }

    async fn begin_moves(&self, name: VolumeName, request: MoveRequest) -> Answer<MoveAccepted> {
        let asker = self.served(&name).await?;
        let facts = &asker.info.facts;
        let (first, count) = range(request.range, facts.region_size.bytes().0, facts.regions)?;
        let target = match request.to {
            MoveTarget::Class(class) => Target::Class(view::core_class(class)),
            MoveTarget::Member(index) => Target::Member(MemberIndex(index)),
        };
        let priority = priority(facts, request.priority)?;
        let (regions, seconds) = look(&asker, move |runtime| {
            view::would_move(runtime, first, count, target)
        })
        .await?;
        let bytes = facts.region_size.bytes_of(regions).0;
        let mut accepted = MoveAccepted {
            dry_run: true,
            moves: Vec::new(),
            regions,
            bytes,
            seconds,
        };
        if request.dry_run {
            return Ok(accepted);
        }
        let reply = asker
            .request(move |request| Event::MoveRequested {
                request,
                first,
                count,
                target,
                priority,
            })
            .await
            .map_err(|error| internal(&error))?;
        refused(&reply)?;
        if let Reply::Moves(ids) = reply {
            accepted.moves = ids.into_iter().map(|id| id.0).collect();
        }
        accepted.dry_run = false;
        Ok(accepted)
    }

    async fn moves(&self, name: VolumeName, query: MovesQuery) -> Answer<MoveList> {
        let asker = self.served(&name).await?;
        look(&asker, move |runtime| {
            view::moves(runtime, name, query.history)
        })
        .await
    }

    async fn cancel(&self, name: VolumeName, id: u64, request: CancelMove) -> Answer<Move> {
        let asker = self.served(&name).await?;
        let before = move_of(&asker, MoveId(id)).await?;
        if request.dry_run {
            return Ok(before);
        }
        let reply = asker
            .request(move |request| Event::CancelRequested {
                request,
                id: MoveId(id),
            })
            .await
            .map_err(|error| internal(&error))?;
        refused(&reply)?;
        let after = look(&asker, move |runtime| view::one_move(runtime, MoveId(id))).await?;
        Ok(after.unwrap_or(before))
    }

    async fn set_priority(&self, name: VolumeName, id: u64, request: SetPriority) -> Answer<Move> {
        let asker = self.served(&name).await?;
        let id = MoveId(id);
        let before = move_of(&asker, id).await?;
        let priority = priority(&asker.info.facts, request.priority)?;
        let reply = asker
            .request(move |request| Event::PriorityRequested {
                request,
                id,
                priority,
            })
            .await
            .map_err(|error| internal(&error))?;
        refused(&reply)?;
        let after = look(&asker, move |runtime| view::one_move(runtime, id)).await?;
        Ok(after.unwrap_or(before))
    }

    async fn pause(&self, name: VolumeName) -> Answer<PauseState> {
        self.set_paused(name, true).await
    }

    async fn resume(&self, name: VolumeName) -> Answer<PauseState> {
        self.set_paused(name, false).await
    }
}

/// A move that has not ended.
async fn move_of(asker: &Asker, id: MoveId) -> Answer<Move> {
    let found = look(asker, move |runtime| view::one_move(runtime, id)).await?;
    found.ok_or_else(|| ErrorBody::new(ErrorKind::NotFound, Refusal::NoSuchMove(id).to_string()))
}

/// A priority, where moves have any: the kernel's own mirrors share one pace.
fn priority(facts: &Facts, wanted: tier_wire::Priority) -> Answer<Priority> {
    if wanted != tier_wire::Priority::Normal && facts.backend == BackendKind::Dm {
        let message = format!(
            "moves of volume {} have no priority: it is on device-mapper, whose mirrors have no pace each",
            facts.name
        );
        let hint = "pause the policy, move less at a time, or start the volume with --backend ublk";
        return Err(ErrorBody::new(ErrorKind::Unsupported, message).with_hint(hint));
    }
    Ok(view::core_priority(wanted))
}

/// The regions that a range touches.
fn range(range: MoveRange, region_bytes: u64, regions: u32) -> Answer<(VolumeRegion, u32)> {
    let (first, count) = match range {
        MoveRange::All => (0, u64::from(regions)),
        MoveRange::Regions { first, count } => (u64::from(first), u64::from(count)),
        MoveRange::Bytes { offset, length } => {
            let first = offset / region_bytes;
            let end = offset.saturating_add(length).div_ceil(region_bytes);
            (first, end.saturating_sub(first))
        }
    };
    let end = first.saturating_add(count);
    match (u32::try_from(first), u32::try_from(count)) {
        (Ok(first), Ok(count)) if count > 0 && end <= u64::from(regions) => {
            Ok((VolumeRegion(first), count))
        }
        _ => Err(ErrorBody::new(
            ErrorKind::Invalid,
            format!(
                "regions {first} to {} are not all in the volume, which has {regions}",
                end.saturating_sub(1)
            ),
        )
        .with_hint("`tierctl volume show` says how many regions there are; the first is 0")),
    }
}

/// What the engine refused is an error for the client.
fn refused(reply: &Reply) -> Answer<()> {
    let Reply::Refused(refusal) = reply else {
        return Ok(());
    };
    let kind = match refusal {
        Refusal::OutOfRange { .. } => ErrorKind::Invalid,
        Refusal::NoSuchTarget(_) | Refusal::NoSuchMove(_) => ErrorKind::NotFound,
        Refusal::Missing { .. } => ErrorKind::Degraded,
        Refusal::NoRoom { .. } => ErrorKind::NoRoom,
        Refusal::Busy { .. } | Refusal::TooLate(_) => ErrorKind::Busy,
        _ => ErrorKind::Unavailable,
    };
    Err(ErrorBody::new(kind, refusal.to_string()))
}
