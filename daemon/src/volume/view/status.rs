//! How a volume is doing, and where it is hot.

use tier_core::engine::{TierForecast, TierStatus};
use tier_core::units::VolumeRegion;
use tier_core::volume::Class;
use tier_wire as wire;

use super::wear::wear;
use super::{seconds, wire_class};
use crate::volume::handle::Info;
use crate::volume::runtime::Runtime;

/// How a volume is doing.
pub(crate) fn status(runtime: &Runtime, info: &Info, name: wire::VolumeName) -> wire::Status {
    let engine = &runtime.parts.engine;
    let engine_status = engine.status();
    let forecasts = engine.tier_forecasts();
    let size = info.facts.region_size;
    let durable = runtime.parts.metadata.durable();
    let wanted = info
        .facts
        .members
        .iter()
        .filter(|member| member.area.is_some())
        .count();
    let (done, undone, failed) = runtime.history.counts();
    let problems = runtime
        .problems
        .all()
        .iter()
        .chain(&durable.problems)
        .chain(&info.mended);
    wire::Status {
        volume: name,
        state: wire::VolumeRunState::Running,
        device: Some(info.link.display().to_string()),
        size_bytes: size.bytes_of(info.facts.regions).0,
        paused: engine_status.paused,
        tiers: engine_status
            .tiers
            .iter()
            .map(|one| tier(runtime, info, one, &forecasts))
            .collect(),
        foreground: foreground(runtime),
        probe: runtime.parts.sampler.status(),
        moves: wire::MoveCounts {
            live: engine_status.moves as u64,
            pending: (engine_status.pending + engine_status.wanted) as u64,
            done,
            undone,
            failed,
            done_bytes: size.bytes().0 * runtime.history.done_regions(),
        },
        experts: engine_status.experts.iter().map(expert).collect(),
        account: wire::InsuranceAccount {
            balance_seconds: engine_status.insurance_seconds,
            earned_seconds: engine_status.turnover.earned_seconds,
            saved_seconds: engine_status.turnover.saved_seconds,
            spent_seconds: engine_status.turnover.spent_seconds,
        },
        budget: wire::Budget {
            limit_bytes_per_second: Some(whole(runtime.parts.copy_limit_bytes_per_second)),
            allowed_bytes_per_second: whole(engine_status.copy_bytes_per_second),
            used_bytes_per_second: whole(runtime.served.moved_bytes_per_second),
        },
        wear: wear(&engine_status.wear),
        holds: runtime.holds.to_wire(),
        replicas: wire::Replicas {
            live: durable.live_replicas,
            wanted: u32::try_from(wanted).unwrap_or(u32::MAX),
        },
        problems: problems.cloned().collect(),
    }
}

fn expert(score: &tier_core::forecast::Score) -> wire::Expert {
    wire::Expert {
        name: score.name.to_string(),
        is_believed: score.is_believed,
        lead_seconds: score.lead_seconds,
    }
}

fn tier(
    runtime: &Runtime,
    info: &Info,
    tier: &TierStatus,
    forecasts: &[TierForecast],
) -> wire::TierStatus {
    let size = info.facts.region_size;
    let forecast = forecasts.iter().find(|one| one.class == tier.class);
    let forecast = forecast.map(|one| one.regions).unwrap_or_default();
    let (read_share, write_share) = runtime.served.shares(tier.class);
    let members = info
        .facts
        .members
        .iter()
        .filter(|member| member.class == tier.class);
    wire::TierStatus {
        class: wire_class(tier.class),
        members: u32::try_from(members.count()).unwrap_or(u32::MAX),
        capacity_bytes: size.bytes_of(tier.regions).0,
        used_bytes: size.bytes_of(tier.regions.saturating_sub(tier.free)).0,
        free_bytes: size.bytes_of(tier.free).0,
        headroom_bytes: size.bytes_of(tier.headroom).0,
        read_share,
        write_share,
        forecast: wire::ForecastCounts {
            hot: forecast.hot,
            warm: forecast.warm,
            cold: forecast.cold,
        },
    }
}

/// Latency of the volume's sampled bios, if any completed.
fn foreground(runtime: &Runtime) -> Option<wire::Foreground> {
    let load = &runtime.served.load;
    let (p50, p99) = load.foreground_p50.zip(load.foreground_p99)?;
    Some(wire::Foreground {
        p50_seconds: seconds(p50),
        p99_seconds: seconds(p99),
        target_seconds: runtime.parts.foreground_target_seconds,
    })
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates, and that is what is wanted"
)]
pub(super) const fn whole(value: f64) -> u64 {
    value as u64
}

/// Where a volume is hot, and where it lives.
pub(crate) fn heat(runtime: &Runtime, name: wire::VolumeName, buckets: u32) -> wire::HeatMap {
    let engine = &runtime.parts.engine;
    let regions = engine.map().regions();
    let heats = engine.heat(VolumeRegion(0), regions, buckets);
    let buckets = u32::try_from(heats.len()).unwrap_or(u32::MAX).max(1);
    // The same borders as the engine's.
    let border = |at: u32| {
        u32::try_from(u64::from(regions) * u64::from(at) / u64::from(buckets)).unwrap_or(regions)
    };
    let bucket = |(at, heat): (u32, f64)| {
        let (first, count) = (VolumeRegion(border(at)), border(at + 1) - border(at));
        wire::HeatBucket {
            first: first.0,
            count,
            heat,
            homes: homes(runtime, first, count),
        }
    };
    wire::HeatMap {
        volume: name,
        region_bytes: runtime.parts.region_size.bytes().0,
        regions,
        buckets: (0..).zip(heats).map(bucket).collect(),
    }
}

/// Which share of a range lives on which class, from fast to slow; classes without a share are
/// left out.
fn homes(runtime: &Runtime, first: VolumeRegion, count: u32) -> Vec<wire::ClassShare> {
    let mut regions = [0_u32; Class::ALL.len()];
    for piece in runtime.parts.engine.map().pieces(first, count) {
        let class = piece.home().and_then(|home| runtime.class_of(home.member));
        let at = class.and_then(|class| Class::ALL.iter().position(|other| *other == class));
        if let Some(regions) = at.and_then(|at| regions.get_mut(at)) {
            *regions += piece.count;
        }
    }
    Class::ALL
        .into_iter()
        .zip(regions)
        .filter(|(_, regions)| *regions > 0)
        .map(|(class, regions)| wire::ClassShare {
            class: wire_class(class),
            share: f64::from(regions) / f64::from(count.max(1)),
        })
        .collect()
}
