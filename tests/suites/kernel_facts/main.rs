//! What the design relies on in the kernel, pinned: a kernel that behaves otherwise fails here,
//! and not in an administrator's volume. Each test names one fact; the rules in brackets are
//! those of the data path that rest on it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

mod claims;
mod forgets;
mod holds;
mod limits;
mod mirror;

use std::time::Duration;

use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;

/// Size of a member: 8 MiB, 64 chunks of 128 KiB.
const BYTES: u64 = 8 << 20;
const SECTORS: u64 = BYTES / 512;
const CHUNK_SECTORS: u64 = 256;
const CHUNKS: u64 = SECTORS / CHUNK_SECTORS;

/// Longer than anything here takes that is not parked.
const LONG: Duration = Duration::from_secs(10);
/// Long enough that what has not ended is parked.
const PARKED: Duration = Duration::from_millis(500);

fn disk(guest: &Inside, name: &str) -> RunningDisk {
    Disk::new(guest.file(name), BYTES).start()
}

fn linear(disk: &RunningDisk) -> String {
    format!("0 {SECTORS} linear {} 0", disk.node())
}

/// A mirror's table, with the log arguments after the chunk size and the features given.
fn mirror(source: &RunningDisk, target: &RunningDisk, nosync: bool, features: &str) -> String {
    let log = if nosync {
        format!("core 2 {CHUNK_SECTORS} nosync")
    } else {
        format!("core 1 {CHUNK_SECTORS}")
    };
    let (source, target) = (source.node(), target.node());
    format!("0 {SECTORS} mirror {log} 2 {source} 0 {target} 0 {features}")
}

const HANDLE_ERRORS: &str = "1 handle_errors";

/// Makes a mirror device and waits until its copy is complete.
fn synced_mirror(name: &str, source: &RunningDisk, target: &RunningDisk, features: &str) -> Device {
    let device = Device::create(name, &mirror(source, target, false, features));
    wait_until_synced(&device);
    device
}

fn wait_until_synced(device: &Device) {
    wait_until("the copy is complete", LONG, || {
        MirrorStatus::of(device).in_sync == CHUNKS
    });
}
