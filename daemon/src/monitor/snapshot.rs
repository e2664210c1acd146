//! One reading of the machine's counters.
//!
//! Owns: [`Snapshot`] and reading it. A snapshot holds what the kernel says, unreckoned. What a
//! kernel may lack (pressure) is absent; what every kernel has is an error when it cannot be read.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use procfs::net::InterfaceDeviceStatus;
use procfs::{
    DiskStats, FromBufRead, FromBufReadSI, FromRead, IoPressure, KernelStats, Meminfo,
    MemoryPressure, ProcError, ProcResult, current_system_info,
};
use tier_core::units::{Bytes, Now};

/// Number of a block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceNumber {
    /// Major number: which driver.
    pub major: u32,
    /// Minor number: which of its devices.
    pub minor: u32,
}

/// Counters of one block device since it appeared (Documentation/admin-guide/iostats.rst). The
/// kernel prints times as 32 bits of milliseconds, which wrap after 49.7 days
/// (`diskstats_show` in block/genhd.c).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskCounters {
    /// Reads completed.
    pub reads: u64,
    /// Milliseconds that all reads took together, queueing included.
    pub read_millis: u32,
    /// Writes completed.
    pub writes: u64,
    /// Sectors written, of 512 bytes on any device.
    pub sectors_written: u64,
    /// Milliseconds that all writes took together, queueing included.
    pub write_millis: u32,
    /// Milliseconds with at least one request in flight.
    pub busy_millis: u32,
    /// Milliseconds times requests in flight.
    pub weighted_millis: u32,
}

/// Time that all CPUs spent, in ticks, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// On anything but idling or waiting for I/O.
    pub busy: u64,
    /// On anything.
    pub all: u64,
}

/// Share of the last ten seconds in which some task waited, 0 to 1
/// (Documentation/accounting/psi.rst).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pressure {
    /// For I/O.
    pub io: f64,
    /// For memory.
    pub memory: f64,
}

/// One reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// When it was taken.
    pub taken: Now,
    /// Every block device, partitions included.
    pub disks: BTreeMap<DeviceNumber, DiskCounters>,
    /// All CPUs together.
    pub cpu: CpuTicks,
    /// Pressure, where the kernel shows it.
    pub pressure: Option<Pressure>,
    /// Memory that can be had without swapping (`MemAvailable`).
    pub memory_available: Bytes,
    /// Bytes received and sent since it appeared, by interface; loopback is left out.
    pub interface_bytes: BTreeMap<String, u64>,
}

/// A file of `/proc` cannot be read or understood.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}", path.display())]
pub struct ReadError {
    /// Which file.
    pub path: PathBuf,
    /// Why.
    pub source: ProcError,
}

impl Snapshot {
    /// Reads `diskstats`, `stat`, `meminfo`, `net/dev` and `pressure/` under `proc`.
    pub fn read(proc: &Path, taken: Now) -> Result<Self, ReadError> {
        let stat: KernelStats = read_file(proc, "stat", |file| {
            KernelStats::from_buf_read(file, current_system_info())
        })?;
        let meminfo: Meminfo = read(proc, "meminfo")?;
        let available = meminfo.mem_available.unwrap_or(meminfo.mem_free);
        Ok(Self {
            taken,
            disks: disks(&read(proc, "diskstats")?),
            cpu: cpu(&stat),
            pressure: pressure(proc)?,
            memory_available: Bytes(available),
            interface_bytes: interfaces(read(proc, "net/dev")?),
        })
    }

    /// Whether the kernel shows pressure.
    #[must_use]
    pub const fn has_pressure(&self) -> bool {
        self.pressure.is_some()
    }
}

fn read<T: FromRead>(proc: &Path, name: &str) -> Result<T, ReadError> {
    let path = proc.join(name);
    T::from_file(&path).map_err(|source| ReadError { path, source })
}

fn read_file<T>(
    proc: &Path,
    name: &str,
    parse: impl FnOnce(io::BufReader<std::fs::File>) -> ProcResult<T>,
) -> Result<T, ReadError> {
    let path = proc.join(name);
    let opened = std::fs::File::open(&path).map_err(ProcError::from);
    opened
        .and_then(|file| parse(io::BufReader::new(file)))
        .map_err(|source| ReadError { path, source })
}

fn disks(all: &DiskStats) -> BTreeMap<DeviceNumber, DiskCounters> {
    let counters = all.0.iter().filter_map(|disk| {
        let number = DeviceNumber {
            major: u32::try_from(disk.major).ok()?,
            minor: u32::try_from(disk.minor).ok()?,
        };
        let counters = DiskCounters {
            reads: disk.reads,
            read_millis: low_half(disk.time_reading),
            writes: disk.writes,
            sectors_written: disk.sectors_written,
            write_millis: low_half(disk.time_writing),
            busy_millis: low_half(disk.time_in_progress),
            weighted_millis: low_half(disk.weighted_time_in_progress),
        };
        Some((number, counters))
    });
    counters.collect()
}

/// The 32 bits that the kernel printed.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the upper half is cut off on purpose"
)]
const fn low_half(millis: u64) -> u32 {
    millis as u32
}

fn cpu(stat: &KernelStats) -> CpuTicks {
    let total = &stat.total;
    // Time of guests is contained in `user` and `nice` already (proc_stat(5)).
    let waiting = total.idle + total.iowait.unwrap_or(0);
    let busy = total.user
        + total.nice
        + total.system
        + total.irq.unwrap_or(0)
        + total.softirq.unwrap_or(0)
        + total.steal.unwrap_or(0);
    CpuTicks {
        busy,
        all: busy + waiting,
    }
}

/// `None` where the kernel was built or booted without pressure: then the files are absent, or
/// opening them gives EOPNOTSUPP (`psi_io_open` in kernel/sched/psi.c).
fn pressure(proc: &Path) -> Result<Option<Pressure>, ReadError> {
    let io: Option<IoPressure> = unless_absent(read_pressure(proc, "pressure/io"))?;
    let memory: Option<MemoryPressure> = unless_absent(read_pressure(proc, "pressure/memory"))?;
    Ok(io.zip(memory).map(|(io, memory)| Pressure {
        io: f64::from(io.some.avg10) / 100.0,
        memory: f64::from(memory.some.avg10) / 100.0,
    }))
}

fn read_pressure<T: FromBufRead>(proc: &Path, name: &str) -> Result<T, ReadError> {
    read_file(proc, name, |file| T::from_buf_read(file))
}

fn unless_absent<T>(read: Result<T, ReadError>) -> Result<Option<T>, ReadError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ReadError {
            source: ProcError::NotFound(_),
            ..
        }) => Ok(None),
        Err(ReadError {
            source: ProcError::Io(error, _),
            ..
        }) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn interfaces(all: InterfaceDeviceStatus) -> BTreeMap<String, u64> {
    let outward = all
        .0
        .into_values()
        .filter(|interface| interface.name != "lo");
    outward
        .map(|interface| {
            (
                interface.name,
                interface.recv_bytes.saturating_add(interface.sent_bytes),
            )
        })
        .collect()
}
