//! The metadata area: a window of a member's front that looks like a file to the database.
//!
//! Owns: [`Area`], redb's storage backend. Its first 8 KiB are two length records (see
//! `FORMAT.md`), of which the whole one with the higher sequence counts; the database follows.
//! Invariants:
//! - the length that the database set is exact and durable, because redb derives its layout from
//!   it after a crash;
//! - bytes that growth adds read as zero whatever lay there before, and are durable zeros before
//!   the longer length is;
//! - the first write or flush that fails is the last that is tried: after a failed flush nobody
//!   knows what is durable, and a later flush that succeeds proves nothing.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tier_core::units::Bytes;
use uuid::Uuid;

use crate::layout::AREA_HEADER_BYTES;
use crate::storage::{self, Disk, StorageError};
use crate::words::{AreaExtent, VolumeId};

const RECORD_BYTES: usize = 4096;
const RECORD_MAGIC: [u8; 8] = *b"TIERDLEN";
const RECORD_CHECKSUM_AT: usize = 40;
/// Zeros are written this many bytes at a time.
const ZERO_BYTES: usize = 1 << 20;

/// A metadata area, opened.
#[derive(Debug)]
pub struct Area {
    disk: Disk,
    extent: AreaExtent,
    volume: VolumeId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Length of the database in bytes.
    length: u64,
    /// Sequence of the newest length record. It lies in the slot of its parity.
    sequence: u64,
    /// Why nothing is written any more.
    sealed: Option<(io::ErrorKind, String)>,
}

