//! One line of `@stats_print`.
//!
//! Owns: [`Area`] and reading it.

use tier_core::event::RegionCount;
use tier_core::units::{Bytes, Sectors, VolumeRegion};

/// Counters of one area, of those that the kernel prints the ones that are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Area {
    /// Where it begins on the volume.
    pub(super) start: Sectors,
    reads: u64,
    read: Sectors,
    writes: u64,
    written: Sectors,
}

impl Area {
    /// Reads `<start>+<length>` and the counters behind it: reads completed, reads merged, sectors
    /// read, time reading, then the same of writes, then others. A bio that spans areas is counted
    /// on each, with the sectors that lie there (`__dm_stat_bio`).
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, length) = words.next()?.split_once('+')?;
        length.parse::<u64>().ok()?;
        let mut counters = [0; 7];
        for counter in &mut counters {
            *counter = words.next()?.parse().ok()?;
        }
        let [reads, _, read, _, writes, _, written] = counters;
        Some(Self {
            start: Sectors(start.parse().ok()?),
            reads,
            read: Sectors(read),
            writes,
            written: Sectors(written),
        })
    }

    /// Whether nothing touched it.
    pub(super) const fn is_idle(&self) -> bool {
        self.reads == 0 && self.writes == 0
    }

    /// The counters as those of a region of the volume.
    pub(super) fn on_region(&self, region: VolumeRegion) -> RegionCount {
        RegionCount {
            region,
            reads: u32::try_from(self.reads).unwrap_or(u32::MAX),
            writes: u32::try_from(self.writes).unwrap_or(u32::MAX),
            read_bytes: bytes(self.read),
            written_bytes: bytes(self.written),
            sequential: 0,
        }
    }
}

fn bytes(sectors: Sectors) -> Bytes {
    Bytes(sectors.0.saturating_mul(tier_core::units::SECTOR_BYTES))
}
