//! The ublk backend and the fake are given the same orders.

use tier_tests::disk::Disk;
use tier_tests::guest::Guest;
use tier_tests::io::{fill, read};
use tier_tests::test_name;
use tierd::backend::Backend;
use tierd::backend::fake::FakeBackend;

use super::shape::{MEMBER_BYTES, extents, region_offset};
use super::transcript::{Subject, transcript};
use super::*;

impl Subject for Rig {
    fn backend(&mut self) -> &mut dyn Backend {
        &mut self.backend
    }

    fn write(&mut self, region: u32, value: u8) {
        fill(&self.path(), region_offset(region), 1 << 20, value).unwrap();
    }

    fn read(&mut self, region: u32) -> u8 {
        let data = read(&self.path(), region_offset(region), 1 << 20).unwrap();
        assert!(
            data.iter().all(|byte| *byte == data[0]),
            "region {region} is torn"
        );
        data[0]
    }

    fn complete(&mut self, id: MoveId) {
        self.wait_until_complete(id);
    }
}

#[test]
fn the_fake_answers_as_the_ublk_backend_does() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.file(name), MEMBER_BYTES).start());
            let mut rig = Rig::start([disks[0].path(), disks[1].path()]);
            let layout = rig.backend.layout().clone();
            let mut fake = FakeBackend::new(layout, &extents()).unwrap();
            let served = transcript(&mut rig);
            assert_eq!(served, transcript(&mut fake));
            let content = served.last().unwrap();
            assert_eq!(
                content,
                "[1, 2, 22, 33, 44, 6, 7, 8, 9, 99, 11, 12, 13, 14, 15, 16]"
            );
            rig.stop();
        })
        .run();
}
