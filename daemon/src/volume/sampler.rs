//! Counting a volume's I/O: by the probe where the kernel can load it, else by device-mapper
//! statistics, else not at all. Which of them, and why, is told to people.
//!
//! Owns: the conversion from what was counted to the engine's words. Counts are hints (rule 8): a
//! failure here is told and lived with.

use std::time::Duration;

use devicemapper::{DM, DmNameBuf};
use tier_bpf::{Probe, ProbeConfig};
use tier_core::event::{HotRegion, RegionCount, Samples};
use tier_core::units::{Bytes, MemberIndex, Micros, Now, RegionSize, VolumeRegion};
use tier_sys::block::DeviceNumber;
use tier_sys::ready::Readable;

use crate::config::ProbeConfig as Settings;
use crate::dmstats::{DmStats, DmVolume, Plan, possible_cpus};
use crate::monitor::load::{MemberLatency, ProbeLatency};

/// What is to be counted.
pub(crate) struct Counted {
    /// The volume's device-mapper name.
    pub(crate) dm_name: String,
    /// The volume's device.
    pub(crate) device: DeviceNumber,
    /// Its regions.
    pub(crate) regions: u32,
    /// The size of each.
    pub(crate) region_size: RegionSize,
    /// Its members' devices.
    pub(crate) members: Vec<(MemberIndex, DeviceNumber)>,
}

/// Counts a volume's I/O.
pub(crate) struct Sampler {
    way: Way,
    drained: Now,
    lost_before: u64,
}

enum Way {
    Probe {
        probe: Box<Probe>,
        hot: Readable,
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

impl Sampler {
    /// Begins to count.
    pub(crate) fn start(settings: &Settings, counted: Counted, now: Now) -> Self {
        let reason = if settings.enabled {
            match probe(settings, &counted) {
                Ok((probe, hot)) => {
                    return Self::with(Way::Probe {
                        probe: Box::new(probe),
                        hot,
                        counted,
                    });
                }
                Err(error) => error.to_string(),
            }
        } else {
            "probe.enabled is false in the configuration".to_owned()
        };
        tracing::warn!(%reason, "the eBPF probe does not count; device-mapper statistics do");
        match dm_stats(settings, &counted, now) {
            Ok(stats) => Self::with(Way::DmStats { stats, reason }),
            Err(error) => {
                let reason = format!("{reason}; and device-mapper statistics: {error}");
                tracing::error!(%reason, "nothing counts the volume's I/O; the policy is blind");
                Self::with(Way::Off { reason })
            }
        }
    }

    fn with(way: Way) -> Self {
        Self {
            way,
            drained: Now(0),
            lost_before: 0,
        }
    }

    /// Waits for regions that crossed the threshold.
    pub(super) async fn hot(&mut self) -> Vec<HotRegion> {
        let Way::Probe { probe, hot, .. } = &mut self.way else {
            return std::future::pending().await;
        };
        loop {
            if hot.wait().await.is_err() {
                return std::future::pending().await;
            }
            match probe.poll_hot(Duration::ZERO) {
                Ok(records) if records.is_empty() => {}
                Ok(records) => return records.iter().map(hot_region).collect(),
                Err(error) => {
                    tracing::warn!(%error, "hot regions cannot be read from the probe");
                    return std::future::pending().await;
                }
            }
        }
    }

    /// Ends an interval. `None` if nothing counts, or the counts could not be read.
    pub(super) fn samples(&mut self, now: Now) -> Option<Samples> {
        let interval = Micros(now.nanos_since(self.drained) / 1000);
        let samples = match &mut self.way {
            Way::Probe { probe, counted, .. } => {
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
            Way::DmStats { stats, .. } => stats.drain(now).map_err(|e| e.to_string()),
            Way::Off { .. } => return None,
        };
        self.drained = now;
        match samples {
            Ok(samples) => {
                self.lost_before += samples.lost;
                Some(samples)
            }
            Err(error) => {
                tracing::warn!(%error, "an interval's counts could not be read");
                None
            }
        }
    }

    /// Regions are reported from this many touches in an interval on; zero reports none.
    pub(super) fn set_threshold(&mut self, touches: u32) {
        if let Way::Probe { probe, counted, .. } = &mut self.way
            && let Err(error) = probe.set_threshold(bpf_number(counted.device), touches)
        {
            tracing::warn!(%error, "the threshold of hot regions could not be set");
        }
    }

    /// What was measured since the last call.
    pub(super) fn latency(&mut self) -> ProbeLatency {
        let Way::Probe { probe, counted, .. } = &mut self.way else {
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
                in_flight: Some(load.mean_in_flight()),
            });
        }
        latency
    }

    /// How counting stands, for people.
    pub(crate) fn status(&self) -> tier_wire::ProbeStatus {
        match &self.way {
            Way::Probe { probe, .. } => match probe.stats() {
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
            Way::DmStats { reason, .. } => tier_wire::ProbeStatus::Fallback {
                source: "device-mapper statistics".to_owned(),
                reason: reason.clone(),
            },
            Way::Off { reason } => tier_wire::ProbeStatus::Off {
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
    let plan = Plan {
        regions: counted.regions,
        region_size: counted.region_size,
        cpus: possible_cpus()?,
        budget: settings.memory,
    };
    Ok(DmStats::begin(
        DmVolume::new(DM::new()?, DmNameBuf::new(counted.dm_name.clone())?),
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
