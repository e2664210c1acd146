//! The label: what makes a device a member of a volume.
//!
//! Owns: what a label says, reading and writing both copies, and wiping them; the bytes of one copy
//! are `codec`'s. Invariants: the two copies are written one after the other with a flush between, so at every
//! moment one of them is whole; the whole one with the higher sequence is the label; each write
//! heals a torn copy. May not judge whether labels of several devices fit together: that is
//! `recover`'s.

mod codec;

use tier_core::units::{Bytes, Generation, MemberIndex, RegionSize};
use tier_core::volume::Class;

use crate::steps::{Step, Steps};
use crate::storage::{self, Storage, StorageError};
use crate::words::{AreaExtent, BackendKind, Epoch, EpochId, MemberId, VolumeId, VolumeName};

pub use codec::{MAGIC, decode, encode};

/// Offsets of the two copies on the device, in bytes. The first lies behind the boot sectors and
/// partition tables that other tools write at the very front; the second is far enough from it
/// that one stray write does not take both.
pub const COPY_OFFSETS: [u64; 2] = [4 << 10, 512 << 10];
/// Length of one copy in bytes: the largest logical block that a member may have.
pub const COPY_BYTES: usize = 4096;
/// The newest label format that this build reads and writes.
pub const FORMAT: u32 = 1;
/// Where a volume's creation or destruction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelState {
    /// Not every member had its label when this one was written. A volume all of whose labels say
    /// so was never handed to anyone.
    Creating,
    /// Every member has a label.
    Whole,
    /// The volume is being destroyed; some members may have lost their labels.
    Destroying,
}

/// A member's label.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Label {
    /// Grows with each write of this member's label.
    pub sequence: u64,
    /// Where creation or destruction stands.
    pub state: LabelState,
    /// The volume.
    pub volume: VolumeId,
    /// The volume's name.
    pub name: VolumeName,
    /// How many members the volume had when this was written.
    pub member_count: u16,
    /// This member.
    pub member: MemberId,
    /// Its position in the volume's list.
    pub index: MemberIndex,
    /// Its kind.
    pub class: Class,
    /// Size of the whole device.
    pub device_bytes: Bytes,
    /// The device's logical block size in bytes.
    pub block_bytes: u32,
    /// Size of a region.
    pub region_size: RegionSize,
    /// Where data region 0 begins on the device; region n lies n region sizes behind it.
    pub data_start: Bytes,
    /// Number of data regions.
    pub data_regions: u32,
    /// The metadata area, if this member has one.
    pub area: Option<AreaExtent>,
    /// Logical block size in bytes that the volume shows.
    pub volume_block_bytes: u32,
    /// Number of regions of the volume.
    pub volume_regions: u32,
    /// What serves the volume.
    pub backend: BackendKind,
    /// The set of members and replicas that this label was written under.
    pub epoch: Epoch,
    /// The epoch before it; `None` for the first.
    pub parent: Option<EpochId>,
    /// The newest generation that was acted on: a start that cannot show a whole generation at
    /// least as new refuses to start read-write (rule 6).
    pub acted_on: Generation,
}

/// What one of the two places holds.
#[derive(Debug)]
pub enum LabelCopy {
    /// A whole label.
    Valid(Box<Label>),
    /// No label.
    Absent,
    /// A label that is not whole, and why.
    Torn(String),
    /// A whole label of a format that this build does not know.
    NewerFormat(u32),
    /// The place cannot be read.
    Unreadable(StorageError),
}

/// Both copies of a device's label.
#[derive(Debug)]
pub struct LabelCopies {
    /// In the order of [`COPY_OFFSETS`].
    pub copies: [LabelCopy; 2],
}

/// Why a device has no label that can be used.
#[derive(Debug, thiserror::Error)]
pub enum LabelError {
    /// Neither place holds one.
    #[error("{device} carries no tierd label")]
    Absent {
        /// The device.
        device: String,
    },
    /// What is there is not whole.
    #[error(
        "{device} has a tierd label, but neither copy is whole ({first}; {second}): leave the \
         device out and start its volume with --degraded"
    )]
    Torn {
        /// The device.
        device: String,
        /// What is wrong with the copy at 4 KiB.
        first: String,
        /// What is wrong with the copy at 512 KiB.
        second: String,
    },
    /// Written by a newer tierd.
    #[error(
        "{device} has a label of format {format}; this tierd knows formats up to {FORMAT}: \
         use the newer tierd that wrote it"
    )]
    NewerFormat {
        /// The device.
        device: String,
        /// The format it names.
        format: u32,
    },
    /// It cannot be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The device is too small to carry one, or its blocks are too large.
    #[error("{device} cannot carry a label: {why}")]
    Unfit {
        /// The device.
        device: String,
        /// What does not fit.
        why: String,
    },
}

