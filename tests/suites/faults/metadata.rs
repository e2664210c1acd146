//! Metadata replicas that cannot be written, and a bad block where nothing moves.

use std::time::Instant;

use tier_sys::block::BlockError;
use tier_tests::command::attempt;
use tier_tests::io::{fill, read};

use super::*;

const WRITES_FAIL: Answers = Answers {
    write: Answer::Fail,
    ..Answers::GOOD
};

/// The metadata replicas that take commits, of those there should be.
fn replicas(daemon: &Daemon) -> (u64, u64) {
    let status = daemon.json(&["status", "v"]);
    let replicas = &status["replicas"];
    (number(&replicas["live"]), number(&replicas["wanted"]))
}

#[test]
fn a_replica_that_cannot_be_written_is_dropped_and_moving_goes_on() {
    Guest::uml(test_name!())
        .alone()
        .phase(|guest| {
            let disks = Disks::start(guest, 0);
            let daemon = Setting::new(guest, Programs::beside(TIERD)).run();
            disks.create(&daemon);
            assert_eq!(replicas(&daemon), (2, 2));
            let load = Outage::start(Path::new(VOLUME), MOVED.start * MIB, MOVED_BYTES);
            disks.meta[0].answer(WRITES_FAIL);
            begin_move(&daemon);
            let ended = ended_move(&daemon);
            assert_eq!(ended["stage"], "done", "{ended}");
            assert_eq!(replicas(&daemon), (1, 2));
            let problems = problems(&daemon);
            let dropped = "the metadata replica on member 0 was dropped: ";
            assert!(problems.contains(dropped), "{problems}");
            assert!(problems.contains("/dev/nbd"), "by which device: {problems}");
            let (seen, acknowledged) = load.stop();
            println!("one replica gone: {seen:?}");
            assert_eq!((seen.failed_writes, seen.failed_reads), (0, 0));
            assert!(seen.longest_outage < READABLE_WITHIN, "{seen:?}");
            disks.meta[0].answer(Answers::GOOD);
            daemon.must(&["volume", "stop", "v"]);
            daemon.must(&["volume", "start", "v"]);
            acknowledged.verify(&BTreeSet::new()).unwrap();
            assert_eq!(disks.home(&daemon).0, 2, "the move is kept");
        })
        .run();
}

#[test]
fn with_no_replica_left_moves_stop_and_serving_goes_on_loudly() {
    Guest::uml(test_name!())
        .alone()
        .phase(|guest| {
            let disks = Disks::start(guest, 0);
            let daemon = setting(guest, Step::Copied).run();
            disks.create(&daemon);
            let load = Outage::start(Path::new(VOLUME), MOVED.start * MIB, MOVED_BYTES);
            begin_move(&daemon);
            wait_until("the daemon is at the step", LONG, || {
                Path::new(STOPPED).exists()
            });
            for disk in &disks.meta {
                disk.answer(WRITES_FAIL);
            }
            std::fs::remove_file(STOPPED).unwrap();
            wait_until("no replica is left", LONG, || replicas(&daemon) == (0, 2));
            let problems = problems(&daemon);
            for member in ["member 0", "member 1"] {
                let dropped = format!("the metadata replica on {member} was dropped: ");
                assert!(problems.contains(&dropped), "{problems}");
            }
            let why = daemon
                .ctl(&["move", "v", "--regions", "95", "--to", "ssd"])
                .unwrap_err();
            assert!(why.contains("exit status: 16"), "{why}");
            assert!(why.contains("no metadata replica can be written"), "{why}");
            let writes = load.writes();
            wait_until("serving goes on", LONG, || load.writes() > writes + 50);
            let (seen, acknowledged) = load.stop();
            println!("no replica left: {seen:?}");
            assert_eq!((seen.failed_writes, seen.failed_reads), (0, 0));
            assert!(seen.longest_outage < READABLE_WITHIN, "{seen:?}");
            acknowledged.verify(&BTreeSet::new()).unwrap();

            // The disks are well again: the next daemon finds the mirror, and moves as before.
            for disk in &disks.meta {
                disk.answer(Answers::GOOD);
            }
            assert_eq!(daemon.stop().code(), Some(0));
            let daemon = Setting::new(guest, Programs::beside(TIERD)).run();
            let ended = ended_move(&daemon);
            println!("after a restart: {ended}");
            acknowledged.verify(&BTreeSet::new()).unwrap();
            if disks.home(&daemon).0 == 3 {
                begin_move(&daemon);
                assert_eq!(ended_move(&daemon)["stage"], "done");
            }
            acknowledged.verify(&BTreeSet::new()).unwrap();
            assert_eq!(disks.home(&daemon).0, 2);
        })
        .run();
}

#[test]
fn a_bad_block_where_nothing_moves_is_an_error_of_that_block_alone() {
    Guest::uml(test_name!())
        .alone()
        .phase(|guest| {
            let disks = Disks::start(guest, 0);
            let daemon = Setting::new(guest, Programs::beside(TIERD)).run();
            disks.create(&daemon);
            let volume = Path::new(VOLUME);
            let offset = (FIRST_ON_HDD + 3) * MIB;
            fill(volume, offset, 64 * 1024, 7).unwrap();
            disks
                .hdd
                .spoil(DATA_START + 3 * MIB + 8192, 4096, Spoil::UntilWritten);
            let start = Instant::now();
            let error = read(volume, offset + 8192, 4096).unwrap_err();
            assert!(start.elapsed() < READABLE_WITHIN, "{:?}", start.elapsed());
            assert_eq!(BlockError::errno(&error), Some(nix::libc::EIO), "{error}");
            for good in [offset + 4096, offset + 12288] {
                assert_eq!(read(volume, good, 4096).unwrap(), vec![7; 4096]);
            }
            begin_move(&daemon);
            assert_eq!(ended_move(&daemon)["stage"], "done");
            assert_eq!(problems(&daemon), "[]");
            fill(volume, offset + 8192, 4096, 8).unwrap();
            assert_eq!(read(volume, offset + 8192, 4096).unwrap(), vec![8; 4096]);
            let checked = attempt("dmsetup", &["info", "tierd-v"]).unwrap();
            assert!(checked.contains("ACTIVE"), "{checked}");
        })
        .run();
}
