//! A volume's first and last moment.
//!
//! Owns: creation and destruction. Invariants:
//! - replicas are written and flushed first; then every label says `creating`; only when all are
//!   durable does the first say `whole`. So a crash leaves no volume (all labels absent or
//!   `creating`) or a whole one (one label `whole`, and the next start heals the others);
//! - destruction says `destroying` on every label before it wipes the first, so that what a crash
//!   leaves is never taken for a volume that lost members.
//!
//! Whether a device may be overwritten at all (signatures, holders) is the shell's to judge.

use tier_core::units::{Bytes, Generation, MemberIndex, RegionSize};
use tier_core::volume::{Class, Profile};

use crate::area::{Area, AreaError};
use crate::label::{self, LabelError, LabelState};
use crate::layout::{BLANK_BYTES, BLANK_OFFSET, Layout};
use crate::map::Map;
use crate::meta::{MetaError, Metadata, Replica, Revision};
use crate::steps::{Step, Steps};
use crate::storage::{self, Disk, Storage, StorageError};
use crate::store::{OpenMember, Store, label_of};
use crate::violation::Violation;
use crate::words::{BackendKind, Facts, MemberFacts, MemberId, ReplicaState, VolumeId, VolumeName};

/// A volume to be.
#[derive(Clone, Debug)]
pub struct NewVolume {
    /// Its name.
    pub name: VolumeName,
    /// Size of a region.
    pub region_size: RegionSize,
    /// What is to serve it.
    pub backend: BackendKind,
    /// Its members, in the order that gives them their indices.
    pub members: Vec<NewMember>,
    /// Where everything lies, from `layout::plan` over the same devices in the same order.
    pub layout: Layout,
}

/// A member to be.
#[derive(Clone, Debug)]
pub struct NewMember {
    /// Its kind.
    pub class: Class,
    /// Its speed.
    pub profile: Profile,
}

