//! A death before, between and after every command of a batch of moves.

use std::time::{Duration, Instant};

use tier_tests::guest::{Guest, Inside};
use tier_tests::load::Load;
use tier_tests::rig::{Met, Rig, are_moves_over, ask_move};
use tier_tests::test_name;
use tier_tests::tierd::Daemon;

use super::{By, load, make_whole, programs};

/// The batch: two moves of two regions.
const FIRST: u32 = 4;
const COUNT: u32 = 4;
/// More deaths than a batch has steps; the enumeration ends where none is met.
const MANY: u32 = 200;

#[test]
fn a_death_before_any_device_mapper_call_of_a_batch() {
    // Each move: two devices made and loaded, started, a gate swapped, a mirror and a gate removed;
    // and two swaps of the volume's table.
    every(&test_name!(), &[("dm", MANY)], 28);
}

#[test]
fn a_death_at_any_store_step_and_around_the_commands_of_a_batch() {
    // All steps of the store; around the commands, as many as a batch of two can need.
    let points = [
        ("store", MANY),
        ("add_legs", 2),
        ("flush", 4),
        ("commit", 4),
        ("mark", 4),
        ("drop_leg", 4),
        ("set_map", 4),
        ("start", 3),
    ];
    every(&test_name!(), &points, 30);
}

/// Dies at each place of these groups, one after the other, until none is met any more or so many
/// were. At least `least` in all, so that an enumeration that meets nothing is not taken for a good
/// one.
fn every(test: &str, groups: &[(&str, u32)], least: u32) {
    Guest::uml(test)
        .deadline(Duration::from_mins(8))
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            let mut round = Round::start(guest, &rig);
            for (group, most) in groups {
                let before = round.deaths;
                // Two moves may be committed and folded together or one after the other, so that
                // one batch may have fewer calls than the next: the end is where two have none.
                let mut missed = 0;
                for at in 1..=*most {
                    let met = round.dies_at(group, at);
                    missed = if met { 0 } else { missed + 1 };
                    if missed == 2 {
                        break;
                    }
                }
                println!("{group}: {} deaths", round.deaths - before);
            }
            assert!(round.deaths >= least, "only {} deaths", round.deaths);
            let longest = round.load.longest();
            round.load.stop().verify();
            println!("longest request {longest:?}");
        })
        .run();
}

/// One death after another on one volume.
struct Round<'rig> {
    guest: &'rig Inside,
    rig: &'rig Rig<'rig>,
    load: Load,
    deaths: u32,
}

impl<'rig> Round<'rig> {
    fn start(guest: &'rig Inside, rig: &'rig Rig<'rig>) -> Self {
        Self {
            guest,
            rig,
            load: load(rig, 7),
            deaths: 0,
        }
    }

    /// Moves the batch with a daemon that dies at this place, and sees that nothing is lost by it.
    /// False if that place was not met.
    fn dies_at(&mut self, group: &str, at: u32) -> bool {
        let place = self.guest.file("place");
        let setting = self
            .rig
            .setting()
            .die_at(group, at)
            .environment("TIERD_STOP_FILE", &place.display().to_string());
        let to = (self.rig.homes()[FIRST as usize] + 1) % 3;
        let began = Instant::now();
        if let Met::Up(daemon) = Rig::meet(&setting) {
            // The daemon may die before it has answered.
            let asked = ask_move(FIRST, COUNT, to);
            if !dies(daemon) {
                assert_eq!(asked.unwrap().len(), 2, "a batch");
                return false;
            }
        }
        self.deaths += 1;
        let name = std::fs::read_to_string(&place).unwrap();
        println!("death at {name} ({group}#{at}) after {:?}", began.elapsed());
        make_whole(self.rig, &self.load, By::turn(self.deaths), FIRST, COUNT);
        true
    }
}

/// Waits until the daemon has died (true), or its moves have ended and it lives on (false).
fn dies(mut daemon: Daemon) -> bool {
    let start = Instant::now();
    loop {
        for _ in 0..10 {
            if daemon.ended().is_some() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{}",
            daemon.log()
        );
        let over = are_moves_over().is_ok_and(|over| over);
        if over && daemon.ended().is_none() {
            return !daemon.stop().success();
        }
    }
}
