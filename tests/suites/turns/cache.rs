//! The lane of dm-cache: its policy smq with its own settings, and a fast device as large as what
//! tierd may use. Metadata lie beside, on the same disk. Writethrough, as nothing is written.

use tier_tests::dm::Device;
use tier_tests::guest::Inside;

use super::ledger::Ledger;
use super::{CYCLES_BESIDE, Disks, FAST, Lane, MIB, SLOW_BYTES, turn};

const SECTOR: u64 = 512;
/// Sectors of a block of the cache: 64 KiB, the least that LVM makes of a small cache.
const BLOCK: u64 = 128;
/// Bytes for the metadata.
const METADATA: u64 = 4 * MIB;

/// Runs the sets on a cache.
pub(super) fn run(guest: &Inside, ledger: &Ledger) -> Lane {
    let disks = Disks::start(guest, "cache");
    let fast = disks.fast.node();
    let part = |name: &str, begin: u64, bytes: u64| {
        let table = format!("0 {} linear {fast} {}", bytes / SECTOR, begin / SECTOR);
        Device::create(name, &table)
    };
    let metadata = part("turns-metadata", 0, METADATA);
    let blocks = part("turns-blocks", METADATA, FAST);
    // The disk is new, and its zeros say that there is no cache yet.
    let cache = Device::create(
        "turns-cache",
        &format!(
            "0 {} cache {} {} {} {BLOCK} 1 writethrough smq 0",
            SLOW_BYTES / SECTOR,
            metadata.node(),
            blocks.node(),
            disks.slow.node()
        ),
    );
    let turns = turn::take((&cache.path(), CYCLES_BESIDE), &disks, ledger, String::new);
    let notes = vec![cache.status()];
    for device in [cache, blocks, metadata] {
        device.remove();
    }
    Lane {
        name: "dm-cache, smq".to_owned(),
        turns,
        notes,
    }
}
