//! Harness disks: every crash test rests on what they promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::path::Path;
use std::time::{Duration, Instant};

use tier_tests::command::run;
use tier_tests::disk::{Answer, Answers, Disk, PowerLoss, RunningDisk, Speed, Spoil};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{Pending, assert_filled, fill, flush, read, wait_until};
use tier_tests::test_name;

const BYTES: u64 = 16 << 20;
const BLOCK: u64 = 4096;
/// Longer than anything here takes that does not hang.
const LONG: Duration = Duration::from_secs(10);

fn disk(guest: &Inside) -> Disk {
    Disk::new(guest.file("disk.img"), BYTES)
}

fn sysfs(disk: &RunningDisk, name: &str) -> String {
    let path = format!("/sys/block/{}/{name}", disk.name());
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[test]
fn the_kernel_sees_the_disk_that_was_asked_for() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let cached = disk(guest).start();
            assert_eq!(sysfs(&cached, "queue/write_cache"), "write back");
            assert_eq!(sysfs(&cached, "queue/logical_block_size"), "512");
            assert_eq!(sysfs(&cached, "queue/discard_max_bytes"), "0");
            assert_eq!(sysfs(&cached, "size"), (BYTES / 512).to_string());
            let other = Disk::new(guest.file("other.img"), BYTES);
            let plain = other
                .clone()
                .block_bytes(4096)
                .write_through()
                .discard()
                .start();
            assert_eq!(sysfs(&plain, "queue/write_cache"), "write through");
            assert_eq!(sysfs(&plain, "queue/logical_block_size"), "4096");
            assert_ne!(sysfs(&plain, "queue/discard_max_bytes"), "0");
            fill(plain.path(), 0, 8192, 5).unwrap();
            run(
                "blkdiscard",
                &["--offset", "4096", "--length", "4096", plain.node()],
            );
            assert_filled(plain.path(), 0, 4096, 5);
            assert_filled(plain.path(), 4096, 4096, 0);
            let fixed = Disk::new(guest.file("fixed.img"), BYTES)
                .read_only()
                .start();
            assert_eq!(sysfs(&fixed, "ro"), "1");
            fill(fixed.path(), 0, 4096, 1).unwrap_err();
        })
        .run();
}

/// Which of `blocks` hold this value in the image, seen by a disk that was just powered on.
fn survivors(guest: &Inside, blocks: std::ops::Range<u64>, value: u8) -> Vec<u64> {
    let disk = disk(guest).start();
    let holds = |number: &u64| {
        let data = read(disk.path(), number * BLOCK, 4096).unwrap();
        let whole = |block: &[u8]| block.iter().all(|&byte| byte == block[0]);
        assert!(data.chunks_exact(512).all(whole), "a torn block");
        data.iter().all(|&byte| byte == value)
    };
    blocks.filter(holds).collect()
}

/// Blocks 0 to 15 flushed, 16 to 79 not; then the power goes.
fn write_and_cut(guest: &Inside, power_loss: PowerLoss) -> tier_tests::guest::PowerIsOff {
    let disk = disk(guest).on_power_loss(power_loss).start();
    for number in 0..16 {
        fill(disk.path(), number * BLOCK, 4096, 1).unwrap();
    }
    flush(disk.path()).unwrap();
    for number in 16..80 {
        fill(disk.path(), number * BLOCK, 4096, 1).unwrap();
    }
    guest.cut_power()
}

#[test]
fn a_cut_loses_exactly_what_was_not_flushed() {
    Guest::uml(test_name!())
        .until_cut(|guest| write_and_cut(guest, PowerLoss::Lost))
        .phase(|guest| {
            assert_eq!(survivors(guest, 0..96, 1), (0..16).collect::<Vec<_>>());
        })
        .run();
}

