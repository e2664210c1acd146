//! `record` on a loop device of this machine's kernel, and what becomes of its trace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tier_tests::io::wait_until;
use tier_tests::loopdev::LoopDevice;
use tier_tests::{command, skip};

use crate::run::{Ran, run};

const INVALID: i32 = 3;
const NOT_FOUND: i32 = 4;
const EXISTS: i32 = 5;

fn tierctl(arguments: &[&str]) -> Ran {
    run(Path::new("/nonexistent/tierd.sock"), arguments)
}

/// A loop device over a file, or none where the test cannot run.
fn disk(test: &str, folder: &TempDir) -> Option<LoopDevice> {
    let has_types = Path::new("/sys/kernel/btf/vmlinux").exists();
    let why = LoopDevice::available()
        .err()
        .or_else(|| (!has_types).then(|| "no BTF".to_owned()));
    if let Some(reason) = why {
        skip::record(test, &reason);
        return None;
    }
    let file = folder.path().join("disk");
    std::fs::File::create(&file)
        .unwrap()
        .set_len(64 << 20)
        .unwrap();
    Some(LoopDevice::attach(&file, 512))
}

/// One block at each of the offsets, in MiB, past the page cache.
fn read(device: &str, offsets_mib: impl IntoIterator<Item = u64>) {
    for offset in offsets_mib {
        let (input, skip) = (format!("if={device}"), format!("skip={}", offset << 20));
        let how = ["bs=4096", "count=1", "iflag=direct,skip_bytes"];
        command::run(
            "dd",
            &[&[&input, "of=/dev/null", skip.as_str()], &how[..]].concat(),
        );
    }
}

#[test]
fn what_is_recorded_can_be_simulated() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = disk("what_is_recorded_can_be_simulated", &folder) else {
        return;
    };
    let device = disk.path().to_str().unwrap();
    let trace: PathBuf = folder.path().join("trace.csv");
    let trace = trace.to_str().unwrap();
    let recording = Command::new(env!("CARGO_BIN_EXE_tierctl"))
        .args(["record", device, "--output", trace, "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The file is there once the recorder is attached.
    wait_until("it records", Duration::from_secs(30), || {
        Path::new(trace).exists()
    });
    read(device, (0..20).map(|number| number % 10));
    command::run("kill", &["-INT", &recording.id().to_string()]);
    let ended = recording.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let recorded: Value = serde_json::from_slice(&ended.stdout).unwrap();
    // udev may have looked at the device too.
    assert!(recorded["reads"].as_u64().unwrap() >= 20, "{recorded}");
    assert_eq!(recorded["missed"], 0, "{recorded}");
    let lines = std::fs::read_to_string(trace).unwrap();
    for mib in 0..10_u64 {
        let line = format!(",R,{},4096\n", mib << 20);
        assert!(lines.matches(&line).count() >= 2, "{line} in {lines}");
    }

    let again = tierctl(&["record", device, "--output", trace]);
    assert_eq!(again.code, EXISTS, "{again:?}");
    assert_eq!(
        std::fs::read_to_string(trace).unwrap(),
        lines,
        "it is as it was"
    );

    let ran = tierctl(&["simulate", "--trace", trace, "--fast-share", "0.5"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("engine"), "{ran:?}");
}

#[test]
fn it_ends_by_itself_after_the_time_that_it_was_given() {
    let folder = TempDir::new().unwrap();
    let Some(disk) = disk(
        "it_ends_by_itself_after_the_time_that_it_was_given",
        &folder,
    ) else {
        return;
    };
    let device = disk.path().to_str().unwrap();
    let ran = tierctl(&["record", device, "--output", "-", "--for", "200ms"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout
            .starts_with("timestamp_us,op,offset_bytes,length_bytes\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&format!("of {device} in ")), "{ran:?}");
}

#[test]
fn what_is_no_device_is_refused_and_nothing_is_written() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "text").unwrap();
    let trace = folder.path().join("trace.csv");
    for (device, code) in [
        (file.to_str().unwrap(), INVALID),
        ("/dev/no-such-disk", NOT_FOUND),
    ] {
        let ran = tierctl(&["record", device, "--output", trace.to_str().unwrap()]);
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.stderr.contains(device), "{ran:?}");
        assert!(!trace.exists());
    }
}
