//! Commits and marks on members that fail.

use std::sync::{Arc, Mutex};

use tier_core::units::{MemberIndex, VolumeRegion};

use super::*;
use crate::fixture::{THREE, free_region, generation, leg, move_region, open, shared, volume};
use crate::open::OpenOptions;
use crate::testing::{Fault, MemoryDisk, Operation, Power};
use crate::words::ReplicaState;

fn fault(operation: Operation, after: u64, lands: bool) -> Fault {
    Fault {
        operation,
        after,
        count: u64::MAX,
        lands,
    }
}

fn three() -> Vec<Arc<MemoryDisk>> {
    volume(&THREE, &Power::steady())
}

#[test]
fn a_new_volume_opens_clean_and_whole() {
    let disks = three();
    let (store, recovery) = open(&disks).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    let state = store.state();
    assert_eq!(state.generation, generation(1));
    assert_eq!(state.block_bytes, Bytes(4096));
    assert_eq!(state.extents.len(), 3);
    assert_eq!(
        state.extents.iter().map(|extent| extent.count).sum::<u32>(),
        state.regions
    );
    assert_eq!(
        store.live_replicas().collect::<Vec<_>>(),
        [MemberIndex(0), MemberIndex(1)]
    );
}

#[test]
fn a_commit_survives_and_is_the_same_in_both_replicas() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    let target = free_region(&store, 2);
    let commit = move_region(&store, 3, target);
    let committed = store.commit(&commit).unwrap();
    assert_eq!(committed.generation, generation(2));
    assert!(committed.dropped.is_empty() && committed.unwritten.is_empty());
    let state = store.state();
    drop(store);
    for gone in [0, 1] {
        let mut some = shared(&disks);
        some.remove(gone);
        let options = OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        };
        let (store, recovery) = Store::open(&some, &options).unwrap();
        assert_eq!(store.state(), state);
        assert_eq!(recovery.missing.len(), 1);
    }
    let (store, recovery) = open(&disks).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(store.state(), state);
    assert_eq!(
        store.map().extent_at(VolumeRegion(3)).unwrap().legs[0],
        target
    );
    assert_eq!(
        store.map().extent_at(VolumeRegion(2)).unwrap().end(),
        VolumeRegion(3)
    );
    assert_eq!(state.retired.len(), 1);
}

#[test]
fn a_refused_commit_writes_nothing() {
    let power = Power::steady();
    let disks = volume(&THREE, &power);
    let (mut store, _) = open(&disks).unwrap();
    let state = store.state();
    let before = power.operations();
    let mut commit = move_region(&store, 3, leg(0, 0));
    let error = store.commit(&commit).unwrap_err();
    assert!(matches!(
        error,
        CommitError::Refused {
            source: Violation::HeldTwice { .. },
            ..
        }
    ));
    assert!(error.can_retry() && !error.in_doubt());
    commit = move_region(&store, 3, free_region(&store, 2));
    commit.retire.clear();
    let error = store.commit(&commit).unwrap_err();
    assert!(matches!(
        error,
        CommitError::Refused {
            source: Violation::NotRetired { .. },
            ..
        }
    ));
    commit.generation = generation(7);
    assert!(matches!(
        store.commit(&commit).unwrap_err(),
        CommitError::Refused {
            source: Violation::Generation { .. },
            ..
        }
    ));
    assert_eq!(power.operations(), before);
    assert_eq!(store.state(), state);
}

#[test]
fn a_replica_that_fails_is_dropped_under_a_new_epoch_and_rebuilt_at_the_next_start() {
    for (victim, operation, after, lands) in [
        (0, Operation::Write, 0, false),
        (0, Operation::Write, 1, true),
        (0, Operation::Flush, 0, false),
        (1, Operation::Write, 0, true),
        (1, Operation::Flush, 0, false),
    ] {
        let disks = three();
        let (mut store, _) = open(&disks).unwrap();
        let epoch = store.facts().epoch().unwrap();
        disks[victim].fail(fault(operation, after, lands));
        let commit = move_region(&store, 1, free_region(&store, 2));
        let committed = store.commit(&commit).unwrap();
        assert_eq!(committed.dropped.len(), 1);
        assert_eq!(usize::from(committed.dropped[0].member.0), victim);
        assert_eq!(usize::from(committed.unwritten[0].member.0), victim);
        let facts = store.facts();
        assert_eq!(facts.members[victim].replica, ReplicaState::Dropped);
        assert_eq!(facts.epoch().unwrap().number, epoch.number + 1);
        assert_eq!(facts.parent(), Some(epoch));
        let commit = move_region(&store, 2, free_region(&store, 2));
        assert!(store.commit(&commit).unwrap().dropped.is_empty());
        let marked = store.mark_acted_on(generation(3)).unwrap();
        assert_eq!(marked.unwritten.len(), 1);
        let state = store.state();
        drop(store);
        disks[victim].heal();
        let (store, recovery) = open(&disks).unwrap();
        assert_eq!(store.state(), state);
        assert_eq!(
            recovery.rebuilt,
            [MemberIndex(u16::try_from(victim).unwrap())]
        );
        assert!(recovery.epoch_is_new);
        assert_eq!(store.live_replicas().count(), 2);
        assert_eq!(store.acted_on(), generation(3));
        drop(store);
        assert!(open(&disks).unwrap().1.is_clean());
    }
}

