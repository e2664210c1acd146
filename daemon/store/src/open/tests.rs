//! Power cuts at every operation, and starts with members that are absent, stale or split.

use std::sync::Arc;

use tier_core::command::Commit;
use tier_core::volume::VolumeState;

use super::*;
use crate::fixture::{
    THREE, cut, fates, free_region, generation, move_region, open, shared, volume,
};
use crate::testing::{Fault, MemoryDisk, Operation, Power};

fn degraded(disks: &[Arc<MemoryDisk>]) -> Result<(Store, Recovery), OpenError> {
    let options = OpenOptions {
        degraded: true,
        ..OpenOptions::default()
    };
    Store::open(&shared(disks), &options)
}

/// Cuts the power before every operation of `work`, with every fate of what was not flushed, and
/// hands the disks to `check` with what `work` returned.
fn cut_everywhere<T>(
    start: &[Arc<MemoryDisk>],
    work: impl Fn(&[Arc<MemoryDisk>], &Arc<Power>) -> T,
    check: impl Fn(&[Arc<MemoryDisk>], &T, &str),
) -> u64 {
    for operation in 0.. {
        let power = Power::steady();
        let disks: Vec<_> = start.iter().map(|disk| disk.copy(&power)).collect();
        power.cut_after(operation);
        let outcome = work(&disks, &power);
        for (number, mut fate) in fates().into_iter().enumerate() {
            let found = cut(&disks, &mut fate);
            check(
                &found,
                &outcome,
                &format!("cut before operation {operation}, fate {number}"),
            );
        }
        if power.operations() < operation {
            return operation;
        }
    }
    unreachable!()
}

#[test]
fn a_power_cut_in_a_commit_leaves_the_old_state_or_the_new() {
    let start = volume(&THREE, &Power::steady());
    let (store, _) = open(&start).unwrap();
    let old = store.state();
    let commit = move_region(&store, 3, free_region(&store, 2));
    drop(store);
    let mut after = Vec::new();
    after.extend(start.iter().map(|disk| disk.copy(&Power::steady())));
    let (mut store, _) = open(&after).unwrap();
    store.commit(&commit).unwrap();
    let new = store.state();
    drop(store);

    let work = |disks: &[Arc<MemoryDisk>], _: &Arc<Power>| -> bool {
        let Ok((mut store, _)) = open(disks) else {
            return false;
        };
        store.commit(&commit).is_ok() && store.mark_acted_on(generation(2)).is_ok()
    };
    let operations = cut_everywhere(&start, work, |found, acknowledged, place| {
        let (store, _) = open(found).unwrap_or_else(|error| panic!("{place}: {error}"));
        let state = store.state();
        assert!(state == old || state == new, "{place}: {state:?}");
        assert!(
            !acknowledged || state == new,
            "{place}: an acknowledged commit was lost"
        );
        assert!(store.acted_on() <= store.generation(), "{place}");
        assert_eq!(store.live_replicas().count(), 2, "{place}");
        drop(store);
        let (again, recovery) = open(found).unwrap();
        assert!(recovery.is_clean(), "{place}: {recovery:?}");
        assert_eq!(again.state(), state, "{place}");
    });
    assert!(
        operations > 12,
        "{operations} operations are too few to have covered a commit"
    );
}

#[test]
fn a_power_cut_while_a_start_recovers_loses_nothing() {
    // One replica is a commit ahead of the other, and dropped-replica repair is due besides.
    let start = volume(&THREE, &Power::steady());
    let (mut store, _) = open(&start).unwrap();
    store
        .commit(&move_region(&store, 3, free_region(&store, 2)))
        .unwrap();
    start[1].fail(Fault {
        operation: Operation::Write,
        after: 0,
        count: u64::MAX,
        lands: false,
    });
    store
        .commit(&move_region(&store, 4, free_region(&store, 2)))
        .unwrap();
    store.mark_acted_on(generation(3)).unwrap();
    let state = store.state();
    drop(store);
    start[1].heal();
    let start: Vec<_> = start
        .iter()
        .map(|disk| disk.copy(&Power::steady()))
        .collect();
    let work = |disks: &[Arc<MemoryDisk>], _: &Arc<Power>| drop(open(disks));
    cut_everywhere(&start, work, |found, (), place| {
        let (store, _) = open(found).unwrap_or_else(|error| panic!("{place}: {error}"));
        assert_eq!(store.state(), state, "{place}");
        assert_eq!(store.live_replicas().count(), 2, "{place}");
    });
}

