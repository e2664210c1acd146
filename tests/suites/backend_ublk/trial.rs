//! Targets that are tried before the source is given up: what passes, what does not, and that no data
//! are lost at any step.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tier_core::command::AddLeg;
use tier_core::event::{Kept, LegFault};
use tier_core::policy::TrialPolicy;
use tier_core::units::Bytes;
use tier_core::volume::Leg;
use tier_tests::disk::{Answer, Answers, Disk, RunningDisk, Speed};
use tier_tests::dm;
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill, read};
use tier_tests::load::Load;
use tier_tests::test_name;
use tierd::backend::DropOutcome;

use super::faults::{Failing, ID, WRITES_FAIL};
use super::shape::{
    DATA_START, MEMBER_BYTES, MIB, REGIONS, add, an_add, extent, finish, leg, region_offset, undo,
};
use super::*;

const READS_FAIL: Answers = Answers {
    read: Answer::Fail,
    ..Answers::GOOD
};
/// Where the target of [`an_add`] begins on its member.
const TARGET_OFFSET: u64 = DATA_START.0 + 9 * MIB;
/// Where its source begins.
const SOURCE_OFFSET: u64 = DATA_START.0 + 2 * MIB;
/// Slower than any disk here by far.
const SLOW: Speed = Speed::Flash {
    latency: Duration::from_millis(60),
    bytes_per_second: 1 << 30,
};

/// A trial that comes to a step and remains there; all that is read of the target is compared.
pub(super) fn staying(step: Trial) -> TrialPolicy {
    let (read_percents, write_percents) = match step {
        Trial::Ahead | Trial::ReadsBack(_) => ([0; 4], [0; 4]),
        Trial::Reads(percent) => ([percent, 0, 0, 0], [0; 4]),
        Trial::Writes(percent) => ([0; 4], [percent, 0, 0, 0]),
    };
    TrialPolicy {
        read_percents,
        compare_percent: 100,
        write_percents,
        step_requests: u32::MAX,
        step_millis_max: u32::MAX,
        idle_step_millis: u32::MAX,
        ..TrialPolicy::default()
    }
}

/// Whether requests go to the target.
pub(super) const fn asks_the_target(step: Trial) -> bool {
    matches!(step, Trial::Reads(_) | Trial::Writes(_))
}

pub(super) fn tried(add: AddLeg, policy: TrialPolicy, promises_faster: bool) -> AddLeg {
    AddLeg {
        trial: Some(policy),
        promises_faster,
        ..add
    }
}

fn stay_at(step: Trial) -> AddLeg {
    tried(an_add(), staying(step), false)
}

#[test]
fn a_target_that_fails_in_its_trial_is_left_and_nothing_is_lost() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(15))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            what_differs_is_caught_and_the_source_is_read(&disks);
            for step in [
                Trial::Reads(1),
                Trial::Reads(100),
                Trial::Writes(1),
                Trial::Writes(100),
            ] {
                a_target_that_refuses_a_write(&disks, step);
            }
            a_target_that_refuses_a_read(&disks);
            a_source_that_dies_while_its_target_is_tried(&disks);
            a_target_that_no_longer_answers(&disks);
        })
        .run();
}

fn what_differs_is_caught_and_the_source_is_read(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.try_until(stay_at(Trial::Reads(100)), Trial::Reads(100));
    // As a target does that lost what it was given: behind the server's back.
    fill(disks[1].path(), TARGET_OFFSET + 65536, 4096, 0xee).unwrap();
    let path = volume.rig.path();
    assert_filled(&path, region_offset(2), 65536, 3);
    assert!(volume.rig.state(ID).target_alive, "not read yet");
    assert_filled(&path, region_offset(2), 1 << 20, 3);
    let state = volume.rig.state(ID);
    assert!(state.source_alive && !state.target_alive, "{state:?}");
    let at = Bytes(region_offset(2) + 65536);
    assert_eq!(state.fault, Some(LegFault::Differs { at }));
    // Nobody waits for a decision, and nothing bad is read.
    fill(&path, region_offset(3), 4096, 9).unwrap();
    assert_filled(&path, region_offset(2), 1 << 20, 3);
    let refused = volume.rig.backend.drop_leg(finish(&an_add())).unwrap();
    assert!(matches!(refused, DropOutcome::Refused(_)), "{refused:?}");
    volume.end(undo(&an_add()), &Pending::start(|| Ok(())));
}

