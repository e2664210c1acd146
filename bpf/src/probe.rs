//! The probe as the daemon sees it: load, watch, read out.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::{Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, Program};

use crate::budget;
use crate::device::DeviceNumber;
use crate::error::{Doing, ProbeError};
use crate::hot::HotRecord;
use crate::kernel;
use crate::latency::VolumeLatencies;
use crate::maps::{self, Aligned, Maps};
use crate::member::{Member, MemberLoad};
use crate::record::{HotData, MAX_MEMBERS, MAX_VOLUMES, SECTOR_SHIFT, VolumeSettings};
use crate::ring::Ring;
use crate::sets::{CellSet, Storage};
use crate::volume::{IntervalCounts, Volume};

/// Name of the program that counts bios.
const QUEUE_PROGRAM: &str = "tierd_bio_queue";
/// Log2 of the smallest and the largest region size that the probe counts in.
const REGION_SHIFTS: std::ops::RangeInclusive<u32> = 12..=32;

static OBJECT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/probe.bpf.o")));

/// What the probe may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeConfig {
    /// Kernel memory for the counts of all volumes' regions, both sets of each, in bytes.
    pub region_memory_bytes: u64,
    /// The latency of one bio in this many is measured, on average (of one request in this many
    /// for the members' service times); 0 for none.
    pub sample_one_in: u32,
    /// Room for reports of hot regions that wait to be read, in bytes (32 each): a power of two,
    /// and at least a page.
    pub hot_ring_bytes: u32,
}

impl Default for ProbeConfig {
    fn default() -> Self {
        Self {
            region_memory_bytes: 64 << 20,
            sample_one_in: 64,
            hot_ring_bytes: 256 << 10,
        }
    }
}

impl ProbeConfig {
    fn check(&self) -> Result<(), ProbeError> {
        if self.sample_one_in > 1 << 20 {
            return Err(ProbeError::BadConfig(format!(
                "a latency of one bio in {} is none; use 0 (off) to 1048576",
                self.sample_one_in
            )));
        }
        if !self.hot_ring_bytes.is_power_of_two() || self.hot_ring_bytes < 4096 {
            return Err(ProbeError::BadConfig(format!(
                "a ring of {} bytes cannot be made; use a power of two from 4096 on",
                self.hot_ring_bytes
            )));
        }
        Ok(())
    }
}

/// How the probe itself is doing, since it was loaded (volumes' sums: since each was watched).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeStats {
    /// Kernel memory of all its maps, in bytes, by the kernel's account (exact since Linux 6.4).
    pub memory_bytes: u64,
    /// Of that, planned for regions' counts, which the budget limits.
    pub region_memory_bytes: u64,
    /// Bios seen on the volumes that are watched.
    pub bios: u64,
    /// Touches that found no room in a hash.
    pub lost_touches: u64,
    /// Touches beyond a volume's regions, or beyond the first 4097 regions of one bio.
    pub skipped_touches: u64,
    /// Hot regions that found the ring full.
    pub lost_hot: u64,
    /// Bios of any device that the kernel says it kept from the probe at their submission,
    /// because an interrupt submitted them in the middle of the same program. Counted nowhere.
    pub missed_bios: u64,
    /// Ends of bios and requests of any device that it says it kept from the probe in the same
    /// way: members' requests that are not counted, and latencies that are not taken. On Linux
    /// 6.18 up to 1.2 % of ends were seen to be missing while this stayed at zero, for a cause not
    /// established; the kernel's own counts of a member are in its `stat` file.
    pub missed_ends: u64,
}

/// The loaded probe. Dropping it takes everything of it out of the kernel.
#[derive(Debug)]
pub struct Probe {
    // Dropped in this order: first no more events, then what they were counted in.
    _links: Vec<Link>,
    hot: Ring<HotRecord>,
    volumes: Vec<Volume>,
    members: Vec<Member>,
    maps: Maps,
    /// Put into the slot that is never counted in, to wait for running programs.
    spare: MapHandle,
    program_ids: Vec<u32>,
    config: ProbeConfig,
    _object: Object,
}

