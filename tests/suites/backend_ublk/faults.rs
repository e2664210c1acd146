//! A leg that fails: what is parked, what frees it, and what is lost (nothing).

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{LegFault, Trial};
use tier_core::policy::TrialPolicy;
use tier_tests::disk::{Answer, Answers, Disk, RunningDisk, Spoil};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill, flush};
use tier_tests::test_name;
use tierd::backend::{Backend as _, BackendError, DropOutcome};

use super::shape::{
    DATA_START, MEMBER_BYTES, MIB, REGIONS, add, an_add, extent, finish, leg, region_offset, undo,
};
use super::*;

pub(super) const WRITES_FAIL: Answers = Answers {
    write: Answer::Fail,
    ..Answers::GOOD
};
const FLUSHES_FAIL: Answers = Answers {
    flush: Answer::Fail,
    ..Answers::GOOD
};
pub(super) const ID: MoveId = MoveId(1);

pub(super) type Parked = Pending<Result<(), tier_sys::block::BlockError>>;

/// A volume on two disks that can be made to fail.
pub(super) struct Failing<'disks> {
    pub(super) disks: &'disks [RunningDisk; 2],
    pub(super) rig: Rig,
}

impl<'disks> Failing<'disks> {
    /// On disks that are good again.
    pub(super) fn start(disks: &'disks [RunningDisk; 2]) -> Self {
        for disk in disks {
            disk.answer(Answers::GOOD);
        }
        let rig = Rig::start([disks[0].path(), disks[1].path()]);
        fill(&rig.path(), region_offset(2), 3 << 20, 3).unwrap();
        Self { disks, rig }
    }

    fn begin(&mut self) {
        self.rig.backend.add_legs(&[an_add()]).unwrap();
    }

    /// A move that has come so far in its trial.
    pub(super) fn try_until(&mut self, add: AddLeg, step: Trial) {
        self.rig.backend.add_legs(&[add]).unwrap();
        self.rig.wait_until_tried(ID, step);
    }

    /// A move that is complete.
    fn complete(&mut self) {
        self.begin();
        self.rig.wait_until_complete(ID);
    }

    /// A write to a region that moves, which is not answered.
    pub(super) fn parked(&self) -> Parked {
        let path = self.rig.path();
        let write = Pending::start(move || fill(&path, region_offset(3), 4096, 9));
        write.assert_parked_for(Duration::from_millis(500));
        write
    }

    /// Ends the move, by which the write goes on.
    pub(super) fn end(mut self, drop: DropLeg, write: &Parked) {
        let outcome = self.rig.backend.drop_leg(drop).unwrap();
        assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
        write.within(LONG).expect("the write goes on").unwrap();
        self.rig.backend.set_map(&[ID]).unwrap();
        self.stop();
    }

    /// Sees that all is there, and removes the device.
    fn stop(self) {
        let path = self.rig.path();
        assert_filled(&path, region_offset(2), 1 << 20, 3);
        assert_filled(&path, region_offset(3), 4096, 9);
        assert_filled(&path, region_offset(3) + 4096, 4096, 3);
        self.rig.stop();
    }
}

#[test]
fn legs_that_fail_lose_nothing_and_free_what_they_parked() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            a_target_that_refuses_a_write(&disks);
            a_source_that_died_after_the_copy(&disks);
            a_target_that_refuses_the_copy(&disks);
            a_target_that_refuses_a_flush(&disks);
            a_member_that_nothing_is_on_any_more(&disks);
            a_target_that_hangs(&disks);
            a_target_that_hangs_in_the_copy(&disks);
            for met in [Met::Copy, Met::Write, Met::Flush] {
                a_target_that_hangs_is_given_up(&disks, met);
            }
            a_source_with_a_bad_block(&disks);
        })
        .run();
}

