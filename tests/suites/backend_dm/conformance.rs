//! Device-mapper and the fake go through the same scenes.

use std::path::PathBuf;

use tier_core::volume::Extent;
use tier_tests::disk::RunningDisk;
use tier_tests::guest::Guest;
use tier_tests::test_name;
use tierd::backend::fake::FakeBackend;
use tierd::backend::settle::{Settle as _, Settled};
use tierd::backend::{Backend, BackendError};

use super::scenes::{OnDisks, Running, play};
use super::*;

impl Running for Rig {
    fn backend(&mut self) -> &mut dyn Backend {
        &mut self.backend
    }

    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        self.another().settle(record)
    }

    fn start_again(&mut self, record: &[Extent]) {
        self.backend.deactivate().unwrap();
        self.backend.activate(record).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.path()
    }

    fn disks(&self) -> &[RunningDisk; 2] {
        &self.disks
    }
}

#[test]
fn the_fake_answers_as_the_kernel_does() {
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(5))
        .phase(|guest| {
            let rig = Rig::start(guest);
            let mut fake = FakeBackend::new(rig.backend.layout().clone(), &extents()).unwrap();
            play(&mut OnDisks::new(rig), &mut fake);
        })
        .run();
}