/// Why a volume was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// Members, layout and devices are not equally many.
    #[error("{members} members, {layouts} layouts and {disks} devices were given; all must match")]
    Counts {
        /// Members named.
        members: usize,
        /// Members laid out.
        layouts: usize,
        /// Devices given.
        disks: usize,
    },
    /// A device is too short for its layout.
    #[error("{device} has {actual} bytes, and its layout needs {needed}")]
    Size {
        /// The device.
        device: String,
        /// What it has.
        actual: Bytes,
        /// What its layout needs.
        needed: Bytes,
    },
    /// A device's blocks are larger than the volume's.
    #[error("{device} has logical blocks of {actual} bytes, larger than the volume's {volume}")]
    BlockSize {
        /// The device.
        device: String,
        /// What it has.
        actual: u32,
        /// What the volume is to show.
        volume: u32,
    },
    /// The first map is broken.
    #[error("the layout's map is broken: {0}")]
    Map(#[from] Violation),
    /// An area could not be made.
    #[error(transparent)]
    Area(#[from] AreaError),
    /// The metadata could not be written.
    #[error(transparent)]
    Metadata(#[from] MetaError),
    /// A label could not be written.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// A device could not be flushed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl Store {
    /// Makes a volume of `disks`, whose fronts are overwritten. After an error or a crash there
    /// is either no volume or a whole one; what stands half-made may be overwritten by the next
    /// try.
    pub fn create(volume: &NewVolume, disks: &[Disk], steps: Steps) -> Result<Self, CreateError> {
        check(volume, disks)?;
        let facts = facts(volume, disks);
        let capacity = facts
            .members
            .iter()
            .map(|member| (member.index, member.regions));
        let extents = volume.layout.extents.iter().cloned();
        let map = Map::from_parts(facts.regions, capacity, extents, [])?;
        let (generation, revision) = (Generation(1), Revision(1));
        let metadata = Metadata {
            facts,
            generation,
            revision,
            map,
        };
        // A label of an earlier volume must not be found beside the new metadata.
        for disk in disks {
            if !label::read(&**disk).is_absent() {
                label::wipe(&**disk)?;
            }
            let zeros = vec![0; usize::try_from(BLANK_BYTES.0).unwrap_or(usize::MAX)];
            storage::write(&**disk, &zeros, BLANK_OFFSET.0)?;
        }
        let mut store = Self {
            members: Vec::with_capacity(disks.len()),
            replicas: Vec::new(),
            metadata,
            acted_on: Generation(0),
            read_only: false,
            steps,
        };
        store.create_replicas(disks)?;
        store.create_labels(disks)?;
        Ok(store)
    }

    fn create_replicas(&mut self, disks: &[Disk]) -> Result<(), CreateError> {
        let facts = &self.metadata.facts;
        for (member, disk) in facts.members.iter().zip(disks) {
            let Some(extent) = member.area else { continue };
            let member = member.index;
            self.steps.reached(Step::BeforeReplica { member });
            let area = Area::format(disk.clone(), extent, facts.volume)?;
            let replica = Replica::open(member, area)?;
            replica.write_all(&self.metadata)?;
            storage::sync(&**disk)?;
            self.replicas.push(replica);
            self.steps.reached(Step::AfterReplica { member });
        }
        Ok(())
    }

    fn create_labels(&mut self, disks: &[Disk]) -> Result<(), CreateError> {
        for (at, disk) in disks.iter().enumerate() {
            let index = index(at);
            let Some(whole) = label_of(&self.metadata.facts, index, Generation(0)) else {
                continue;
            };
            let mut label = label::Label {
                state: LabelState::Creating,
                ..whole
            };
            label::write(&**disk, &mut label, &self.steps)?;
            self.steps.reached(Step::AfterLabel { member: index });
            self.members.push(OpenMember {
                disk: disk.clone(),
                label,
            });
        }
        for member in &mut self.members {
            let mut label = label::Label {
                state: LabelState::Whole,
                ..member.label.clone()
            };
            label::write(&*member.disk, &mut label, &self.steps)?;
            member.label = label;
            self.steps.reached(Step::AfterLabel {
                member: member.label.index,
            });
        }
        Ok(())
    }
}

/// Removes the labels of a whole volume. Its devices are blank to tierd afterwards; the data on
/// them stays where it was, and nothing finds it any more.
pub fn destroy(disks: &[Disk], steps: &Steps) -> Result<(), LabelError> {
    for disk in disks {
        if let Ok(label) = label::read(&**disk).newest(disk.name()) {
            let mut label = label::Label {
                state: LabelState::Destroying,
                ..label.clone()
            };
            label::write(&**disk, &mut label, steps)?;
            steps.reached(Step::AfterLabel {
                member: label.index,
            });
        }
    }
    for disk in disks {
        wipe(&**disk)?;
    }
    Ok(())
}

/// Removes both labels of one device, whatever volume it belonged to. Flushed.
pub fn wipe(disk: &dyn Storage) -> Result<(), LabelError> {
    label::wipe(disk)
}

fn check(volume: &NewVolume, disks: &[Disk]) -> Result<(), CreateError> {
    let (members, layouts) = (volume.members.len(), volume.layout.members.len());
    if members != layouts || layouts != disks.len() {
        return Err(CreateError::Counts {
            members,
            layouts,
            disks: disks.len(),
        });
    }
    for (layout, disk) in volume.layout.members.iter().zip(disks) {
        let data = volume.region_size.bytes_of(layout.regions);
        let needed = Bytes(layout.data_start.0 + data.0);
        let actual = Bytes(disk.device_bytes());
        if actual < needed {
            return Err(CreateError::Size {
                device: disk.name().to_owned(),
                actual,
                needed,
            });
        }
        let (actual, volume) = (disk.block_bytes(), volume.layout.block_bytes);
        if actual > volume {
            return Err(CreateError::BlockSize {
                device: disk.name().to_owned(),
                actual,
                volume,
            });
        }
    }
    Ok(())
}

fn facts(volume: &NewVolume, disks: &[Disk]) -> Facts {
    let layouts = volume.layout.members.iter().zip(&volume.members);
    let members = layouts
        .zip(disks)
        .enumerate()
        .map(|(at, ((layout, member), disk))| MemberFacts {
            index: index(at),
            id: MemberId::random(),
            class: member.class,
            device_bytes: Bytes(disk.device_bytes()),
            block_bytes: disk.block_bytes(),
            data_start: layout.data_start,
            regions: layout.regions,
            area: layout.area,
            profile: member.profile,
            present: true,
            replica: if layout.area.is_some() {
                ReplicaState::Live
            } else {
                ReplicaState::None
            },
        });
    let mut facts = Facts {
        volume: VolumeId::random(),
        name: volume.name.clone(),
        region_size: volume.region_size,
        regions: volume.layout.regions,
        block_bytes: volume.layout.block_bytes,
        backend: volume.backend,
        members: members.collect(),
        epochs: Vec::new(),
    };
    facts.begin_epoch();
    facts
}

fn index(at: usize) -> MemberIndex {
    MemberIndex(u16::try_from(at).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
