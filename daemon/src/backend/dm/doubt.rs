//! Owns: finding out which leg of a mirror has everything, where the kernel has forgotten which one
//! failed.
//!
//! A mirror that finds every chunk in sync forgets all errors (`do_recovery` and `reset_ms_flags` in
//! drivers/md/dm-raid1.c). After a flush that failed on one leg of a complete mirror it does so at
//! once, and then writes each chunk to both legs once more and later to one alone: to the source, or
//! to the target if it was the source that failed. All the while its status says that nothing ever
//! happened; only its events tell. All of this is pinned by the suite `kernel_facts`.
//!
//! So the legs are compared while the mirror is held: as long as they are equal, either is right.
//! Where they differ, the mirror reads from the one that is right. Before it was complete, that is
//! the source in any case (`fail_mirror`).

use std::path::Path;

use tier_core::event::{Kept, MirrorState};
use tier_core::units::{MoveId, Sectors};
use tier_sys::aligned::AlignedBuffer;
use tier_sys::block::{Access, BlockDevice};

use super::hold::GateSwap;
use super::names::Device;
use super::table::{LEAD_IN, Mirror, Place};
use super::{DmBackend, not_ours};
use crate::backend::BackendError;

/// How much is compared at a time.
const PIECE_BYTES: usize = 1 << 20;
/// What is looked at where legs differ: no device is written in smaller pieces.
const BLOCK_BYTES: usize = 4096;
/// Tries to find out, as long as writes go on in between.
const TRIES: u32 = 20;

/// A part of a device, for reading.
struct Part {
    device: BlockDevice,
    start_bytes: u64,
}

impl Part {
    fn open(path: &Path, start: Sectors) -> Result<Self, BackendError> {
        Ok(Self {
            device: BlockDevice::open(path, Access::ReadOnly)?,
            start_bytes: start.to_bytes().0,
        })
    }

    fn read(&self, offset_bytes: u64, into: &mut [u8]) -> Result<(), BackendError> {
        let at = self.start_bytes.saturating_add(offset_bytes);
        Ok(self.device.read_at(at, into)?)
    }
}

/// Both legs, and what compares them: made before the hold.
struct Legs {
    source: Part,
    target: Part,
    length_bytes: u64,
    from_source: AlignedBuffer,
    from_target: AlignedBuffer,
}

impl Legs {
    /// Where they differ first, in bytes from their start.
    fn difference(&mut self) -> Result<Option<u64>, BackendError> {
        let mut at = 0;
        while at < self.length_bytes {
            let left = usize::try_from(self.length_bytes - at).unwrap_or(PIECE_BYTES);
            let one = &mut self.from_source[..left.min(PIECE_BYTES)];
            let other = &mut self.from_target[..left.min(PIECE_BYTES)];
            self.source.read(at, one)?;
            self.target.read(at, other)?;
            let blocks = one.chunks(BLOCK_BYTES).zip(other.chunks(BLOCK_BYTES));
            if let Some(block) = blocks.into_iter().position(|(one, other)| one != other) {
                return Ok(Some(at + (block * BLOCK_BYTES) as u64));
            }
            at += PIECE_BYTES as u64;
        }
        Ok(None)
    }

    /// The leg that the mirror reads a block from at which they differ; `None` if it is being
    /// written.
    fn read_by(&self, mirror: &Part, at: u64) -> Result<Option<Kept>, BackendError> {
        let read = |part: &Part| {
            let mut block = vec![0; BLOCK_BYTES];
            part.read(at, &mut block).map(|()| block)
        };
        let both = || Ok::<_, BackendError>((read(&self.source)?, read(&self.target)?));
        let (before, seen, after) = (both()?, read(mirror)?, both()?);
        let (source, target) = &before;
        Ok(if before != after || source == target {
            None
        } else if seen == *source {
            Some(Kept::Source)
        } else {
            (seen == *target).then_some(Kept::Target)
        })
    }
}

impl DmBackend {
    /// Drops the other leg of a mirror of which one has failed, nobody knows which; or refuses, and
    /// says that the one to be kept is behind.
    pub(super) fn drop_in_doubt(
        &mut self,
        id: MoveId,
        mirror: &Mirror,
        keep: Kept,
    ) -> Result<GateSwap, BackendError> {
        let kept = match keep {
            Kept::Source => mirror.source,
            Kept::Target => mirror.target,
        };
        let state = self.mirror_state(id)?;
        let right = if state.in_sync_chunks < state.total_chunks {
            Some(Kept::Source)
        } else {
            self.compare_and_swap(id, mirror, kept)?
        };
        match right {
            None => self.drop_lost(id, kept),
            Some(right) if right == keep => self.drop_lost(id, kept),
            Some(right) => Ok(GateSwap::Incomplete(MirrorState {
                source_alive: right == Kept::Source,
                target_alive: right == Kept::Target,
                ..state
            })),
        }
    }

    /// Makes the mirror linear on `kept` if its legs are equal; else tells which has everything.
    fn compare_and_swap(
        &mut self,
        id: MoveId,
        mirror: &Mirror,
        kept: Place,
    ) -> Result<Option<Kept>, BackendError> {
        let mut legs = self.legs(id, mirror)?;
        for _ in 0..TRIES {
            let name = self.load_linear(id, kept)?;
            let mut difference = None;
            let swapped = self.control.swap_mirror_if(&name, || {
                difference = legs.difference()?;
                Ok(difference.is_none())
            })?;
            let Some(at) = difference.filter(|_| !swapped) else {
                return Ok(None);
            };
            // Opened anew each time: what is open cannot be removed.
            let whole = Part::open(&self.node(Device::Mirror(id))?, LEAD_IN)?;
            if let Some(right) = legs.read_by(&whole, at)? {
                tracing::error!(%id, ?right, offset_bytes = at, "the legs of a move differ, for one of \
                    them failed a flush and was not written any more; the other has everything");
                return Ok(Some(right));
            }
        }
        Err(BackendError::InDoubt(id))
    }

    fn legs(&self, id: MoveId, mirror: &Mirror) -> Result<Legs, BackendError> {
        let name = self.names.name(Device::Mirror(id));
        let buffer = || {
            AlignedBuffer::zeroed(PIECE_BYTES)
                .ok_or_else(|| not_ours(&name, "there is no memory to compare its legs in"))
        };
        let leg = |place: Place| {
            let member = self.layout.member_on(place.device);
            let member = member.ok_or_else(|| not_ours(&name, "a leg of it is no member"))?;
            Part::open(&member.path, place.offset)
        };
        Ok(Legs {
            source: leg(mirror.source)?,
            target: leg(mirror.target)?,
            length_bytes: self.inner_length(&name)?.to_bytes().0,
            from_source: buffer()?,
            from_target: buffer()?,
        })
    }
}
