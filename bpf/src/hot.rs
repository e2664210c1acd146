//! What the probe reports of regions that reach their volume's threshold.

use crate::device::DeviceNumber;
use crate::record::HotData;

/// A region that reached its volume's threshold within the running interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRecord {
    /// The volume.
    pub volume: DeviceNumber,
    /// The region's index from the volume's start.
    pub region: u32,
    /// Reads so far in the interval. With `writes` they make up the threshold.
    pub reads: u32,
    /// Writes so far in the interval.
    pub writes: u32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
}

impl From<HotData> for HotRecord {
    fn from(data: HotData) -> Self {
        Self {
            volume: DeviceNumber::from_kernel(data.dev),
            region: data.region,
            reads: data.reads,
            writes: data.writes,
            time_ns: data.time_ns,
        }
    }
}