#[test]
fn a_synchronous_write_reaches_the_disk_with_force_unit_access() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest).on_power_loss(PowerLoss::Lost).start();
            let output = format!("of={}", disk.node());
            let words = ["bs=4096", "count=1", "oflag=direct,dsync", "status=none"];
            run(
                "dd",
                &[&["if=/dev/zero", output.as_str()], &words[..]].concat(),
            );
            assert_eq!(disk.counts().fua_writes, 1);
            assert_eq!(disk.unflushed_blocks(), 0);
        })
        .run();
}

#[test]
fn a_disk_with_a_safe_cache_loses_nothing_at_a_cut() {
    Guest::uml(test_name!())
        .until_cut(|guest| write_and_cut(guest, PowerLoss::Kept))
        .phase(|guest| {
            assert_eq!(survivors(guest, 0..96, 1), (0..80).collect::<Vec<_>>());
        })
        .run();
}

#[test]
fn a_cut_leaves_some_of_what_was_not_flushed_in_no_order() {
    Guest::uml(test_name!())
        .until_cut(|guest| write_and_cut(guest, PowerLoss::Some { seed: 7 }))
        .phase(|guest| {
            let there = survivors(guest, 0..96, 1);
            assert!((0..16).all(|number| there.contains(&number)), "{there:?}");
            // A block of 4096 bytes is eight of the disk's: some survive in part only. Looked at
            // in the disk's own blocks, about half are there.
            let disk = disk(guest).start();
            let data = read(disk.path(), 16 * BLOCK, 64 * 4096).unwrap();
            let kept: Vec<bool> = data.chunks_exact(512).map(|block| block[0] == 1).collect();
            let count = kept.iter().filter(|&&there| there).count();
            assert!((128..384).contains(&count), "{count} of {}", kept.len());
            let first_lost = kept.iter().position(|&there| !there).unwrap();
            assert!(
                kept[first_lost..].contains(&true),
                "only the last writes were lost"
            );
        })
        .run();
}

#[test]
fn a_file_system_keeps_what_was_synced_through_a_cut_and_is_clean() {
    let mounted = |guest: &Inside, disk: &RunningDisk| {
        let folder = Path::new("/run/fs");
        std::fs::create_dir_all(folder).unwrap();
        run("mount", &[disk.node(), "/run/fs"]);
        guest.note("mounted", "");
        folder
    };
    Guest::uml(test_name!())
        .until_cut(move |guest| {
            let disk = disk(guest)
                .on_power_loss(PowerLoss::Some { seed: 1 })
                .start();
            run("mkfs.ext4", &["-q", disk.node()]);
            let folder = mounted(guest, &disk);
            for number in 0..50 {
                let path = folder.join(format!("file-{number}"));
                std::fs::write(&path, vec![number; 10_000]).unwrap();
                std::fs::File::open(&path).unwrap().sync_all().unwrap();
            }
            for number in 50..100 {
                std::fs::write(folder.join(format!("file-{number}")), [0; 10_000]).unwrap();
            }
            guest.cut_power()
        })
        .phase(move |guest| {
            let disk = disk(guest).start();
            let folder = mounted(guest, &disk);
            for number in 0..50 {
                let data = std::fs::read(folder.join(format!("file-{number}"))).unwrap();
                assert_eq!(data, vec![number; 10_000], "file {number}");
            }
            run("umount", &["/run/fs"]);
            run("e2fsck", &["-fn", disk.node()]);
        })
        .run();
}

#[test]
fn errors_come_on_order_and_change_nothing() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest).start();
            fill(disk.path(), 0, 4096, 1).unwrap();
            disk.answer(Answers {
                write: Answer::Fail,
                ..Answers::GOOD
            });
            fill(disk.path(), 0, 4096, 2).unwrap_err();
            assert_filled(disk.path(), 0, 4096, 1);
            disk.answer(Answers {
                read: Answer::Fail,
                ..Answers::GOOD
            });
            read(disk.path(), 0, 4096).unwrap_err();
            fill(disk.path(), 0, 4096, 3).unwrap();
            disk.answer(Answers {
                flush: Answer::Fail,
                ..Answers::GOOD
            });
            flush(disk.path()).unwrap_err();
            disk.answer(Answers::GONE);
            fill(disk.path(), 0, 4096, 4).unwrap_err();
            read(disk.path(), 0, 4096).unwrap_err();
            disk.answer(Answers::GOOD);
            flush(disk.path()).unwrap();
            assert_filled(disk.path(), 0, 4096, 3);
            assert!(disk.counts().errors >= 5);
        })
        .run();
}