impl Probe {
    /// Loads the probe and attaches it. It counts nothing until something is watched, but costs a
    /// look-up per event of any device from now on.
    ///
    /// Takes some 0.2 s. [`ProbeError::Missing`] names what this kernel lacks; nothing is left in
    /// the kernel after any error.
    pub fn load(config: ProbeConfig) -> Result<Self, ProbeError> {
        config.check()?;
        kernel::start_log();
        kernel::check()?;
        let mut open = ObjectBuilder::default()
            .name(maps::OBJECT_NAME)
            .and_then(|builder| builder.open_memory(&OBJECT.0))
            .doing(|| "open the compiled probe".to_owned())?;
        if let Some(mut ring) = open.maps_mut().find(|map| map.name() == "hot_ring") {
            ring.set_max_entries(config.hot_ring_bytes)
                .doing(|| format!("make a ring of {} bytes", config.hot_ring_bytes))?;
        }
        let object = open.load().map_err(kernel::explain_load)?;

        let maps = Maps::of(&object)?;
        let hot = Ring::new::<HotData>(&maps.hot_ring, "a hot region")?;
        let spare = CellSet::new(budget::Plan::Array, 1)?.into_map();
        let mut links = Vec::new();
        let mut program_ids = Vec::new();
        for program in object.progs_mut() {
            let name = program.name().to_string_lossy().into_owned();
            links.push(
                program
                    .attach()
                    .doing(|| format!("attach the probe's program {name}"))?,
            );
            program_ids.push(id_of(&program)?);
        }
        Ok(Self {
            _links: links,
            hot,
            volumes: Vec::new(),
            members: Vec::new(),
            maps,
            spare,
            program_ids,
            config,
            _object: object,
        })
    }

    /// Begins to count bios of the volume `device`, whose `regions` regions have `2^region_shift`
    /// bytes each. A volume is a whole device, not a partition. Returns how its regions are
    /// counted: in an array while that fits what is left of the memory budget, else in a hash.
    pub fn watch_volume(
        &mut self,
        device: DeviceNumber,
        regions: u32,
        region_shift: u32,
    ) -> Result<Storage, ProbeError> {
        let length = u64::from(regions).checked_mul(1_u64.checked_shl(region_shift).unwrap_or(0));
        let fits = length.is_some_and(|bytes| bytes > 0 && bytes < 1 << 63);
        if !REGION_SHIFTS.contains(&region_shift) || !fits {
            return Err(ProbeError::BadRegions {
                device,
                regions,
                region_shift,
            });
        }
        if self.volumes.iter().any(|volume| volume.device == device) {
            return Err(ProbeError::AlreadyWatched(device));
        }
        let slot = (0..MAX_VOLUMES)
            .find(|slot| self.volumes.iter().all(|volume| volume.slot != *slot))
            .ok_or(ProbeError::TooManyVolumes)?;
        let left_bytes = self
            .config
            .region_memory_bytes
            .saturating_sub(self.planned_bytes());
        let plan = budget::plan(regions, left_bytes).ok_or(ProbeError::BudgetSpent {
            device,
            budget_bytes: self.config.region_memory_bytes,
            left_bytes,
            needed_bytes: budget::least_bytes(regions),
        })?;
        let sets = (CellSet::new(plan, regions)?, CellSet::new(plan, regions)?);
        let settings = VolumeSettings {
            dev: device.kernel(),
            region_shift: region_shift - SECTOR_SHIFT,
            regions,
            sample_one_in: self.config.sample_one_in,
            ..VolumeSettings::default()
        };
        let planned_bytes = budget::planned_bytes(plan, regions);
        let volume = Volume::prepare(&self.maps, slot, device, settings, sets, planned_bytes)?;
        if let Err(error) = enter(&self.maps.volume_devices, device, slot) {
            volume.clear(&self.maps)?;
            return Err(error);
        }
        let storage = volume.storage();
        self.volumes.push(volume);
        Ok(storage)
    }

    /// Stops counting a volume. Counts since the last [`Probe::swap`] are dropped.
    pub fn unwatch_volume(&mut self, device: DeviceNumber) -> Result<(), ProbeError> {
        let volume = find(&mut self.volumes, device)?;
        maps::delete(&self.maps.volume_devices, &device.kernel().to_ne_bytes())?;
        // Emptying the slot waits for programs that had found it.
        volume.clear(&self.maps)?;
        self.volumes.retain(|volume| volume.device != device);
        Ok(())
    }

    /// Begins to count requests of the member `device`, a whole device or a partition.
    pub fn watch_member(&mut self, device: DeviceNumber) -> Result<(), ProbeError> {
        if self.members.iter().any(|member| member.device == device) {
            return Err(ProbeError::AlreadyWatched(device));
        }
        let slot = (0..MAX_MEMBERS)
            .find(|slot| self.members.iter().all(|member| member.slot != *slot))
            .ok_or(ProbeError::TooManyMembers)?;
        let member = Member::prepare(&self.maps, slot, device, self.config.sample_one_in)?;
        enter(&self.maps.member_devices, device, slot)?;
        self.members.push(member);
        Ok(())
    }

    /// Stops counting a member.
    pub fn unwatch_member(&mut self, device: DeviceNumber) -> Result<(), ProbeError> {
        if !self.members.iter().any(|member| member.device == device) {
            return Err(ProbeError::NotWatched(device));
        }
        maps::delete(&self.maps.member_devices, &device.kernel().to_ne_bytes())?;
        self.maps.wait_for_programs(&self.spare)?;
        self.members.retain(|member| member.device != device);
        Ok(())
    }

