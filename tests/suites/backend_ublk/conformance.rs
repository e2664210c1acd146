//! The ublk backend and the fake go through the same scenes.

use tier_core::volume::Extent;
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::Guest;
use tier_tests::test_name;
use tierd::backend::fake::FakeBackend;
use tierd::backend::settle::{Settle as _, Settled};
use tierd::backend::{Backend, BackendError};

use super::scenes::{OnDisks, Running, play};
use super::shape::{MEMBER_BYTES, extents};
use super::*;

/// A volume, unless it is just being started again, and its disks.
struct Served<'disks> {
    rig: Option<Rig>,
    disks: &'disks [RunningDisk; 2],
}

impl Served<'_> {
    fn rig(&mut self) -> &mut Rig {
        self.rig.as_mut().unwrap()
    }
}

impl Running for Served<'_> {
    fn backend(&mut self) -> &mut dyn Backend {
        &mut self.rig().backend
    }

    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        self.rig().backend.settle(record)
    }

    fn start_again(&mut self, record: &[Extent]) {
        self.rig.take().unwrap().stop();
        let nodes = self.disks.each_ref().map(RunningDisk::path);
        self.rig = Some(Rig::of(nodes, record));
    }

    fn path(&self) -> PathBuf {
        self.rig.as_ref().unwrap().path()
    }

    fn disks(&self) -> &[RunningDisk; 2] {
        self.disks
    }
}

#[test]
fn the_fake_answers_as_the_ublk_backend_does() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            let rig = Rig::start(disks.each_ref().map(RunningDisk::path));
            let layout = rig.backend.layout().clone();
            let mut fake = FakeBackend::new(layout, &extents()).unwrap();
            let served = Served {
                rig: Some(rig),
                disks: &disks,
            };
            let mut subject = OnDisks::new(served);
            play(&mut subject, &mut fake);
            subject.running.rig.take().unwrap().stop();
        })
        .run();
}
