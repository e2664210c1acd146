//! Everything as JSON, and the way back.
//!
//! Owns: [`Dump`], [`dump`] and [`restore`]. A dump holds the labels as found and the newest whole
//! metadata. Restoring puts a dump's map onto members that carry labels of the same volume, as a
//! new epoch with a later revision. Invariant: a restore never goes behind a mark or behind whole
//! metadata, because that would serve old data. What refuses it is found before anything is
//! written; one that an I/O error or a crash stops half-way is finished by running it again.

use serde::{Deserialize, Serialize};
use tier_core::units::{Generation, MemberIndex};
use tier_core::volume::{Extent, Retired};

use crate::area::Area;
use crate::label::Label;
use crate::map::Map;
use crate::meta::{MetaError, Metadata, Replica, Revision};
use crate::open::{OpenOptions, Recovery};
use crate::recover::{Seen, Tolerance, judge, survey};
use crate::refusal::OpenError;
use crate::storage::Disk;
use crate::store::Store;
use crate::violation::Violation;
use crate::words::{Facts, ReplicaState, VolumeId};

/// Version of the dump's shape.
pub const VERSION: u32 = 1;

/// A volume's on-disk state as a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// Version of this shape.
    pub version: u32,
    /// What was found on each device. For people; a restore does not read it.
    #[serde(default)]
    pub devices: Vec<DeviceDump>,
    /// The newest whole metadata.
    pub metadata: MetadataDump,
}

/// What was found on one device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceDump {
    /// How people call it.
    pub device: String,
    /// Its label.
    pub label: Option<Label>,
    /// In words, each copy of its label.
    pub copies: Vec<String>,
    /// Revision of the metadata in its area, or what is wrong with it; `None` without an area.
    pub replica: Option<String>,
}

/// The metadata records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetadataDump {
    /// What rarely changes.
    pub facts: Facts,
    /// The map's generation.
    pub generation: Generation,
    /// The transaction's number.
    pub revision: Revision,
    /// The extents in order.
    pub extents: Vec<Extent>,
    /// The retired runs.
    pub retired: Vec<Retired>,
}

impl From<&Metadata> for MetadataDump {
    fn from(metadata: &Metadata) -> Self {
        Self {
            facts: metadata.facts.clone(),
            generation: metadata.generation,
            revision: metadata.revision,
            extents: metadata.map.extents().collect(),
            retired: metadata.map.retired().collect(),
        }
    }
}

/// Reads everything. Writes nothing. Absent members and marks that nothing reaches are no
/// hindrance.
pub fn dump(disks: &[Disk]) -> Result<Dump, OpenError> {
    let seen = survey(disks);
    let choice = judge(
        &seen,
        Tolerance {
            missing: true,
            acted_on: true,
        },
    )?;
    let devices = seen.iter().map(|seen| DeviceDump {
        device: seen.device(),
        label: seen.label().ok().cloned(),
        copies: seen
            .copies
            .copies
            .iter()
            .map(crate::label::LabelCopy::describe)
            .collect(),
        replica: seen.metadata.as_ref().map(|metadata| match metadata {
            Ok(metadata) => format!("revision {}", metadata.revision.0),
            Err(error) => error.to_string(),
        }),
    });
    let metadata = MetadataDump::from(&choice.metadata);
    Ok(Dump {
        version: VERSION,
        devices: devices.collect(),
        metadata,
    })
}

