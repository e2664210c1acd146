//! Creating a volume.
//!
//! Owns: the order: everything is checked before anything is written; members are claimed before
//! labels are written; a failure gives them free again.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use tier_core::units::{Bytes, RegionSize};
use tier_core::volume::Profile;
use tier_store::create::{NewMember, NewVolume};
use tier_store::device::DeviceDisk;
use tier_store::label::{self, LabelState};
use tier_store::layout::{self, Candidate};
use tier_store::open::OpenOptions;
use tier_store::storage::Disk;
use tier_store::store::Store;
use tier_store::words::BackendKind;
use tier_sys::block::{Access, DeviceNumber};
use tier_wire::{CreateVolume, ErrorBody, ErrorKind, Overwrite, VolumeChange};

use super::Manager;
use super::error::{chain, internal, no_volume, of_backend, of_device};
use super::life::{change, running};
use crate::api::control::Answer;
use crate::backend::dm::DmBackend;
use crate::backend::{Layout, MemberDevice};
use crate::beneath::elsewhere;
use crate::member::{self, Facts, Force, MemberError, Requirements};
use crate::patience::{PATIENCE, within};
use crate::stop_point;
use crate::volume::discover::Found;
use crate::volume::view;

/// Regions that the probe counts in an array within its default budget: 64 MiB for two sets of
/// 32 bytes a region.
const REGIONS_COUNTED: u64 = 1 << 20;

/// A volume that has passed every check.
struct Checked {
    members: Vec<Facts>,
    new: NewVolume,
}

impl Manager {
    pub(super) async fn create_volume(&self, request: CreateVolume) -> Answer<VolumeChange> {
        let asked = request.clone();
        within(PATIENCE, "places", move || refuse_places(&asked))
            .await
            .map_err(|error| internal(&error))??;
        let _changing = self.changing.lock().await;
        self.refuse_existing(&request).await?;
        let headroom = self.config.policy.headroom;
        let asked = request.clone();
        let checked = tokio::task::spawn_blocking(move || check(&asked, headroom))
            .await
            .map_err(|error| internal(&error))??;
        let overwrites: Vec<Overwrite> = checked.members.iter().filter_map(overwrites).collect();
        if request.dry_run {
            let volume = view::planned(request.name, &checked.new, &checked.members);
            return Ok(VolumeChange {
                overwrites,
                ..change(true, volume, Vec::new())
            });
        }
        let (name, paths) = (
            request.name,
            checked
                .members
                .iter()
                .map(|m| m.path.clone())
                .collect::<Vec<_>>(),
        );
        tokio::task::spawn_blocking(move || write(&checked))
            .await
            .map_err(|error| internal(&error))??;
        let at = paths.clone();
        let members = tokio::task::spawn_blocking(move || {
            crate::volume::discover::look_at(&at).map_err(|error| internal(&error))
        })
        .await
        .map_err(|error| internal(&error))??;
        self.serve(members, OpenOptions::default(), None).await?;
        for path in &paths {
            crate::udev::announce(path);
        }
        let served = self
            .asker(name.as_str())
            .await
            .ok_or_else(|| no_volume(name.as_str()))?;
        Ok(VolumeChange {
            overwrites,
            ..change(false, running(&served).await?, Vec::new())
        })
    }

    async fn refuse_existing(&self, request: &CreateVolume) -> Answer<()> {
        for members in self.scan().await {
            let is_it = members
                .first()
                .is_some_and(|found| found.label.name.as_str() == request.name.as_str());
            if !is_it || is_overwritten(&members, request) {
                continue;
            }
            return Err(ErrorBody::new(
                ErrorKind::Exists,
                format!("there is a volume {} already", request.name),
            )
            .with_hint("choose another name; `tierctl volume list` shows those that are taken"));
        }
        Ok(())
    }
}

/// Refuses what a client names on a volume's file system: to look at it may take until the volume
/// is freed by this very daemon.
fn refuse_places(request: &CreateVolume) -> Answer<()> {
    for member in &request.members {
        elsewhere(Path::new(&member.path)).map_err(|error| {
            ErrorBody::new(ErrorKind::Invalid, error.to_string())
                .with_device(member.path.clone())
                .with_hint("name the device as it is called in /dev")
        })?;
    }
    Ok(())
}

/// Whether this is what a cut-off creation left, and all of it lies on devices that are asked for
/// now: nobody was ever given that volume, and nothing of it remains. What lay elsewhere would bear
/// the same name as the new volume.
fn is_overwritten(members: &[Found], request: &CreateVolume) -> bool {
    let asked: Vec<DeviceNumber> = request
        .members
        .iter()
        .filter_map(|member| std::fs::metadata(&member.path).ok())
        .map(|metadata| DeviceNumber::from_raw(metadata.rdev()))
        .collect();
    members
        .iter()
        .all(|found| found.label.state == LabelState::Creating && asked.contains(&found.number))
}

fn overwrites(member: &Facts) -> Option<Overwrite> {
    let signature = member.signature.as_ref()?;
    Some(Overwrite {
        path: member.path.display().to_string(),
        signature: signature.to_string(),
    })
}

