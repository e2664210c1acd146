//! From a volume that is mapped to one that is served: threads, sampler, loop.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tier_core::engine::Engine;
use tier_core::event::Event;
use tier_core::policy::PolicyConfig;
use tier_core::units::{MemberIndex, Now};
use tier_core::volume::VolumeState;
use tier_store::words::Facts;
use tier_sys::block::{Access, BlockDevice, BlockError, DeviceNumber};
use tokio::sync::mpsc;

use super::assemble::Assembled;
use super::flusher::Flusher;
use super::handle::{Info, VolumeHandle};
use super::kernel::KernelThread;
use super::memory::{Keeper, PERIOD};
use super::metadata::MetadataThread;
use super::pace::Pace;
use super::runtime::{Parts, Runtime};
use super::sampler::{Counted, Sampler};
use super::watch::KernelWatch;
use crate::backend::BackendError;
use crate::backend::dm::events::DmEvents;
use crate::backend::dm::flush;
use crate::config::{Config, Intervals};
use crate::metrics::VolumeMetrics;
use crate::model::Models;
use crate::monitor::load::WatchedMember;
use crate::patience::PATIENCE;

/// Questions that may wait for the loop.
const ASKS_MAX: usize = 64;

/// Why a mapped volume could not be served. It stays mapped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// A thread could not be made, or a descriptor not be watched.
    #[error("a thread of the volume could not be started")]
    Thread(#[from] io::Error),
    /// A member could not be opened for flushing.
    #[error(transparent)]
    Member(#[from] BlockError),
    /// The volume's device, or its events.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The name cannot be told to clients.
    #[error(transparent)]
    Name(#[from] tier_wire::NameError),
    /// The histograms' fixed bounds are wrong.
    #[error("internal error: the histogram of holds could not be made")]
    Histogram,
}

/// Starts serving. Needs a tokio runtime.
pub(crate) async fn serve(
    assembled: Assembled,
    config: &Config,
) -> Result<VolumeHandle, StartError> {
    let Assembled {
        mut backend,
        store,
        recovery,
        activated,
        paths,
    } = assembled;
    let name = store.facts().name.to_string();
    let state = store.state();
    let layout = backend.layout().clone();
    let members: Vec<_> = layout
        .members
        .iter()
        .map(|member| (member.index, member.number))
        .collect();

    let folder = config.forecast.state.join(store.facts().volume.to_string());
    let (keeper, remembered) = Keeper::start(folder.clone(), &name, PATIENCE).await?;
    let info = Arc::new(Info {
        name: name.parse()?,
        facts: store.facts().clone(),
        paths: paths.clone(),
        link: activated.link.clone(),
        discard: super::facts::takes_discard(backend.device_number()?),
        mended: super::facts::mended(&recovery),
    });
    let flushed = opened(paths)?;
    let counted = counted(&name, backend.device_number()?, &state, &members);
    let policy = policy(config, store.facts());
    let mut engine = Engine::new(policy.clone());
    super::canary::arm(&mut engine, &mut backend);
    let (tell, told) = mpsc::unbounded_channel();
    let (send, events) = mpsc::unbounded_channel();
    let watch = KernelWatch::new(DmEvents::new(&layout)?)?;
    let now = remembered.as_ref().map_or(Now(0), |one| one.now);
    let parts = Parts {
        remembered,
        keeper,
        foreground_target_seconds: policy.foreground_target_seconds,
        copy_limit_bytes_per_second: policy.copy_bytes_per_second_max,
        engine,
        known_members: state.members.clone(),
        kernel: KernelThread::start(Box::new(backend), tell, &name)?,
        told,
        metadata: MetadataThread::start(store, send.clone(), &name)?,
        models: Models::start(&config.forecast, folder, send.clone(), &name)?,
        flusher: Flusher::start(flushed, send, &name)?,
        events,
        watch,
        sampler: Sampler::start(&config.probe, counted, now, &name)?,
        members: members.into_iter().map(watched).collect(),
        record: config.record.events.clone(),
        pace: pace(config),
        region_size: state.region_size,
        metrics: VolumeMetrics::new(&name),
    };
    let runtime = Runtime::new(parts).ok_or(StartError::Histogram)?;
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let first = Event::Started {
        state,
        adopted: activated.map.moves,
    };
    let task = tokio::spawn(runtime.run(first, inbox));
    Ok(VolumeHandle::new(info, asks, task))
}

/// What the sampler counts.
fn counted(
    name: &str,
    device: DeviceNumber,
    state: &VolumeState,
    members: &[(MemberIndex, DeviceNumber)],
) -> Counted {
    Counted {
        dm_name: format!("tierd-{name}"),
        device,
        regions: state.regions,
        region_size: state.region_size,
        members: members.to_vec(),
    }
}

/// The members' devices, to flush them.
fn opened(
    paths: Vec<(MemberIndex, PathBuf)>,
) -> Result<BTreeMap<MemberIndex, BlockDevice>, BlockError> {
    let open = |(member, path): (MemberIndex, PathBuf)| {
        Ok((member, BlockDevice::open(&path, Access::ReadWrite)?))
    };
    paths.into_iter().map(open).collect()
}

/// The engine's parameters, with those that follow the kernel and the volume's members.
fn policy(config: &Config, facts: &Facts) -> PolicyConfig {
    let mut policy = config.scaled_policy();
    if policy.extents_max == 0 {
        policy.extents_max = flush::extents_max();
    }
    let uuids = facts.members.iter();
    let uuids = uuids.map(|member| (member.index, member.id.to_string()));
    policy.wear = policy.wear.of_volume(uuids);
    policy
}

fn pace(config: &Config) -> Pace {
    let Intervals {
        sample,
        monitor,
        tick,
        ..
    } = config.intervals.scaled();
    Pace {
        sample,
        tick,
        monitor,
        look: tick,
        keep: PERIOD,
    }
}

fn watched((member, device): (MemberIndex, DeviceNumber)) -> WatchedMember {
    let device = crate::monitor::snapshot::DeviceNumber {
        major: device.major,
        minor: device.minor,
    };
    WatchedMember { member, device }
}
