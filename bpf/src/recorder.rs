//! The recorder: each read and write of one device, for a trace.
//!
//! Owns: the BPF object `recorder.bpf.c`, what loads it, and the reading of its ring. Invariants:
//! it changes nothing about the device; dropping it takes everything of it out of the kernel; what
//! was missed is counted.

use std::fs;
use std::io;
use std::time::Duration;

use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{Link, MapHandle, Object, ObjectBuilder};

use crate::device::DeviceNumber;
use crate::error::{Doing, ProbeError};
use crate::kernel;
use crate::maps::{self, Aligned, OBJECT_NAME};
use crate::probe::id_of;
use crate::record::{BioRecord, RecordedDevice, SECTOR_SHIFT};
use crate::ring::Ring;

static OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/recorder.bpf.o")));

/// A read or a write that was submitted to the recorded device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedBio {
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
    /// Where it begins, in bytes from the start of what is recorded.
    pub offset_bytes: u64,
    /// How long it is.
    pub length_bytes: u32,
    /// Whether it writes.
    pub is_write: bool,
}

impl From<BioRecord> for RecordedBio {
    fn from(record: BioRecord) -> Self {
        Self {
            time_ns: record.time_ns,
            offset_bytes: record.sector << SECTOR_SHIFT,
            length_bytes: record.bytes,
            is_write: record.is_write != 0,
        }
    }
}

/// Records one device from its start until it is dropped.
#[derive(Debug)]
pub struct Recorder {
    // Dropped first: then nothing is recorded any more.
    _links: Vec<Link>,
    ring: Ring<RecordedBio>,
    recorded: MapHandle,
    program_ids: Vec<u32>,
    _object: Object,
}

impl Recorder {
    /// Begins to record `device`: a whole device with its partitions, or one partition. At most
    /// `ring_bytes` of records wait to be read, 32 bytes each: a power of two from 4096 on.
    ///
    /// # Errors
    /// [`ProbeError::Missing`] names what this kernel lacks; nothing is left in the kernel after
    /// any error.
    pub fn start(device: DeviceNumber, ring_bytes: u32) -> Result<Self, ProbeError> {
        kernel::start_log();
        kernel::check()?;
        let mut open = ObjectBuilder::default()
            .name(OBJECT_NAME)
            .and_then(|builder| builder.open_memory(&OBJECT.0))
            .doing(|| "open the compiled recorder".to_owned())?;
        if let Some(mut ring) = open.maps_mut().find(|map| map.name() == "bios") {
            ring.set_max_entries(ring_bytes)
                .doing(|| format!("make a ring of {ring_bytes} bytes"))?;
        }
        let object = open.load().map_err(kernel::explain_load)?;
        let recorded = maps::find(&object, "recorded")?;
        maps::store(&recorded, 0, &placed(device)?)?;
        let ring = Ring::new::<BioRecord>(&maps::find(&object, "bios")?, "a recorded bio")?;
        let (mut links, mut program_ids) = (Vec::new(), Vec::new());
        for program in object.progs_mut() {
            program_ids.push(id_of(&program)?);
            let link = program.attach();
            links.push(link.doing(|| "attach the recorder".to_owned())?);
        }
        Ok(Self {
            _links: links,
            program_ids,
            ring,
            recorded,
            _object: object,
        })
    }

    /// Takes what was recorded since the last call, in the order in which it was submitted to each
    /// processor; between processors, times may be out of order by microseconds.
    ///
    /// # Errors
    /// When the ring cannot be read.
    pub fn take(&self) -> Result<Vec<RecordedBio>, ProbeError> {
        self.ring.poll(Duration::ZERO)
    }

    /// Reads and writes that were missed so far: the ring was full, or an interrupt submitted them
    /// in the middle of the recording of another.
    ///
    /// # Errors
    /// When the count cannot be read.
    pub fn missed(&self) -> Result<u64, ProbeError> {
        let device: RecordedDevice = maps::load(&self.recorded, 0)?;
        let recursions: u64 = ProgInfoIter::default()
            .filter(|program| self.program_ids.contains(&program.id))
            .map(|program| program.recursion_misses)
            .sum();
        Ok(device.lost + recursions)
    }
}

/// Where a device begins: a partition within its whole device.
fn placed(device: DeviceNumber) -> Result<RecordedDevice, ProbeError> {
    let whole = RecordedDevice {
        dev: device.kernel(),
        is_whole: 1,
        ..RecordedDevice::default()
    };
    let folder = format!("/sys/dev/block/{device}");
    if !fs::exists(format!("{folder}/partition")).unwrap_or(false) {
        return Ok(whole);
    }
    // In units of 512 bytes (Documentation/ABI/stable/sysfs-block).
    let file = format!("{folder}/start");
    let text = fs::read_to_string(&file).doing(|| format!("read {file}"))?;
    let start = text.trim().parse().map_err(io::Error::other);
    Ok(RecordedDevice {
        is_whole: 0,
        start_sector: start.doing(|| format!("read {file}"))?,
        ..whole
    })
}
