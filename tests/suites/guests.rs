//! The guest harness itself: what it promises to every other suite.
#![allow(clippy::panic, reason = "a test fails by it")]

use tier_tests::guest::Guest;
use tier_tests::test_name;

#[test]
fn a_body_runs_on_the_guests_kernel_and_its_files_come_back() {
    let scratch = Guest::uml(test_name!())
        .phase(|guest| {
            let version = std::fs::read_to_string("/proc/version").unwrap();
            std::fs::write(guest.file("version"), version).unwrap();
        })
        .run();
    let Some(scratch) = scratch else { return };
    let version = std::fs::read_to_string(scratch.path().join("version")).unwrap();
    assert!(version.contains("Linux version 6.1"), "{version}");
}