/// Why an area cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AreaError {
    /// No whole length record: it was never formatted for this volume, or both are damaged.
    #[error("the metadata area of {device} has no whole length record of this volume")]
    Unformatted {
        /// The device.
        device: String,
    },
    /// Formatted, and nothing was written to it yet: a rebuild was interrupted.
    #[error("the metadata area of {device} is empty")]
    Empty {
        /// The device.
        device: String,
    },
    /// The area does not fit the device that carries it.
    #[error("the metadata area of {device} ends at byte {end}, beyond its {len_bytes} bytes")]
    TooLong {
        /// The device.
        device: String,
        /// End of the area in bytes.
        end: u64,
        /// Bytes that can be reached.
        len_bytes: u64,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Area {
    /// Makes the area empty, durably, whatever it held.
    pub fn format(disk: Disk, extent: AreaExtent, volume: VolumeId) -> Result<Self, AreaError> {
        check_extent(&disk, extent)?;
        let newest = read_records(&disk, extent, volume)
            .into_iter()
            .flatten()
            .max();
        let sequence = newest.map_or(0, |(sequence, _)| sequence);
        let state = State {
            length: 0,
            sequence,
            sealed: None,
        };
        let area = Self {
            disk,
            extent,
            volume,
            state: Mutex::new(state),
        };
        {
            let mut state = area.lock();
            // Both slots, so that no record of an earlier life is left to be believed.
            area.write_length(&mut state, 0)?;
            area.write_length(&mut state, 0)?;
        }
        Ok(area)
    }

    /// Opens an area that holds a database.
    pub fn open(disk: Disk, extent: AreaExtent, volume: VolumeId) -> Result<Self, AreaError> {
        check_extent(&disk, extent)?;
        let records = read_records(&disk, extent, volume);
        let device = || disk.name().to_owned();
        let mut newest = None;
        for record in records {
            match record {
                Ok(record) => newest = newest.max(Some(record)),
                Err(RecordFault::Invalid) => {}
                Err(RecordFault::Storage(error)) => return Err(error.into()),
            }
        }
        match newest {
            None => Err(AreaError::Unformatted { device: device() }),
            Some((_, 0)) => Err(AreaError::Empty { device: device() }),
            Some((sequence, length)) => {
                let state = State {
                    length,
                    sequence,
                    sealed: None,
                };
                Ok(Self {
                    disk,
                    extent,
                    volume,
                    state: Mutex::new(state),
                })
            }
        }
    }

    /// Refuses every later write, for `why`. What is written already stays.
    pub fn seal(&self, why: &str) {
        self.lock()
            .sealed
            .get_or_insert_with(|| (io::ErrorKind::Other, why.to_owned()));
    }

    /// How people call the device.
    #[must_use]
    pub fn device(&self) -> &str {
        self.disk.name()
    }

    /// Bytes of the longest database that fits.
    fn capacity(&self) -> u64 {
        self.extent.length.0.saturating_sub(AREA_HEADER_BYTES)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the record of `length` into the older slot and flushes it.
    fn write_length(&self, state: &mut State, length: u64) -> Result<(), StorageError> {
        let sequence = state.sequence + 1;
        let bytes = encode_record(self.volume, sequence, length);
        let offset = self.extent.offset.0 + (sequence % 2) * RECORD_BYTES as u64;
        storage::write(&*self.disk, &bytes, offset)?;
        storage::sync(&*self.disk)?;
        state.sequence = sequence;
        state.length = length;
        Ok(())
    }

    fn grow(&self, state: &mut State, length: u64) -> io::Result<()> {
        let zeros = vec![0; ZERO_BYTES];
        let mut at = state.length;
        while at < length {
            let step = (length - at).min(ZERO_BYTES as u64);
            let piece = usize::try_from(step)
                .ok()
                .and_then(|step| zeros.get(..step));
            self.write_blocks(piece.unwrap_or_default(), at)?;
            at += step;
        }
        self.disk.sync()
    }

    /// Writes `data` at `offset` of the database: whole blocks, of which the first and the last
    /// are read before where `data` does not fill them.
    fn write_blocks(&self, data: &[u8], offset: u64) -> io::Result<()> {
        let (begin, end) = self.blocks(offset, data.len());
        let base = self.extent.offset.0 + AREA_HEADER_BYTES;
        if begin == offset && end - begin == data.len() as u64 {
            return self.disk.write_at(data, base + begin);
        }
        let block = u64::from(self.disk.block_bytes());
        let mut whole = vec![0; to_usize(end - begin)?];
        let last = end - block;
        let fills_last = offset + data.len() as u64 == end;
        if begin != offset || (!fills_last && last == begin) {
            let head = whole.get_mut(..to_usize(block)?).ok_or_else(out_of_range)?;
            self.disk.read_at(head, base + begin)?;
        }
        if !fills_last && last != begin {
            let tail = whole
                .get_mut(to_usize(last - begin)?..)
                .ok_or_else(out_of_range)?;
            self.disk.read_at(tail, base + last)?;
        }
        let from = to_usize(offset - begin)?;
        let slot = whole
            .get_mut(from..from + data.len())
            .ok_or_else(out_of_range)?;
        slot.copy_from_slice(data);
        self.disk.write_at(&whole, base + begin)
    }

    /// The whole blocks around `length` bytes at `offset`: begin and end.
    fn blocks(&self, offset: u64, length: usize) -> (u64, u64) {
        let block = u64::from(self.disk.block_bytes());
        let end = offset + length as u64;
        (offset / block * block, end.next_multiple_of(block))
    }

    /// Runs a write unless an earlier one failed, and lets no other follow it if it fails.
    fn unless_sealed(
        &self,
        state: &mut State,
        what: impl FnOnce(&mut State) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some((kind, why)) = &state.sealed {
            let why = format!(
                "nothing is written to the metadata area of {}: {why}",
                self.device()
            );
            return Err(io::Error::new(*kind, why));
        }
        what(state).inspect_err(|error| state.sealed = Some((error.kind(), error.to_string())))
    }
}

/// redb's view of an area that the store keeps a hold on.
#[derive(Clone, Debug)]
pub(crate) struct AreaBackend(pub(crate) Arc<Area>);

impl redb::StorageBackend for AreaBackend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let area = &self.0;
        check_inside(area, area.lock().length, offset, out.len())?;
        let (begin, end) = area.blocks(offset, out.len());
        let base = area.extent.offset.0 + AREA_HEADER_BYTES;
        if begin == offset && end - begin == out.len() as u64 {
            return area.disk.read_at(out, base + begin);
        }
        let mut whole = vec![0; to_usize(end - begin)?];
        area.disk.read_at(&mut whole, base + begin)?;
        let from = to_usize(offset - begin)?;
        let found = whole.get(from..from + out.len()).ok_or_else(out_of_range)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let area = &self.0;
        let mut state = area.lock();
        area.unless_sealed(&mut state, |state| {
            if length > area.capacity() {
                return Err(io::Error::new(
                    io::ErrorKind::StorageFull,
                    format!(
                        "the metadata area of {} holds {} bytes, and {length} are wanted",
                        area.device(),
                        area.capacity()
                    ),
                ));
            }
            if length > state.length {
                area.grow(state, length)?;
            }
            if length != state.length {
                area.write_length(state, length)
                    .map_err(StorageError::into_source)?;
            }
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.0.lock();
        self.0.unless_sealed(&mut state, |_| self.0.disk.sync())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock();
        check_inside(&self.0, state.length, offset, data.len())?;
        self.0
            .unless_sealed(&mut state, |_| self.0.write_blocks(data, offset))
    }
}

enum RecordFault {
    Invalid,
    Storage(StorageError),
}

fn check_extent(disk: &Disk, extent: AreaExtent) -> Result<(), AreaError> {
    let end = extent.offset.0.saturating_add(extent.length.0);
    let len_bytes = disk.len_bytes();
    if end > len_bytes {
        return Err(AreaError::TooLong {
            device: disk.name().to_owned(),
            end,
            len_bytes,
        });
    }
    Ok(())
}

fn check_inside(area: &Area, length: u64, offset: u64, count: usize) -> io::Result<()> {
    if offset
        .checked_add(count as u64)
        .is_none_or(|end| end > length)
    {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!(
                "{count} bytes at {offset} of the metadata on {} end beyond its {length} bytes",
                area.device()
            ),
        ));
    }
    Ok(())
}