#[test]
fn a_power_cut_while_a_replica_is_dropped_keeps_the_commit() {
    let start = volume(&THREE, &Power::steady());
    let (store, _) = open(&start).unwrap();
    let commit = move_region(&store, 3, free_region(&store, 2));
    drop(store);
    for victim in [0, 1] {
        let work = |disks: &[Arc<MemoryDisk>], _: &Arc<Power>| -> bool {
            let Ok((mut store, _)) = open(disks) else {
                return false;
            };
            disks[victim].fail(Fault {
                operation: Operation::Flush,
                after: 0,
                count: u64::MAX,
                lands: false,
            });
            store.commit(&commit).is_ok()
        };
        cut_everywhere(&start, work, |found, acknowledged, place| {
            let (store, _) = open(found).unwrap_or_else(|error| panic!("{place}: {error}"));
            let generation = store.generation().0;
            assert!(
                generation == 2 || (!acknowledged && generation == 1),
                "{place}"
            );
            assert_eq!(store.live_replicas().count(), 2, "{place}");
        });
    }
}

/// For settling: the volume runs, and one of its members has failed altogether.
#[test]
fn a_member_that_is_here_and_cannot_be_read_stays_a_member() {
    for (victim, carries_replica) in [(1, true), (2, false)] {
        let disks = volume(&THREE, &Power::steady());
        for operation in [Operation::Read, Operation::Write] {
            disks[victim].fail(Fault {
                operation,
                after: 0,
                count: u64::MAX,
                lands: false,
            });
        }
        let error = open(&disks).unwrap_err();
        assert!(matches!(error, OpenError::Label(_)), "{error}");
        let index = MemberIndex(u16::try_from(victim).unwrap());
        let options = OpenOptions {
            unreadable: vec![index],
            ..OpenOptions::default()
        };
        let (mut store, recovery) = Store::open(&shared(&disks), &options).unwrap();
        assert_eq!((recovery.missing, recovery.stale), (vec![], vec![]));
        assert_eq!(
            recovery.epoch_is_new, carries_replica,
            "its replica is dropped"
        );
        assert!(store.facts().member(index).unwrap().present);
        store
            .commit(&move_region(&store, 3, free_region(&store, 2)))
            .unwrap();
        store.mark_acted_on(store.generation()).unwrap();
        let state = store.state();
        drop(store);
        disks[victim].heal();
        let (store, recovery) = open(&disks).unwrap();
        assert_eq!(store.state(), state);
        assert_eq!((recovery.missing, recovery.stale), (vec![], vec![]));
        assert!(
            recovery.healed_labels.contains(&index),
            "its label was behind"
        );
    }
}