#[test]
fn the_replica_left_alone_knows_that_the_other_was_dropped() {
    // The dropped member alone must not serve its older state, once its label could be told.
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    disks[1].fail(Fault {
        operation: Operation::Flush,
        after: 0,
        count: 1,
        lands: false,
    });
    let commit = move_region(&store, 1, free_region(&store, 2));
    let committed = store.commit(&commit).unwrap();
    assert_eq!(committed.dropped.len(), 1);
    assert!(committed.unwritten.is_empty());
    drop(store);
    let options = OpenOptions {
        degraded: true,
        ..OpenOptions::default()
    };
    let error = Store::open(&shared(&disks[1..]), &options).unwrap_err();
    assert!(
        matches!(error, crate::refusal::OpenError::Behind { .. }),
        "{error}"
    );
}

#[test]
fn with_no_replica_left_there_are_no_more_commits() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    let state = store.state();
    for disk in &disks[..2] {
        disk.fail(fault(Operation::Write, 0, false));
    }
    let commit = move_region(&store, 1, free_region(&store, 2));
    let error = store.commit(&commit).unwrap_err();
    assert!(!error.can_retry());
    // Nothing reached either disk, and both can be read: the commit will not turn up later.
    assert!(!error.in_doubt(), "{error}");
    for disk in &disks {
        disk.heal();
    }
    assert!(matches!(
        store.commit(&commit).unwrap_err(),
        CommitError::NoReplica {
            in_doubt: false,
            ..
        }
    ));
    drop(store);
    assert_eq!(open(&disks).unwrap().0.state(), state);
}

#[test]
fn a_commit_that_may_turn_up_later_is_in_doubt() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    for disk in &disks[..2] {
        disk.fail(fault(Operation::Flush, 0, false));
    }
    let commit = move_region(&store, 1, free_region(&store, 2));
    let error = store.commit(&commit).unwrap_err();
    assert!(error.in_doubt(), "{error}");
    for disk in &disks {
        disk.heal();
    }
    drop(store);
    // It did turn up: the writes were on the disks, only the flushes failed.
    assert_eq!(open(&disks).unwrap().0.generation(), generation(2));
}

#[test]
fn a_generation_that_is_not_durable_cannot_be_marked() {
    let disks = three();
    let (mut store, _) = open(&disks).unwrap();
    assert!(matches!(
        store.mark_acted_on(generation(2)),
        Err(MarkError::NotCommitted { .. })
    ));
    for disk in &disks {
        disk.fail(fault(Operation::Write, 0, false));
    }
    let error = store.mark_acted_on(generation(1)).unwrap_err();
    assert!(matches!(&error, MarkError::NoLabel { unwritten, .. } if unwritten.len() == 3));
    assert_eq!(store.acted_on(), generation(0));
}

#[test]
fn each_step_is_told_in_its_order() {
    let disks = three();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let steps = Steps::observed(move |step| sink.lock().unwrap().push(step));
    let options = OpenOptions {
        steps,
        ..OpenOptions::default()
    };
    let (mut store, _) = Store::open(&shared(&disks), &options).unwrap();
    store
        .commit(&move_region(&store, 1, free_region(&store, 2)))
        .unwrap();
    store.mark_acted_on(generation(2)).unwrap();
    let member = MemberIndex(0);
    let told = told.lock().unwrap();
    assert_eq!(
        told[..4],
        [
            Step::BeforeReplica { member },
            Step::AfterReplica { member },
            Step::BeforeReplica {
                member: MemberIndex(1)
            },
            Step::AfterReplica {
                member: MemberIndex(1)
            },
        ]
    );
    assert_eq!(
        told[4..7],
        [
            Step::LabelCopy { member, copy: 0 },
            Step::LabelCopy { member, copy: 1 },
            Step::AfterLabel { member },
        ]
    );
    assert_eq!(told.len(), 4 + 3 * 3);
}

#[test]
fn a_store_can_be_given_to_the_thread_that_commits() {
    fn sendable<T: Send>() {}
    sendable::<Store>();
}
