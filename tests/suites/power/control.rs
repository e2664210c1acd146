//! The suite's own test: it fails where it must.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tier_tests::disk::Disk;
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::wait_until;
use tier_tests::test_name;

use crate::log::AckLog;
use crate::stamps::{Durable, Lost, Stamps};
use crate::volume::{DEVICE, Disks, Fate, bring_up, move_on, setting};

const PATIENCE: Duration = Duration::from_secs(20);

/// The blocks that are written: of the volume's first 8 MiB, half in either way.
fn stamps(durable: Durable) -> Stamps {
    let first_byte = match durable {
        Durable::Flush => 0,
        Durable::Forced => 4 << 20,
    };
    Stamps::new(Path::new(DEVICE), first_byte, 1024, durable)
}

const BOTH: [(Durable, &str); 2] = [(Durable::Flush, "flushed"), (Durable::Forced, "forced")];

#[test]
fn disks_that_lie_about_flushes_and_legs_left_behind_are_caught() {
    Guest::uml(test_name!())
        .phase(begin)
        .until_cut(|inside| {
            let _disks = Disks::start_as(inside, Fate::Lost, |_, disk| disk.flush_nothing());
            let _daemon = bring_up(inside, &setting(inside), false);
            let _writers = BOTH.map(|(durable, name)| {
                let log = AckLog::open(&inside.file(name));
                std::thread::spawn(move || stamps(durable).write_on(&log, &false.into()))
            });
            for (_, name) in BOTH {
                let log = AckLog::open(&inside.file(name));
                wait_until("20 batches", PATIENCE, || log.acknowledged() >= 20);
            }
            inside.cut_power()
        })
        .phase(|inside| {
            let _disks = Disks::start(inside, Fate::Kept);
            let _daemon = bring_up(inside, &setting(inside), false);
            for (durable, name) in BOTH {
                let log = AckLog::open(&inside.file(name));
                let Err(Lost(what)) = stamps(durable).verify(&log) else {
                    panic!("{name}: lost what was acknowledged, and nothing was noticed");
                };
                println!("{what}");
                assert!(what.contains("older"), "{what}");
                one_block_left_behind(&stamps(durable), &log);
            }
        })
        .run();
}

/// What a commit before the flush of its target does: the record is durable, the copy is not.
#[test]
fn a_move_to_a_target_that_was_not_flushed_is_caught() {
    Guest::uml(test_name!())
        .phase(begin)
        .until_cut(|inside| {
            let lying = |class: &str, disk: Disk| match class {
                "ssd" => disk.flush_nothing(),
                _ => disk,
            };
            let _disks = Disks::start_as(inside, Fate::Lost, lying);
            let daemon = bring_up(inside, &setting(inside), false);
            move_on(&daemon, (0, 7), 0, true).unwrap();
            inside.cut_power()
        })
        .phase(|inside| {
            let disks = Disks::start(inside, Fate::Kept);
            let _daemon = bring_up(inside, &setting(inside), false);
            assert_eq!(disks.assert_sound(), 1, "the record is to name the target");
            for (durable, name) in BOTH {
                let log = AckLog::open(&inside.file(name));
                let Err(Lost(what)) = stamps(durable).verify(&log) else {
                    panic!("{name}: the copy was lost, and nothing was noticed");
                };
                println!("{what}");
            }
        })
        .run();
}

/// Makes the volume and fills what is written.
fn begin(inside: &Inside) {
    let disks = Disks::start(inside, Fate::Kept);
    let daemon = setting(inside).run();
    disks.create(&daemon);
    for (durable, name) in BOTH {
        stamps(durable).fill(&AckLog::open(&inside.file(name)));
    }
    assert!(daemon.stop().success());
}

/// One block as it was before, among a thousand that are as they should be: a stale leg.
fn one_block_left_behind(stamps: &Stamps, log: &AckLog) {
    stamps.fill(log);
    assert_eq!(stamps.verify(log).unwrap(), 0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| stamps.write_on(log, &stop));
        wait_until("5 batches", PATIENCE, || log.acknowledged() >= 5);
        stop.store(true, Ordering::Relaxed);
        writer.join().unwrap();
    });
    stamps.verify(log).unwrap();
    stamps.put_back_one_block(log);
    let Err(Lost(what)) = stamps.verify(log) else {
        panic!("a stale block was not noticed");
    };
    assert!(
        what.starts_with("8 of ") && what.contains("older"),
        "{what}"
    );
}
