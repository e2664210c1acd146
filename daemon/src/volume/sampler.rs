//! Counting a volume's I/O: by the probe where the kernel can load it, else by device-mapper
//! statistics, else not at all. Which of them, and why, is told to people.
//!
//! Owns: the thread that reads the counts out (ending an interval of the probe waits for the
//! kernel, for milliseconds to a tenth of a second), and the conversion from what was counted to
//! the engine's words. Counts are hints (rule 8): a failure here is told and lived with.

use std::sync::mpsc as queue;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use devicemapper::{DM, DmNameBuf};
use tier_bpf::{Probe, ProbeConfig};
use tier_core::event::{HotRegion, RegionCount, Samples};
use tier_core::units::{Bytes, MemberIndex, Micros, Now, RegionSize, VolumeRegion};
use tier_sys::block::DeviceNumber;
use tier_sys::ready::Readable;
use tokio::sync::mpsc;

use crate::config::ProbeConfig as Settings;
use crate::dmstats::{DmStats, DmVolume, Plan, possible_cpus};
use crate::monitor::load::{MemberLatency, ProbeLatency};

/// Shortest interval over which a mean number of requests in flight is believed.
const IN_FLIGHT_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// What is to be counted.
pub(crate) struct Counted {
    /// The volume's device-mapper name, if it is on device-mapper.
    pub(crate) dm_name: Option<String>,
    /// The volume's device.
    pub(crate) device: DeviceNumber,
    /// Its regions.
    pub(crate) regions: u32,
    /// The size of each.
    pub(crate) region_size: RegionSize,
    /// Its members' devices.
    pub(crate) members: Vec<(MemberIndex, DeviceNumber)>,
}

/// What was counted.
#[derive(Debug)]
pub(crate) enum Counts {
    /// Regions that crossed the threshold.
    Hot(Vec<HotRegion>),
    /// A finished interval.
    Samples(Samples),
    /// Latencies since they were last asked for; empty where nothing measures them.
    Latency(ProbeLatency),
}

enum Job {
    Hot,
    Sample(Now),
    Latency,
    Threshold(u32),
}

/// Handle of the thread that counts a volume's I/O. When it is dropped the thread ends, and takes
/// the probe out of the kernel.
pub(crate) struct Sampler {
    jobs: queue::Sender<Job>,
    counts: mpsc::UnboundedReceiver<Counts>,
    /// Readable while reports of hot regions wait.
    hot: Option<Readable>,
    status: Arc<Mutex<tier_wire::ProbeStatus>>,
    _thread: JoinHandle<()>,
}

