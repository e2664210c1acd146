//! What the probe costs: nanoseconds per event of each program, and memory, with regions counted
//! in an array and in a hash. `cargo bench -p tier-bpf --bench probe`, as root.
//!
//! The kernel itself takes the times (`kernel.bpf_stats_enabled`; each figure includes the reading
//! of its clock, some 20 ns); the setting is put back at the end. The load is fio's on a zram
//! device, which works on bios as device-mapper does, and for the
//! members' programs on a loop device.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints its table, and a panic is how it fails"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libbpf_rs::query::ProgInfoIter;
use tier_bpf::{DeviceNumber, Probe, ProbeConfig, Storage};
use tier_tests::loopdev::LoopDevice;

const STATS_SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";
const DISK_BYTES: u64 = 1 << 30;
/// One mebibyte, the smallest region of a volume.
const REGION_SHIFT: u32 = 20;
/// A volume of one tebibyte, of which the load touches the first part.
const REGIONS: u32 = 1 << 20;
const LOAD_SECONDS: u32 = 3;
/// Just enough for a hash; the load touches 1024 regions.
const SMALL_BUDGET_BYTES: u64 = 4 << 20;

/// Turns the kernel's timing of programs on, and back to what it was.
struct Stats {
    before: String,
}

impl Stats {
    fn on() -> Self {
        let before = fs::read_to_string(STATS_SWITCH).expect("a kernel with BPF");
        fs::write(STATS_SWITCH, "1").expect("root");
        Self { before }
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        let _ = fs::write(STATS_SWITCH, &self.before);
    }
}

/// A zram device of its own, removed at the end.
struct Disk {
    id: String,
}

impl Disk {
    fn new() -> Self {
        let id = fs::read_to_string("/sys/class/zram-control/hot_add").expect("root, and zram");
        let disk = Self {
            id: id.trim().to_owned(),
        };
        fs::write(
            format!("/sys/block/zram{}/disksize", disk.id),
            DISK_BYTES.to_string(),
        )
        .expect("size of the zram device");
        disk
    }

    fn path(&self) -> PathBuf {
        Path::new("/dev").join(format!("zram{}", self.id))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::write("/sys/class/zram-control/hot_remove", &self.id);
    }
}

/// What the probe is told to watch.
#[derive(Clone, Copy)]
enum Watched {
    Nothing,
    Volume(Storage),
    Member,
}

/// Runs the load and returns its I/Os per second.
fn load(path: &Path, seconds: u32) -> f64 {
    let output = Command::new("fio")
        .args([
            "--name=load",
            "--direct=1",
            "--ioengine=io_uring",
            "--iodepth=16",
            "--bs=4k",
        ])
        .args([
            "--rw=randrw",
            "--norandommap",
            "--time_based",
            "--output-format=terse",
        ])
        .arg(format!("--runtime={seconds}"))
        .arg(format!("--filename={}", path.display()))
        .stdin(Stdio::null())
        .output()
        .expect("fio is installed");
    assert!(
        output.status.success(),
        "fio failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout);
    let fields: Vec<&str> = text.trim().split(';').collect();
    // Fields 8 and 49 of fio's terse format, version 3: IOPS of reads and of writes.
    [7, 48]
        .iter()
        .map(|at| fields[*at].parse::<f64>().expect("IOPS"))
        .sum()
}

/// Runs and nanoseconds of each program, by name.
fn run_times(probe: &Probe) -> Vec<(String, u64, u64)> {
    ProgInfoIter::default()
        .filter(|program| probe.program_ids().contains(&program.id))
        .map(|program| {
            let name = program.name.to_string_lossy().into_owned();
            (name, program.run_cnt, program.run_time_ns)
        })
        .collect()
}

#[allow(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(path: &Path, title: &str, config: ProbeConfig, watched: Watched) {
    let device = DeviceNumber::of_path(path).expect("the bench's device");
    let mut probe = Probe::load(config).unwrap_or_else(|error| panic!("{error}"));
    match watched {
        Watched::Nothing => {}
        Watched::Volume(expected) => {
            let storage = probe.watch_volume(device, REGIONS, REGION_SHIFT);
            assert_eq!(
                storage.unwrap_or_else(|error| panic!("{error}")),
                expected,
                "{title}"
            );
        }
        Watched::Member => {
            probe
                .watch_member(device)
                .unwrap_or_else(|error| panic!("{error}"));
        }
    }
    let before = run_times(&probe);
    let iops = load(path, LOAD_SECONDS);
    let after = run_times(&probe);
    let stats = probe.stats().unwrap_or_else(|error| panic!("{error}"));
    for ((name, runs, nanos), (_, runs_before, nanos_before)) in after.into_iter().zip(before) {
        let runs = runs - runs_before;
        if runs > 1000 {
            let each = (nanos - nanos_before) as f64 / runs as f64;
            println!("| {title:<20} | {name:<18} | {runs:>9} | {each:>8.0} |");
        }
    }
    let mut swap = Duration::ZERO;
    let mut regions = 0;
    if matches!(watched, Watched::Volume(_)) {
        let began = Instant::now();
        regions = probe
            .swap(device)
            .unwrap_or_else(|error| panic!("{error}"))
            .regions
            .len();
        swap = began.elapsed();
    }
    println!(
        "| {title:<20} | {:.0} IOPS with timing; {:.1} MiB; swap {:.1} ms for {regions} touched \
         regions; lost {} |",
        iops,
        stats.memory_bytes as f64 / f64::from(1 << 20),
        swap.as_secs_f64() * 1e3,
        stats.lost_touches
    );
}

fn main() {
    let disk = Disk::new();
    // Every page has content before anything is timed.
    load(&disk.path(), LOAD_SECONDS);
    println!(
        "without the probe: {:.0} IOPS",
        load(&disk.path(), LOAD_SECONDS)
    );
    let _stats = Stats::on();
    println!(
        "| {:<20} | {:<18} | {:>9} | {:>8} |",
        "counted in", "program", "runs", "ns/run"
    );
    let array = ProbeConfig::default();
    let hash = ProbeConfig {
        region_memory_bytes: SMALL_BUDGET_BYTES,
        ..array
    };
    let unsampled = ProbeConfig {
        sample_one_in: 0,
        ..array
    };
    let zram = disk.path();
    measure(&zram, "nothing", array, Watched::Nothing);
    measure(&zram, "array", array, Watched::Volume(Storage::Array));
    measure(
        &zram,
        "array, no samples",
        unsampled,
        Watched::Volume(Storage::Array),
    );
    measure(&zram, "hash", hash, Watched::Volume(Storage::Hash));

    let file = tempfile::NamedTempFile::new().expect("a file for the loop device");
    file.as_file()
        .set_len(DISK_BYTES / 4)
        .expect("a sparse file");
    let member = LoopDevice::attach(file.path(), 512);
    load(member.path(), LOAD_SECONDS);
    measure(member.path(), "member", array, Watched::Member);
}
