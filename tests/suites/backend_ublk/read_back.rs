//! Targets that keep badly what they are given: found when they are read back, before anybody else
//! reads it there. Without reading back, the same goes unnoticed.

use tier_core::command::AddLeg;
use tier_core::event::LegFault;
use tier_core::policy::TrialPolicy;
use tier_core::units::Bytes;
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::dm;
use tier_tests::guest::Guest;
use tier_tests::io::{assert_filled, fill, read};
use tier_tests::load::Load;
use tier_tests::test_name;

use super::faults::ID;
use super::shape::{MEMBER_BYTES, REGIONS, an_add, extent, leg, region_offset, undo};
use super::trial::tried;
use super::*;

/// Where in each write the one byte is that goes wrong, counted from 0.
const BAD_AT: u64 = 32;

/// A disk that can be made to keep badly what is written to it.
struct Target {
    device: dm::Device,
    table: String,
}

impl Target {
    fn new(disk: &RunningDisk) -> Self {
        let table = format!("0 {} linear {} 0", MEMBER_BYTES / 512, disk.node());
        Self {
            device: dm::Device::create("target", &table),
            table,
        }
    }

    fn keep_well(&self) {
        self.device.swap(&self.table);
    }

    fn keep_badly(&self) {
        let features = format!("0 60 5 corrupt_bio_byte {} w 1 0", BAD_AT + 1);
        let table = self.table.replace("linear", "flakey");
        self.device.swap(&format!("{table} {features}"));
    }
}

/// A volume on a good disk, all of it 3, and the target of its move.
struct Moved<'disks> {
    target: &'disks Target,
    rig: Rig,
    add: AddLeg,
}

impl<'disks> Moved<'disks> {
    fn start(source: &RunningDisk, target: &'disks Target, policy: TrialPolicy) -> Self {
        target.keep_well();
        let all = [extent(0, REGIONS, leg(0, 0))];
        let rig = Rig::of([source.path(), &target.device.path()], &all);
        fill(&rig.path(), region_offset(2), 3 << 20, 3).unwrap();
        let add = tried(an_add(), policy, false);
        Self { target, rig, add }
    }

    fn begin(&mut self) {
        self.rig.backend.add_legs(&[self.add]).unwrap();
    }

    /// Waits until it has been found that the target differs at this byte of the volume; tells what it
    /// was doing then.
    fn differs(&mut self, at: u64) -> Option<Trial> {
        wait_until("it is caught", LONG, || !self.rig.state(ID).target_alive);
        let state = self.rig.state(ID);
        assert!(state.source_alive, "{state:?}");
        assert_eq!(state.fault, Some(LegFault::Differs { at: Bytes(at) }));
        state.trial
    }

    fn go_back(&mut self) {
        self.rig.must_drop(undo(&self.add));
        self.rig.backend.set_map(&[ID]).unwrap();
    }

    /// Goes back, and sees that all is there.
    fn end(mut self, written: u8) {
        self.go_back();
        let path = self.rig.path();
        assert_filled(&path, region_offset(2), 1 << 20, 3);
        assert_filled(&path, region_offset(3), 4096, written);
        assert_filled(&path, region_offset(3) + 4096, (2 << 20) - 4096, 3);
        self.rig.stop();
    }
}

#[test]
fn a_target_that_keeps_what_it_is_given_badly_is_caught_before_it_is_read() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .module("dm-flakey")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            let target = Target::new(&disks[1]);
            a_bad_copy_that_nobody_uses(&disks[0], &target);
            a_bad_copy_under_load(&disks[0], &target);
            what_is_written_badly_while_the_target_is_tried(&disks[0], &target);
            what_was_written_badly_is_read(&disks[0], &target);
        })
        .run();
}

fn a_bad_copy_that_nobody_uses(source: &RunningDisk, target: &Target) {
    for read_back in [true, false] {
        let policy = TrialPolicy {
            read_back,
            ..TrialPolicy::default()
        };
        let mut moved = Moved::start(source, target, policy);
        moved.target.keep_badly();
        moved.begin();
        if read_back {
            let step = moved.differs(region_offset(2) + BAD_AT);
            assert_eq!(step, Some(Trial::ReadsBack(0)), "nothing else was tried");
        } else {
            moved.rig.wait_until_complete(ID);
        }
        moved.end(3);
    }
}

/// The load tolerates no bad byte.
fn a_bad_copy_under_load(source: &RunningDisk, target: &Target) {
    let mut moved = Moved::start(source, target, TrialPolicy::default());
    let bytes = region_offset(2)..region_offset(5);
    let load = Load::start(&moved.rig.path(), bytes, 5, false);
    moved.target.keep_badly();
    moved.begin();
    wait_until("it is caught", LONG, || !moved.rig.state(ID).target_alive);
    let state = moved.rig.state(ID);
    let is_other = matches!(state.fault, Some(LegFault::Differs { .. }));
    let is_first = matches!(state.trial, Some(Trial::ReadsBack(_)));
    assert!(is_other && is_first && state.source_alive, "{state:?}");
    load.must_go_on(LONG);
    moved.go_back();
    load.must_go_on(LONG);
    moved.rig.stop_under(load);
}

/// A trial in which all reads go to the target alone where that may be, and which the first ends.
fn until_a_read(read_back: bool) -> TrialPolicy {
    TrialPolicy {
        read_back,
        read_percents: [100, 0, 0, 0],
        compare_percent: 0,
        write_percents: [0; 4],
        step_requests: 1,
        step_millis_max: u32::MAX,
        idle_step_millis: u32::MAX,
        ..TrialPolicy::default()
    }
}

/// A move whose target is tried by reads, and has kept badly what was written to region 3 since.
fn written_badly<'a>(source: &RunningDisk, target: &'a Target, read_back: bool) -> Moved<'a> {
    let mut moved = Moved::start(source, target, until_a_read(read_back));
    moved.begin();
    moved.rig.wait_until_tried(ID, Trial::Reads(100));
    moved.target.keep_badly();
    fill(&moved.rig.path(), region_offset(3), 4096, 9).unwrap();
    moved
}

fn what_is_written_badly_while_the_target_is_tried(source: &RunningDisk, target: &Target) {
    for read_back in [true, false] {
        let mut moved = written_badly(source, target, read_back);
        let path = moved.rig.path();
        let state = moved.rig.state(ID);
        assert!(state.is_well(), "{state:?}");
        // Another chunk than the one that was written.
        assert_filled(&path, region_offset(4), 4096, 3);
        if read_back {
            let step = moved.differs(region_offset(3) + BAD_AT);
            assert!(matches!(step, Some(Trial::ReadsBack(_))), "{step:?}");
        } else {
            moved.rig.wait_until_complete(ID);
        }
        moved.end(9);
    }
}

/// What was written since it was read back is read from the target only beside the source.
fn what_was_written_badly_is_read(source: &RunningDisk, target: &Target) {
    for read_back in [true, false] {
        let mut moved = written_badly(source, target, read_back);
        let path = moved.rig.path();
        let is_bad = read(&path, region_offset(3), 4096).unwrap() != [9; 4096];
        assert_eq!(is_bad, !read_back);
        if read_back {
            moved.differs(region_offset(3) + BAD_AT);
        }
        moved.end(9);
    }
}