/// Looks at the devices that were asked for, and refuses those that cannot be members.
fn inspect(request: &CreateVolume) -> Answer<Vec<Facts>> {
    let force = if request.force {
        Force::DestroyContent
    } else {
        Force::No
    };
    // Which size is too small, and which blocks are too large, follows from the layout.
    let requirements = Requirements {
        minimum: Bytes(0),
        block: None,
        force,
    };
    let mut members = Vec::with_capacity(request.members.len());
    for asked in &request.members {
        let facts = member::probe(Path::new(&asked.path)).map_err(|error| of_member(&error))?;
        refuse_unseen(&facts.path)?;
        refuse_labelled(&facts.path)?;
        member::check(&facts, requirements).map_err(|error| of_member(&error))?;
        members.push(facts);
    }
    member::check_together(&members).map_err(|error| of_member(&error))?;
    Ok(members)
}

/// What a later start would not look at cannot be a member.
fn refuse_unseen(path: &Path) -> Answer<()> {
    let node = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if !crate::volume::discover::is_passed_over(&node) {
        return Ok(());
    }
    let device = path.display().to_string();
    Err(ErrorBody::new(
        ErrorKind::Unfit,
        format!("{device} is a device of ublk, where nobody looks for members: it may not answer"),
    )
    .with_device(device))
}

/// A member of a volume is never overwritten, whatever is forced: that volume is destroyed first.
fn refuse_labelled(path: &Path) -> Answer<()> {
    let disk = DeviceDisk::open(path, Access::ReadOnly).map_err(|error| of_device(&error))?;
    let copies = label::read(&disk);
    if copies.is_absent() {
        return Ok(());
    }
    let device = path.display().to_string();
    let body = match copies.newest(&device) {
        // Nobody was ever given a volume whose creation was cut off.
        Ok(label) if label.state == LabelState::Creating => return Ok(()),
        Ok(label) => ErrorBody::new(
            ErrorKind::Foreign,
            format!(
                "{device} is member {} of volume {} already",
                label.index, label.name
            ),
        )
        .with_hint(format!(
            "destroy that volume first: `tierctl volume destroy {}`",
            label.name
        )),
        Err(error) => ErrorBody::new(ErrorKind::Foreign, error.to_string()).with_hint(
            "it was a member of a volume; `tierctl check` says more, `wipefs` and `dd` erase it",
        ),
    };
    Err(body.with_device(device))
}

/// What a refused device is for a client.
fn of_member(error: &MemberError) -> ErrorBody {
    let kind = match error {
        MemberError::Device(device) => return of_device(device),
        MemberError::NotBlockDevice { .. }
        | MemberError::SameDevice { .. }
        | MemberError::PartitionOfOther { .. } => ErrorKind::Invalid,
        MemberError::InUse { .. } | MemberError::Busy { .. } => ErrorKind::Busy,
        MemberError::Signature { .. } => ErrorKind::Foreign,
        MemberError::ReadOnly { .. }
        | MemberError::TooSmall { .. }
        | MemberError::BlockSize { .. } => ErrorKind::Unfit,
        MemberError::NoBlkid { .. } | MemberError::NoWipefs { .. } => ErrorKind::Unsupported,
        MemberError::System { .. } | MemberError::Blkid { .. } | MemberError::Wipefs { .. } => {
            ErrorKind::Io
        }
    };
    let hint = match error {
        MemberError::InUse { .. } | MemberError::Busy { .. } => {
            "unmount it, or end what uses it (`lsblk` and `fuser` show more), or give another device"
        }
        MemberError::SameDevice { .. } => "give it once",
        _ => return ErrorBody::new(kind, chain(error)),
    };
    ErrorBody::new(kind, chain(error)).with_hint(hint)
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the configuration keeps the headroom within 0 and 0.9"
)]
fn check(request: &CreateVolume, headroom: f64) -> Answer<Checked> {
    let name = tier_store::words::VolumeName::new(request.name.as_str())
        .map_err(|error| ErrorBody::new(ErrorKind::Invalid, error.to_string()))?;
    // The name must also do for device-mapper.
    request
        .name
        .as_str()
        .parse::<crate::backend::VolumeName>()
        .map_err(|error| ErrorBody::new(ErrorKind::Invalid, error.to_string()))?;
    let members = inspect(request)?;
    let total: u64 = members.iter().map(|member| member.size.0).sum();
    let region_size = RegionSize::new(Bytes(request.region_bytes.unwrap_or(region_bytes(total))))
        .map_err(|error| ErrorBody::new(ErrorKind::Invalid, error.to_string()))?;
    let classes: Vec<_> = request
        .members
        .iter()
        .zip(&members)
        .map(|(asked, found)| asked.class.map_or(found.class, view::core_class))
        .collect();
    let candidates: Vec<Candidate> = members
        .iter()
        .zip(&classes)
        .map(|(found, class)| Candidate {
            device: found.path.display().to_string(),
            class: *class,
            device_bytes: found.size,
            // The kernel has no larger blocks than that.
            block_bytes: u32::try_from(found.logical_block.0).unwrap_or(u32::MAX),
        })
        .collect();
    let mut planned = layout::plan(&candidates, region_size, (headroom * 100.0).round() as u8)
        .map_err(|error| ErrorBody::new(ErrorKind::Unfit, error.to_string()))?;
    if let Some(wanted) = request.block_bytes {
        planned.block_bytes = block_bytes(wanted, planned.block_bytes)?;
    }
    let profiles = classes
        .into_iter()
        .map(|class| NewMember {
            class,
            profile: Profile::typical(class),
        })
        .collect();
    Ok(Checked {
        members,
        new: NewVolume {
            name,
            region_size,
            backend: view::backend_kind(request.backend),
            members: profiles,
            layout: planned,
        },
    })
}