impl Sampler {
    /// Begins to count. Needs a tokio runtime.
    pub(crate) fn start(
        settings: &Settings,
        counted: Counted,
        now: Now,
        volume: &str,
    ) -> std::io::Result<Self> {
        let (way, hot) = Way::open(settings, counted, now);
        let (jobs, inbox) = queue::channel();
        let (tell, counts) = mpsc::unbounded_channel();
        let status = Arc::new(Mutex::new(way.status()));
        let mut worker = Worker {
            way,
            drained: now,
            tell,
            status: Arc::clone(&status),
        };
        let thread = std::thread::Builder::new()
            .name(format!("count-{volume}"))
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    worker.run(&job);
                }
            })?;
        Ok(Self {
            jobs,
            counts,
            hot,
            status,
            _thread: thread,
        })
    }

    /// Waits for the next counts. For ever, if the thread has died: counts are hints.
    pub(super) async fn next(&mut self) -> Counts {
        loop {
            let hot = self.hot.as_ref();
            let ready = async {
                match hot {
                    Some(hot) => hot.wait().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(counts) = self.counts.recv() => return counts,
                Ok(()) = ready => self.ask(Job::Hot),
                else => return std::future::pending().await,
            }
        }
    }

    /// Asks for the end of an interval.
    pub(super) fn ask_samples(&self, now: Now) {
        self.ask(Job::Sample(now));
    }

    /// Asks for the latencies since they were last asked for.
    pub(super) fn ask_latency(&self) {
        self.ask(Job::Latency);
    }

    /// Regions are reported from this many touches in an interval on; zero reports none.
    pub(super) fn set_threshold(&self, touches: u32) {
        self.ask(Job::Threshold(touches));
    }

    /// How counting stands, for people.
    pub(crate) fn status(&self) -> tier_wire::ProbeStatus {
        self.status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn ask(&self, job: Job) {
        // The thread ends before its handle only if it panicked, which the panic hook has told.
        let _ = self.jobs.send(job);
    }
}

/// What the thread works with.
struct Worker {
    way: Way,
    drained: Now,
    tell: mpsc::UnboundedSender<Counts>,
    status: Arc<Mutex<tier_wire::ProbeStatus>>,
}

impl Worker {
    fn run(&mut self, job: &Job) {
        let counts = match job {
            Job::Hot => self.way.hot().map(Counts::Hot),
            Job::Sample(now) => self.samples(*now).map(Counts::Samples),
            Job::Latency => Some(Counts::Latency(self.way.latency())),
            Job::Threshold(touches) => {
                self.way.set_threshold(*touches);
                None
            }
        };
        if let Some(counts) = counts {
            // The loop ends before this thread only when the volume is let go.
            let _ = self.tell.send(counts);
        }
    }

    fn samples(&mut self, now: Now) -> Option<Samples> {
        let interval = Micros(now.nanos_since(self.drained) / 1000);
        let samples = self.way.samples(now, interval);
        self.drained = now;
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = self.way.status();
        samples
    }
}

/// How a volume's I/O is counted.
enum Way {
    Probe {
        probe: Box<Probe>,
        counted: Counted,
    },
    DmStats {
        stats: DmStats<DmVolume>,
        reason: String,
    },
    Off {
        reason: String,
    },
}

impl Way {
    fn open(settings: &Settings, counted: Counted, now: Now) -> (Self, Option<Readable>) {
        let reason = if settings.enabled {
            match probe(settings, &counted) {
                Ok((probe, hot)) => {
                    return (
                        Self::Probe {
                            probe: Box::new(probe),
                            counted,
                        },
                        Some(hot),
                    );
                }
                Err(error) => error.to_string(),
            }
        } else {
            "probe.enabled is false in the configuration".to_owned()
        };
        tracing::warn!(%reason, "the eBPF probe does not count; device-mapper statistics are tried");
        let way = match dm_stats(settings, &counted, now) {
            Ok(stats) => Self::DmStats { stats, reason },
            Err(error) => {
                let reason = format!("{reason}; and device-mapper statistics: {error}");
                tracing::error!(%reason, "nothing counts the volume's I/O; the policy is blind");
                Self::Off { reason }
            }
        };
        (way, None)
    }

    fn hot(&mut self) -> Option<Vec<HotRegion>> {
        let Self::Probe { probe, .. } = self else {
            return None;
        };
        match probe.poll_hot(Duration::ZERO) {
            Ok(records) => Some(records.iter().map(hot_region).collect()),
            Err(error) => {
                tracing::warn!(%error, "hot regions cannot be read from the probe");
                None
            }
        }
    }

    /// Ends an interval. `None` if nothing counts, or the counts could not be read.
    fn samples(&mut self, now: Now, interval: Micros) -> Option<Samples> {
        let samples = match self {
            Self::Probe { probe, counted } => {
                let counts = probe
                    .swap(bpf_number(counted.device))
                    .map_err(|e| e.to_string());
                counts.map(|counts| {
                    let regions = counts.regions.iter().map(region_count).collect();
                    Samples {
                        interval,
                        regions,
                        lost: counts.lost + counts.skipped,
                    }
                })
            }
            Self::DmStats { stats, .. } => stats.drain(now).map_err(|e| e.to_string()),
            Self::Off { .. } => return None,
        };
        match samples {
            Ok(samples) => Some(samples),
            Err(error) => {
                tracing::warn!(%error, "an interval's counts could not be read");
                None
            }
        }
    }

    fn set_threshold(&mut self, touches: u32) {
        if let Self::Probe { probe, counted } = self
            && let Err(error) = probe.set_threshold(bpf_number(counted.device), touches)
        {
            tracing::warn!(%error, "the threshold of hot regions could not be set");
        }
    }

    /// What was measured since the last call.
    fn latency(&mut self) -> ProbeLatency {
        let Self::Probe { probe, counted } = self else {
            return ProbeLatency::default();
        };
        let mut latency = ProbeLatency::default();
        if let Ok(mut volume) = probe.latencies(bpf_number(counted.device)) {
            volume.reads.merge(&volume.writes);
            latency.foreground_p50 = volume.reads.quantile(0.5).map(micros);
            latency.foreground_p99 = volume.reads.quantile(0.99).map(micros);
        }
        for load in probe.member_loads().unwrap_or_default() {
            let of =
                |(_, device): &&(MemberIndex, DeviceNumber)| bpf_number(*device) == load.device;
            let Some((member, _)) = counted.members.iter().find(of) else {
                continue;
            };
            latency.members.push(MemberLatency {
                member: *member,
                read: load.reads.mean_latency().map(micros),
                write: load.writes.mean_latency().map(micros),
                // By Little's law, which says nothing over a few requests.
                in_flight: (load.interval >= IN_FLIGHT_INTERVAL_MIN).then(|| load.mean_in_flight()),
            });
        }
        latency
    }

    fn status(&self) -> tier_wire::ProbeStatus {
        match self {
            Self::Probe { probe, .. } => match probe.stats() {
                Ok(stats) => tier_wire::ProbeStatus::On {
                    counted: stats.bios,
                    lost: stats.lost_touches + stats.lost_hot + stats.missed_bios,
                    skipped: stats.skipped_touches,
                    memory_bytes: stats.memory_bytes,
                },
                Err(error) => tier_wire::ProbeStatus::Off {
                    reason: error.to_string(),
                },
            },
            Self::DmStats { reason, .. } => tier_wire::ProbeStatus::Fallback {
                source: "device-mapper statistics".to_owned(),
                reason: reason.clone(),
            },
            Self::Off { reason } => tier_wire::ProbeStatus::Off {
                reason: reason.clone(),
            },
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn probe(settings: &Settings, counted: &Counted) -> Result<(Probe, Readable), Failure> {
    let mut probe = Probe::load(ProbeConfig {
        region_memory_bytes: settings.memory.0,
        sample_one_in: settings.latency_one_in,
        ..ProbeConfig::default()
    })?;
    let shift = u32::from(counted.region_size.shift());
    let storage = probe.watch_volume(bpf_number(counted.device), counted.regions, shift)?;
    for (member, device) in &counted.members {
        if let Err(error) = probe.watch_member(bpf_number(*device)) {
            // Its latency then comes from /proc/diskstats.
            tracing::warn!(member = member.0, %error, "the probe does not time a member");
        }
    }
    tracing::info!(?storage, "the eBPF probe counts");
    let hot = Readable::new(probe.hot_fd().try_clone_to_owned()?)?;
    Ok((probe, hot))
}

fn dm_stats(
    settings: &Settings,
    counted: &Counted,
    now: Now,
) -> Result<DmStats<DmVolume>, Failure> {
    let Some(name) = &counted.dm_name else {
        return Err("the volume is not on device-mapper".into());
    };
    let plan = Plan {
        regions: counted.regions,
        region_size: counted.region_size,
        cpus: possible_cpus()?,
        budget: settings.memory,
    };
    Ok(DmStats::begin(
        DmVolume::new(DM::new()?, DmNameBuf::new(name.clone())?),
        plan,
        now,
    )?)
}

const fn bpf_number(number: DeviceNumber) -> tier_bpf::DeviceNumber {
    tier_bpf::DeviceNumber {
        major: number.major,
        minor: number.minor,
    }
}

fn micros(duration: Duration) -> Micros {
    Micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn hot_region(record: &tier_bpf::HotRecord) -> HotRegion {
    HotRegion {
        region: VolumeRegion(record.region),
        touches: record.reads.saturating_add(record.writes),
        writes: record.writes,
        sequential: 0,
    }
}

fn region_count(counts: &tier_bpf::RegionCounts) -> RegionCount {
    RegionCount {
        region: VolumeRegion(counts.region),
        reads: counts.reads,
        writes: counts.writes,
        read_bytes: Bytes(counts.read_bytes),
        written_bytes: Bytes(counts.written_bytes),
        sequential: counts.sequential,
    }
}
