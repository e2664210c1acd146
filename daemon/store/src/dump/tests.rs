//! A dump reads back, and a restore never goes behind what was acted on.

use std::sync::Arc;

use super::*;
use crate::fixture::{THREE, free_region, generation, move_region, open, shared, volume};
use crate::testing::{MemoryDisk, Power};

/// Makes every replica unreadable.
fn ruin(disks: &[Arc<MemoryDisk>]) {
    for disk in &disks[..2] {
        for record in [960 << 10, 964 << 10] {
            disk.corrupt(record, |byte| !byte);
        }
    }
}

fn three_commits() -> (Vec<Arc<MemoryDisk>>, Dump) {
    let disks = volume(&THREE, &Power::steady());
    let (mut store, _) = open(&disks).unwrap();
    for region in 1..=3 {
        store
            .commit(&move_region(&store, region, free_region(&store, 2)))
            .unwrap();
    }
    store.mark_acted_on(generation(3)).unwrap();
    drop(store);
    let dump = dump(&shared(&disks)).unwrap();
    (disks, dump)
}

#[test]
fn a_dump_survives_json_and_restores_what_it_was_made_of() {
    let (disks, dump) = three_commits();
    let state = open(&disks).unwrap().0.state();
    let json = serde_json::to_string_pretty(&dump).unwrap();
    let dump: Dump = serde_json::from_str(&json).unwrap();
    ruin(&disks);
    assert!(matches!(
        open(&disks).unwrap_err(),
        OpenError::NoMetadata { .. }
    ));
    assert_eq!(restore(&dump, &shared(&disks), true).unwrap(), None);
    assert!(open(&disks).is_err());
    restore(&dump, &shared(&disks), false).unwrap().unwrap();
    let (store, recovery) = open(&disks).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(store.state(), state);
    assert_eq!(store.acted_on(), generation(3));
}

#[test]
fn a_dump_from_before_a_mark_is_refused() {
    let (disks, old) = three_commits();
    let (mut store, _) = open(&disks).unwrap();
    store
        .commit(&move_region(&store, 4, free_region(&store, 2)))
        .unwrap();
    drop(store);
    let error = restore(&old, &shared(&disks), false).unwrap_err();
    assert!(matches!(error, RestoreError::Newer { .. }), "{error}");
    let (mut store, _) = open(&disks).unwrap();
    store.mark_acted_on(generation(5)).unwrap();
    drop(store);
    ruin(&disks);
    let error = restore(&old, &shared(&disks), false).unwrap_err();
    assert!(matches!(error, RestoreError::ActedOn { .. }), "{error}");
}

#[test]
fn a_dump_that_does_not_fit_is_refused_and_changes_nothing() {
    let power = Power::steady();
    let (disks, dump) = three_commits();
    let disks: Vec<_> = disks.iter().map(|disk| disk.copy(&power)).collect();
    let others = volume(&THREE, &power);
    let before = power.operations();
    let refused =
        |dump: &Dump, disks: &[Arc<MemoryDisk>]| restore(dump, &shared(disks), false).unwrap_err();
    assert!(matches!(
        refused(&dump, &others),
        RestoreError::OtherVolume { .. }
    ));
    assert!(matches!(
        refused(&dump, &disks[..2]),
        RestoreError::Absent(MemberIndex(2))
    ));
    let mut broken = dump.clone();
    broken.metadata.extents.pop();
    assert!(matches!(
        refused(&broken, &disks),
        RestoreError::Map(Violation::Uncovered(_))
    ));
    let mut newer = dump.clone();
    newer.version = 2;
    assert!(matches!(refused(&newer, &disks), RestoreError::Version(2)));
    let mut other = dump;
    other.metadata.facts.epochs.clear();
    assert!(matches!(
        refused(&other, &disks),
        RestoreError::Epoch { .. }
    ));
    assert_eq!(power.operations(), before);
}
