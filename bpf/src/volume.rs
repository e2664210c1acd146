//! One watched volume: its two sets of cells, and what it had counted at the last reading.

use crate::device::DeviceNumber;
use crate::error::ProbeError;
use crate::latency::VolumeLatencies;
use crate::maps::{self, Maps};
use crate::record::{LatenciesRecord, TotalsRecord, VolumeSettings};
use crate::sets::{CellSet, RegionCounts, Storage};

/// What was counted on a volume in one interval.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IntervalCounts {
    /// Regions that were touched, in ascending order.
    pub regions: Vec<RegionCounts>,
    /// Sums over the volume since the interval before. They are read a moment later than the
    /// regions' set is changed, so that bios of that moment are in these totals and in the next
    /// interval's regions; over several intervals the two agree.
    pub totals: VolumeTotals,
    /// Touches of regions that found no room: the volume is counted in a hash, which was full.
    pub lost: u64,
    /// Touches not counted by design: of regions beyond those watched, or beyond the first 4097
    /// of one bio.
    pub skipped: u64,
}

/// Sums over a volume. A bio counts once, however many regions it spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VolumeTotals {
    /// Read bios.
    pub reads: u64,
    /// Write bios.
    pub writes: u64,
    /// Bytes they read.
    pub read_bytes: u64,
    /// Bytes they wrote.
    pub written_bytes: u64,
    /// Bios that only flush.
    pub flushes: u64,
    /// Bios that discard or erase.
    pub discards: u64,
    /// Bytes they discarded.
    pub discarded_bytes: u64,
    /// Bios that write zeroes without sending them.
    pub write_zeroes: u64,
    /// Bytes they zeroed.
    pub zeroed_bytes: u64,
    /// Bios of any other operation.
    pub others: u64,
    /// Hot regions that were not reported, because the ring was full.
    pub lost_hot: u64,
}

impl VolumeTotals {
    fn since(now: &TotalsRecord, before: &TotalsRecord) -> Self {
        Self {
            reads: now.reads - before.reads,
            writes: now.writes - before.writes,
            read_bytes: now.read_bytes - before.read_bytes,
            written_bytes: now.written_bytes - before.written_bytes,
            flushes: now.flushes - before.flushes,
            discards: now.discards - before.discards,
            discarded_bytes: now.discarded_bytes - before.discarded_bytes,
            write_zeroes: now.write_zeroes - before.write_zeroes,
            zeroed_bytes: now.zeroed_bytes - before.zeroed_bytes,
            others: now.others - before.others,
            lost_hot: now.lost_hot - before.lost_hot,
        }
    }
}

/// A volume that the probe watches.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) device: DeviceNumber,
    pub(crate) slot: usize,
    /// What it takes of the memory budget.
    pub(crate) planned_bytes: u64,
    settings: VolumeSettings,
    counting: CellSet,
    idle: CellSet,
    totals: TotalsRecord,
    latencies: LatenciesRecord,
    lost_samples: u64,
}

impl Volume {
    /// Prepares `slot` for a volume, all but the entry that makes the probe count it.
    pub(crate) fn prepare(
        maps: &Maps,
        slot: usize,
        device: DeviceNumber,
        settings: VolumeSettings,
        sets: (CellSet, CellSet),
        planned_bytes: u64,
    ) -> Result<Self, ProbeError> {
        let (counting, idle) = sets;
        let settings = VolumeSettings {
            storage: counting.storage() as u32,
            ..settings
        };
        maps::store(&maps.volumes, slot, &settings)?;
        maps::store_each_cpu(&maps.volume_totals, slot, &TotalsRecord::default())?;
        maps::put_set(outer(maps, &counting), slot, counting.map())?;
        Ok(Self {
            device,
            slot,
            planned_bytes,
            settings,
            counting,
            idle,
            totals: TotalsRecord::default(),
            latencies: maps::load(&maps.volume_latencies, slot)?,
            lost_samples: 0,
        })
    }

