//! From a volume that is mapped to one that is served: threads, sampler, loop.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tier_core::engine::Engine;
use tier_core::event::{AdoptedMove, Event};
use tier_core::policy::PolicyConfig;
use tier_core::units::{MemberIndex, Now};
use tier_core::volume::VolumeState;
use tier_store::store::Store;
use tier_store::words::{BackendKind, Facts};
use tier_sys::block::{Access, BlockDevice, BlockError, DeviceNumber};
use tokio::sync::mpsc;

use super::assemble::Assembled;
use super::flusher::Flusher;
use super::handle::{Info, VolumeHandle};
use super::kernel::{KernelThread, Told};
use super::memory::{Keeper, PERIOD};
use super::metadata::{Durable, MetadataThread};
use super::pace::Pace;
use super::runtime::{Ended, Parts, Runtime};
use super::sampler::{Counted, Sampler};
use super::watch::KernelWatch;
use crate::backend::dm::DmBackend;
use crate::backend::dm::events::DmEvents;
use crate::backend::dm::flush;
use crate::backend::{BackendError, Layout};
use crate::config::{Config, Intervals};
use crate::metrics::VolumeMetrics;
use crate::model::Models;
use crate::monitor::load::WatchedMember;
use crate::patience::PATIENCE;
use crate::serve::{Connection, Opened, Wire};

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

/// A volume that is mapped, and what has it.
pub(crate) struct Mapped {
    /// Its members, its size, its name.
    pub(crate) facts: Facts,
    /// Where everything is, by the metadata.
    pub(crate) state: VolumeState,
    /// Moves under way.
    pub(crate) adopted: Vec<AdoptedMove>,
    /// The volume's device.
    pub(crate) device: DeviceNumber,
    /// The link to it.
    pub(crate) link: PathBuf,
    /// Where each member is.
    pub(crate) paths: Vec<(MemberIndex, PathBuf)>,
    /// The members' devices.
    pub(crate) members: Vec<(MemberIndex, DeviceNumber)>,
    /// What the start had to mend, for people.
    pub(crate) mended: Vec<String>,
    /// How the metadata stand.
    pub(crate) durable: Durable,
    /// Who obeys.
    pub(crate) hands: Hands,
}

/// Who changes where data are, and writes that down.
pub(crate) enum Hands {
    /// This process, by tables of the kernel.
    Dm(Box<DmBackend>, Box<Store>),
    /// The process that serves the volume.
    Ublk(Connection),
}

impl Mapped {
    /// Of a volume on device-mapper.
    pub(crate) fn on_dm(assembled: Assembled) -> Result<Self, BackendError> {
        let Assembled {
            backend,
            store,
            recovery,
            activated,
            paths,
        } = assembled;
        Ok(Self {
            facts: store.facts().clone(),
            state: store.state(),
            adopted: activated.map.moves,
            device: backend.device_number()?,
            link: activated.link,
            paths,
            members: numbers(backend.layout()),
            mended: super::facts::mended(&recovery),
            durable: Durable::default(),
            hands: Hands::Dm(Box::new(backend), Box::new(store)),
        })
    }

    /// Of a volume that a process serves.
    pub(crate) fn on_ublk(connection: Connection, opened: Opened, layout: &Layout) -> Self {
        let (major, minor) = opened.device;
        Self {
            facts: opened.facts,
            state: opened.state,
            adopted: opened.adopted,
            device: DeviceNumber { major, minor },
            link: opened.link,
            paths: opened.paths,
            members: numbers(layout),
            mended: opened.mended,
            durable: opened.durable,
            hands: Hands::Ublk(connection),
        }
    }
}

fn numbers(layout: &Layout) -> Vec<(MemberIndex, DeviceNumber)> {
    let members = layout.members.iter();
    members.map(|one| (one.index, one.number)).collect()
}

/// What a volume's loop orders about.
struct Threads {
    kernel: KernelThread,
    metadata: MetadataThread,
    watch: KernelWatch,
    wire: Option<Wire>,
}

/// What those threads tell.
struct Ears {
    told: mpsc::UnboundedSender<Told>,
    events: mpsc::UnboundedSender<Event>,
}

