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
