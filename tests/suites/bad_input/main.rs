//! Bad input: each with its own exit code, a message that names the thing and the mend, and
//! nothing changed.
//!
//! Each row of a table is a request that must be refused. Around it, the devices concerned are
//! compared byte by byte, and so is what the daemon says of its volumes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by it"
)]

mod content;
mod devices;
mod labels;
mod requests;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tier_sys::block::{Access, BlockDevice};
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::Inside;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
const MIB: u64 = 1 << 20;

/// Exit codes of tierctl, as its help lists them.
mod exit {
    pub(crate) const INVALID: i32 = 3;
    pub(crate) const NOT_FOUND: i32 = 4;
    pub(crate) const EXISTS: i32 = 5;
    pub(crate) const BUSY: i32 = 6;
    pub(crate) const FOREIGN: i32 = 7;
    pub(crate) const UNFIT: i32 = 8;
    pub(crate) const NO_ROOM: i32 = 9;
    pub(crate) const DEGRADED: i32 = 10;
    pub(crate) const UNAVAILABLE: i32 = 16;
    pub(crate) const DECLINED: i32 = 19;
}

/// Exit codes of tierd, as its help lists them.
mod tierd_exit {
    pub(crate) const CONFIG: i32 = 3;
    pub(crate) const IN_USE: i32 = 4;
}

/// A request that must be refused.
#[derive(Clone)]
struct Refused {
    /// What is asked of tierctl.
    arguments: Vec<String>,
    exit: i32,
    /// What the message must hold: the thing, and the mend.
    says: Vec<String>,
}

fn refused(arguments: &[&str], exit: i32, says: &[&str]) -> Refused {
    let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
    Refused {
        arguments: owned(arguments),
        exit,
        says: owned(says),
    }
}

/// Exit code and standard error of a program.
fn outcome<S: AsRef<OsStr>>(program: &Path, arguments: &[S]) -> (i32, String) {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().expect("it ends by itself"), said)
}

/// Bytes read at once.
const PIECE: usize = 1 << 20;

/// All bytes of the devices, folded into a number each.
fn contents(devices: &[&Path]) -> Vec<(PathBuf, u32)> {
    let sum = |path: &Path| {
        let device = BlockDevice::open(path, Access::ReadOnly).unwrap();
        let mut sum = 0;
        let mut buffer = vec![0; PIECE];
        let mut at = 0;
        while at < device.size_bytes() {
            let length = (device.size_bytes() - at).min(MIB);
            let piece = &mut buffer[..usize::try_from(length).unwrap()];
            device.read_at(at, piece).unwrap();
            sum = crc32c::crc32c_append(sum, piece);
            at += length;
        }
        sum
    };
    devices
        .iter()
        .map(|path| (path.to_path_buf(), sum(path)))
        .collect()
}

/// What the daemon says of its volumes, without how busy their members are.
fn volumes(daemon: &Daemon) -> serde_json::Value {
    let mut list = daemon.json(&["volume", "list"]);
    for volume in list["volumes"].as_array_mut().unwrap() {
        for member in volume["members"].as_array_mut().unwrap() {
            member["load"].take();
        }
    }
    list
}

/// Makes the request, and asserts its refusal, and that nothing has changed.
fn refuse(daemon: &Daemon, devices: &[&Path], row: &Refused) {
    refuse_all(daemon, devices, std::slice::from_ref(row));
}

/// Makes the requests, and asserts the refusal of each, and that nothing has changed. The devices
/// are read before and after all of them.
fn refuse_all(daemon: &Daemon, devices: &[&Path], rows: &[Refused]) {
    let before = contents(devices);
    for row in rows {
        refuse_one(daemon, row);
    }
    let what: Vec<_> = rows.iter().map(|row| row.arguments.join(" ")).collect();
    assert_eq!(
        before,
        contents(devices),
        "one of {what:?} changed a device"
    );
}

fn refuse_one(daemon: &Daemon, row: &Refused) {
    let what = row.arguments.join(" ");
    let before = volumes(daemon);
    let (code, said) = outcome(&Programs::beside(TIERD).tierctl, &row.arguments);
    assert_eq!(code, row.exit, "{what}: {said}");
    for words in &row.says {
        assert!(said.contains(words), "{what}: no {words:?} in: {said}");
    }
    assert_eq!(before, volumes(daemon), "{what}: it changed a volume");
}

/// An MBR with one partition of type Linux from 1 MiB on, 24 MiB long.
fn write_partition_table(disk: &Path) {
    let mut sector = vec![0_u8; 512];
    let entry = &mut sector[446..462];
    entry[4] = 0x83;
    entry[8..12].copy_from_slice(&2048_u32.to_le_bytes());
    entry[12..16].copy_from_slice(&(24_u32 << 11).to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    BlockDevice::open(disk, Access::ReadWrite)
        .unwrap()
        .write_at(0, &sector)
        .unwrap();
}

fn disk(guest: &Inside, name: &str, mebibytes: u64) -> RunningDisk {
    Disk::new(guest.file(name), mebibytes * MIB).start()
}

fn daemon(guest: &Inside) -> Daemon {
    Setting::new(guest, Programs::beside(TIERD)).run()
}

/// A daemon that serves a volume `v` on two disks, the fast one of 16 MiB and the slow one of 32.
fn with_volume(guest: &Inside) -> (Daemon, [RunningDisk; 2]) {
    let daemon = daemon(guest);
    let (fast, slow) = (disk(guest, "fast", 16), disk(guest, "slow", 32));
    daemon.create("v", &[("nvme", fast.path()), ("hdd", slow.path())]);
    (daemon, [fast, slow])
}
