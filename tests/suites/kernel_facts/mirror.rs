//! A mirror as a mover.

use std::path::Path;
use std::time::Duration;

use tier_sys::block::BlockError;
use tier_tests::disk::{Answer, Answers, Speed, Spoil};
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::Guest;
use tier_tests::io::{Pending, assert_filled, fill, flush, read, wait_until};
use tier_tests::test_name;

use super::{
    CHUNKS, HANDLE_ERRORS, LONG, PARKED, SECTORS, disk, linear, mirror, synced_mirror,
    wait_until_synced,
};

const WRITES_FAIL: Answers = Answers {
    write: Answer::Fail,
    ..Answers::GOOD
};

fn parked_write(path: &Path) -> Pending<Result<(), BlockError>> {
    let path = path.to_owned();
    Pending::start(move || fill(&path, 0, 4096, 9))
}

/// [2] Why every mirror has `handle_errors`.
#[test]
fn without_handle_errors_a_write_that_one_leg_lost_is_acknowledged() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let device = synced_mirror("m", &source, &target, "");
            target.answer(WRITES_FAIL);
            fill(&device.path(), 0, 4096, 9).unwrap();
            assert_filled(source.path(), 0, 4096, 9);
            assert_filled(target.path(), 0, 4096, 0);
            assert_eq!(MirrorStatus::of(&device).health, "AD");
        })
        .run();
}

/// [2] [12] What `settle` and a failed move rest on.
#[test]
fn with_handle_errors_it_is_parked_until_a_hold_without_flush_swaps_in_the_good_leg() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            target.answer(WRITES_FAIL);
            let write = parked_write(&device.path());
            write.assert_parked_for(PARKED);
            let status = MirrorStatus::of(&device);
            assert_eq!((status.in_sync, status.health.as_str()), (CHUNKS - 1, "AD"));
            device.swap(&linear(&source));
            write.within(LONG).expect("the parked write ends").unwrap();
            assert_filled(&device.path(), 0, 4096, 9);
            assert_filled(target.path(), 0, 4096, 0);
        })
        .run();
}

#[test]
fn a_suspend_that_flushes_fails_a_parked_write() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            target.answer(WRITES_FAIL);
            let write = parked_write(&device.path());
            write.assert_parked_for(PARKED);
            device.load(&linear(&source));
            tier_tests::command::run("dmsetup", &["suspend", "--nolockfs", "m"]);
            device.resume();
            write
                .within(LONG)
                .expect("the parked write ends")
                .unwrap_err();
        })
        .run();
}

#[test]
fn with_the_source_dead_reads_come_from_the_target_and_writes_wait_for_it() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            fill(source.path(), 0, 8192, 3).unwrap();
            let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            source.answer(Answers::GONE);
            let write = parked_write(&device.path());
            write.assert_parked_for(PARKED);
            assert_filled(&device.path(), 1 << 20, 4096, 0);
            assert_eq!(&MirrorStatus::of(&device).health[1..], "A");
            device.swap(&linear(&target));
            write.within(LONG).expect("the parked write ends").unwrap();
            assert_filled(&device.path(), 0, 4096, 9);
            assert_filled(&device.path(), 4096, 4096, 3);
        })
        .run();
}

/// Why a bad source block is answered at once, and why a mirror covers little.
#[test]
fn one_bad_source_block_leaves_the_target_clean_and_linear_brings_good_blocks_back() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            fill(source.path(), 0, 1 << 20, 3).unwrap();
            source.spoil(512 << 10, 512, Spoil::ForEver);
            let device = Device::create("m", &mirror(&source, &target, false, HANDLE_ERRORS));
            wait_until("the copy's failure is seen", LONG, || {
                MirrorStatus::of(&device).health != "AA"
            });
            assert!(MirrorStatus::of(&device).in_sync < CHUNKS);
            device.swap(&linear(&source));
            assert_filled(&device.path(), 0, 512 << 10, 3);
            assert_filled(&device.path(), (512 << 10) + 512, 4096, 3);
            read(&device.path(), 512 << 10, 512).unwrap_err();
            // Nothing was put on the target in place of the block that could not be read.
            assert_filled(target.path(), 512 << 10, 512, 0);
        })
        .run();
}

/// The same without `handle_errors`: a copy that says it is whole and is not.
#[test]
fn without_handle_errors_a_copy_over_a_bad_block_calls_itself_complete() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            fill(source.path(), 0, 1 << 20, 3).unwrap();
            fill(source.path(), 512 << 10, 512, 7).unwrap();
            source.spoil(512 << 10, 512, Spoil::ForEver);
            let device = Device::create("m", &mirror(&source, &target, false, ""));
            wait_until_synced(&device);
            assert_eq!(MirrorStatus::of(&device).health, "AA");
            let data = read(target.path(), 512 << 10, 512).unwrap();
            assert!(data != [7; 512], "the block cannot have been copied");
        })
        .run();
}

