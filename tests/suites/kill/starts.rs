//! The start of a volume that does not run, which dies at any of its own changes.

use std::path::Path;
use std::time::Duration;

use tier_tests::guest::Guest;
use tier_tests::load::Content;
use tier_tests::rig::{Met, Rig, VOLUME};
use tier_tests::test_name;

use super::{load, programs};

/// More changes than a start needs.
const MANY: u32 = 60;

#[test]
fn a_start_that_dies_at_any_change_is_finished_by_the_next() {
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(5))
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            let content = load(&rig, 13).stop();
            for group in ["dm", "start"] {
                let deaths = (1..MANY)
                    .take_while(|&at| dies(&rig, &content, group, at))
                    .count();
                println!("{group}: {deaths} deaths");
                // Three areas and the volume, each made, loaded and resumed.
                assert!(deaths >= if group == "dm" { 12 } else { 1 });
            }
        })
        .run();
}

/// Stops the volume and starts it with a death at the `at`-th change of this group, by a daemon or
/// by `activate` in turn; then settles and starts again. False if the start needed fewer changes.
fn dies(rig: &Rig<'_>, content: &Content, group: &str, at: u32) -> bool {
    let daemon = rig.run();
    daemon.must(&["volume", "stop", "v"]);
    assert!(daemon.stop().success());
    assert!(!Path::new(VOLUME).exists());
    let setting = rig.setting().die_at(group, at);
    let died = if at.is_multiple_of(2) {
        !setting.activate().success()
    } else {
        match Rig::meet(&setting) {
            Met::DiedAtStart => true,
            Met::Up(daemon) => !daemon.stop().success(),
        }
    };
    assert!(rig.setting().settle().success());
    let daemon = rig.run();
    content.verify();
    assert!(daemon.stop().success());
    rig.assert_all_linear();
    rig.assert_checked();
    died
}