    /// Takes the sets out of the slot, once the entry is gone and no program counts there.
    pub(crate) fn clear(&self, maps: &Maps) -> Result<(), ProbeError> {
        maps::clear_set(outer(maps, &self.counting), self.slot)?;
        maps::store(&maps.volumes, self.slot, &VolumeSettings::default())
    }

    pub(crate) fn set_threshold(&mut self, maps: &Maps, touches: u32) -> Result<(), ProbeError> {
        let settings = VolumeSettings {
            threshold: touches,
            ..self.settings
        };
        maps::store(&maps.volumes, self.slot, &settings)?;
        self.settings = settings;
        Ok(())
    }

    /// Ends an interval. On an error counts are late, not lost: what was not read stays in its
    /// set and comes with a later interval.
    pub(crate) fn swap(&mut self, maps: &Maps) -> Result<IntervalCounts, ProbeError> {
        // On return no program counts in the old set any more.
        maps::put_set(outer(maps, &self.idle), self.slot, self.idle.map())?;
        std::mem::swap(&mut self.counting, &mut self.idle);
        let regions = self.idle.take()?;

        let now = self.read_totals(maps)?;
        let before = std::mem::replace(&mut self.totals, now);
        Ok(IntervalCounts {
            regions,
            totals: VolumeTotals::since(&now, &before),
            lost: now.lost_touches - before.lost_touches,
            skipped: now.skipped_touches - before.skipped_touches,
        })
    }

    /// Latencies since the last call.
    pub(crate) fn latencies(&mut self, maps: &Maps) -> Result<VolumeLatencies, ProbeError> {
        let now = maps::load(&maps.volume_latencies, self.slot)?;
        let lost_samples = self.read_totals(maps)?.lost_samples;
        let mut latencies = VolumeLatencies::since(&now, &self.latencies);
        if lost_samples != self.lost_samples {
            latencies.lost += lost_samples - self.lost_samples;
            // The table was full. Samples whose end the kernel kept from the probe would stay in
            // it for ever, so all that is in it is given up.
            maps.forget_bio_samples()?;
        }
        self.latencies = now;
        self.lost_samples = lost_samples;
        Ok(latencies)
    }

    /// Sums since the volume was watched.
    pub(crate) fn read_totals(&self, maps: &Maps) -> Result<TotalsRecord, ProbeError> {
        let cpus: Vec<TotalsRecord> = maps::load_each_cpu(&maps.volume_totals, self.slot)?;
        Ok(cpus
            .iter()
            .fold(TotalsRecord::default(), |sum, cpu| TotalsRecord {
                reads: sum.reads + cpu.reads,
                writes: sum.writes + cpu.writes,
                read_bytes: sum.read_bytes + cpu.read_bytes,
                written_bytes: sum.written_bytes + cpu.written_bytes,
                flushes: sum.flushes + cpu.flushes,
                discards: sum.discards + cpu.discards,
                discarded_bytes: sum.discarded_bytes + cpu.discarded_bytes,
                write_zeroes: sum.write_zeroes + cpu.write_zeroes,
                zeroed_bytes: sum.zeroed_bytes + cpu.zeroed_bytes,
                others: sum.others + cpu.others,
                lost_touches: sum.lost_touches + cpu.lost_touches,
                skipped_touches: sum.skipped_touches + cpu.skipped_touches,
                lost_hot: sum.lost_hot + cpu.lost_hot,
                lost_samples: sum.lost_samples + cpu.lost_samples,
                sample_in: 0,
                pad: 0,
            }))
    }

    /// Where its regions are counted.
    pub(crate) const fn storage(&self) -> Storage {
        self.counting.storage()
    }

    /// Kernel memory that both sets take.
    pub(crate) fn memory_bytes(&self) -> u64 {
        maps::memory_bytes(self.counting.map()) + maps::memory_bytes(self.idle.map())
    }
}

/// The map of maps that holds sets of this kind.
const fn outer<'a>(maps: &'a Maps, set: &CellSet) -> &'a libbpf_rs::MapHandle {
    match set.storage() {
        Storage::Array => &maps.array_sets,
        Storage::Hash => &maps.hash_sets,
    }
}
