//! Two readings become a load.
//!
//! Owns: [`resources`], a pure function. Invariants: no result is negative, infinite or not a
//! number, whatever the readings are; shares lie within 0 and 1. A device that is absent from
//! either reading, or whose counters went backwards (it vanished and another took its number), has
//! no load in this interval: nothing is better than a wrong figure, and the next interval has one.

use tier_core::event::{MemberLoad, Resources};
use tier_core::units::{MemberIndex, Micros, Sectors};

use super::snapshot::{CpuTicks, DeviceNumber, DiskCounters, Snapshot};

/// A member whose device is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WatchedMember {
    /// Which member.
    pub member: MemberIndex,
    /// Its block device.
    pub device: DeviceNumber,
}

/// What the probe measured since the reading before; empty where it does not run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProbeLatency {
    /// Median latency of the volume's sampled bios, if any completed.
    pub foreground_p50: Option<Micros>,
    /// 99th percentile of the same.
    pub foreground_p99: Option<Micros>,
    /// Service latency of members that served something.
    pub members: Vec<MemberLatency>,
}

/// What the probe measured on one member. It wins over `/proc/diskstats`, whose milliseconds are
/// too coarse for flash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberLatency {
    /// Which member.
    pub member: MemberIndex,
    /// Mean latency of its reads, if it served any.
    pub read: Option<Micros>,
    /// Mean latency of its writes, if it served any.
    pub write: Option<Micros>,
    /// Mean number of requests in flight, if it was measured.
    pub in_flight: Option<f64>,
}

/// The load between two readings; `None` if no time passed between them.
#[must_use]
pub fn resources(
    before: &Snapshot,
    after: &Snapshot,
    members: &[WatchedMember],
    probe: &ProbeLatency,
) -> Option<Resources> {
    let seconds = after.taken.seconds_since(before.taken);
    if seconds <= 0.0 {
        return None;
    }
    let mut loads: Vec<MemberLoad> = members
        .iter()
        .filter_map(|watched| {
            let old = before.disks.get(&watched.device)?;
            let new = after.disks.get(&watched.device)?;
            let load = member_load(watched.member, old, new, seconds)?;
            Some(merge(load, probe))
        })
        .collect();
    loads.sort_by_key(|load| load.member);
    let pressure = after.pressure.unwrap_or_default();
    Some(Resources {
        members: loads,
        foreground_p50: probe.foreground_p50,
        foreground_p99: probe.foreground_p99,
        cpu_busy: cpu_busy(before.cpu, after.cpu),
        io_pressure: share(pressure.io),
        memory_pressure: share(pressure.memory),
        memory_available: after.memory_available,
        network_bytes_per_second: real(network_bytes(before, after)) / seconds,
    })
}

/// `None` if the counters went backwards: then they are not those of the same device.
fn member_load(
    member: MemberIndex,
    old: &DiskCounters,
    new: &DiskCounters,
    seconds: f64,
) -> Option<MemberLoad> {
    let reads = new.reads.checked_sub(old.reads)?;
    let writes = new.writes.checked_sub(old.writes)?;
    let sectors = Sectors(new.sectors_written.checked_sub(old.sectors_written)?);
    let busy_millis = passed(old.busy_millis, new.busy_millis)?;
    let weighted_millis = passed(old.weighted_millis, new.weighted_millis)?;
    Some(MemberLoad {
        member,
        busy: share(f64::from(busy_millis) / (seconds * 1e3)),
        in_flight: f64::from(weighted_millis) / (seconds * 1e3),
        read_latency: mean(passed(old.read_millis, new.read_millis)?, reads),
        write_latency: mean(passed(old.write_millis, new.write_millis)?, writes),
        written_bytes: sectors.to_bytes(),
    })
}

/// Milliseconds between two readings of a counter that wraps at 32 bits. More than half its range
/// (24 days in one interval) means that it went backwards.
fn passed(old: u32, new: u32) -> Option<u32> {
    let millis = new.wrapping_sub(old);
    (millis <= u32::MAX / 2).then_some(millis)
}

/// Mean time of `count` requests that took `millis` together.
fn mean(millis: u32, count: u64) -> Option<Micros> {
    (u64::from(millis) * 1000).checked_div(count).map(Micros)
}

fn merge(mut load: MemberLoad, probe: &ProbeLatency) -> MemberLoad {
    if let Some(measured) = probe.members.iter().find(|one| one.member == load.member) {
        load.read_latency = measured.read.or(load.read_latency);
        load.write_latency = measured.write.or(load.write_latency);
        load.in_flight = measured.in_flight.unwrap_or(load.in_flight);
    }
    load
}

/// Zero if no tick passed. `iowait` may go backwards (`proc_stat(5)`), and so may the sums.
fn cpu_busy(before: CpuTicks, after: CpuTicks) -> f64 {
    let all = after.all.saturating_sub(before.all);
    let busy = after.busy.saturating_sub(before.busy);
    if all == 0 {
        0.0
    } else {
        share(real(busy) / real(all))
    }
}

/// Over the interfaces that both readings have; one that was reset counts from zero.
fn network_bytes(before: &Snapshot, after: &Snapshot) -> u64 {
    let grown = after.interface_bytes.iter().filter_map(|(name, bytes)| {
        let earlier = before.interface_bytes.get(name)?;
        Some(bytes.checked_sub(*earlier).unwrap_or(*bytes))
    });
    grown.fold(0, u64::saturating_add)
}

/// Held within 0 and 1. The readings of the clock and of the counter are not taken at one moment,
/// so that a busy device may seem to be busy for slightly longer than the interval.
fn share(value: f64) -> f64 {
    value.clamp(0.0, 1.0)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts within an interval; 53 bits are enough"
)]
const fn real(count: u64) -> f64 {
    count as f64
}