fn a_target_that_refuses_a_write(disks: &[RunningDisk; 2], step: Trial) {
    let mut volume = Failing::start(disks);
    volume.try_until(stay_at(step), step);
    disks[1].answer(WRITES_FAIL);
    // Of a hundred, the first goes to the target first in any case.
    let write = volume.parked();
    let state = volume.rig.state(ID);
    assert!(state.source_alive && !state.target_alive, "{state:?}");
    assert_eq!(state.fault, Some(LegFault::Write));
    let on_source = read(disks[0].path(), SOURCE_OFFSET + MIB, 4096).unwrap();
    let untouched = on_source.iter().all(|byte| *byte == 3);
    assert_eq!(untouched, matches!(step, Trial::Writes(_)), "{step:?}");
    volume.end(undo(&an_add()), &write);
}

fn a_target_that_refuses_a_read(disks: &[RunningDisk; 2]) {
    for compare_percent in [0, 100] {
        let mut volume = Failing::start(disks);
        let policy = TrialPolicy {
            compare_percent,
            ..staying(Trial::Reads(100))
        };
        volume.try_until(tried(an_add(), policy, false), Trial::Reads(100));
        disks[1].answer(READS_FAIL);
        assert_filled(&volume.rig.path(), region_offset(2), 1 << 20, 3);
        let state = volume.rig.state(ID);
        assert!(state.source_alive && !state.target_alive, "{state:?}");
        assert_eq!(state.fault, Some(LegFault::Read));
        let write = volume.parked();
        volume.end(undo(&an_add()), &write);
    }
}

/// There is nothing to go back to: the target has everything, and what was parked goes on there.
fn a_source_that_dies_while_its_target_is_tried(disks: &[RunningDisk; 2]) {
    for step in [Trial::Reads(100), Trial::Writes(100)] {
        let mut volume = Failing::start(disks);
        volume.try_until(stay_at(step), step);
        disks[0].answer(Answers::GONE);
        assert_filled(&volume.rig.path(), region_offset(4), 4096, 3);
        let write = volume.parked();
        let state = volume.rig.state(ID);
        assert!(!state.source_alive && state.target_alive, "{state:?}");
        assert!(!state.is_on_trial() && !state.is_complete());
        let drop = DropLeg {
            require_complete: false,
            ..finish(&an_add())
        };
        volume.end(drop, &write);
    }
}

fn a_target_that_no_longer_answers(disks: &[RunningDisk; 2]) {
    for promises_faster in [true, false] {
        let mut volume = Failing::start(disks);
        let policy = TrialPolicy {
            step_millis_max: 100,
            patience_millis: 100,
            idle_step_millis: u32::MAX,
            ..staying(Trial::Reads(100))
        };
        let add = tried(an_add(), policy, promises_faster);
        volume.try_until(add, Trial::Reads(100));
        disks[1].answer(Answers::HUNG);
        let path = volume.rig.path();
        let hangs = Pending::start(move || read(&path, region_offset(2), 4096));
        if promises_faster {
            wait_until("it is given up", LONG, || {
                !volume.rig.state(ID).target_alive
            });
            let fault = volume.rig.state(ID).fault;
            assert!(
                matches!(fault, Some(LegFault::Unanswered { .. })),
                "{fault:?}"
            );
        } else {
            hangs.assert_parked_for(Duration::from_secs(2));
            let state = volume.rig.state(ID);
            assert!(state.is_well() && state.is_on_trial(), "{state:?}");
        }
        // Others are not kept from reading.
        let drop = volume.rig.backend.drop_leg(undo(&an_add()));
        assert!(drop.unwrap_err().is_transient());
        assert_filled(&volume.rig.path(), region_offset(2), 1 << 20, 3);
        disks[1].answer(Answers::GOOD);
        assert_eq!(hangs.within(LONG).expect("an answer").unwrap(), [3; 4096]);
        volume.rig.stop();
    }
}

