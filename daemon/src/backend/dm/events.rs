//! Owns: hearing from the kernel that something happened to one of the volume's moves (a leg was
//! lost, a copy was completed), so that it is answered at once.
//!
//! The control device becomes readable when any device-mapper device of the machine has had an
//! event since it was last armed (`dm_poll` in drivers/md/dm-ioctl.c); the list of devices then
//! says by its event numbers which. Each listener has a control device of its own.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use devicemapper::DM;
use tier_core::units::MoveId;

use super::control::{errno, failed, list};
use super::names::{Device, Names};
use crate::backend::{BackendError, Layout};

/// The volume's moves, watched. Readable (for tokio's `AsyncFd`) when there may be news.
pub struct DmEvents {
    dm: DM,
    names: Names,
    seen: BTreeMap<MoveId, u32>,
}

impl DmEvents {
    /// Begins to watch. What has happened before is no news.
    pub fn new(layout: &Layout) -> Result<Self, BackendError> {
        let dm = DM::new().map_err(|error| BackendError::Unavailable {
            source: errno(&error),
        })?;
        let names = Names::new(layout.name.clone(), layout.volume);
        let mut events = Self {
            dm,
            names,
            seen: BTreeMap::new(),
        };
        events.changed()?;
        Ok(events)
    }

    /// The moves whose mirrors had an event, or have appeared, since the last call, in order. Arms
    /// the device again, before it looks, so that nothing comes between unseen.
    pub fn changed(&mut self) -> Result<Vec<MoveId>, BackendError> {
        self.dm
            .arm_poll()
            .map_err(|error| failed("watch the events of", "device-mapper", errno(&error)))?;
        let now: BTreeMap<MoveId, u32> = list(&self.dm)?
            .into_iter()
            .filter_map(|listed| match self.names.parse(&listed.name) {
                Some(Device::Mirror(id)) => Some((id, listed.event)),
                _ => None,
            })
            .collect();
        let news = |(id, event): (&MoveId, &u32)| self.seen.get(id) != Some(event);
        let changed = now
            .iter()
            .filter(|entry| news(*entry))
            .map(|(id, _)| *id)
            .collect();
        self.seen = now;
        Ok(changed)
    }
}

impl AsFd for DmEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dm.file().as_fd()
    }
}

impl AsRawFd for DmEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.dm.file().as_raw_fd()
    }
}
