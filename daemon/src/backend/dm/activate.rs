//! Owns: bringing a volume up and taking it down.
//!
//! Idempotent: what the kernel holds already is compared and adopted as it is, never loaded again
//! (a mirror would copy from the start, rule 11). What a death left half made is mended first: a
//! held device runs on with its old table, and a device that nothing leads to is removed.

use std::collections::BTreeSet;
use std::path::PathBuf;

use tier_core::units::{Bytes, MemberIndex, MoveId, Sectors};
use tier_core::volume::Extent;
use tier_sys::dm::UdevRules;

use super::control::{Info, failed};
use super::map::VolumeMap;
use super::names::Device;
use super::table::{Place, Segment, Target};
use super::{DmBackend, not_ours};
use crate::backend::settle::{Settle, Settled, settle};
use crate::backend::{Backend as _, BackendError, KernelMap, MemberDevice, link};

/// How a volume came to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Its device was made, all linear, as the records say.
    Started,
    /// It ran already, and nothing was loaded.
    Adopted,
}

/// A volume that runs.
#[derive(Clone, Debug)]
pub struct Activated {
    /// How it came to.
    pub how: Activation,
    /// What the kernel holds of it. Every run that no move is behind is where the records say.
    pub map: KernelMap,
    /// Its node, such as `/dev/dm-3`.
    pub device: PathBuf,
    /// Its link, `/dev/tierd/NAME`.
    pub link: PathBuf,
}

/// A member that is missing, as the records know it.
#[derive(Clone, Copy, Debug)]
pub struct Missing {
    /// Its position in the volume.
    pub index: MemberIndex,
    /// Where its data regions begin.
    pub data_start: Bytes,
    /// How many it has.
    pub regions: u32,
}

impl DmBackend {
    /// Claims the members and brings the volume up, or adopts it where it runs.
    ///
    /// Refuses with [`BackendError::Mismatch`] where the kernel runs another table than the
    /// records say, with [`BackendError::Foreign`] where a device of one of our names is not
    /// ours, and with errno `EBUSY` where a member is in use by another.
    pub fn activate(&mut self, extents: &[Extent]) -> Result<Activated, BackendError> {
        let wanted = VolumeMap::from_extents(&self.layout, extents)?;
        self.mend()?;
        self.claim_members()?;
        let how = match self.own(Device::Volume)? {
            Some(info) if info.has_table => Activation::Adopted,
            _ => {
                self.start(&wanted)?;
                Activation::Started
            }
        };
        let map = self.read_back()?;
        self.compare(&map, &wanted)?;
        self.remove_leftovers(&map)?;
        self.remove_stand_ins()?;
        let number = self.device_number()?;
        let link = link::ensure(&self.layout.name, number)?;
        Ok(Activated {
            how,
            map,
            device: self.device_path()?,
            link,
        })
    }

    /// Claims the members only: loads the devices over their label and metadata areas, or adopts
    /// them. [`Self::activate`] does this too; by itself it lets the records be read first.
    pub fn claim_members(&mut self) -> Result<(), BackendError> {
        for member in self.layout.members.clone() {
            if self.missing.contains(&member.index) {
                continue;
            }
            let device = Device::Area(member.index);
            let length = member.data_start.to_sectors().filter(|length| length.0 > 0);
            let length = length.ok_or_else(|| {
                let start = member.data_start;
                BackendError::Layout(format!("member {} starts at byte {start}", member.index))
            })?;
            let place = Place {
                device: member.number,
                offset: Sectors(0),
            };
            let segment = Segment {
                start: Sectors(0),
                length,
                target: Target::Linear(place),
            };
            self.ensure_live(device, segment)?;
        }
        Ok(())
    }

    /// Makes an inner device of one segment, or adopts it. One without a table was left by a start
    /// that died between its making and its loading.
    fn ensure_live(&mut self, device: Device, segment: Segment) -> Result<(), BackendError> {
        match self.own(device)? {
            Some(info) if info.has_table => {
                return self.check_live(&self.names.name(device), &[segment]);
            }
            Some(_) => self.remove(device)?,
            None => {}
        }
        self.make_live(device, &[segment], UdevRules::NodeOnly)
    }