fn encode_record(volume: VolumeId, sequence: u64, length: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(RECORD_BYTES);
    out.extend(RECORD_MAGIC);
    out.extend(volume.0.as_bytes());
    out.extend(sequence.to_le_bytes());
    out.extend(length.to_le_bytes());
    let checksum = crc32c::crc32c(&out);
    out.extend(checksum.to_le_bytes());
    out.resize(RECORD_BYTES, 0);
    out
}

/// Sequence and length of each slot.
fn read_records(
    disk: &Disk,
    extent: AreaExtent,
    volume: VolumeId,
) -> [Result<(u64, u64), RecordFault>; 2] {
    [0, 1].map(|slot| {
        let mut bytes = vec![0; RECORD_BYTES];
        storage::read(
            &**disk,
            &mut bytes,
            extent.offset.0 + slot * RECORD_BYTES as u64,
        )
        .map_err(RecordFault::Storage)?;
        decode_record(&bytes, volume)
            .filter(|&(_, length)| length <= extent.length.0.saturating_sub(AREA_HEADER_BYTES))
            .ok_or(RecordFault::Invalid)
    })
}

fn decode_record(bytes: &[u8], volume: VolumeId) -> Option<(u64, u64)> {
    let covered = bytes.get(..RECORD_CHECKSUM_AT)?;
    let stored = bytes.get(RECORD_CHECKSUM_AT..RECORD_CHECKSUM_AT + 4)?;
    if crc32c::crc32c(covered).to_le_bytes() != stored || covered.get(..8)? != RECORD_MAGIC {
        return None;
    }
    if Uuid::from_slice(covered.get(8..24)?).ok()? != volume.0 {
        return None;
    }
    let sequence = u64::from_le_bytes(covered.get(24..32)?.try_into().ok()?);
    let length = u64::from_le_bytes(covered.get(32..40)?.try_into().ok()?);
    Some((sequence, length))
}

fn to_usize(value: u64) -> io::Result<usize> {
    usize::try_from(value).map_err(io::Error::other)
}

fn out_of_range() -> io::Error {
    io::Error::other("a block range was computed wrongly")
}

/// Bytes of database that an area of this extent can hold.
#[must_use]
pub fn database_capacity(extent: AreaExtent) -> Bytes {
    Bytes(extent.length.0.saturating_sub(AREA_HEADER_BYTES))
}

#[cfg(test)]
mod tests;
