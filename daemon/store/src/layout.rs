//! Where everything lies on the members of a new volume.
//!
//! Owns: the arithmetic of region 0. Pure: it touches no device, so a dry run can show its result.
//!
//! A member, from its front:
//! ```text
//! 0            4 KiB   64 KiB  512 KiB      960 KiB                            data_start
//! | (nothing) | label | blank | label copy | metadata area (some members) | … | region 0 | …
//! ```
//! `data_start` is a multiple of the region size, so that data regions are as aligned on the
//! device as they are in the volume.

use serde::{Deserialize, Serialize};
use tier_core::units::{Bytes, MemberIndex, MemberRegion, RegionSize, VolumeRegion};
use tier_core::volume::{Class, Extent, Leg};

use crate::words::AreaExtent;

/// First byte of the blank: zeros on every member, with which the tables of moves begin, so that no
/// signature of what moves stands where one is looked for. Written once, when a volume is made.
pub const BLANK_OFFSET: Bytes = Bytes(64 << 10);
/// Length of the blank. What lies behind so many zeros is at no place where libblkid looks: none
/// of its magics is 448 KiB to 512 KiB from a device's start.
pub const BLANK_BYTES: Bytes = Bytes(448 << 10);
/// First byte of a metadata area. Its header fills the rest of the first mebibyte, so that the
/// area ends on a mebibyte.
pub const AREA_OFFSET: Bytes = Bytes(960 << 10);
/// Bytes of an area before its database.
pub const AREA_HEADER_BYTES: u64 = 8 << 10;
/// Bytes of database that one region of the volume may need: every region an extent of its own,
/// in half-full leaves, while a second tree is written beside the first. redb was seen to need 43;
/// the test `the_worst_map_fits_its_area` holds the rest as margin.
const DATABASE_BYTES_PER_REGION: u64 = 128;
/// Smallest database: what redb begins with is 1 MiB, and it grows by doubling.
const DATABASE_BYTES_MIN: u64 = 4 << 20;
/// Metadata replicas of a volume with two members or more.
pub const REPLICAS: usize = 2;

/// What is known of a device that is to become a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// How people call it.
    pub device: String,
    /// Its kind.
    pub class: Class,
    /// Size of the whole device.
    pub device_bytes: Bytes,
    /// Its logical block size in bytes.
    pub block_bytes: u32,
}

/// Where things lie on one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberLayout {
    /// Where data region 0 begins.
    pub data_start: Bytes,
    /// Number of data regions.
    pub regions: u32,
    /// The metadata area, if this member carries one.
    pub area: Option<AreaExtent>,
}

/// Where everything lies on a new volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Logical block size in bytes that the volume shows: the largest among its members'.
    pub block_bytes: u32,
    /// By member, in the order of the candidates.
    pub members: Vec<MemberLayout>,
    /// The volume's first map. Together these cover every region once.
    pub extents: Vec<Extent>,
    /// Number of regions of the volume.
    pub regions: u32,
}

/// Why no volume can be made of these devices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Without a member there is no volume.
    #[error("a volume needs at least one member; none was given")]
    NoMembers,
    /// An index would not fit its 16 bits.
    #[error("{0} members were given, and a volume takes 65535 at most")]
    TooManyMembers(usize),
    /// Not even one data region fits.
    #[error(
        "{device} has {device_bytes} bytes and is too small: labels and metadata need {data_start} \
         and one region {region_bytes} more; give a larger device or a smaller region size"
    )]
    TooSmall {
        /// The device.
        device: String,
        /// Its size.
        device_bytes: Bytes,
        /// Where its data would begin.
        data_start: Bytes,
        /// Size of a region.
        region_bytes: Bytes,
    },
    /// A region number would not fit its 32 bits.
    #[error("{device} would have more than 4294967295 regions; choose a larger region size")]
    TooManyRegions {
        /// The device, or the volume as a whole.
        device: String,
    },
    /// Its blocks cannot carry labels.
    #[error("{device} has logical blocks of {block_bytes} bytes; 512 to 4096 are supported")]
    BlockSize {
        /// The device.
        device: String,
        /// Its block size.
        block_bytes: u32,
    },
    /// A share that leaves nothing.
    #[error("a headroom of {0} % leaves no region for the volume; give less, or larger devices")]
    Headroom(u8),
}

