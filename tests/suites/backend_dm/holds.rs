//! Holds: their bound, and why a mirror is never held while anything is in flight on it.

use std::time::Instant;

use tier_sys::dm::HoldControl;
use tier_sys::interrupt::Deadline;
use tier_tests::command::run;
use tier_tests::disk::Answers;
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill};
use tier_tests::test_name;
use tierd::backend::BackendError;

use super::moves::ours;
use super::*;

const EINTR: i32 = 4;

/// The kernel fact on which the design of a move as two devices rests.
#[test]
fn a_mirror_whose_suspend_was_interrupted_never_suspends_again() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disks = ["s", "t"].map(|name| Disk::new(guest.file(name), 8 * MIB).start());
            let table = format!(
                "0 16384 mirror core 1 1024 2 {} 0 {} 0 1 handle_errors",
                disks[0].node(),
                disks[1].node()
            );
            let mirror = Device::create("m", &table);
            wait_until("the copy is complete", LONG, || {
                MirrorStatus::of(&mirror).in_sync == 16
            });
            disks[1].answer(Answers::HUNG);
            let path = mirror.path();
            let write = Pending::start(move || fill(&path, 0, 4096, 1));
            wait_until("the write is in flight", LONG, || disks[1].hanging() == 1);
            let mut control = HoldControl::open().unwrap();
            let deadline = Deadline::for_this_thread().unwrap();
            let armed = deadline.arm(Duration::from_millis(100)).unwrap();
            let error = control.suspend("m").unwrap_err();
            drop(armed);
            assert_eq!(error.raw_os_error(), Some(EINTR));
            disks[1].answer(Answers::GOOD);
            write.within(LONG).expect("the write ends").unwrap();
            let again = Pending::start(|| HoldControl::open().unwrap().suspend("m"));
            again.assert_parked_for(Duration::from_secs(2));
        })
        .run();
}

#[test]
fn a_hold_that_cannot_drain_is_given_up_in_time_and_everything_is_as_before() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.backend.set_hold_limit(Duration::from_millis(200));
            let before = rig.backend.read_back().unwrap();
            rig.disks[1].answer(Answers::HUNG);
            let path = rig.path();
            let write = Pending::start(move || fill(&path, region_offset(12), 4096, 1));
            wait_until("the write is in flight", LONG, || {
                rig.disks[1].hanging() == 1
            });
            let start = Instant::now();
            let error = rig.backend.add_legs(&[an_add()]).unwrap_err();
            assert!(
                matches!(error, BackendError::HoldTimedOut { .. }),
                "{error}"
            );
            assert!(error.is_transient());
            assert!(start.elapsed() < Duration::from_secs(2));
            assert_eq!(rig.backend.read_back().unwrap(), before);
            assert_eq!(ours(), 3, "the move's devices are gone");
            fill(&rig.path(), region_offset(1), 4096, 2).expect("the other member serves");
            rig.disks[1].answer(Answers::GOOD);
            write.within(LONG).expect("the write ends").unwrap();
            rig.run_move(an_add());
        })
        .run();
}

#[test]
fn a_hold_cut_by_a_death_is_mended_with_the_old_table() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            rig.add(&[an_add()]);
            rig.wait_until_complete(MoveId(1));
            let before = rig.backend.read_back().unwrap();
            for held in ["tierd-test-move-1", "tierd-test"] {
                // What a death between suspend and resume leaves: held, with a table loaded.
                run(
                    "dmsetup",
                    &["load", held, "--table", &run("dmsetup", &["table", held])],
                );
                HoldControl::open().unwrap().suspend(held).unwrap();
                let path = rig.path();
                let write = Pending::start(move || fill(&path, region_offset(3), 4096, 8));
                write.assert_parked_for(Duration::from_millis(200));
                rig.another().activate(&extents()).unwrap();
                write.within(LONG).expect("the write goes on").unwrap();
                let columns = [
                    "info",
                    "-c",
                    "--noheadings",
                    "-o",
                    "suspended,tables_loaded",
                    held,
                ];
                assert_eq!(run("dmsetup", &columns), "Active:Live");
            }
            let after = rig.backend.read_back().unwrap();
            assert_eq!(after, before, "the mirror was adopted, still complete");
            assert_filled(&rig.path(), region_offset(3), 4096, 8);
        })
        .run();
}
