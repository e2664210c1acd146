//! What is torn is mended, and said beforehand.

use std::sync::Arc;

use super::*;
use crate::check::check;
use crate::fixture::{THREE, open, shared, volume};
use crate::label::COPY_OFFSETS;
use crate::testing::Power;

#[test]
fn a_torn_label_and_a_damaged_replica_are_mended_after_a_dry_run_said_so() {
    let power = Power::steady();
    let disks = volume(&THREE, &power);
    let state = open(&disks).unwrap().0.state();
    disks[2].corrupt(COPY_OFFSETS[1] + 100, |byte| byte ^ 1);
    for offset in (968 << 10..1100 << 10).step_by(4096) {
        disks[1].corrupt(offset, |byte| !byte);
    }
    let before = power.operations();
    let planned = repair(&shared(&disks), true).unwrap();
    assert_eq!(power.operations(), before);
    assert!(
        matches!(&planned.actions[..], [
        Action::RebuildReplica { device: replica, .. },
        Action::RewriteLabel { device: label, .. },
    ] if replica == "/dev/ssd" && label == "/dev/hdd"),
        "{planned:?}"
    );
    let done = repair(&shared(&disks), false).unwrap();
    assert_eq!(done.actions, planned.actions);
    assert_eq!(done.recovery.unwrap().rebuilt.len(), 1);
    assert!(repair(&shared(&disks), false).unwrap().actions.is_empty());
    assert_eq!(check(&shared(&disks)).findings, []);
    let without_first: Vec<_> = disks.iter().skip(1).map(Arc::clone).collect();
    let options = OpenOptions {
        read_only: true,
        ..OpenOptions::default()
    };
    assert_eq!(
        Store::open(&shared(&without_first), &options)
            .unwrap()
            .0
            .state(),
        state
    );
}

#[test]
fn a_member_that_lost_its_label_is_taken_back_on_a_persons_word() {
    let power = Power::steady();
    let disks = volume(&THREE, &power);
    let state = open(&disks).unwrap().0.state();
    crate::create::wipe(&*disks[1]).unwrap();
    let others = [Arc::clone(&disks[0]), Arc::clone(&disks[2])];
    let lost: Disk = disks[1].clone();
    let before = power.operations();
    let member = tier_core::units::MemberIndex;
    let refused = |device: &Disk, index| relabel(&shared(&others), device, member(index), false);
    assert!(matches!(
        refused(&lost, 0),
        Err(RelabelError::NotMissing { .. })
    ));
    assert!(matches!(
        refused(&lost, 9),
        Err(RelabelError::NotMissing { .. })
    ));
    let labelled: Disk = disks[2].clone();
    assert!(matches!(
        refused(&labelled, 1),
        Err(RelabelError::Labelled { .. })
    ));
    let short: Disk = disks[1].resized(20 << 20, &power);
    assert!(matches!(
        refused(&short, 1),
        Err(RelabelError::OtherDevice { .. })
    ));
    relabel(&shared(&others), &lost, member(1), true).unwrap();
    assert_eq!(power.operations(), before);
    relabel(&shared(&others), &lost, member(1), false).unwrap();
    let (store, recovery) = open(&disks).unwrap();
    assert!(recovery.is_clean(), "{recovery:?}");
    assert_eq!(store.state(), state);
}