#[test]
fn a_target_that_corrupts_what_is_read_of_it_is_caught_on_the_ramp() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .module("dm-flakey")
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            let sectors = MEMBER_BYTES / 512;
            let node = disks[1].node();
            // Byte 33 of each read is a 1.
            let table = format!("0 {sectors} flakey {node} 0 0 60 5 corrupt_bio_byte 33 r 1 0");
            let flakey = dm::Device::create("flakey", &table);
            let all = [extent(0, REGIONS, leg(0, 0))];
            let mut rig = Rig::of([disks[0].path(), &flakey.path()], &all);
            // Else it would be caught before.
            let policy = TrialPolicy {
                read_back: false,
                ..TrialPolicy::default()
            };
            let add = tried(an_add(), policy, false);
            let load = Load::start(&rig.path(), region_offset(2)..region_offset(5), 5, false);
            rig.backend.add_legs(&[add]).unwrap();
            wait_until("it is caught", LONG, || !rig.state(ID).target_alive);
            let fault = rig.state(ID).fault;
            assert!(matches!(fault, Some(LegFault::Differs { .. })), "{fault:?}");
            rig.must_drop(undo(&add));
            rig.backend.set_map(&[ID]).unwrap();
            load.must_go_on(LONG);
            rig.stop_under(load);
        })
        .run();
}

/// Reads that are compared, and writes to the same blocks, all at once: legs that are written at
/// different times never seem to differ.
#[test]
fn what_is_compared_is_not_written_meanwhile() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            let mut volume = Failing::start(&disks);
            let policy = TrialPolicy {
                read_percents: [100, 0, 0, 0],
                compare_percent: 100,
                write_percents: [100, 0, 0, 0],
                ..TrialPolicy::default()
            };
            let add = tried(an_add(), policy, false);
            volume.rig.backend.add_legs(&[add]).unwrap();
            // What has passed goes on as it did in the last step.
            volume.rig.wait_until_complete(ID);
            // So that the legs differ for long when they are written.
            disks[1].set_speed(SLOW);
            let path = volume.rig.path();
            hammer(&path, 60);
            let state = volume.rig.state(ID);
            assert!(state.is_complete(), "{state:?}");
            disks[1].set_speed(Speed::Full);
            fill(&path, region_offset(2), 1 << 20, 3).unwrap();
            fill(&path, region_offset(3), 4096, 9).unwrap();
            volume.end(finish(&add), &Pending::start(|| Ok(())));
        })
        .run();
}

/// Writes and reads the same four blocks from two threads each, until so many reads were made.
fn hammer(path: &Path, reads: u32) {
    let (end, made) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let threads = (0..4_u8).map(|thread| {
        let (path, end, made) = (path.to_owned(), end.clone(), made.clone());
        std::thread::spawn(move || {
            let mut value = thread;
            while !end.load(Ordering::SeqCst) {
                if thread % 2 == 0 {
                    value = value.wrapping_add(2);
                    fill(&path, region_offset(2), 16384, value).unwrap();
                } else {
                    read(&path, region_offset(2), 16384).unwrap();
                    made.fetch_add(1, Ordering::SeqCst);
                }
            }
        })
    });
    let threads: Vec<_> = threads.collect();
    wait_until("enough was read", LONG, || {
        made.load(Ordering::SeqCst) >= reads || threads.iter().any(JoinHandle::is_finished)
    });
    end.store(true, Ordering::SeqCst);
    for one in threads {
        one.join().unwrap();
    }
}

