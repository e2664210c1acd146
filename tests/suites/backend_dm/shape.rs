//! The volume of these suites, and the moves that they ask for: on device-mapper, ublk and the fake.

use std::path::Path;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::Kept;
use tier_core::units::{Bytes, MemberIndex, MemberRegion, MoveId, RegionSize, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs};
use tier_sys::block::{Access, BlockDevice};
use tierd::backend::{Layout, MemberDevice};
use uuid::Uuid;

/// A region.
pub(crate) const MIB: u64 = 1 << 20;
/// Where data begins on each member.
pub(crate) const DATA_START: Bytes = Bytes(2 * MIB);
/// Regions of 1 MiB in the volume: the first half on member 0, the other on member 1.
pub(crate) const REGIONS: u32 = 16;
/// Data regions of each member: half of them are free.
pub(crate) const MEMBER_REGIONS: u32 = 16;
/// Bytes of each member.
pub(crate) const MEMBER_BYTES: u64 = DATA_START.0 + MEMBER_REGIONS as u64 * MIB;

pub(crate) fn layout_on(nodes: [&Path; 2]) -> Layout {
    let member = |(index, node): (u16, &Path)| MemberDevice {
        index: MemberIndex(index),
        path: node.into(),
        number: BlockDevice::open(node, Access::ReadOnly)
            .unwrap()
            .number()
            .unwrap(),
        data_start: DATA_START,
        regions: MEMBER_REGIONS,
    };
    Layout {
        volume: Uuid::from_u128(7),
        name: "test".parse().unwrap(),
        region_size: RegionSize::MIN,
        regions: REGIONS,
        block_bytes: Bytes(512),
        members: (0..).zip(nodes).map(member).collect(),
    }
}

pub(crate) fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

pub(crate) fn extent(first: u32, count: u32, home: Leg) -> Extent {
    Extent {
        first: VolumeRegion(first),
        count,
        legs: Legs::from_iter([home]),
    }
}

/// The records of a fresh volume.
pub(crate) fn extents() -> Vec<Extent> {
    vec![extent(0, 8, leg(0, 0)), extent(8, 8, leg(1, 0))]
}

pub(crate) fn add(id: u64, first: u32, count: u32, source: Leg, target: Leg) -> AddLeg {
    AddLeg {
        id: MoveId(id),
        first: VolumeRegion(first),
        count,
        source,
        target,
        trial: None,
        promises_faster: false,
    }
}

/// Regions 2 to 4 of the volume, from member 0 to free regions of member 1.
pub(crate) fn an_add() -> AddLeg {
    add(1, 2, 3, leg(0, 2), leg(1, 9))
}

pub(crate) fn finish(add: &AddLeg) -> DropLeg {
    DropLeg {
        id: add.id,
        keep: Kept::Target,
        leg: add.target,
        require_complete: true,
    }
}

pub(crate) fn undo(add: &AddLeg) -> DropLeg {
    DropLeg {
        id: add.id,
        keep: Kept::Source,
        leg: add.source,
        require_complete: false,
    }
}

pub(crate) fn region_offset(region: u32) -> u64 {
    u64::from(region) * MIB
}