    /// From now on reports a region of `volume` once an interval, when its touches reach exactly
    /// `touches`; 0 reports none. A region that is beyond it already is reported in the next
    /// interval at the earliest.
    pub fn set_threshold(&mut self, volume: DeviceNumber, touches: u32) -> Result<(), ProbeError> {
        find(&mut self.volumes, volume)?.set_threshold(&self.maps, touches)
    }

    /// Ends an interval of a volume and gives what was counted in it.
    ///
    /// Waits for a grace period of the kernel (some milliseconds, tens on a busy machine), in
    /// which the programs that still count in the old set end: a bio is in one interval or in the
    /// next, never in both or neither.
    pub fn swap(&mut self, volume: DeviceNumber) -> Result<IntervalCounts, ProbeError> {
        find(&mut self.volumes, volume)?.swap(&self.maps)
    }

    /// Latencies of the volume's sampled bios that ended since the last call.
    pub fn latencies(&mut self, volume: DeviceNumber) -> Result<VolumeLatencies, ProbeError> {
        find(&mut self.volumes, volume)?.latencies(&self.maps)
    }

    /// Load of every member since the last call, in the order of their device numbers.
    pub fn member_loads(&mut self) -> Result<Vec<MemberLoad>, ProbeError> {
        let mut loads = self
            .members
            .iter_mut()
            .map(|member| member.load(&self.maps))
            .collect::<Result<Vec<_>, _>>()?;
        loads.sort_unstable_by_key(|load| load.device);
        Ok(loads)
    }

    /// Takes all reports of hot regions that wait; if there are none, waits for one up to
    /// `timeout`.
    pub fn poll_hot(&mut self, timeout: Duration) -> Result<Vec<HotRecord>, ProbeError> {
        self.hot.poll(timeout)
    }

    /// A descriptor that is readable while reports of hot regions wait. A duplicate of it
    /// (`try_clone_to_owned`) can be waited on apart from the probe, as with tokio's `AsyncFd`.
    #[must_use]
    pub fn hot_fd(&self) -> BorrowedFd<'_> {
        self.hot.fd()
    }

    /// How the probe itself is doing.
    pub fn stats(&self) -> Result<ProbeStats, ProbeError> {
        let mut stats = ProbeStats {
            memory_bytes: self.maps.memory_bytes() + maps::memory_bytes(&self.spare),
            region_memory_bytes: self.planned_bytes(),
            missed_bios: self.missed(|name| name == QUEUE_PROGRAM),
            missed_ends: self.missed(|name| name != QUEUE_PROGRAM),
            ..ProbeStats::default()
        };
        for volume in &self.volumes {
            let totals = volume.read_totals(&self.maps)?;
            stats.memory_bytes += volume.memory_bytes();
            stats.bios += totals.bios();
            stats.lost_touches += totals.lost_touches;
            stats.skipped_touches += totals.skipped_touches;
            stats.lost_hot += totals.lost_hot;
        }
        Ok(stats)
    }

    /// Identities of the probe's programs in the kernel, for those who measure it.
    #[must_use]
    pub fn program_ids(&self) -> &[u32] {
        &self.program_ids
    }

    fn planned_bytes(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.planned_bytes).sum()
    }

    /// Events kept from the programs with such names.
    fn missed(&self, is_meant: impl Fn(&OsStr) -> bool) -> u64 {
        ProgInfoIter::default()
            .filter(|program| self.program_ids.contains(&program.id) && is_meant(&program.name))
            .map(|program| program.recursion_misses)
            .sum()
    }
}

fn find(volumes: &mut [Volume], device: DeviceNumber) -> Result<&mut Volume, ProbeError> {
    volumes
        .iter_mut()
        .find(|volume| volume.device == device)
        .ok_or(ProbeError::NotWatched(device))
}

/// Makes the probe count a device in a slot.
fn enter(devices: &MapHandle, device: DeviceNumber, slot: usize) -> Result<(), ProbeError> {
    let dev = device.kernel();
    // Slots are below MAX_MEMBERS.
    let value = u64::from(dev) << 32 | slot as u64;
    devices
        .update(&dev.to_ne_bytes(), &value.to_ne_bytes(), MapFlags::ANY)
        .doing(|| format!("watch device {device}"))
}

pub(crate) fn id_of(program: &Program<'_>) -> Result<u32, ProbeError> {
    use std::os::fd::AsFd;

    Program::id_from_fd(program.as_fd()).doing(|| "identify the probe's programs".to_owned())
}
