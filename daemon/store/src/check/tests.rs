//! Each kind of damage is found, and a sound volume has none.

use std::sync::Arc;

use super::*;
use crate::fixture::{THREE, free_region, generation, move_region, open, shared, volume};
use crate::label::COPY_OFFSETS;
use crate::open::OpenOptions;
use crate::store::Store;
use crate::testing::{Fault, MemoryDisk, Operation, Power};

fn codes(disks: &[Arc<MemoryDisk>]) -> Vec<Code> {
    check(&shared(disks))
        .findings
        .iter()
        .map(|finding| finding.code)
        .collect()
}

#[test]
fn a_sound_volume_has_no_findings_and_is_not_written_to() {
    let power = Power::steady();
    let disks = volume(&THREE, &power);
    let before = power.operations();
    let report = check(&shared(&disks));
    assert_eq!(report.findings, []);
    assert_eq!(report.newest.as_ref().unwrap().generation, generation(1));
    assert_eq!(report.worst(), None);
    assert_eq!(power.operations(), before);
}

#[test]
fn damage_is_found_where_it_is() {
    let disks = volume(&THREE, &Power::steady());
    disks[1].corrupt(COPY_OFFSETS[0] + 200, |byte| byte ^ 4);
    assert_eq!(codes(&disks), [Code::LabelCopy]);
    disks[0].corrupt(960 << 10, |byte| !byte);
    disks[0].corrupt(964 << 10, |byte| !byte);
    let report = check(&shared(&disks));
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|f| (f.code, f.device.clone(), f.severity))
        .collect();
    let device = |name: &str| Some(name.to_owned());
    assert_eq!(
        found,
        [
            (Code::ReplicaDamaged, device("/dev/nvme"), Severity::Warning),
            (Code::LabelCopy, device("/dev/ssd"), Severity::Note),
            (Code::LittleRedundancy, None, Severity::Warning),
        ]
    );
}

#[test]
fn a_dropped_replica_and_an_absent_member_are_found() {
    let disks = volume(&THREE, &Power::steady());
    let (mut store, _) = open(&disks).unwrap();
    disks[1].fail(Fault {
        operation: Operation::Write,
        after: 0,
        count: u64::MAX,
        lands: false,
    });
    store
        .commit(&move_region(&store, 1, free_region(&store, 0)))
        .unwrap();
    drop(store);
    assert_eq!(
        codes(&disks),
        [
            Code::ReplicaBehind,
            Code::ReplicaDropped,
            Code::LittleRedundancy,
            Code::LabelBehind,
        ]
    );
    disks[1].heal();
    drop(open(&disks).unwrap());
    assert_eq!(codes(&disks), []);
    let report = check(&shared(&disks[..2]));
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::MemberAbsent, Code::ExtentsUnreachable]);
    assert_eq!(report.worst(), Some(Severity::Error));
}

#[test]
fn a_volume_that_cannot_be_opened_says_why() {
    let disks = volume(&THREE, &Power::steady());
    for half in [&disks[..1], &disks[1..]] {
        let options = OpenOptions {
            degraded: true,
            ..OpenOptions::default()
        };
        drop(Store::open(&shared(half), &options).unwrap());
    }
    let report = check(&shared(&disks));
    assert_eq!(report.findings.last().unwrap().code, Code::CannotOpen);
    assert!(report.findings.last().unwrap().detail.contains("split"));
    let blank = crate::fixture::disks(&THREE, &Power::steady());
    assert_eq!(codes(&blank), [Code::CannotOpen]);
}
