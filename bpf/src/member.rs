//! One watched member: the load that its requests make.

use std::time::{Duration, Instant};

use crate::device::DeviceNumber;
use crate::error::ProbeError;
use crate::maps::{self, Maps};
use crate::record::MemberRecord;

/// Requests of one kind that ended within an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OperationLoad {
    /// How many.
    pub requests: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Nanoseconds from start (queueing in the block layer included) to end, summed over `timed`.
    pub latency_ns: u64,
    /// Of the requests, those with a known start: all, unless the queue's `iostats` is off.
    pub timed: u64,
    /// Nanoseconds from the issue to the driver to the end, summed over `served`.
    pub service_ns: u64,
    /// Of the requests, those whose issue was timed: all where the queue takes the time itself,
    /// otherwise a sample.
    pub served: u64,
}

impl OperationLoad {
    /// Mean time from start to end, queueing included, if any was timed.
    #[must_use]
    pub const fn mean_latency(&self) -> Option<Duration> {
        mean(self.latency_ns, self.timed)
    }

    /// Mean time from the issue to the driver to the end, if any was timed.
    #[must_use]
    pub const fn mean_service(&self) -> Option<Duration> {
        mean(self.service_ns, self.served)
    }
}

/// What a member did since it was last asked. A sample, if a nearly full one: a few ends of
/// requests in a thousand may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberLoad {
    /// The member.
    pub device: DeviceNumber,
    /// Time since it was last asked (or first watched).
    pub interval: Duration,
    /// Reads that ended.
    pub reads: OperationLoad,
    /// Writes that ended.
    pub writes: OperationLoad,
    /// Requests of other operations (flushes, discards, …) that ended.
    pub others: u64,
    /// Samples of service time that were to be taken and were not.
    pub lost_samples: u64,
}

impl MemberLoad {
    /// Mean number of requests in flight over the interval, queued ones included: the sum of
    /// their latencies over the time in which they ended (Little's law). A gauge that goes up at
    /// each issue and down at each end would drift with every event that the kernel keeps from
    /// the probe.
    #[must_use]
    #[allow(
        clippy::cast_precision_loss,
        reason = "nanoseconds of one interval stay below 2^52"
    )]
    pub fn mean_in_flight(&self) -> f64 {
        let nanos = self.interval.as_nanos() as f64;
        if nanos > 0.0 {
            (self.reads.latency_ns + self.writes.latency_ns) as f64 / nanos
        } else {
            0.0
        }
    }
}

const fn mean(nanos: u64, count: u64) -> Option<Duration> {
    match nanos.checked_div(count) {
        Some(mean) => Some(Duration::from_nanos(mean)),
        None => None,
    }
}

/// A member that the probe watches.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) device: DeviceNumber,
    pub(crate) slot: usize,
    before: MemberRecord,
    asked_at: Instant,
}

impl Member {
    /// Prepares `slot` for a member, all but the entry that makes the probe count it.
    pub(crate) fn prepare(
        maps: &Maps,
        slot: usize,
        device: DeviceNumber,
        sample_one_in: u32,
    ) -> Result<Self, ProbeError> {
        let empty = MemberRecord {
            sample_one_in,
            ..MemberRecord::default()
        };
        maps::store_each_cpu(&maps.member_counters, slot, &empty)?;
        Ok(Self {
            device,
            slot,
            before: MemberRecord::default(),
            asked_at: Instant::now(),
        })
    }

    /// The load since the last call.
    pub(crate) fn load(&mut self, maps: &Maps) -> Result<MemberLoad, ProbeError> {
        let cpus: Vec<MemberRecord> = maps::load_each_cpu(&maps.member_counters, self.slot)?;
        let now = cpus
            .iter()
            .fold(MemberRecord::default(), |sum, cpu| add(&sum, cpu));
        let at = Instant::now();
        let before = std::mem::replace(&mut self.before, now);
        let interval = at.duration_since(std::mem::replace(&mut self.asked_at, at));

        Ok(MemberLoad {
            device: self.device,
            interval,
            reads: OperationLoad {
                requests: now.reads - before.reads,
                bytes: now.read_bytes - before.read_bytes,
                latency_ns: now.read_ns - before.read_ns,
                timed: now.reads_timed - before.reads_timed,
                service_ns: now.read_service_ns - before.read_service_ns,
                served: now.reads_served - before.reads_served,
            },
            writes: OperationLoad {
                requests: now.writes - before.writes,
                bytes: now.written_bytes - before.written_bytes,
                latency_ns: now.write_ns - before.write_ns,
                timed: now.writes_timed - before.writes_timed,
                service_ns: now.write_service_ns - before.write_service_ns,
                served: now.writes_served - before.writes_served,
            },
            others: now.others - before.others,
            lost_samples: now.lost_samples - before.lost_samples,
        })
    }
}

fn add(sum: &MemberRecord, cpu: &MemberRecord) -> MemberRecord {
    MemberRecord {
        reads: sum.reads + cpu.reads,
        writes: sum.writes + cpu.writes,
        others: sum.others + cpu.others,
        read_bytes: sum.read_bytes + cpu.read_bytes,
        written_bytes: sum.written_bytes + cpu.written_bytes,
        read_ns: sum.read_ns + cpu.read_ns,
        write_ns: sum.write_ns + cpu.write_ns,
        reads_timed: sum.reads_timed + cpu.reads_timed,
        writes_timed: sum.writes_timed + cpu.writes_timed,
        read_service_ns: sum.read_service_ns + cpu.read_service_ns,
        write_service_ns: sum.write_service_ns + cpu.write_service_ns,
        reads_served: sum.reads_served + cpu.reads_served,
        writes_served: sum.writes_served + cpu.writes_served,
        lost_samples: sum.lost_samples + cpu.lost_samples,
        sample_in: 0,
        sample_one_in: 0,
    }
}