/// [5] Why `nosync` stands in a checked hold only.
#[test]
fn nosync_believes_that_legs_which_differ_are_equal() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            fill(source.path(), 0, 1 << 20, 1).unwrap();
            fill(target.path(), 0, 1 << 20, 2).unwrap();
            let device = Device::create("m", &mirror(&source, &target, true, HANDLE_ERRORS));
            let status = MirrorStatus::of(&device);
            assert_eq!((status.in_sync, status.health.as_str()), (CHUNKS, "AA"));
            std::thread::sleep(Duration::from_secs(1));
            assert_filled(target.path(), 0, 1 << 20, 2);
        })
        .run();
}

/// [11] Why a live mirror is adopted as it is.
#[test]
fn loading_the_same_table_restarts_the_copy_and_suspend_with_resume_keeps_it() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            device.suspend();
            device.resume();
            assert_eq!(MirrorStatus::of(&device).in_sync, CHUNKS);
            let latency = Duration::from_millis(50);
            target.set_speed(Speed::Flash {
                latency,
                bytes_per_second: 1 << 30,
            });
            device.swap(&mirror(&source, &target, false, HANDLE_ERRORS));
            let status = MirrorStatus::of(&device);
            assert!(status.in_sync < CHUNKS / 2, "{status:?}");
            assert_eq!(status.health, "AA");
        })
        .run();
}

/// What the backend waits for instead of asking again and again.
#[test]
fn the_event_number_rises_when_the_copy_is_complete_and_when_a_leg_fails() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let latency = Duration::from_millis(20);
            target.set_speed(Speed::Flash {
                latency,
                bytes_per_second: 1 << 30,
            });
            let device = Device::create("m", &mirror(&source, &target, false, HANDLE_ERRORS));
            let at_first = device.events();
            assert!(MirrorStatus::of(&device).in_sync < CHUNKS);
            wait_until_synced(&device);
            wait_until("an event for the whole copy", LONG, || {
                device.events() > at_first
            });
            let when_whole = device.events();
            target.answer(WRITES_FAIL);
            let write = parked_write(&device.path());
            wait_until("an event for the failed leg", LONG, || {
                device.events() > when_whole
            });
            write.assert_parked_for(PARKED);
        })
        .run();
}

/// Why the daemon bounds the extents of a volume on kernels before 6.11.
#[test]
fn a_kernel_before_6_11_flushes_each_target_of_a_table() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let member = disk(guest, "member");
            let flushes_of = |targets: u64| {
                let sectors = SECTORS / targets;
                let line = |at: u64| {
                    let start = at * sectors;
                    // In reverse, so that no two are one.
                    let offset = (targets - 1 - at) * sectors;
                    format!("{start} {sectors} linear {} {offset}", member.node())
                };
                let table: Vec<_> = (0..targets).map(line).collect();
                let device = Device::create("d", &table.join("\n"));
                let before = member.counts().flushes;
                flush(&device.path()).unwrap();
                device.remove();
                member.counts().flushes - before
            };
            assert_eq!(flushes_of(1), 1);
            // Those that come while one is served are served together by the next.
            assert!(flushes_of(64) > 1);
        })
        .run();
}

/// [3] Flush reaches both legs; and nobody but us flushes the kernel's copy.
#[test]
fn a_flush_passes_through_linear_and_mirror_to_both_legs() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let inner = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            let sectors = super::SECTORS;
            let top = Device::create("top", &format!("0 {sectors} linear {} 0", inner.node()));
            assert_eq!(target.counts().flushes, 0, "the copy flushed its target");
            fill(&top.path(), 0, 4096, 9).unwrap();
            let before = (source.counts().flushes, target.counts().flushes);
            flush(&top.path()).unwrap();
            assert!(source.counts().flushes > before.0);
            assert!(target.counts().flushes > before.1);
        })
        .run();
}

#[test]
fn a_flush_that_one_leg_fails_is_not_acknowledged() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (source, target) = (disk(guest, "source"), disk(guest, "target"));
            let device = synced_mirror("m", &source, &target, HANDLE_ERRORS);
            fill(&device.path(), 0, 4096, 9).unwrap();
            target.answer(Answers {
                flush: Answer::Fail,
                ..Answers::GOOD
            });
            let path = device.path();
            let flushed = Pending::start(move || flush(&path));
            assert!(
                !matches!(flushed.within(PARKED), Some(Ok(()))),
                "acknowledged, though the target did not flush"
            );
        })
        .run();
}