/// Saying that a member cannot be read does not make one that is missing unneeded.
#[test]
fn only_the_member_that_cannot_be_read_may_be_lacking() {
    let disks = volume(&THREE, &Power::steady());
    let options = OpenOptions {
        unreadable: vec![MemberIndex(1)],
        ..OpenOptions::default()
    };
    let error = Store::open(&shared(&disks[..1]), &options).unwrap_err();
    let OpenError::Missing { missing, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(missing.len(), 1, "{error}");
}

#[test]
fn an_absent_member_is_named_and_a_degraded_start_leaves_it_behind() {
    let disks = volume(&THREE, &Power::steady());
    let error = open(&disks[..2]).unwrap_err();
    let OpenError::Missing { missing, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(missing[0].index, MemberIndex(2));
    assert!(error.to_string().contains("--degraded"), "{error}");

    let (mut store, recovery) = degraded(&disks[..2]).unwrap();
    assert_eq!(recovery.missing, [MemberIndex(2)]);
    assert!(recovery.epoch_is_new);
    store
        .commit(&move_region(&store, 0, free_region(&store, 1)))
        .unwrap();
    let state = store.state();
    drop(store);
    // The next start needs no permission again, and says what is away.
    let (store, recovery) = open(&disks[..2]).unwrap();
    assert_eq!(recovery.missing, [MemberIndex(2)]);
    assert!(!recovery.epoch_is_new);
    drop(store);
    // The member comes back: on the same line, so stale.
    let (store, recovery) = open(&disks).unwrap();
    assert_eq!(recovery.stale, [MemberIndex(2)]);
    assert_eq!(store.state(), state);
    drop(store);
    let options = OpenOptions {
        readmit: true,
        ..OpenOptions::default()
    };
    let (store, recovery) = Store::open(&shared(&disks), &options).unwrap();
    assert_eq!(recovery.readmitted, [MemberIndex(2)]);
    assert!(!state.members[2].present);
    let mut whole = state;
    whole.members[2].present = true;
    assert_eq!(store.state(), whole);
    drop(store);
    assert!(open(&disks).unwrap().1.is_clean());
}

#[test]
fn two_halves_started_without_each_other_are_a_split() {
    let disks = volume(&THREE, &Power::steady());
    drop(degraded(&disks[..1]).unwrap());
    drop(degraded(&disks[1..]).unwrap());
    for options in [
        OpenOptions::default(),
        OpenOptions {
            degraded: true,
            readmit: true,
            ..OpenOptions::default()
        },
        OpenOptions {
            read_only: true,
            ..OpenOptions::default()
        },
    ] {
        let error = Store::open(&shared(&disks), &options).unwrap_err();
        let OpenError::Split { ways, .. } = &error else {
            panic!("{error}")
        };
        let sides: Vec<bool> = ways.iter().map(|way| way.with_newest).collect();
        assert!(
            sides == [true, false, false] || sides == [false, true, true],
            "{error}"
        );
    }
    // Even when one half went on further than the other, so that no parents are shared.
    let (mut store, _) = open(&disks[1..]).unwrap();
    disks[1].fail(Fault {
        operation: Operation::Flush,
        after: 0,
        count: 1,
        lands: false,
    });
    assert!(
        store
            .commit(&move_region(&store, 12, free_region(&store, 2)))
            .is_err()
    );
    drop(store);
    drop(degraded(&disks[1..2]).unwrap());
    assert!(matches!(
        open(&disks[..2]).unwrap_err(),
        OpenError::Split { .. }
    ));
}

#[test]
fn metadata_older_than_a_mark_is_refused_and_still_shown() {
    let disks = volume(&THREE, &Power::steady());
    let old: Vec<_> = disks
        .iter()
        .map(|disk| disk.copy(&Power::steady()))
        .collect();
    let (mut store, _) = open(&disks).unwrap();
    store
        .commit(&move_region(&store, 3, free_region(&store, 2)))
        .unwrap();
    store.mark_acted_on(generation(2)).unwrap();
    drop(store);
    // Both replicas fall back (a lying cache); the third member's label remembers.
    let mixed = [
        Arc::clone(&old[0]),
        Arc::clone(&old[1]),
        Arc::clone(&disks[2]),
    ];
    let error = open(&mixed).unwrap_err();
    let OpenError::ActedOn {
        marked,
        found,
        device,
        ..
    } = &error
    else {
        panic!("{error}")
    };
    assert_eq!((*marked, *found), (generation(2), generation(1)));
    assert_eq!(device, "/dev/hdd");
    assert!(degraded(&mixed).is_err());
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    assert_eq!(
        Store::open(&shared(&mixed), &options)
            .unwrap()
            .0
            .generation(),
        generation(1)
    );
}

#[test]
fn a_start_for_reading_writes_nothing() {
    let power = Power::steady();
    let disks = volume(&THREE, &power);
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    let before = power.operations();
    let (mut store, _) = Store::open(&shared(&disks), &options).unwrap();
    let commit: Commit = move_region(&store, 3, free_region(&store, 2));
    assert!(store.commit(&commit).is_err());
    assert!(store.mark_acted_on(generation(1)).is_err());
    let _: VolumeState = store.state();
    drop(store);
    assert_eq!(power.operations(), before);
}

/// A canary: if flushes do nothing, an acknowledged commit is lost, and these tests see it.
#[test]
fn lost_flushes_on_every_member_lose_the_commit_and_on_one_replica_do_not() {
    for (liars, kept) in [
        (&[0, 1, 2][..], false),
        (&[0], true),
        (&[1], true),
        (&[2], true),
    ] {
        let disks = volume(&THREE, &Power::steady());
        let (mut store, _) = open(&disks).unwrap();
        for &liar in liars {
            disks[liar].lie_about_flushes();
        }
        let commit = move_region(&store, 3, free_region(&store, 2));
        store.commit(&commit).unwrap();
        store.mark_acted_on(generation(2)).unwrap();
        let found = cut(&disks, &mut || crate::testing::Fate::Lost);
        let (store, recovery) = open(&found).unwrap();
        assert_eq!(
            store.generation(),
            generation(if kept { 2 } else { 1 }),
            "{liars:?}"
        );
        assert_eq!(
            store.acted_on(),
            generation(if kept { 2 } else { 0 }),
            "{liars:?}"
        );
        assert_eq!(
            recovery.rebuilt.is_empty(),
            !kept || liars == [2],
            "{liars:?}"
        );
    }
}

/// Rule 6: with the labels' marks durable and every replica rolled back, nothing is served.
#[test]
fn lost_flushes_on_every_replica_are_refused_because_of_the_mark() {
    let disks = volume(&THREE, &Power::steady());
    let (mut store, _) = open(&disks).unwrap();
    disks[0].lie_about_flushes();
    disks[1].lie_about_flushes();
    let commit = move_region(&store, 3, free_region(&store, 2));
    store.commit(&commit).unwrap();
    store.mark_acted_on(generation(2)).unwrap();
    let found = cut(&disks, &mut || crate::testing::Fate::Lost);
    assert!(matches!(
        open(&found).unwrap_err(),
        OpenError::ActedOn { .. }
    ));
}