impl Hands {
    fn start(self, name: &str, ears: Ears, durable: Durable) -> Result<Threads, StartError> {
        let Ears { told, events } = ears;
        Ok(match self {
            Self::Dm(backend, store) => Threads {
                watch: KernelWatch::new(DmEvents::new(backend.layout())?)?,
                kernel: KernelThread::start(backend, told, name)?,
                metadata: MetadataThread::start(*store, events, name)?,
                wire: None,
            },
            Self::Ublk(connection) => {
                let durable = Arc::new(Mutex::new(durable));
                let threads = connection.start(told, events, durable, name)?;
                Threads {
                    watch: KernelWatch::of_nothing(),
                    kernel: threads.kernel,
                    metadata: threads.metadata,
                    wire: Some(threads.wire),
                }
            }
        })
    }
}

/// Starts serving. Needs a tokio runtime. When the process that serves the volume is gone, its name is
/// told to `lost`.
pub(crate) async fn serve(
    mapped: Mapped,
    config: &Config,
    lost: mpsc::UnboundedSender<String>,
) -> Result<VolumeHandle, StartError> {
    let Mapped {
        facts,
        state,
        adopted,
        device,
        link,
        paths,
        members,
        mended,
        mut hands,
        durable,
    } = mapped;
    let name = facts.name.to_string();
    let folder = config.forecast.state.join(facts.volume.to_string());
    let (keeper, remembered) = Keeper::start(folder.clone(), &name, PATIENCE).await?;
    let policy = policy(config, &facts);
    let flushed = opened(paths.clone())?;
    let counted = counted(&facts, device, &members);
    let info = Arc::new(Info {
        name: name.parse()?,
        facts,
        paths,
        link,
        discard: super::facts::takes_discard(device),
        mended,
    });
    let mut engine = Engine::new(policy.clone());
    super::canary::arm(&mut engine, &mut hands);
    let (tell, told) = mpsc::unbounded_channel();
    let (send, events) = mpsc::unbounded_channel();
    let now = remembered.as_ref().map_or(Now(0), |one| one.now);
    let ears = Ears {
        told: tell,
        events: send.clone(),
    };
    let threads = hands.start(&name, ears, durable)?;
    let parts = Parts {
        remembered,
        keeper,
        foreground_target_seconds: policy.foreground_target_seconds,
        copy_limit_bytes_per_second: policy.copy_bytes_per_second_max,
        engine,
        known_members: state.members.clone(),
        kernel: threads.kernel,
        told,
        metadata: threads.metadata,
        wire: threads.wire,
        models: Models::start(&config.forecast, folder, send.clone(), &name)?,
        flusher: Flusher::start(flushed, send, &name)?,
        events,
        watch: threads.watch,
        sampler: Sampler::start(&config.probe, counted, now, &name)?,
        members: members.into_iter().map(watched).collect(),
        record: config.record.events.clone(),
        pace: pace(config),
        region_size: state.region_size,
        metrics: VolumeMetrics::new(&name),
    };
    let runtime = Runtime::new(parts).ok_or(StartError::Histogram)?;
    let (asks, inbox) = mpsc::channel(ASKS_MAX);
    let first = Event::Started { state, adopted };
    let task = tokio::spawn(async move {
        if Box::pin(runtime.run(first, inbox)).await == Ended::Lost {
            // The manager ends before its volumes only when the daemon stops.
            let _ = lost.send(name);
        }
    });
    Ok(VolumeHandle::new(info, asks, task))
}

/// What the sampler counts.
fn counted(
    facts: &Facts,
    device: DeviceNumber,
    members: &[(MemberIndex, DeviceNumber)],
) -> Counted {
    let dm_name = match facts.backend {
        BackendKind::Dm => Some(format!("tierd-{}", facts.name)),
        BackendKind::Ublk => None,
    };
    Counted {
        dm_name,
        device,
        regions: facts.regions,
        region_size: facts.region_size,
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
        policy.extents_max = match facts.backend {
            BackendKind::Dm => flush::extents_max(),
            // A flush goes to each member once, and no table is loaded.
            BackendKind::Ublk => flush::EXTENTS_MAX_ONCE,
        };
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
