//! Creation and destruction, cut at every operation.

use std::sync::Arc;

use super::*;
use crate::fixture::{THREE, cut, disks, fates, new_volume, open, shared, volume};
use crate::refusal::OpenError;
use crate::testing::Power;

#[test]
fn a_creation_that_is_cut_off_leaves_no_volume_or_a_whole_one() {
    let blank = disks(&THREE, &Power::steady());
    let mut seen = [0; 3];
    for operation in 0.. {
        let power = Power::cut_before(operation);
        let disks: Vec<_> = blank.iter().map(|disk| disk.copy(&power)).collect();
        let made = Store::create(&new_volume(&THREE, &disks), &shared(&disks), Steps::none());
        let acknowledged = made.is_ok();
        drop(made);
        for mut fate in fates() {
            let found = cut(&disks, &mut fate);
            match open(&found) {
                Ok((store, _)) => {
                    seen[0] += 1;
                    assert_eq!(store.generation(), Generation(1));
                }
                Err(OpenError::Label(LabelError::Absent { .. } | LabelError::Torn { .. })) => {
                    seen[1] += 1;
                    assert!(!acknowledged);
                }
                Err(OpenError::Unfinished { .. }) => {
                    seen[2] += 1;
                    assert!(!acknowledged);
                }
                Err(error) => panic!("cut before operation {operation}: {error}"),
            }
            // Whatever is left, the next try makes a volume of it.
            let volume = new_volume(&THREE, &found);
            drop(Store::create(&volume, &shared(&found), Steps::none()).unwrap());
            assert!(open(&found).unwrap().1.is_clean());
        }
        if power.operations() < operation {
            break;
        }
    }
    assert!(seen.iter().all(|&count| count > 10), "{seen:?}");
}

#[test]
fn a_destruction_that_is_cut_off_is_never_taken_for_a_volume_that_lost_members() {
    let start = volume(&THREE, &Power::steady());
    for operation in 0.. {
        let power = Power::cut_before(operation);
        let disks: Vec<_> = start.iter().map(|disk| disk.copy(&power)).collect();
        let done = destroy(&shared(&disks), &Steps::none());
        for mut fate in fates() {
            let found = cut(&disks, &mut fate);
            match open(&found) {
                Ok(_) => assert!(done.is_err() && operation < 3),
                Err(OpenError::Destroying { .. }) => assert!(done.is_err()),
                Err(OpenError::Label(LabelError::Absent { .. } | LabelError::Torn { .. })) => {}
                Err(error) => panic!("cut before operation {operation}: {error}"),
            }
            destroy(&shared(&found), &Steps::none()).unwrap();
            assert!(found.iter().all(|disk| label::read(&**disk).is_absent()));
        }
        if power.operations() < operation {
            break;
        }
    }
}

#[test]
fn devices_that_do_not_fit_their_layout_are_refused_untouched() {
    let power = Power::steady();
    let blank = disks(&THREE, &power);
    let volume = new_volume(&THREE, &blank);
    let short: Vec<_> = blank
        .iter()
        .map(|disk| disk.resized(8 << 20, &power))
        .collect();
    let error = Store::create(&volume, &shared(&short), Steps::none()).unwrap_err();
    assert!(matches!(error, CreateError::Size { .. }), "{error}");
    let two: Vec<_> = blank.iter().take(2).map(Arc::clone).collect();
    let error = Store::create(&volume, &shared(&two), Steps::none()).unwrap_err();
    assert!(matches!(error, CreateError::Counts { .. }), "{error}");
    let mut small = volume.clone();
    small.layout.block_bytes = 512;
    let error = Store::create(&small, &shared(&blank), Steps::none()).unwrap_err();
    assert!(matches!(error, CreateError::BlockSize { .. }), "{error}");
    assert_eq!(power.operations(), 0);
}

#[test]
fn the_blank_of_each_member_is_zeros_whatever_was_there() {
    let disks = disks(&THREE, &Power::steady());
    let blank = usize::try_from(BLANK_BYTES.0).unwrap();
    for disk in &disks {
        disk.write_at(&vec![7; blank], BLANK_OFFSET.0).unwrap();
    }
    let volume = new_volume(&THREE, &disks);
    drop(Store::create(&volume, &shared(&disks), Steps::none()).unwrap());
    for disk in &disks {
        let mut found = vec![1; blank];
        disk.read_at(&mut found, BLANK_OFFSET.0).unwrap();
        assert!(found.iter().all(|byte| *byte == 0));
    }
}
