//! Rings through which programs report in the order of time, as user space reads them.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libbpf_rs::{ErrorKind, MapHandle, RingBuffer, RingBufferBuilder};
use zerocopy::FromBytes;

use crate::error::{Doing, ProbeError};
use crate::record::decode;

type Inbox<R> = Arc<Mutex<Vec<Result<R, ProbeError>>>>;

/// The reader's end of the ring.
#[derive(Debug)]
pub(crate) struct Ring<R> {
    buffer: RingBuffer<'static>,
    map: MapHandle,
    inbox: Inbox<R>,
}

impl<R: Send + 'static> Ring<R> {
    /// Reads records of the type `D`, which errors call `what`.
    pub(crate) fn new<D>(map: &MapHandle, what: &'static str) -> Result<Self, ProbeError>
    where
        D: FromBytes + Into<R>,
    {
        let inbox = Inbox::default();
        let sink = Arc::clone(&inbox);
        let mut builder = RingBufferBuilder::new();
        builder
            .add(map, move |bytes| {
                let record = decode::<D>(what, bytes).map(D::into);
                sink.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(record);
                0
            })
            .doing(|| "read the probe's ring".to_owned())?;
        let buffer = builder
            .build()
            .doing(|| "map the probe's ring".to_owned())?;
        let map = MapHandle::try_from(map).doing(|| "open the probe's ring".to_owned())?;
        Ok(Self { buffer, map, inbox })
    }

    /// Readable while records wait.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// Takes all records that wait; if there are none, waits for the first up to `timeout`.
    pub(crate) fn poll(&self, timeout: Duration) -> Result<Vec<R>, ProbeError> {
        let result = if timeout.is_zero() {
            self.buffer.consume()
        } else {
            // libbpf counts in milliseconds of 31 bits.
            self.buffer
                .poll(timeout.clamp(Duration::from_millis(1), Duration::from_hours(24)))
        };
        match result {
            // A signal ends the wait as time does.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result.doing(|| "read the probe's ring".to_owned())?,
        }
        std::mem::take(&mut *self.lock()).into_iter().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Result<R, ProbeError>>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