impl LabelCopies {
    /// The label: the whole copy with the higher sequence. A copy of a newer format is believed
    /// before any older one, because an older tierd must not judge what a newer one left.
    pub fn newest(&self, device: &str) -> Result<&Label, LabelError> {
        for copy in &self.copies {
            if let LabelCopy::NewerFormat(format) = copy {
                return Err(LabelError::NewerFormat {
                    device: device.to_owned(),
                    format: *format,
                });
            }
        }
        let whole = self.copies.iter().filter_map(|copy| match copy {
            LabelCopy::Valid(label) => Some(label.as_ref()),
            _ => None,
        });
        if let Some(label) = whole.max_by_key(|label| label.sequence) {
            return Ok(label);
        }
        match &self.copies {
            [LabelCopy::Absent, LabelCopy::Absent] => Err(LabelError::Absent {
                device: device.to_owned(),
            }),
            [first, second] => Err(LabelError::Torn {
                device: device.to_owned(),
                first: first.describe(),
                second: second.describe(),
            }),
        }
    }

    /// The sequence of each copy that is whole.
    fn sequences(&self) -> [Option<u64>; 2] {
        self.copies.each_ref().map(|copy| match copy {
            LabelCopy::Valid(label) => Some(label.sequence),
            _ => None,
        })
    }

    /// Whether both copies are whole and the same, so that no write is needed to heal them.
    #[must_use]
    pub fn agree(&self) -> bool {
        matches!(&self.copies, [LabelCopy::Valid(first), LabelCopy::Valid(second)] if first == second)
    }

    /// Whether neither place holds anything of a label.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self.copies, [LabelCopy::Absent, LabelCopy::Absent])
    }

    /// Whether the device does not let either copy be read, so that nobody can say what it holds.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        let unreadable = |copy: &LabelCopy| matches!(copy, LabelCopy::Unreadable(_));
        self.copies.iter().all(unreadable)
    }
}

impl LabelCopy {
    /// In a few words, for people.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Valid(label) => format!("whole, sequence {}", label.sequence),
            Self::Absent => "absent".to_owned(),
            Self::Torn(why) => format!("torn: {why}"),
            Self::NewerFormat(format) => format!("format {format}"),
            Self::Unreadable(error) => error.to_string(),
        }
    }
}

/// Reads both copies. Never writes. A device too short for the second copy has none there.
#[must_use]
pub fn read(disk: &dyn Storage) -> LabelCopies {
    LabelCopies {
        copies: COPY_OFFSETS.map(|offset| read_copy(disk, offset)),
    }
}

fn read_copy(disk: &dyn Storage, offset: u64) -> LabelCopy {
    if disk.len_bytes() < offset + COPY_BYTES as u64 {
        return LabelCopy::Absent;
    }
    let mut bytes = vec![0; COPY_BYTES];
    if let Err(error) = storage::read(disk, &mut bytes, offset) {
        return LabelCopy::Unreadable(error);
    }
    decode(&bytes)
}

/// Writes both copies with the sequence that follows `label.sequence`, a flush after each, and
/// leaves the new sequence in `label`. On an error one copy is still the label that was there.
pub fn write(disk: &dyn Storage, label: &mut Label, steps: &Steps) -> Result<(), LabelError> {
    check_fits(disk)?;
    let found = read(disk);
    // Above whatever an earlier write that failed half-way may have left.
    let highest = found.sequences().into_iter().flatten().max();
    let next = Label {
        sequence: highest.unwrap_or(0).max(label.sequence) + 1,
        ..label.clone()
    };
    let bytes = encode(&next);
    // The copy that is the label now goes last: until the other is durable it must stay whole.
    let order = match found.sequences() {
        [Some(first), second] if second < Some(first) => [1, 0],
        _ => [0, 1],
    };
    for copy in order {
        steps.reached(Step::LabelCopy {
            member: label.index,
            copy,
        });
        let offset = COPY_OFFSETS.get(copy).copied().unwrap_or_default();
        storage::write(disk, &bytes, offset)?;
        storage::sync(disk)?;
    }
    *label = next;
    Ok(())
}

/// Overwrites both copies with zeros, each flushed. Data and metadata area stay as they are, but
/// nothing finds them any more.
pub fn wipe(disk: &dyn Storage) -> Result<(), LabelError> {
    check_fits(disk)?;
    for offset in COPY_OFFSETS {
        storage::write(disk, &[0; COPY_BYTES], offset)?;
        storage::sync(disk)?;
    }
    Ok(())
}

fn check_fits(disk: &dyn Storage) -> Result<(), LabelError> {
    let unfit = |why| {
        Err(LabelError::Unfit {
            device: disk.name().to_owned(),
            why,
        })
    };
    let block = disk.block_bytes();
    if !block.is_power_of_two() || !(512..=4096).contains(&block) {
        return unfit(format!(
            "its logical blocks have {block} bytes, and 512 to 4096 are allowed"
        ));
    }
    if disk.len_bytes() < 1 << 20 {
        return unfit(format!(
            "it has {} bytes, and labels need 1048576",
            disk.len_bytes()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