/// Why a dump was not restored. Nothing was written, unless it is [`RestoreError::Write`] or
/// [`RestoreError::Open`].
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// A dump of another tierd.
    #[error("the dump has version {0}, and this tierd reads {VERSION}")]
    Version(u32),
    /// A device has no usable label.
    #[error(transparent)]
    Label(#[from] crate::label::LabelError),
    /// The dump is of another volume.
    #[error("the dump is of volume {dump}, and {device} belongs to volume {found}")]
    OtherVolume {
        /// The dump's.
        dump: VolumeId,
        /// The device.
        device: String,
        /// Its volume.
        found: VolumeId,
    },
    /// A device is no member of the dump's volume as the dump knows it.
    #[error("{device} is not the member that the dump describes: {what} differs")]
    OtherMember {
        /// The device.
        device: String,
        /// What differs.
        what: &'static str,
    },
    /// A member of the dump is absent.
    #[error("member {0} of the dump is absent; a restore needs every member")]
    Absent(MemberIndex),
    /// The dump's epoch is not the one in the labels, nor before it.
    #[error("{device} is in epoch {epoch}, which the dump does not know: the dump is older")]
    Epoch {
        /// The device.
        device: String,
        /// Its label's epoch.
        epoch: crate::words::Epoch,
    },
    /// The dump is older than a generation that was acted on.
    #[error(
        "the dump is of generation {dump}, and {device} says that {marked} was acted on: data \
         moved since would be served from where it lay before; a newer dump is needed"
    )]
    ActedOn {
        /// The dump's.
        dump: Generation,
        /// The device.
        device: String,
        /// Its mark.
        marked: Generation,
    },
    /// The volume has newer metadata than the dump.
    #[error("the volume has whole metadata of generation {found}, and the dump is of {dump}")]
    Newer {
        /// The volume's.
        found: Generation,
        /// The dump's.
        dump: Generation,
    },
    /// The dump's map is broken.
    #[error("the dump's map is broken: {0}")]
    Map(#[from] Violation),
    /// A replica could not be written.
    #[error("the dump could not be written: {0}")]
    Write(#[from] MetaError),
    /// The restored volume cannot be opened.
    #[error("the dump was written, and the volume cannot be opened: {0}")]
    Open(#[from] OpenError),
}

/// Puts the metadata of `dump` onto `disks`, which carry labels of its volume. With `dry_run`,
/// everything is checked and nothing is written.
pub fn restore(
    dump: &Dump,
    disks: &[Disk],
    dry_run: bool,
) -> Result<Option<Recovery>, RestoreError> {
    if dump.version != VERSION {
        return Err(RestoreError::Version(dump.version));
    }
    let seen = survey(disks);
    let mut metadata = restored(dump, &seen)?;
    if dry_run {
        return Ok(None);
    }
    for member in &mut metadata.facts.members {
        if member.replica == ReplicaState::Dropped && member.present {
            member.replica = ReplicaState::Live;
        }
    }
    for seen in &seen {
        let label = seen.label()?;
        let Some(extent) = label.area else { continue };
        let area =
            Area::format(seen.disk.clone(), extent, label.volume).map_err(MetaError::from)?;
        Replica::open(label.index, area)?.write_all(&metadata)?;
    }
    let (_, recovery) = Store::open(disks, &OpenOptions::default())?;
    Ok(Some(recovery))
}

/// The metadata that a restore would write.
fn restored(dump: &Dump, seen: &[Seen]) -> Result<Metadata, RestoreError> {
    let facts = &dump.metadata.facts;
    let generation = dump.metadata.generation;
    let mut revision = dump.metadata.revision.0;
    for seen in seen {
        let label = seen.label()?;
        let device = seen.device();
        check_label(facts, label, &device)?;
        if label.acted_on > generation {
            let (dump, marked) = (generation, label.acted_on);
            return Err(RestoreError::ActedOn {
                dump,
                device,
                marked,
            });
        }
        if let Some(Ok(found)) = &seen.metadata {
            if found.generation > generation {
                let (found, dump) = (found.generation, generation);
                return Err(RestoreError::Newer { found, dump });
            }
            revision = revision.max(found.revision.0);
        }
    }
    for member in facts.members.iter().filter(|member| member.present) {
        let here = |seen: &Seen| seen.label().is_ok_and(|label| label.member == member.id);
        if !seen.iter().any(here) {
            return Err(RestoreError::Absent(member.index));
        }
    }
    let capacity = facts
        .members
        .iter()
        .map(|member| (member.index, member.regions));
    let (extents, retired) = (dump.metadata.extents.clone(), dump.metadata.retired.clone());
    let map = Map::from_parts(facts.regions, capacity, extents, retired)?;
    let mut facts = facts.clone();
    facts.begin_epoch();
    Ok(Metadata {
        facts,
        generation,
        revision: Revision(revision + 1),
        map,
    })
}

fn check_label(facts: &Facts, label: &Label, device: &str) -> Result<(), RestoreError> {
    let device = || device.to_owned();
    if label.volume != facts.volume {
        let (dump, found) = (facts.volume, label.volume);
        return Err(RestoreError::OtherVolume {
            dump,
            device: device(),
            found,
        });
    }
    let member = facts
        .members
        .iter()
        .find(|member| member.id == label.member);
    let what = match member {
        None => Some("its id"),
        Some(member) if member.index != label.index => Some("its index"),
        Some(member) if member.data_start != label.data_start => Some("its data start"),
        Some(member) if member.regions != label.data_regions => Some("its number of regions"),
        Some(member) if member.area != label.area => Some("its metadata area"),
        Some(_) if facts.region_size != label.region_size => Some("the region size"),
        Some(_) => None,
    };
    if let Some(what) = what {
        return Err(RestoreError::OtherMember {
            device: device(),
            what,
        });
    }
    if !facts.on_this_line(label.epoch) {
        return Err(RestoreError::Epoch {
            device: device(),
            epoch: label.epoch,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