#[test]
fn a_bad_block_fails_reads_until_it_is_written_or_for_ever() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest).start();
            fill(disk.path(), 0, 8192, 1).unwrap();
            disk.spoil(512, 512, Spoil::UntilWritten);
            disk.spoil(4096, 512, Spoil::ForEver);
            assert_filled(disk.path(), 0, 512, 1);
            read(disk.path(), 512, 512).unwrap_err();
            assert_filled(disk.path(), 1024, 512, 1);
            fill(disk.path(), 512, 512, 2).unwrap();
            assert_filled(disk.path(), 512, 512, 2);
            read(disk.path(), 4096, 512).unwrap_err();
            fill(disk.path(), 4096, 512, 2).unwrap_err();
            read(disk.path(), 4096, 512).unwrap_err();
        })
        .run();
}

#[test]
fn a_request_hangs_until_the_disk_answers_again() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let disk = disk(guest).start();
            disk.answer(Answers::HUNG);
            let path = disk.path().to_owned();
            let write = Pending::start(move || fill(&path, 0, 4096, 1));
            wait_until("the write hangs", LONG, || disk.hanging() == 1);
            write.assert_parked_for(Duration::from_millis(300));
            disk.answer(Answers::GOOD);
            write.within(LONG).expect("the write ends").unwrap();
            assert_filled(disk.path(), 0, 4096, 1);
            disk.answer(Answers::HUNG);
            let path = disk.path().to_owned();
            let write = Pending::start(move || fill(&path, 0, 4096, 2));
            wait_until("the write hangs", LONG, || disk.hanging() == 1);
            disk.answer(Answers::GONE);
            write.within(LONG).expect("the write ends").unwrap_err();
        })
        .run();
}

#[test]
fn a_rotating_disk_takes_its_time() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let speed = Speed::Rotating {
                full_seek: Duration::from_millis(16),
                turn: Duration::from_millis(8),
                bytes_per_second: 100 << 20,
            };
            let disk = disk(guest).speed(speed).start();
            let start = Instant::now();
            for number in 0..20 {
                read(disk.path(), (number % 2) * (BYTES / 2), 4096).unwrap();
            }
            let each = start.elapsed() / 20;
            // Half a turn, and the root of half a full seek: 4 + 11 ms.
            assert!(each >= Duration::from_millis(14), "{each:?}");
            disk.set_speed(Speed::Full);
            let at_full_speed = || {
                let start = Instant::now();
                read(disk.path(), 0, 4096).unwrap();
                start.elapsed()
            };
            // The shortest of some: each may have waited for a processor.
            let shortest = (0..20).map(|_| at_full_speed()).min().unwrap();
            assert!(shortest < Duration::from_millis(14), "{shortest:?}");
        })
        .run();
}

/// The server writes to its image while the guest has next to no memory that is not dirty with
/// the disk's own data. One that allocated through its own disk would hang here.
#[test]
fn a_disk_does_not_wait_for_itself_when_memory_is_short() {
    Guest::uml(test_name!())
        .memory_mib(192)
        .phase(|guest| {
            let disk = Disk::new(guest.file("disk.img"), 256 << 20).start();
            let output = format!("of={}", disk.node());
            // Through the page cache, more than the guest's memory.
            run(
                "dd",
                &["if=/dev/zero", &output, "bs=1M", "count=240", "status=none"],
            );
            flush(disk.path()).unwrap();
            assert!(disk.counts().writes > 0);
        })
        .run();
}