    /// Lets a device that fails all I/O stand in for a missing member, so that the rest of the
    /// volume can be served. A device of that member, if one was found, is not used.
    pub fn stand_in_for(&mut self, missing: &Missing) -> Result<(), BackendError> {
        let device = Device::Absent(missing.index);
        let data_start = missing.data_start.to_sectors().unwrap_or_default();
        let data = self.layout.regions_to_sectors(missing.regions);
        let segment = Segment {
            start: Sectors(0),
            length: Sectors(data_start.0 + data.0),
            target: Target::Error,
        };
        self.ensure_live(device, segment)?;
        let stand_in = MemberDevice {
            index: missing.index,
            path: self.node(device)?,
            number: self.number(device)?,
            data_start: missing.data_start,
            regions: missing.regions,
        };
        let members = &mut self.layout.members;
        members.retain(|member| member.index != missing.index);
        members.push(stand_in);
        members.sort_unstable_by_key(|member| member.index);
        self.missing.insert(missing.index);
        Ok(())
    }

    /// Removes what stood in for members that are back.
    fn remove_stand_ins(&mut self) -> Result<(), BackendError> {
        for device in self.devices()? {
            let Device::Absent(index) = device else {
                continue;
            };
            if !self.missing.contains(&index) {
                self.remove_closed(device)?;
            }
        }
        Ok(())
    }

    /// Takes the volume down. [`BackendError::InUse`], and nothing is changed, while it is open
    /// or mounted; so too while one of the area devices is open, but then the volume is gone.
    pub fn deactivate(&mut self) -> Result<(), BackendError> {
        self.unmap()?;
        self.release_members()
    }

    /// Takes the volume down and leaves the members claimed. [`BackendError::InUse`], and nothing
    /// is changed, while it is open or mounted.
    pub fn unmap(&mut self) -> Result<(), BackendError> {
        self.mend()?;
        if self.own(Device::Volume)?.is_some() {
            self.remove_closed(Device::Volume)?;
        }
        link::remove(&self.layout.name)?;
        self.remove_moves_but(&BTreeSet::new())?;
        for device in self.devices()? {
            if matches!(device, Device::Absent(_)) {
                self.remove_closed(device)?;
            }
        }
        Ok(())
    }

    /// Gives the members free.
    pub fn release_members(&mut self) -> Result<(), BackendError> {
        for member in self.layout.members.clone() {
            if self.own(Device::Area(member.index))?.is_some() {
                self.remove_closed(Device::Area(member.index))?;
            }
        }
        Ok(())
    }

    /// Lets run what a death left held, with the table that was live; the inner devices first,
    /// since the volume's I/O goes on into them. Throws away tables that were loaded and not yet
    /// swapped in, and devices that never had one.
    pub(super) fn mend(&mut self) -> Result<(), BackendError> {
        let mut devices: Vec<Device> = self.devices()?;
        devices.sort_unstable_by_key(|device| match device {
            Device::Mirror(_) => 0,
            Device::Move(_) => 1,
            Device::Area(_) | Device::Absent(_) => 2,
            Device::Volume => 3,
        });
        for device in devices {
            let Some(info) = self.own(device)? else {
                continue;
            };
            let name = self.names.name(device);
            if info.has_loaded_table {
                self.control.clear(&name)?;
            }
            if info.suspended && info.has_table {
                self.control.resume(&name, rules(device))?;
            }
        }
        // From the top down, so that nothing leads to what is removed.
        for device in self.devices()?.into_iter().rev() {
            if self.own(device)?.is_some_and(|info| !info.has_table) {
                self.remove(device)?;
            }
        }
        Ok(())
    }