fn a_target_that_refuses_a_write(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.complete();
    volume.disks[1].answer(WRITES_FAIL);
    let write = volume.parked();
    let state = volume.rig.state(ID);
    assert!(state.source_alive && !state.target_alive, "{state:?}");
    assert_eq!(state.fault, Some(LegFault::Write));
    let refused = volume.rig.backend.drop_leg(finish(&an_add())).unwrap();
    assert!(matches!(refused, DropOutcome::Refused(_)), "{refused:?}");
    let other = add(2, 0, 1, leg(0, 0), leg(1, 12));
    let error = volume.rig.backend.add_legs(&[other]).unwrap_err();
    let is_unhealthy = matches!(error, BackendError::UnhealthyMove { id: ID, .. });
    assert!(is_unhealthy, "{error}");
    volume.end(undo(&an_add()), &write);
}

fn a_source_that_died_after_the_copy(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.complete();
    volume.disks[0].answer(Answers::GONE);
    let write = volume.parked();
    let state = volume.rig.state(ID);
    assert!(!state.source_alive && state.target_alive, "{state:?}");
    assert_filled(&volume.rig.path(), region_offset(4), 4096, 3);
    let drop = DropLeg {
        require_complete: false,
        ..finish(&an_add())
    };
    volume.end(drop, &write);
}

fn a_target_that_refuses_the_copy(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.disks[1].answer(WRITES_FAIL);
    volume.begin();
    wait_until("the copy has failed", LONG, || {
        !volume.rig.state(ID).target_alive
    });
    assert_eq!(volume.rig.state(ID).fault, Some(LegFault::Copy));
    assert!(!volume.rig.state(ID).is_complete());
    let write = volume.parked();
    volume.end(undo(&an_add()), &write);
}

fn a_source_with_a_bad_block(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    let bad = DATA_START.0 + 4 * MIB + 65536;
    volume.disks[0].spoil(bad, 4096, Spoil::ForEver);
    volume.begin();
    wait_until("the copy has failed", LONG, || {
        !volume.rig.state(ID).source_alive
    });
    let write = volume.parked();
    // What is good can be read, and what is bad is said to be.
    assert_filled(&volume.rig.path(), region_offset(4) + 131_072, 4096, 3);
    let bad = tier_tests::io::read(&volume.rig.path(), region_offset(4) + 65536, 4096);
    assert_eq!(bad.unwrap_err().errno(), Some(5));
    volume.end(undo(&an_add()), &write);
}

fn a_target_that_refuses_a_flush(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.complete();
    volume.disks[1].answer(FLUSHES_FAIL);
    let path = volume.rig.path();
    fill(&path, region_offset(2), 4096, 3).unwrap();
    assert!(flush(&path).is_err(), "it is told");
    let state = volume.rig.state(ID);
    assert!(state.source_alive && !state.target_alive, "{state:?}");
    assert_eq!(state.fault, Some(LegFault::Flush));
    let write = volume.parked();
    volume.end(undo(&an_add()), &write);
}

/// What failed there does not fail all flushes that follow.
fn a_member_that_nothing_is_on_any_more(disks: &[RunningDisk; 2]) {
    disks[1].answer(Answers::GOOD);
    let all = [extent(0, REGIONS, leg(0, 0))];
    let mut rig = Rig::of([disks[0].path(), disks[1].path()], &all);
    rig.backend.add_legs(&[an_add()]).unwrap();
    rig.wait_until_complete(ID);
    disks[1].answer(FLUSHES_FAIL);
    fill(&rig.path(), region_offset(2), 4096, 3).unwrap();
    assert!(flush(&rig.path()).is_err());
    rig.backend.drop_leg(undo(&an_add())).unwrap();
    rig.backend.set_map(&[ID]).unwrap();
    fill(&rig.path(), region_offset(2), 4096, 4).unwrap();
    flush(&rig.path()).unwrap();
    rig.stop();
}

/// Requests that are under way on a leg are waited for before it is given up, but not for ever.
fn a_target_that_hangs(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.complete();
    volume.disks[1].answer(Answers::HUNG);
    let write = volume.parked();
    let error = volume.rig.backend.drop_leg(undo(&an_add())).unwrap_err();
    assert!(error.is_transient(), "{error}");
    let error = volume.rig.backend.set_map(&[ID]).unwrap_err();
    assert!(error.is_transient(), "{error}");
    // New requests go by without it.
    fill(&volume.rig.path(), region_offset(2), 4096, 3).unwrap();
    write.assert_parked_for(Duration::from_millis(100));
    volume.disks[1].answer(Answers::GOOD);
    write.within(LONG).expect("the write goes on").unwrap();
    // A daemon that has come back is told that the move is linear, and only has it forgotten.
    wait_until("nothing goes to the target any more", LONG, || {
        volume.rig.backend.set_map(&[ID]).is_ok()
    });
    volume.stop();
}

