//! Kinds of requests: those that span members, zeroes, discards, flushes.

use tier_tests::command::run;
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::Guest;
use tier_tests::io::{assert_filled, fill, flush};
use tier_tests::test_name;
use tierd::backend::Backend as _;

use super::shape::{MEMBER_BYTES, an_add, region_offset};
use super::*;

/// Bytes on both sides of what is changed.
const BESIDE: usize = 65536;

#[test]
fn requests_of_each_kind_do_what_they_should_wherever_the_data_are() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .phase(|guest| {
            let disks = [
                Disk::new(guest.image("m0"), MEMBER_BYTES).discard().start(),
                Disk::new(guest.image("m1"), MEMBER_BYTES).start(),
            ];
            let mut rig = Rig::start([disks[0].path(), disks[1].path()]);
            let path = rig.path();
            zeroes_and_discards(&path, region_offset(7) + 512 * 1024);
            // In the middle of what moves.
            rig.backend.add_legs(&[an_add()]).unwrap();
            zeroes_and_discards(&path, region_offset(3));
            rig.wait_until_complete(MoveId(1));
            zeroes_and_discards(&path, region_offset(3) + 4096);
            a_flush_goes_where_something_was_written(&path, &disks);
            rig.stop();
        })
        .run();
}

/// A megabyte from here on: the first time half of it on each member.
fn zeroes_and_discards(path: &Path, from: u64) {
    let length = 1 << 20;
    let beside = BESIDE as u64;
    fill(path, from - beside, length + 2 * BESIDE, 5).unwrap();
    let blkdiscard = |how: &[&str]| {
        let (offset, length) = (from.to_string(), length.to_string());
        let node = path.display().to_string();
        let mut arguments = vec!["--offset", &offset, "--length", &length];
        arguments.extend(how);
        arguments.push(&node);
        run("blkdiscard", &arguments);
    };
    blkdiscard(&["--zeroout"]);
    assert_filled(path, from, length, 0);
    fill(path, from, length, 6).unwrap();
    assert_filled(path, from, length, 6);
    blkdiscard(&["--force"]);
    assert_filled(path, from - beside, BESIDE, 5);
    assert_filled(path, from + length as u64, BESIDE, 5);
    fill(path, from, length, 7).unwrap();
    assert_filled(path, from, length, 7);
}

fn a_flush_goes_where_something_was_written(path: &Path, disks: &[RunningDisk; 2]) {
    let flushes = || disks.each_ref().map(|disk| disk.counts().flushes);
    flush(path).unwrap();
    let before = flushes();
    flush(path).unwrap();
    assert_eq!(flushes(), before, "there was nothing to do");
    fill(path, region_offset(15), 4096, 1).unwrap();
    flush(path).unwrap();
    assert_eq!(flushes(), [before[0], before[1] + 1], "member 1 alone");
}