/// Lays out a volume over `candidates`. `headroom_percent` of each member's regions stay out of
/// the volume's size, so that there is room to move.
pub fn plan(
    candidates: &[Candidate],
    region_size: RegionSize,
    headroom_percent: u8,
) -> Result<Layout, LayoutError> {
    if candidates.is_empty() {
        return Err(LayoutError::NoMembers);
    }
    if candidates.len() > usize::from(u16::MAX) {
        return Err(LayoutError::TooManyMembers(candidates.len()));
    }
    let region_bytes = region_size.bytes().0;
    let total: u64 = candidates
        .iter()
        .map(|candidate| candidate.device_bytes.0)
        .sum();
    let database = database_bytes(total / region_bytes);
    let carriers = carriers(candidates);
    let mut members = Vec::with_capacity(candidates.len());
    for (at, candidate) in candidates.iter().enumerate() {
        let area = carriers.contains(&at).then(|| area(database));
        members.push(member_layout(candidate, region_size, area)?);
    }
    let extents = first_map(&members, headroom_percent)?;
    let regions = extents.last().map_or(0, |extent| extent.end().0);
    if regions == 0 {
        return Err(LayoutError::Headroom(headroom_percent));
    }
    let block_bytes = candidates
        .iter()
        .map(|candidate| candidate.block_bytes)
        .max();
    Ok(Layout {
        block_bytes: block_bytes.unwrap_or(512),
        members,
        extents,
        regions,
    })
}

/// Bytes that the database of a volume of `regions` regions may need, a power of two because redb
/// doubles its file as it grows.
fn database_bytes(regions: u64) -> u64 {
    regions
        .saturating_mul(DATABASE_BYTES_PER_REGION)
        .max(DATABASE_BYTES_MIN)
        .next_power_of_two()
}

fn area(database: u64) -> AreaExtent {
    AreaExtent {
        offset: AREA_OFFSET,
        length: Bytes((1 << 20) - AREA_OFFSET.0 + database),
    }
}

/// Which candidates carry a metadata area: the fastest, in the order given among equals.
fn carriers(candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_key(|&at| candidates.get(at).map(|candidate| candidate.class));
    order.truncate(REPLICAS);
    order
}

fn member_layout(
    candidate: &Candidate,
    region_size: RegionSize,
    area: Option<AreaExtent>,
) -> Result<MemberLayout, LayoutError> {
    let device = || candidate.device.clone();
    let block_bytes = candidate.block_bytes;
    if !block_bytes.is_power_of_two() || !(512..=4096).contains(&block_bytes) {
        return Err(LayoutError::BlockSize {
            device: device(),
            block_bytes,
        });
    }
    let region_bytes = region_size.bytes().0;
    let front = area.map_or(1 << 20, |area| area.offset.0 + area.length.0);
    let data_start = front.next_multiple_of(region_bytes);
    let regions = candidate.device_bytes.0.saturating_sub(data_start) / region_bytes;
    if regions == 0 {
        return Err(LayoutError::TooSmall {
            device: device(),
            device_bytes: candidate.device_bytes,
            data_start: Bytes(data_start),
            region_bytes: region_size.bytes(),
        });
    }
    let regions =
        u32::try_from(regions).map_err(|_| LayoutError::TooManyRegions { device: device() })?;
    Ok(MemberLayout {
        data_start: Bytes(data_start),
        regions,
        area,
    })
}

/// One extent per member, in the order given, each leaving the headroom free.
fn first_map(members: &[MemberLayout], headroom_percent: u8) -> Result<Vec<Extent>, LayoutError> {
    let mut extents = Vec::with_capacity(members.len());
    let mut first: u32 = 0;
    for (at, member) in members.iter().enumerate() {
        let kept = (u64::from(member.regions) * u64::from(headroom_percent)).div_ceil(100);
        let count = u64::from(member.regions).saturating_sub(kept);
        let count = u32::try_from(count).unwrap_or(member.regions);
        if count == 0 {
            continue;
        }
        let index = MemberIndex(u16::try_from(at).unwrap_or(u16::MAX));
        let leg = Leg {
            member: index,
            first: MemberRegion(0),
        };
        extents.push(Extent {
            first: VolumeRegion(first),
            count,
            legs: [leg].into_iter().collect(),
        });
        first = first
            .checked_add(count)
            .ok_or_else(|| LayoutError::TooManyRegions {
                device: "the volume".to_owned(),
            })?;
    }
    Ok(extents)
}

#[cfg(test)]
mod tests;
