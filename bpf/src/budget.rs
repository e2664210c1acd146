//! How much memory the counts of a volume take, decided before any is taken.
//!
//! Owns: the choice between an array (a cell for every region, the faster) and a hash (cells for
//! the regions that were touched, while it has room), and the sizes that the kernel makes of them.

use crate::record::Cell;

/// Page size that sizes are rounded up to. Where pages are larger the true figure is at most
/// one such page per set above the planned one.
const PAGE_BYTES: u64 = 4096;
/// A volume has two sets: one is counted in while the other is read.
pub(crate) const SETS: u64 = 2;
/// Bytes per element of a preallocated BPF hash: `struct htab_elem` (48), then key and value, each
/// rounded up to eight (`htab_map_alloc` in `kernel/bpf/hashtab.c`).
const HASH_ELEMENT_BYTES: u64 = 48 + 8 + size_of::<Cell>() as u64;
/// Bytes per bucket (`struct bucket`); there are as many as elements, rounded up to 2^n.
const HASH_BUCKET_BYTES: u64 = 16;
/// What a hash takes besides: its head, and a spare element per CPU.
const HASH_FIXED_BYTES: u64 = 64 * 1024;
/// A hash with less room than this for the hot part of a volume is not worth its cost per event.
const MIN_HASH_ENTRIES: u64 = 1024;

/// How a volume's regions are to be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// One cell per region.
    Array,
    /// Cells for this many regions per interval.
    Hash {
        /// How many.
        entries: u32,
    },
}

/// Bytes that two array sets for `regions` regions take.
pub(crate) const fn array_bytes(regions: u32) -> u64 {
    let cells = (regions as u64 * size_of::<Cell>() as u64).next_multiple_of(PAGE_BYTES);
    // A map that can be mapped has its head on a page of its own.
    SETS * (PAGE_BYTES + cells)
}

/// Bytes that two hash sets with room for `entries` regions take.
pub(crate) const fn hash_bytes(entries: u32) -> u64 {
    let entries = entries as u64;
    SETS * (HASH_FIXED_BYTES
        + entries * HASH_ELEMENT_BYTES
        + entries.next_power_of_two() * HASH_BUCKET_BYTES)
}

/// The least that [`plan`] needs for a volume of `regions` regions.
pub(crate) fn least_bytes(regions: u32) -> u64 {
    array_bytes(regions).min(hash_bytes(
        u32::try_from(MIN_HASH_ENTRIES).unwrap_or(u32::MAX),
    ))
}

/// The best plan for `regions` regions that fits `left_bytes`.
pub(crate) fn plan(regions: u32, left_bytes: u64) -> Option<Plan> {
    if array_bytes(regions) <= left_bytes {
        return Some(Plan::Array);
    }
    let per_set = (left_bytes / SETS).checked_sub(HASH_FIXED_BYTES)?;
    // With 2^n buckets: as many elements as the rest of the memory holds, and no more than 2^n.
    let entries = (0..32)
        .map(|log2| 1_u64 << log2)
        .filter_map(|buckets| {
            let rest = per_set.checked_sub(buckets * HASH_BUCKET_BYTES)?;
            Some(buckets.min(rest / HASH_ELEMENT_BYTES))
        })
        .max()?;
    if entries < MIN_HASH_ENTRIES {
        return None;
    }
    Some(Plan::Hash {
        entries: u32::try_from(entries).unwrap_or(u32::MAX).min(regions),
    })
}

/// Bytes that a plan takes.
pub(crate) const fn planned_bytes(plan: Plan, regions: u32) -> u64 {
    match plan {
        Plan::Array => array_bytes(regions),
        Plan::Hash { entries } => hash_bytes(entries),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: u64 = 64 << 20;

    #[test]
    fn a_tebibyte_in_mebibytes_fits_the_default_budget_as_an_array() {
        assert_eq!(plan(1 << 20, BUDGET), Some(Plan::Array));
        assert!(array_bytes(1 << 20) <= BUDGET);
    }

    #[test]
    fn what_does_not_fit_an_array_gets_a_hash_within_the_budget() {
        for left in [BUDGET, BUDGET / 3, 1 << 20] {
            let Some(Plan::Hash { entries }) = plan(u32::MAX, left) else {
                panic!("no hash for {left} bytes");
            };
            let bytes = hash_bytes(entries);
            assert!(bytes <= left, "{bytes} of {left}");
            assert!(bytes > left * 8 / 10, "{bytes} of {left} is wasteful");
        }
    }

    #[test]
    fn too_little_for_either_is_refused_and_the_least_is_enough() {
        for regions in [100, 5000, 1 << 22] {
            let least = least_bytes(regions);
            assert!(plan(regions, least).is_some(), "{regions}");
            assert_eq!(plan(regions, least - 1), None, "{regions}");
        }
    }
}
