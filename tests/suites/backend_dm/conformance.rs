//! Device-mapper and the fake are given the same orders.

use tier_tests::guest::Guest;
use tier_tests::io::{fill, read};
use tier_tests::test_name;
use tierd::backend::Backend;
use tierd::backend::fake::FakeBackend;

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
fn the_fake_answers_as_the_kernel_does() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            let mut fake = FakeBackend::new(rig.backend.layout().clone(), &extents()).unwrap();
            let kernel = transcript(&mut rig);
            assert_eq!(kernel, transcript(&mut fake));
            let content = kernel.last().unwrap();
            assert_eq!(
                content,
                "[1, 2, 22, 33, 44, 6, 7, 8, 9, 99, 11, 12, 13, 14, 15, 16]"
            );
        })
        .run();
}
