//! The dm backend on a real kernel: what it maps, moves and refuses, and what it leaves behind
//! when its process dies or a member fails.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]

mod activate;
#[cfg(feature = "canary")]
mod begin;
#[cfg(feature = "canary")]
mod canaries;
mod conformance;
mod doubt;
mod faults;
mod holds;
mod kills;
mod moves;
mod scenes;
mod shape;

use std::path::PathBuf;
use std::time::Duration;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{Kept, MirrorState};
use tier_core::units::MoveId;
use tier_core::volume::Leg;
use tier_sys::block::{Access, BlockDevice};
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;
use tierd::backend::dm::DmBackend;
use tierd::backend::{Backend as _, DropOutcome, Layout, LegState};

use shape::*;

/// Chunks of 1 MiB in a region.
const CHUNKS_A_REGION: u64 = 1;

/// Longer than anything here takes that is not parked.
const LONG: Duration = Duration::from_secs(20);

/// A volume on two disks.
struct Rig {
    disks: [RunningDisk; 2],
    backend: DmBackend,
}

impl Rig {
    /// Two fresh disks, and the volume running on them.
    fn start(guest: &Inside) -> Self {
        let disks = ["m0", "m1"].map(|name| Disk::new(guest.file(name), MEMBER_BYTES).start());
        let mut backend = DmBackend::new(layout(&disks)).unwrap();
        backend.activate(&extents()).unwrap();
        Self { disks, backend }
    }

    /// Another process's view of the same volume.
    fn another(&self) -> DmBackend {
        DmBackend::new(layout(&self.disks)).unwrap()
    }

    fn path(&self) -> PathBuf {
        self.backend.device_path().unwrap()
    }

    fn state(&mut self, id: MoveId) -> MirrorState {
        match self.backend.leg_state(id).unwrap() {
            LegState::Mirror(state) => state,
            LegState::Linear => panic!("move {id} is linear"),
        }
    }

    fn wait_until_complete(&mut self, id: MoveId) {
        wait_until("the copy is complete", LONG, || {
            self.state(id).is_complete()
        });
    }

    /// Begins these moves.
    fn add(&mut self, adds: &[AddLeg]) {
        add_all(&mut self.backend, adds);
    }

    /// Moves a run all the way, as the engine orders it.
    fn run_move(&mut self, add: AddLeg) {
        self.add(&[add]);
        self.wait_until_complete(add.id);
        let outcome = self.backend.drop_leg(finish(&add)).unwrap();
        assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
        self.backend.set_map(&[add.id]).unwrap();
    }
}

/// Adds these legs. Holds that time out on a busy machine are tried again.
fn add_all(backend: &mut DmBackend, adds: &[AddLeg]) {
    let mut left = adds.to_vec();
    while !left.is_empty() {
        let added = match backend.add_legs(&left) {
            Ok(added) => added,
            Err(error) if error.is_transient() => continue,
            Err(error) => panic!("{error}"),
        };
        let late = added.copies.into_iter().filter_map(|(id, copy)| {
            let error = copy.err()?;
            assert!(error.is_transient(), "{error}");
            Some(id)
        });
        let late: Vec<MoveId> = late.collect();
        while let Err(error) = backend.set_map(&late) {
            assert!(error.is_transient(), "{error}");
        }
        left.retain(|add| late.contains(&add.id));
    }
}

fn layout(disks: &[RunningDisk; 2]) -> Layout {
    layout_on([disks[0].path(), disks[1].path()])
}

/// Where a leg's bytes begin on its member.
fn leg_offset(leg: Leg) -> u64 {
    DATA_START.0 + u64::from(leg.first.0) * MIB
}
