//! Cuts of the whole guest at random moments, under load with moves without end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tier_tests::guest::{Guest, Inside, PowerIsOff};
use tier_tests::test_name;

use crate::files::Kind;
use crate::load::{Load, REGIONS};
use crate::volume::{self, Disks, Fate, bring_up, move_on, setting};
use crate::{seed, variable};

/// Longest time from the start of the load to the cut.
const LONGEST: Duration = Duration::from_millis(2500);

#[test]
fn the_volume_outlives_cuts_at_random_moments() {
    let cuts = variable("TIER_POWER_CUTS", 6);
    let mut guest = Guest::uml(test_name!()).module("ext4").module("xfs");
    for cut in 0..=cuts {
        let body = move |inside: &Inside| one(inside, cut);
        guest = if cut == cuts {
            guest.phase(move |inside| {
                let disks = Disks::start(inside, Fate::Kept);
                let _daemon = bring_up(inside, &setting(inside), true);
                let load = Load::new(inside, Kind::Ext4, Path::new(volume::DEVICE));
                verify(&disks, &load);
            })
        } else {
            guest.until_cut(body)
        };
    }
    guest.run();
}

fn one(inside: &Inside, cut: u64) -> PowerIsOff {
    let mut random = fastrand::Rng::with_seed(seed().wrapping_mul(1_000_003).wrapping_add(cut));
    let fate = Fate::Each(random.u64(..));
    let until = LONGEST.mul_f64(random.f64());
    // One in four comes in the start, or while the journal is replayed and all is read.
    let early = random.u8(0..4) == 0 && cut > 0;
    println!("cut {cut}: after {until:?}, early {early}, {fate:?}");
    let disks = Disks::start(inside, fate);
    let early = early.then(|| cut_after(until));
    let daemon = bring_up(inside, &setting(inside), cut.is_multiple_of(2));
    let load = Load::new(inside, Kind::Ext4, Path::new(volume::DEVICE));
    if cut == 0 {
        disks.create(&daemon);
        load.begin();
    } else {
        verify(&disks, &load);
    }
    let running = load.start();
    let is_cut = early.unwrap_or_else(|| cut_after(until));
    // Moves of a few regions at a time, all over the load, so that many are under way at once. A
    // move that is refused, since one of its regions is moving, is no failure.
    while !is_cut.load(Ordering::Relaxed) {
        running.assert_alive();
        let first = random.u32(0..REGIONS);
        let last = (first + random.u32(0..6)).min(REGIONS - 1);
        let _refused = move_on(&daemon, (first, last), random.usize(0..3), random.bool());
    }
    inside.wait_for_cut()
}

/// Cuts the power after this time, whatever goes on then. Says when it has.
fn cut_after(delay: Duration) -> Arc<AtomicBool> {
    let is_cut = Arc::new(AtomicBool::new(false));
    std::thread::spawn({
        let is_cut = Arc::clone(&is_cut);
        move || {
            std::thread::sleep(delay);
            is_cut.store(true, Ordering::Relaxed);
            let _ = Inside::current().expect("inside a guest").cut_power();
        }
    });
    is_cut
}

fn verify(disks: &Disks, load: &Load) {
    disks.assert_sound();
    println!("found whole: {}", load.verify());
}