/// What meets a target that hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Copy,
    Write,
    Flush,
}

/// Who waits for it cannot say so; and what comes later does not wait for it.
fn a_target_that_hangs_is_given_up(disks: &[RunningDisk; 2], met: Met) {
    let mut volume = Failing::start(disks);
    let policy = TrialPolicy {
        hang_millis: 300,
        ..TrialPolicy::default()
    };
    let add = super::trial::tried(an_add(), policy, false);
    if met == Met::Copy {
        disks[1].answer(Answers::HUNG);
        volume.rig.backend.add_legs(&[add]).unwrap();
    } else {
        volume.rig.backend.add_legs(&[add]).unwrap();
        volume.rig.wait_until_complete(ID);
        fill(&volume.rig.path(), region_offset(2), 4096, 3).unwrap();
        disks[1].answer(Answers::HUNG);
    }
    let path = volume.rig.path();
    let first = Pending::start(move || match met {
        Met::Flush => flush(&path),
        Met::Copy | Met::Write => fill(&path, region_offset(2), 4096, 3),
    });
    wait_until("it is given up", LONG, || {
        !volume.rig.state(ID).target_alive
    });
    let fault = volume.rig.state(ID).fault;
    assert!(
        matches!(fault, Some(LegFault::Unanswered { .. })),
        "{met:?}: {fault:?}"
    );
    let hanging = disks[1].hanging();
    let later = volume.parked();
    assert_eq!(disks[1].hanging(), hanging, "{met:?}");
    let dropped = volume.rig.backend.drop_leg(undo(&add));
    // A flush goes by no map: it may hang while what it was for is forgotten.
    let is_over = dropped.map_err(|error| assert!(error.is_transient(), "{error}"));
    assert_eq!(is_over.is_ok(), met == Met::Flush);
    later.within(LONG).expect("the write goes on").unwrap();
    if met != Met::Copy {
        first.assert_parked_for(Duration::from_millis(100));
    }
    disks[1].answer(Answers::GOOD);
    first.within(LONG).expect("an answer").unwrap();
    wait_until("nothing goes to the target any more", LONG, || {
        volume.rig.backend.set_map(&[ID]).is_ok()
    });
    volume.stop();
}

/// What waits for the copy goes on before the target answers, or it would never.
fn a_target_that_hangs_in_the_copy(disks: &[RunningDisk; 2]) {
    let mut volume = Failing::start(disks);
    volume.disks[1].answer(Answers::HUNG);
    volume.begin();
    wait_until("the copy hangs", LONG, || disks[1].hanging() > 0);
    let path = volume.rig.path();
    // It waits for the chunks that are being copied, the first of the move.
    let write = Pending::start(move || fill(&path, region_offset(2), 4096, 4));
    write.assert_parked_for(Duration::from_millis(500));
    let error = volume.rig.backend.drop_leg(undo(&an_add())).unwrap_err();
    assert!(error.is_transient(), "{error}");
    write.within(LONG).expect("the write goes on").unwrap();
    // The target is not given up, for it may be written yet.
    let error = volume.rig.backend.set_map(&[ID]).unwrap_err();
    assert!(error.is_transient(), "{error}");
    let refused = volume.rig.backend.drop_leg(finish(&an_add())).unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    volume.disks[1].answer(Answers::GOOD);
    wait_until("the copy has ended", LONG, || {
        volume.rig.backend.drop_leg(undo(&an_add())).is_ok()
    });
    volume.rig.backend.set_map(&[ID]).unwrap();
    assert_filled(&volume.rig.path(), region_offset(2), 4096, 4);
    assert_filled(&volume.rig.path(), region_offset(2) + 4096, 65536, 3);
    volume.rig.stop();
}
