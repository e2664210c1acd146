//! A disk that fails flushes for a moment, while the volume is being flushed: the kernel's mirror
//! forgets which leg it was, and writes to the other one alone from then on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tier_tests::io::{Pending, flush};

use super::*;

/// Flushes the volume over and over, whatever comes of it.
struct Flusher {
    end: Arc<AtomicBool>,
    flushes: Pending<()>,
}

impl Flusher {
    fn start() -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let flushes = Pending::start(move || {
            while !told.load(Ordering::SeqCst) {
                // It fails while a disk does on which something else lies.
                let _ = flush(Path::new(VOLUME));
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { end, flushes }
    }

    fn stop(&self) {
        self.end.store(true, Ordering::SeqCst);
        self.flushes.within(LONG).expect("the last flush is back");
    }
}

fn forgets(guest: &Inside, number: usize, step: Step, leg: Leg) {
    println!("== {step:?}, {leg:?}");
    let disks = Disks::start(guest, number);
    let daemon = setting(guest, step).run();
    disks.create(&daemon);
    let load = Outage::start(Path::new(VOLUME), MOVED.start * MIB, 64 * 1024);
    let flusher = Flusher::start();
    begin_move(&daemon);
    wait_until("the daemon is at the step", LONG, || {
        Path::new(STOPPED).exists()
    });
    let disk = match leg {
        Leg::Source => &disks.hdd,
        Leg::Target => &disks.ssd,
    };
    disks.break_leg(leg, Fault::Flushes);
    let before = disk.counts().flushes;
    wait_until("a flush fails", LONG, || disk.counts().flushes > before);
    // One request goes to each extent that lies there, and to the mirror's leg.
    std::thread::sleep(Duration::from_millis(200));
    disks.ssd.answer(Answers::GOOD);
    disks.hdd.answer(Answers::GOOD);
    // Each block is written again and again: to one leg only, if nobody does anything.
    let writes = load.writes();
    wait_until("writes go on", LONG, || load.writes() > writes + 100);
    std::fs::remove_file(STOPPED).unwrap();
    let ended = ended_move(&daemon);
    println!("  {}: {}", ended["stage"], ended["error"]);
    flusher.stop();
    let (seen, acknowledged) = load.stop();
    println!("  {seen:?}");
    assert_eq!((seen.failed_writes, seen.failed_reads), (0, 0), "{seen:?}");
    acknowledged.verify(&BTreeSet::new()).unwrap();
    daemon.must(&["volume", "stop", "v"]);
    daemon.must(&["volume", "start", "v"]);
    acknowledged.verify(&BTreeSet::new()).unwrap();
    daemon.must(&["volume", "stop", "v"]);
    daemon.must(&["volume", "destroy", "v", "--yes"]);
    assert_eq!(daemon.stop().code(), Some(0));
}

#[test]
fn a_flush_that_fails_for_a_moment_loses_nothing_and_parks_nobody_for_good() {
    let rows = [
        (Step::Copied, Leg::Target),
        (Step::Copied, Leg::Source),
        (Step::Committed, Leg::Target),
        (Step::Committed, Leg::Source),
    ];
    Guest::uml(test_name!())
        .alone()
        .phase(move |guest| {
            for (number, (step, leg)) in rows.into_iter().enumerate() {
                forgets(guest, number, step, leg);
            }
        })
        .run();
}
