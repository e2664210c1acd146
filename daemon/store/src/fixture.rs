//! Small volumes on memory disks, for this crate's own tests.

use std::sync::Arc;

use tier_core::command::Commit;
use tier_core::units::{Bytes, Generation, MemberIndex, MemberRegion, RegionSize, VolumeRegion};
use tier_core::volume::{Class, Extent, Leg, Profile, Retired};

use crate::create::{NewMember, NewVolume};
use crate::layout::{Candidate, plan};
use crate::open::{OpenOptions, Recovery};
use crate::refusal::OpenError;
use crate::steps::Steps;
use crate::storage::{Disk, Storage};
use crate::store::Store;
use crate::testing::{Fate, MemoryDisk, Power};
use crate::words::{BackendKind, VolumeName};

/// A device's name, class, mebibytes and block size.
pub(crate) type Shape = (&'static str, Class, u64, u32);

/// One of each class, with 512 and 4096 byte blocks.
pub(crate) const THREE: [Shape; 3] = [
    ("/dev/nvme", Class::Nvme, 16, 4096),
    ("/dev/ssd", Class::Ssd, 24, 512),
    ("/dev/hdd", Class::Hdd, 32, 512),
];

/// Disks with garbage on them.
pub(crate) fn disks(shapes: &[Shape], power: &Arc<Power>) -> Vec<Arc<MemoryDisk>> {
    let disks = shapes.iter().map(|&(name, _, mebibytes, block)| {
        MemoryDisk::filled(name, mebibytes << 20, block, 0xa5, power)
    });
    disks.collect()
}

pub(crate) fn shared(disks: &[Arc<MemoryDisk>]) -> Vec<Disk> {
    disks.iter().map(|disk| Arc::clone(disk) as Disk).collect()
}

pub(crate) fn new_volume(shapes: &[Shape], disks: &[Arc<MemoryDisk>]) -> NewVolume {
    let candidates = shapes.iter().zip(disks).map(|(shape, disk)| Candidate {
        device: shape.0.to_owned(),
        class: shape.1,
        device_bytes: Bytes(disk.len_bytes()),
        block_bytes: disk.block_bytes(),
    });
    let candidates: Vec<Candidate> = candidates.collect();
    let members = shapes.iter().map(|shape| NewMember {
        class: shape.1,
        profile: Profile::typical(shape.1),
    });
    NewVolume {
        name: VolumeName::new("pool").unwrap(),
        region_size: RegionSize::MIN,
        backend: BackendKind::Dm,
        members: members.collect(),
        layout: plan(&candidates, RegionSize::MIN, 30).unwrap(),
    }
}

/// A volume over one disk of each class, made with steady power and copied to `power`.
pub(crate) fn volume(shapes: &[Shape], power: &Arc<Power>) -> Vec<Arc<MemoryDisk>> {
    let steady = Power::steady();
    let disks = disks(shapes, &steady);
    drop(Store::create(&new_volume(shapes, &disks), &shared(&disks), Steps::none()).unwrap());
    disks.iter().map(|disk| disk.copy(power)).collect()
}

pub(crate) fn open(disks: &[Arc<MemoryDisk>]) -> Result<(Store, Recovery), OpenError> {
    Store::open(&shared(disks), &OpenOptions::default())
}

/// The disks as a power cut may leave them.
pub(crate) fn cut(
    disks: &[Arc<MemoryDisk>],
    fate: &mut impl FnMut() -> Fate,
) -> Vec<Arc<MemoryDisk>> {
    let power = Power::steady();
    disks
        .iter()
        .map(|disk| disk.after_cut(&power, |_| fate()))
        .collect()
}

/// Several fates for every unflushed block: all kept, all lost, and coin tosses.
pub(crate) fn fates() -> Vec<Box<dyn FnMut() -> Fate>> {
    let mut fates: Vec<Box<dyn FnMut() -> Fate>> =
        vec![Box::new(|| Fate::Kept), Box::new(|| Fate::Lost)];
    for seed in 1..=2_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        fates.push(Box::new(move || {
            // xorshift64: enough to pick subsets, and the same in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state & 64 == 0 {
                Fate::Kept
            } else {
                Fate::Lost
            }
        }));
    }
    fates
}

pub(crate) fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

pub(crate) fn extent(first: u32, count: u32, legs: &[Leg]) -> Extent {
    Extent {
        first: VolumeRegion(first),
        count,
        legs: legs.iter().copied().collect(),
    }
}

/// A commit that makes `target` the home of region `region`, whatever its home is now, and frees
/// what earlier commits retired.
pub(crate) fn move_region(store: &Store, region: u32, target: Leg) -> Commit {
    let generation = store.generation().next();
    let old = store.map().extent_at(VolumeRegion(region)).unwrap();
    let skipped = region - old.first.0;
    let retire = old.legs.iter().map(|old| Retired {
        leg: leg(old.member.0, old.first.0 + skipped),
        count: 1,
        since: generation,
    });
    Commit {
        generation,
        set: vec![extent(region, 1, &[target])],
        retire: retire.collect(),
        free: store.map().retired().collect(),
    }
}

/// A region of `member` that nothing holds, which there must be.
pub(crate) fn free_region(store: &Store, member: u16) -> Leg {
    some_free_region(store, member).unwrap()
}

/// A region of `member` that nothing holds, if there is one.
pub(crate) fn some_free_region(store: &Store, member: u16) -> Option<Leg> {
    let state = store.state();
    let regions = state.members[usize::from(member)].regions;
    let held = |at: u32| {
        let within = |leg: &Leg, count: u32| {
            leg.member.0 == member && (leg.first.0..leg.first.0 + count).contains(&at)
        };
        state
            .extents
            .iter()
            .any(|e| e.legs.iter().any(|leg| within(leg, e.count)))
            || state.retired.iter().any(|run| within(&run.leg, run.count))
    };
    let free = (0..regions).find(|&at| !held(at));
    free.map(|at| leg(member, at))
}

pub(crate) fn generation(number: u64) -> Generation {
    Generation(number)
}