/// The region size of a volume of so many bytes: the smallest that makes no more than
/// [`REGIONS_COUNTED`] of it, within what is allowed.
fn region_bytes(total: u64) -> u64 {
    let (least, most) = (RegionSize::MIN.bytes().0, RegionSize::MAX.bytes().0);
    total
        .div_ceil(REGIONS_COUNTED)
        .next_power_of_two()
        .clamp(least, most)
}

/// Device-mapper shows the largest block size of its targets, and no larger one (rule 13).
fn block_bytes(wanted: u64, largest: u32) -> Answer<u32> {
    match u32::try_from(wanted) {
        Ok(wanted) if wanted == largest => Ok(wanted),
        _ => Err(ErrorBody::new(
            ErrorKind::Unfit,
            format!(
                "a volume of these members has blocks of {largest} bytes, and cannot show {wanted}"
            ),
        )
        .with_hint("leave the block size out, or choose members that have it")),
    }
}

/// Claims the members and writes labels and metadata. Gives the members free in any case: serving
/// claims them again, by the labels that it finds.
fn write(checked: &Checked) -> Answer<()> {
    for member in checked
        .members
        .iter()
        .filter(|member| member.signature.is_some())
    {
        member::erase::erase(&member.path).map_err(|error| of_member(&error))?;
    }
    if checked.new.backend == BackendKind::Ublk {
        return create_on_members(checked);
    }
    let layout = provisional_layout(checked)?;
    let mut backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    let written = backend
        .claim_members()
        .map_err(|error| of_backend(&error))
        .and_then(|()| create(checked, &backend));
    let released = backend
        .release_members()
        .map_err(|error| of_backend(&error));
    written.and(released)
}

fn create(checked: &Checked, backend: &DmBackend) -> Answer<()> {
    let mut disks: Vec<Disk> = Vec::new();
    for (member, device) in checked.members.iter().zip(&backend.layout().members) {
        let area = backend
            .area_path(device.index)
            .map_err(|error| of_backend(&error))?;
        let name = member.path.display().to_string();
        let disk = DeviceDisk::open_window(&area, Access::Exclusive, &name, member.size.0)
            .map_err(|error| of_device(&error))?;
        disks.push(Arc::new(disk));
    }
    label_all(checked, &disks)
}

/// The same without device-mapper, which need not be there: the members are opened exclusively.
fn create_on_members(checked: &Checked) -> Answer<()> {
    let open = |member: &Facts| {
        let disk = DeviceDisk::open(&member.path, Access::Exclusive);
        let disk = disk.map_err(|error| of_device(&error))?;
        Ok(Arc::new(disk) as Disk)
    };
    let disks = checked.members.iter().map(open);
    label_all(checked, &disks.collect::<Answer<Vec<Disk>>>()?)
}

fn label_all(checked: &Checked, disks: &[Disk]) -> Answer<()> {
    Store::create(&checked.new, disks, stop_point::store_steps())
        .map(drop)
        .map_err(|error| ErrorBody::new(ErrorKind::Io, chain(&error)))
}

/// The layout by which members are claimed before the volume has an id.
fn provisional_layout(checked: &Checked) -> Answer<Layout> {
    let planned = &checked.new.layout;
    let members = checked
        .members
        .iter()
        .zip(&planned.members)
        .zip(0_u16..)
        .map(|((found, layout), index)| MemberDevice {
            index: tier_core::units::MemberIndex(index),
            path: found.path.clone(),
            number: found.number,
            data_start: layout.data_start,
            regions: layout.regions,
        });
    let name = checked.new.name.as_str().parse();
    Ok(Layout {
        volume: uuid::Uuid::new_v4(),
        name: name.map_err(|error| internal(&error))?,
        region_size: checked.new.region_size,
        regions: planned.regions,
        block_bytes: Bytes(u64::from(planned.block_bytes)),
        members: members.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_grow_with_the_volume_and_stay_within_their_bounds() {
        const TIB: u64 = 1 << 40;
        assert_eq!(region_bytes(64 << 20), 1 << 20);
        assert_eq!(region_bytes(TIB), 1 << 20);
        assert_eq!(region_bytes(TIB + 1), 2 << 20);
        assert_eq!(region_bytes(100 * TIB), 128 << 20);
        assert_eq!(region_bytes(u64::MAX), 1 << 30);
    }
}
