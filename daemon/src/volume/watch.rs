//! Waiting for device-mapper events, so that a failing leg is answered at once.

use std::os::fd::AsFd as _;

use tier_core::units::MoveId;
use tier_sys::ready::Readable;

use crate::backend::BackendError;
use crate::backend::dm::events::DmEvents;

/// The volume's moves, watched.
pub(crate) struct KernelWatch(Option<(Readable, DmEvents)>);

impl KernelWatch {
    /// Watches with `events`. Needs a tokio runtime.
    pub(crate) fn new(events: DmEvents) -> std::io::Result<Self> {
        let fd = events.as_fd().try_clone_to_owned()?;
        Ok(Self(Some((Readable::new(fd)?, events))))
    }

    /// Watches nothing: whoever has the moves tells of them by itself.
    pub(crate) const fn of_nothing() -> Self {
        Self(None)
    }

    /// Waits until moves have news, and says which. After an error it waits for ever; the regular
    /// look at every move goes on without it.
    pub(super) async fn changed(&mut self) -> Vec<MoveId> {
        loop {
            let Some((ready, events)) = &mut self.0 else {
                return std::future::pending().await;
            };
            match next(ready, events).await {
                Ok(ids) if ids.is_empty() => {}
                Ok(ids) => return ids,
                Err(error) => {
                    tracing::error!(%error, "device-mapper events can no longer be watched");
                    self.0 = None;
                }
            }
        }
    }
}

async fn next(ready: &Readable, events: &mut DmEvents) -> Result<Vec<MoveId>, BackendError> {
    let watched = ready.wait().await;
    watched.map_err(|source| BackendError::Kernel {
        what: "watch",
        device: "device-mapper's events".to_owned(),
        source,
    })?;
    events.changed()
}