#[test]
fn a_slow_target_is_left_if_it_promised_to_be_faster_and_taken_if_not() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            for (write_percents, promises_faster) in
                [([100; 4], true), ([0; 4], true), ([100; 4], false)]
            {
                let mut rig = Rig::start([disks[0].path(), disks[1].path()]);
                let bytes = region_offset(2)..region_offset(5);
                let load = Load::start(&rig.path(), bytes, 5, false);
                // Where there are writes to be tried, the reads are not.
                let policy = TrialPolicy {
                    read_percents: write_percents.map(|percent| 100 - percent),
                    write_percents,
                    step_millis_max: 2_000,
                    ..TrialPolicy::default()
                };
                let add = tried(an_add(), policy, promises_faster);
                rig.backend.add_legs(&[add]).unwrap();
                disks[1].set_speed(SLOW);
                let drop = if promises_faster {
                    wait_until("it is too slow", LONG, || !rig.state(ID).target_alive);
                    let state = rig.state(ID);
                    let is_slow = matches!(state.fault, Some(LegFault::Slow { source, target })
                        if target.0 >= 50_000 && source.0 * 2 < target.0);
                    assert!(is_slow && state.is_on_trial(), "{state:?}");
                    load.must_go_on(LONG);
                    undo(&add)
                } else {
                    rig.wait_until_complete(ID);
                    finish(&add)
                };
                disks[1].set_speed(Speed::Full);
                rig.must_drop(drop);
                rig.backend.set_map(&[ID]).unwrap();
                rig.stop_under(load);
            }
        })
        .run();
}

#[test]
fn what_is_written_while_targets_are_tried_at_each_percentage_is_there() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(15))
        .phase(|guest| {
            let disks = ["m0", "m1"]
                .map(|name| Disk::new(guest.image(name), MEMBER_BYTES).discard().start());
            let mut rig = Rig::start([disks[0].path(), disks[1].path()]);
            let bytes = region_offset(2)..region_offset(5);
            let load = Load::start(&rig.path(), bytes, 5, true);
            let legs = [leg(0, 2), leg(1, 9)];
            let (mut here, mut id) = (0, 0);
            let mut go = |rig: &mut Rig, policy, kept| {
                id += 1;
                let there = move_between(id, legs[here], legs[1 - here], policy);
                rig.backend.add_legs(&[there]).unwrap();
                let drop = match kept {
                    // One that stays has to be taken back.
                    Kept::Source => {
                        wait_until("the step", LONG, || {
                            rig.state(there.id).trial.is_some_and(asks_the_target)
                        });
                        load.must_go_on(LONG);
                        load.must_go_on(LONG);
                        undo(&there)
                    }
                    Kept::Target => {
                        rig.wait_until_complete(there.id);
                        here = 1 - here;
                        finish(&there)
                    }
                };
                load.must_go_on(LONG);
                let state = rig.state(there.id);
                assert!(state.is_well(), "{state:?}");
                rig.must_drop(drop);
                rig.backend.set_map(&[there.id]).unwrap();
                load.must_go_on(LONG);
            };
            // All of them are a campaign: a machine that is emulated takes minutes for them.
            let percents: &[u8] = match std::env::var_os("TIER_TRIAL_CHURN") {
                Some(_) => &[1, 10, 30, 60, 100],
                None => &[30],
            };
            for &percent in percents {
                go(&mut rig, staying(Trial::Reads(percent)), Kept::Source);
                go(&mut rig, staying(Trial::Writes(percent)), Kept::Source);
                go(&mut rig, TrialPolicy::default(), Kept::Target);
            }
            let content = load.stop();
            content.verify();
            rig.stop();
        })
        .run();
}

/// One that does not promise to be faster: how fast disks are that are alike is the emulation's affair.
fn move_between(id: u64, source: Leg, target: Leg, policy: TrialPolicy) -> AddLeg {
    tried(add(id, 2, 3, source, target), policy, false)
}

#[test]
fn a_move_keeps_its_pace_until_that_is_changed_and_then_passes_without_requests() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            let mut volume = Failing::start(&disks);
            let policy = TrialPolicy {
                copy_bytes_per_second: 1,
                ..TrialPolicy::default()
            };
            let add = tried(an_add(), policy, true);
            volume.rig.backend.add_legs(&[add]).unwrap();
            wait_until("what is copied at once", LONG, || {
                volume.rig.state(ID).in_sync_chunks == 8
            });
            // It takes five days to the next.
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(volume.rig.state(ID).in_sync_chunks, 8);
            volume.rig.backend.set_pace(ID, 0).unwrap();
            volume.rig.wait_until_complete(ID);
            let path = volume.rig.path();
            fill(&path, region_offset(3), 4096, 9).unwrap();
            volume.end(finish(&add), &Pending::start(|| Ok(())));
        })
        .run();
}
