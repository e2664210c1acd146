//! Sets of cells: what a volume's regions are counted in for one interval.
//!
//! Owns: the two maps of a volume and their reading. Invariant: a set is read and cleared only
//! while no program can count in it, so that nothing is lost between the read and the clear.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, libbpf_sys};
use tier_sys::mmap::SharedWords;

use crate::budget::Plan;
use crate::error::{Doing, ProbeError};
use crate::record::{Cell, decode};

/// Words in a cell.
const CELL_WORDS: usize = size_of::<Cell>() / size_of::<u64>();
/// Bytes in a sector, the kernel's unit of block addresses.
const SECTOR_BYTES: u64 = 512;
/// Flags of a BPF map (include/uapi/linux/bpf.h).
const BPF_F_MMAPABLE: u32 = 1 << 10;
const BPF_F_INNER_MAP: u32 = 1 << 12;

/// Where a volume's regions are counted. The numbers are those of `record.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A cell for every region: nothing is ever lost.
    Array = 0,
    /// Cells for as many regions per interval as the memory budget allows.
    Hash = 1,
}

/// What was counted on one region in one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionCounts {
    /// Its index from the volume's start.
    pub region: u32,
    /// Read bios that touched it.
    pub reads: u32,
    /// Write bios that touched it.
    pub writes: u32,
    /// Bytes read from it.
    pub read_bytes: u64,
    /// Bytes written to it.
    pub written_bytes: u64,
    /// Of `reads` and `writes`, those that began where one of the volume's last few hundred bios
    /// ended, or that are a later part of a bio over a region's border.
    pub sequential: u32,
}

impl RegionCounts {
    #[allow(
        clippy::cast_possible_truncation,
        reason = "halves of a word, as record.h packs them"
    )]
    fn of(region: u32, cell: &Cell) -> Self {
        Self {
            region,
            reads: cell.touches as u32,
            writes: (cell.touches >> 32) as u32,
            read_bytes: u64::from(cell.sectors as u32) * SECTOR_BYTES,
            written_bytes: (cell.sectors >> 32) * SECTOR_BYTES,
            sequential: cell.sequential as u32,
        }
    }
}

/// One set.
#[derive(Debug)]
pub(crate) enum CellSet {
    /// Every region has its cell, mapped into this process.
    Array { map: MapHandle, cells: SharedWords },
    /// Touched regions have one.
    Hash { map: MapHandle },
}

impl CellSet {
    /// Makes an empty set as planned.
    pub(crate) fn new(plan: Plan, regions: u32) -> Result<Self, ProbeError> {
        match plan {
            Plan::Array => {
                let map = create(MapType::Array, regions, BPF_F_MMAPABLE | BPF_F_INNER_MAP)?;
                let words = regions as usize * CELL_WORDS;
                let cells = SharedWords::map(&map, words)
                    .doing(|| format!("map the counters of {regions} regions"))?;
                Ok(Self::Array { map, cells })
            }
            // Elements are allocated now: a program must not wait for memory, or fail for it.
            Plan::Hash { entries } => Ok(Self::Hash {
                map: create(MapType::Hash, entries, 0)?,
            }),
        }
    }

    pub(crate) const fn map(&self) -> &MapHandle {
        match self {
            Self::Array { map, .. } | Self::Hash { map } => map,
        }
    }

    pub(crate) fn into_map(self) -> MapHandle {
        match self {
            Self::Array { map, .. } | Self::Hash { map } => map,
        }
    }

    pub(crate) const fn storage(&self) -> Storage {
        match self {
            Self::Array { .. } => Storage::Array,
            Self::Hash { .. } => Storage::Hash,
        }
    }

    /// Takes all counts out, by ascending region. No program may be counting in this set.
    pub(crate) fn take(&self) -> Result<Vec<RegionCounts>, ProbeError> {
        match self {
            Self::Array { cells, .. } => Ok(take_array(cells.words())),
            Self::Hash { map } => take_hash(map),
        }
    }
}

fn create(kind: MapType, entries: u32, flags: u32) -> Result<MapHandle, ProbeError> {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: size_of::<libbpf_sys::bpf_map_create_opts>() as libbpf_sys::size_t,
        map_flags: flags,
        ..Default::default()
    };
    let (key_bytes, value_bytes) = (size_of::<u32>(), size_of::<Cell>());
    #[allow(clippy::cast_possible_truncation, reason = "4 and 24")]
    MapHandle::create(
        kind,
        Some("tierd_cells"),
        key_bytes as u32,
        value_bytes as u32,
        entries,
        &options,
    )
    .doing(|| format!("allocate counters for {entries} regions"))
}

fn take_array(words: &[AtomicU64]) -> Vec<RegionCounts> {
    let mut counts = Vec::new();
    for (region, words) in (0..).zip(words.chunks_exact(CELL_WORDS)) {
        let [touches, sectors, sequential] = words else {
            continue;
        };
        // Every count adds a touch, so that a cell without one is empty.
        if touches.load(Relaxed) == 0 {
            continue;
        }
        let cell = Cell {
            touches: touches.swap(0, Relaxed),
            sectors: sectors.swap(0, Relaxed),
            sequential: sequential.swap(0, Relaxed),
        };
        counts.push(RegionCounts::of(region, &cell));
    }
    counts
}

fn take_hash(map: &MapHandle) -> Result<Vec<RegionCounts>, ProbeError> {
    let mut counts = Vec::new();
    let mut take = |key: &[u8], value: &[u8]| -> Result<(), ProbeError> {
        let region = decode("a region's number", key)?;
        counts.push(RegionCounts::of(
            region,
            &decode("a region's counts", value)?,
        ));
        Ok(())
    };
    // One batch for all: the iterator takes a batch that is not full for the last one, but the
    // kernel also cuts a batch short where the next bucket would not fit.
    let batch = map
        .lookup_and_delete_batch(map.max_entries(), MapFlags::ANY, MapFlags::ANY)
        .doing(|| "read the counts of a volume".to_owned())?;
    for (key, value) in batch {
        take(&key, &value)?;
    }
    // The iterator ends at an error as at the end, so what it may have left is looked for.
    let left: Vec<_> = map.keys().collect();
    for key in left {
        let value = map
            .lookup_and_delete(&key)
            .doing(|| "read the count of a region".to_owned())?
            .unwrap_or_default();
        take(&key, &value)?;
    }
    counts.sort_unstable_by_key(|count| count.region);
    Ok(counts)
}
