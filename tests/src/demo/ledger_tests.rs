//! Tests of the ledger's pattern.

use std::os::unix::fs::FileExt as _;

use super::*;

#[test]
fn a_lost_a_torn_and_a_misplaced_write_are_each_named() {
    // Direct I/O needs a file system that has it, which that of a temporary folder may not.
    let own = std::env::current_exe().unwrap();
    let folder = tempfile::tempdir_in(own.parent().unwrap()).unwrap();
    let path = folder.path().join("ledger");
    let mut ledger = Ledger::create(&path, 64 << 10).unwrap();
    let mut file = ledger.open().unwrap();
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..100 {
        ledger.write_one(&mut file, &mut random).unwrap();
    }
    assert_eq!(ledger.writes(), 100);
    assert!(ledger.verify().unwrap().is_empty());

    let whole = std::fs::read(&path).unwrap();
    let spoil = File::options().write(true).open(&path).unwrap();
    let mut lost = vec![0; BLOCK_BYTES];
    stamp(&mut lost, 3, ledger.writes[3] - 1);
    let mut torn = whole[3 * BLOCK_BYTES..4 * BLOCK_BYTES].to_vec();
    torn[2048..].copy_from_slice(&lost[2048..]);
    let misplaced = whole[4 * BLOCK_BYTES..5 * BLOCK_BYTES].to_vec();
    for (what, block) in [("lost", lost), ("torn", torn), ("misplaced", misplaced)] {
        spoil.write_all_at(&block, 3 * BLOCK_BYTES as u64).unwrap();
        spoil.sync_all().unwrap();
        assert_eq!(ledger.verify().unwrap().len(), 1, "{what}");
    }
}
