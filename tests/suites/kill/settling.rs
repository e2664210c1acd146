//! Settling that dies itself, at any of its own changes: the next settling goes on.

use std::path::Path;
use std::time::Duration;

use tier_tests::command::run;
use tier_tests::disk::{Answer, Answers, Speed};
use tier_tests::guest::Guest;
use tier_tests::load::Load;
use tier_tests::rig::{Met, REGION_BYTES, Rig, VOLUME, ask_move, ask_until};
use tier_tests::test_name;

use super::{By, load, make_whole, programs};

/// The regions that move: one move.
const COUNT: u32 = 2;
/// More changes than settling one move needs.
const MANY: u32 = 60;
/// A member that carries no metadata but its label.
const HDD: usize = 2;

#[test]
fn settling_that_dies_at_any_change_is_finished_by_the_next() {
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(5))
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            let load = load(&rig, 9);
            // In the hold that begins a move; its home still the source; its home the target.
            for place in ["dm:resume", "flush:before", "commit:after"] {
                let deaths = (1..MANY)
                    .take_while(|&at| {
                        begin_and_die(&rig, place, at as usize % 3);
                        dies(&rig, "dm", at, || {
                            make_whole(&rig, &load, By::Settling, 0, COUNT);
                        })
                    })
                    .count();
                println!("after {place}: settling died {deaths} times");
                assert!(deaths >= 2, "settling changes something after {place}");
            }
            load.stop().verify();
        })
        .run();
}

/// The target has failed after it was committed: settling has to commit the source first.
#[test]
fn settling_that_dies_while_it_commits_is_finished_by_the_next() {
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(5))
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            // Only on what moves: what has its home on the disk that fails is lost to its user.
            let moving = 0..u64::from(COUNT) * REGION_BYTES;
            let load = Load::start(Path::new(VOLUME), moving, 10, false);
            let deaths = (1..MANY)
                .take_while(|&at| {
                    begin_and_die(&rig, "commit:after", HDD);
                    rig.disks[HDD].answer(Answers {
                        write: Answer::Fail,
                        ..Answers::GOOD
                    });
                    dies(&rig, "store", at, || {
                        assert!(rig.setting().settle().success());
                        rig.disks[HDD].answer(Answers::GOOD);
                        // A label could not be written meanwhile; a start mends it.
                        make_whole(&rig, &load, By::TheNextStart, 0, COUNT);
                    })
                })
                .count();
            println!("settling died {deaths} times");
            assert!(
                deaths >= 6,
                "a commit on two replicas and a mark have more steps"
            );
            load.stop().verify();
        })
        .run();
}

/// A hold waits for the slowest I/O in flight, which takes longer here than the half second that a
/// daemon waits for it. A mirror that was left would park writes once a leg fails.
#[test]
fn settling_waits_for_disks_that_are_busy() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            let load = load(&rig, 12);
            begin_and_die(&rig, "flush:before", HDD);
            // The one without metadata, which would take minutes to read at that speed.
            rig.disks[HDD].set_speed(Speed::Flash {
                latency: Duration::from_millis(900),
                bytes_per_second: 64 << 20,
            });
            assert!(rig.setting().settle().success());
            rig.assert_all_linear();
            rig.disks[HDD].set_speed(Speed::Full);
            load.stop().verify();
            rig.assert_checked();
        })
        .run();
}

/// A daemon begins a move of the first regions, and dies there. To this member, or from it where
/// they are there already. The first commit of a daemon may free a former home before the move is
/// asked for; then the next one begins it.
fn begin_and_die(rig: &Rig<'_>, place: &str, to: usize) {
    for _daemon in 0..3 {
        try_to_begin_and_die(rig, place, to);
        if run("dmsetup", &["ls"]).contains("tierd-v-move-") {
            return;
        }
    }
    panic!("no move was begun at {place}");
}

fn try_to_begin_and_die(rig: &Rig<'_>, place: &str, to: usize) {
    let home = rig.homes()[0];
    if home == to {
        let daemon = rig.run();
        assert!(!ask_move(0, COUNT, (to + 1) % 3).unwrap().is_empty());
        tier_tests::rig::wait_for_moves(&daemon);
        assert!(daemon.stop().success());
    }
    let Met::Up(mut daemon) = Rig::meet(&rig.setting().die_at(place, 1)) else {
        panic!("tierd died at its start")
    };
    let mut ended = None;
    ask_until(place, (0, COUNT), to, || {
        ended = daemon.ended();
        ended.is_some()
    });
    assert!(!ended.unwrap().success(), "it was to die at {place}");
}

/// Settles with a death at the `at`-th change of this group, then has it finished. False if
/// settling needed fewer changes.
fn dies(rig: &Rig<'_>, group: &str, at: u32, finish: impl Fn()) -> bool {
    let died = !rig.setting().die_at(group, at).settle().success();
    finish();
    died
}
