//! The probe's maps, by name, and the few ways in which they are used.

use std::io;

use libbpf_rs::{ErrorKind, MapCore, MapFlags, MapHandle, Object};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Doing, ProbeError};
use crate::record::{MAX_VOLUMES, decode};

/// Name of the probe's object, from which libbpf makes the name of its map of globals (taking
/// eight letters at most).
pub(crate) const OBJECT_NAME: &str = "tierd";

/// A compiled object. libelf reads its words in place, so they have to be aligned.
#[repr(C, align(8))]
pub(crate) struct Aligned<T: ?Sized>(pub(crate) T);

/// Handles on every map of the probe. They share the map with the loaded object.
#[derive(Debug)]
pub(crate) struct Maps {
    pub(crate) volume_devices: MapHandle,
    pub(crate) member_devices: MapHandle,
    pub(crate) volumes: MapHandle,
    pub(crate) volume_totals: MapHandle,
    pub(crate) volume_latencies: MapHandle,
    pub(crate) member_counters: MapHandle,
    pub(crate) array_sets: MapHandle,
    pub(crate) hash_sets: MapHandle,
    bio_samples: MapHandle,
    request_samples: MapHandle,
    recent_ends: MapHandle,
    pub(crate) hot_ring: MapHandle,
}

impl Maps {
    /// Takes the handles out of a loaded object.
    pub(crate) fn of(object: &Object) -> Result<Self, ProbeError> {
        let find = |name: &str| find(object, name);
        Ok(Self {
            volume_devices: find("volume_devices")?,
            member_devices: find("member_devices")?,
            volumes: find("volumes")?,
            volume_totals: find("volume_totals")?,
            volume_latencies: find("volume_latencies")?,
            member_counters: find("member_counters")?,
            array_sets: find("array_sets")?,
            hash_sets: find("hash_sets")?,
            bio_samples: find("bio_samples")?,
            request_samples: find("request_samples")?,
            recent_ends: find(&format!("{OBJECT_NAME}.bss"))?,
            hot_ring: find("hot_ring")?,
        })
    }

    /// Kernel memory of them all, in bytes, the volumes' sets apart.
    pub(crate) fn memory_bytes(&self) -> u64 {
        [
            &self.volume_devices,
            &self.member_devices,
            &self.volumes,
            &self.volume_totals,
            &self.volume_latencies,
            &self.member_counters,
            &self.array_sets,
            &self.hash_sets,
            &self.bio_samples,
            &self.request_samples,
            &self.recent_ends,
            &self.hot_ring,
        ]
        .into_iter()
        .map(memory_bytes)
        .sum()
    }

    /// Forgets every sample of a bio that is under way.
    pub(crate) fn forget_bio_samples(&self) -> Result<(), ProbeError> {
        let keys: Vec<_> = self.bio_samples.keys().collect();
        keys.iter()
            .try_for_each(|key| delete(&self.bio_samples, key))
    }

    /// Returns when every program that was running has ended, so that what it may have held (a
    /// slot, a set of cells) can be used for something else.
    ///
    /// A change of a map of maps waits in the kernel for a grace period, just so that user space
    /// can rely on this (`maybe_wait_bpf_programs` in `kernel/bpf/syscall.c`). The spare slot's
    /// map is never counted in.
    pub(crate) fn wait_for_programs(&self, spare: &MapHandle) -> Result<(), ProbeError> {
        put_set(&self.array_sets, MAX_VOLUMES, spare)
    }
}

/// A loaded object's map of that name.
pub(crate) fn find(object: &Object, name: &str) -> Result<MapHandle, ProbeError> {
    object
        .maps()
        .find(|map| map.name() == name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound).into())
        .and_then(|map| MapHandle::try_from(&map))
        .doing(|| format!("open the probe's map {name}"))
}

/// A map's key for a slot.
pub(crate) fn key(slot: usize) -> [u8; 4] {
    // Slots are below MAX_MEMBERS.
    u32::try_from(slot).unwrap_or(u32::MAX).to_ne_bytes()
}

/// Makes `set` the one that a slot counts in, and waits for the programs that began before.
pub(crate) fn put_set(sets: &MapHandle, slot: usize, set: &MapHandle) -> Result<(), ProbeError> {
    use std::os::fd::{AsFd, AsRawFd};

    let fd = set.as_fd().as_raw_fd().to_ne_bytes();
    sets.update(&key(slot), &fd, MapFlags::ANY)
        .doing(|| format!("put a set of counters into slot {slot} of {}", name(sets)))
}

/// Empties a slot, and waits for the programs that began before.
pub(crate) fn clear_set(sets: &MapHandle, slot: usize) -> Result<(), ProbeError> {
    delete(sets, &key(slot))
}

/// Deletes an element; that it is absent is no error.
pub(crate) fn delete(map: &MapHandle, key: &[u8]) -> Result<(), ProbeError> {
    match map.delete(key) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.doing(|| format!("delete an element of {}", name(map))),
    }
}

/// Writes the record of a slot.
pub(crate) fn store<T: IntoBytes + Immutable>(
    map: &MapHandle,
    slot: usize,
    record: &T,
) -> Result<(), ProbeError> {
    map.update(&key(slot), record.as_bytes(), MapFlags::ANY)
        .doing(|| format!("write slot {slot} of {}", name(map)))
}

/// Reads the record of a slot.
pub(crate) fn load<T: FromBytes>(map: &MapHandle, slot: usize) -> Result<T, ProbeError> {
    let bytes = map
        .lookup(&key(slot), MapFlags::ANY)
        .doing(|| format!("read slot {slot} of {}", name(map)))?
        .unwrap_or_default();
    decode("a slot of an array", &bytes)
}

/// Writes the same record for each CPU of a slot.
pub(crate) fn store_each_cpu<T: IntoBytes + Immutable>(
    map: &MapHandle,
    slot: usize,
    record: &T,
) -> Result<(), ProbeError> {
    let cpus = libbpf_rs::num_possible_cpus().doing(|| "count the possible CPUs".to_owned())?;
    map.update_percpu(
        &key(slot),
        &vec![record.as_bytes().to_vec(); cpus],
        MapFlags::ANY,
    )
    .doing(|| format!("write slot {slot} of {}", name(map)))
}

/// Reads the records of all CPUs of a slot.
pub(crate) fn load_each_cpu<T: FromBytes>(
    map: &MapHandle,
    slot: usize,
) -> Result<Vec<T>, ProbeError> {
    map.lookup_percpu(&key(slot), MapFlags::ANY)
        .doing(|| format!("read slot {slot} of {}", name(map)))?
        .unwrap_or_default()
        .iter()
        .map(|bytes| {
            decode(
                "a CPU's part of a slot",
                bytes.get(..size_of::<T>()).unwrap_or(bytes),
            )
        })
        .collect()
}

/// Bytes of kernel memory that a map takes, by the kernel's own account (exact since Linux 6.4).
pub(crate) fn memory_bytes(map: &MapHandle) -> u64 {
    map.query_fdinfo()
        .ok()
        .and_then(|info| info.memlock)
        .unwrap_or(0)
}

pub(crate) fn name(map: &MapHandle) -> String {
    map.name().to_string_lossy().into_owned()
}