    /// What the kernel says of this device; an error if the name is ours and the device is not.
    fn own(&self, device: Device) -> Result<Option<Info>, BackendError> {
        let name = self.names.name(device);
        let Some(info) = self.control.info(&name)? else {
            return Ok(None);
        };
        if info.uuid.as_deref() == Some(self.names.uuid(device).as_str()) {
            return Ok(Some(info));
        }
        let uuid = info.uuid.unwrap_or_default();
        Err(not_ours(
            &name,
            &format!("a device of that name with uuid {uuid:?} is there"),
        ))
    }

    /// This volume's devices that the kernel has.
    fn devices(&self) -> Result<Vec<Device>, BackendError> {
        let listed = self.control.list()?.into_iter();
        let mut devices: Vec<Device> = listed
            .filter_map(|listed| self.names.parse(&listed.name))
            .collect();
        devices.sort_unstable();
        Ok(devices)
    }

    fn start(&mut self, wanted: &VolumeMap) -> Result<(), BackendError> {
        let table = wanted.to_table(&self.layout, &self.moves()?)?;
        self.make_live(Device::Volume, &table, UdevRules::All)
    }

    /// Makes a device with this table; on an error there is none.
    fn make_live(
        &mut self,
        device: Device,
        table: &[Segment],
        rules: UdevRules,
    ) -> Result<(), BackendError> {
        let name = self.names.name(device);
        self.make(device)?;
        let made = self
            .control
            .load(&name, table)
            .and_then(|()| self.control.resume(&name, rules))
            .and_then(|()| self.check_live(&name, table));
        made.map_err(|first| match self.remove(device) {
            Err(BackendError::Kernel {
                what,
                device,
                source,
            }) => BackendError::Stuck {
                first: Box::new(first),
                what,
                device,
                source,
            },
            _ => first,
        })
    }

    /// Sees that what the kernel maps directly is where the records say.
    fn compare(&self, found: &KernelMap, wanted: &VolumeMap) -> Result<(), BackendError> {
        for run in &found.direct {
            let leg = run.home();
            let recorded = wanted.leg_of(run.first, run.count);
            if leg != recorded {
                return Err(BackendError::Mismatch {
                    device: self.names.name(Device::Volume),
                    sector: self.layout.regions_to_sectors(run.first.0).0,
                    found: format!("{} regions at {leg:?}", run.count),
                    wanted: format!("{recorded:?}"),
                });
            }
        }
        Ok(())
    }

    fn remove_leftovers(&mut self, map: &KernelMap) -> Result<(), BackendError> {
        self.remove_moves_but(&map.moves.iter().map(|found| found.id).collect())
    }

    /// Removes the devices of all moves but these: gates first, then the mirrors under them.
    fn remove_moves_but(&mut self, live: &BTreeSet<MoveId>) -> Result<(), BackendError> {
        let devices = self.devices()?;
        for device in &devices {
            if matches!(device, Device::Move(id) if !live.contains(id)) {
                self.remove(*device)?;
            }
        }
        for device in &devices {
            if let Device::Mirror(id) = device {
                let is_needed = live.contains(id) && self.leads_through_mirror(*id)?;
                if !is_needed {
                    self.take_down_mirror(*id)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn leads_through_mirror(&self, id: MoveId) -> Result<bool, BackendError> {
        let gate = self.inner_target(&self.names.name(Device::Move(id)))?;
        let mirror = self.number(Device::Mirror(id))?;
        Ok(matches!(gate, Target::Linear(place) if place.device == mirror))
    }

    fn remove_closed(&mut self, device: Device) -> Result<(), BackendError> {
        let name = self.names.name(device);
        self.control.calls.remove(&name).map_err(|source| {
            if source.raw_os_error() == Some(libc::EBUSY) {
                BackendError::InUse {
                    device: name.clone(),
                }
            } else {
                failed("remove", &name, source)
            }
        })
    }
}

const fn rules(device: Device) -> UdevRules {
    match device {
        Device::Volume => UdevRules::All,
        Device::Area(_) | Device::Absent(_) | Device::Move(_) | Device::Mirror(_) => {
            UdevRules::NodeOnly
        }
    }
}

impl Settle for DmBackend {
    /// Lets run what a death left held, first.
    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        self.mend()?;
        settle(self, record)
    }
}
