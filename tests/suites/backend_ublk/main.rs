//! The ublk backend on a real kernel: what it maps, moves and refuses, and what becomes of data that
//! are written while they move.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]

mod conformance;
mod faults;
mod kills;
mod matrix;
mod moves;
mod read_back;
mod requests;
#[path = "../backend_dm/scenes/mod.rs"]
mod scenes;
#[path = "../backend_dm/shape.rs"]
mod shape;
mod stages;
mod trial;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use tier_core::command::DropLeg;
use tier_core::event::{MirrorState, Trial};
use tier_core::units::MoveId;
use tier_core::volume::Extent;
use tier_tests::io::wait_until;
use tier_tests::load::Load;
use tier_ublk::device::{self, Begin, Device, DeviceError, Shape};
use tierd::backend::ublk::{UblkBackend, claim};
use tierd::backend::{Backend as _, DropOutcome, LegState};

use shape::{extents, layout_on};

/// Longer than anything here takes that is not parked.
const LONG: Duration = Duration::from_mins(4);

/// A volume on two devices, served by this process.
struct Rig {
    backend: UblkBackend,
    id: u32,
    path: PathBuf,
    server: JoinHandle<Result<(), DeviceError>>,
}

impl Rig {
    /// The volume of these suites on two devices.
    fn start(nodes: [&Path; 2]) -> Self {
        Self::of(nodes, &extents())
    }

    /// The same with its data elsewhere.
    fn of(nodes: [&Path; 2], extents: &[Extent]) -> Self {
        Self::begin(Begin::New, nodes, extents)
    }

    /// The same as a new device, or as the one whose server is gone.
    fn begin(begin: Begin, nodes: [&Path; 2], extents: &[Extent]) -> Self {
        let layout = layout_on(nodes);
        // The kernel gives up what an earlier server had a moment after its end.
        let members = claim(&layout, LONG).unwrap();
        let backend = UblkBackend::new(layout, members, extents).unwrap();
        let volume = backend.volume().clone();
        let shape = Shape {
            block_bytes: 512,
            physical_block_bytes: 4096,
            takes_discard: true,
        };
        let (ready, is_ready) = channel();
        let server = std::thread::spawn(move || {
            let device = Device::make(begin)?;
            let id = device.id();
            device.serve(&volume, shape, move |path| ready.send((id, path)).unwrap())
        });
        let Ok((id, path)) = is_ready.recv_timeout(LONG) else {
            assert!(
                server.is_finished(),
                "no device after {LONG:?}, and no reason"
            );
            panic!("no device: {:?}", server.join().unwrap());
        };
        Self {
            backend,
            id,
            path,
            server,
        }
    }

    fn path(&self) -> PathBuf {
        self.path.clone()
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

    /// Waits until the trial of a move's target has come so far.
    fn wait_until_tried(&mut self, id: MoveId, step: Trial) {
        let said = format!("{step:?}");
        wait_until(&said, LONG, || self.state(id).trial == Some(step));
    }

    /// Drops a leg as the engine does: what takes too long is asked for again.
    fn must_drop(&mut self, drop: DropLeg) {
        let mut outcome = self.backend.drop_leg(drop);
        wait_until("the leg is dropped", LONG, || match &outcome {
            Err(error) if error.is_transient() => {
                outcome = self.backend.drop_leg(drop);
                false
            }
            _ => true,
        });
        let outcome = outcome.unwrap();
        assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
    }

    /// Ends a load, sees that all of it is there, and removes the device.
    fn stop_under(self, load: Load) {
        load.stop().verify();
        self.stop();
    }

    /// Removes the device; its server ends by that.
    fn stop(self) {
        device::remove(self.id).unwrap();
        self.server.join().unwrap().unwrap();
        assert!(!self.path.exists());
    }
}
