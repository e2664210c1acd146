//! The ring through which the probe reports regions that reach their volume's threshold.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libbpf_rs::{ErrorKind, MapHandle, RingBuffer, RingBufferBuilder};

use crate::device::DeviceNumber;
use crate::error::{Doing, ProbeError};
use crate::record::{HotData, decode};

/// A region that reached its volume's threshold within the running interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HotRecord {
    /// The volume.
    pub volume: DeviceNumber,
    /// The region's index from the volume's start.
    pub region: u32,
    /// Reads so far in the interval. With `writes` they make up the threshold.
    pub reads: u32,
    /// Writes so far in the interval.
    pub writes: u32,
    /// When, in nanoseconds of `CLOCK_MONOTONIC`.
    pub time_ns: u64,
}

impl From<HotData> for HotRecord {
    fn from(data: HotData) -> Self {
        Self {
            volume: DeviceNumber::from_kernel(data.dev),
            region: data.region,
            reads: data.reads,
            writes: data.writes,
            time_ns: data.time_ns,
        }
    }
}

type Inbox = Arc<Mutex<Vec<Result<HotRecord, ProbeError>>>>;

/// The reader's end of the ring.
#[derive(Debug)]
pub(crate) struct HotRing {
    ring: RingBuffer<'static>,
    map: MapHandle,
    inbox: Inbox,
}

impl HotRing {
    pub(crate) fn new(map: &MapHandle) -> Result<Self, ProbeError> {
        let inbox = Inbox::default();
        let sink = Arc::clone(&inbox);
        let mut builder = RingBufferBuilder::new();
        builder
            .add(map, move |bytes| {
                let record = decode::<HotData>("a hot region", bytes).map(HotRecord::from);
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(record);
                0
            })
            .doing(|| "read the probe's ring".to_owned())?;
        let ring = builder
            .build()
            .doing(|| "map the probe's ring".to_owned())?;
        let map = MapHandle::try_from(map).doing(|| "open the probe's ring".to_owned())?;
        Ok(Self { ring, map, inbox })
    }

    /// Readable while records wait.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// Takes all records that wait; if there are none, waits for the first up to `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) -> Result<Vec<HotRecord>, ProbeError> {
        let result = if timeout.is_zero() {
            self.ring.consume()
        } else {
            // libbpf counts in milliseconds of 31 bits.
            self.ring
                .poll(timeout.clamp(Duration::from_millis(1), Duration::from_hours(24)))
        };
        match result {
            // A signal ends the wait as time does.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.doing(|| "read the probe's ring".to_owned())?,
        }
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Result<HotRecord, ProbeError>>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
