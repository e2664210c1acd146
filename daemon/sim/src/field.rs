//! The devices on which a trace is run, and where its data lies at first.
//!
//! Owns: [`Field`]. The engine gets the members that were named. The rivals and the bounds know two
//! tiers: all members of the fastest class as one device, before one of the slowest class that is
//! as large as it has to be.

use std::collections::BTreeSet;

use tier_core::units::{Bytes, MemberIndex, MemberRegion, RegionSize, VolumeRegion};
use tier_core::volume::{Class, Extent, Leg, Legs, Profile};

use crate::simulate::{Setup, SimulateError};
use crate::trace::Trace;
use crate::world::MemberSpec;

/// A volume has no more regions than this.
const REGIONS_MAX: u64 = 1 << 20;

/// A member of the volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemberSetup {
    /// Its class.
    pub class: Class,
    /// Its capacity.
    pub capacity: Bytes,
    /// How fast it is.
    pub profile: Profile,
}

/// Which devices there are.
#[derive(Clone, Debug, PartialEq)]
pub enum Devices {
    /// A hard disk that holds everything, and `NVMe` for this share of the touched regions.
    FastShare(f64),
    /// These.
    Members(Vec<MemberSetup>),
}

impl Devices {
    /// The smallest size of a region with which a volume of these has not too many.
    #[must_use]
    pub fn region_size(&self) -> RegionSize {
        let Self::Members(members) = self else {
            return RegionSize::MIN;
        };
        let bytes: u64 = members.iter().map(|member| member.capacity.0).sum();
        let wanted = bytes.div_ceil(REGIONS_MAX).next_power_of_two();
        let wanted = wanted.clamp(RegionSize::MIN.bytes().0, RegionSize::MAX.bytes().0);
        RegionSize::new(Bytes(wanted)).unwrap_or(RegionSize::MAX)
    }
}

/// The members for a trace.
pub(crate) struct Field<'trace> {
    pub(crate) trace: &'trace Trace,
    pub(crate) region_bytes: u64,
    /// Of the volume, as far as the trace reaches.
    pub(crate) regions: u32,
    /// The engine's, from fast to slow.
    pub(crate) members: Vec<MemberSpec>,
    /// Where the engine's volume lies.
    pub(crate) homes: Vec<Extent>,
    /// The rivals': one fast, one slow.
    pub(crate) pair: [MemberSpec; 2],
}

impl<'trace> Field<'trace> {
    pub(crate) fn new(trace: &'trace Trace, setup: &Setup) -> Result<Self, SimulateError> {
        let region_bytes = setup.region_size.bytes_of(1).0;
        let regions = u32::try_from(trace.end().0.div_ceil(region_bytes)).unwrap_or(u32::MAX);
        let members = match &setup.devices {
            Devices::FastShare(share) => two_tiers(trace, region_bytes, regions, *share).to_vec(),
            Devices::Members(members) => specs(members, region_bytes),
        };
        let pair = pair(&members, regions)?;
        let headroom = match setup.devices {
            Devices::FastShare(_) => 0.0,
            Devices::Members(_) => setup.policy.headroom,
        };
        let homes = homes(&members, regions, headroom).map_err(|held| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of 0.9 at most"
            )]
            let headroom_percent = (headroom * 100.0).round() as u8;
            SimulateError::TooSmall {
                wanted: trace.end(),
                have: Bytes(u64::from(held) * region_bytes),
                headroom_percent,
            }
        })?;
        Ok(Self {
            trace,
            region_bytes,
            regions,
            members,
            homes,
            pair,
        })
    }

    pub(crate) const fn fast_regions(&self) -> u32 {
        self.pair[0].regions
    }

    pub(crate) const fn slow(&self) -> &MemberSpec {
        &self.pair[1]
    }
}

fn touched(trace: &Trace, region_bytes: u64) -> usize {
    let regions = trace.requests.iter().flat_map(|one| {
        one.offset.0 / region_bytes..=(one.offset.0 + one.length.0 - 1) / region_bytes
    });
    regions.collect::<BTreeSet<u64>>().len()
}

fn two_tiers(trace: &Trace, region_bytes: u64, regions: u32, share: f64) -> [MemberSpec; 2] {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small count"
    )]
    let fast = ((touched(trace, region_bytes) as f64 * share).round() as u32).max(1);
    let member = |class, regions| MemberSpec {
        class,
        regions,
        profile: Profile::typical(class),
    };
    // The slow member has room beside the data, as a volume's members have.
    let slow = regions.saturating_add(regions / 4).saturating_add(64);
    [member(Class::Nvme, fast), member(Class::Hdd, slow)]
}

fn specs(members: &[MemberSetup], region_bytes: u64) -> Vec<MemberSpec> {
    let spec = |member: &MemberSetup| MemberSpec {
        class: member.class,
        regions: u32::try_from(member.capacity.0 / region_bytes).unwrap_or(u32::MAX),
        profile: member.profile,
    };
    let mut specs: Vec<MemberSpec> = members.iter().map(spec).collect();
    specs.sort_by_key(|member| member.class);
    specs
}

fn pair(members: &[MemberSpec], regions: u32) -> Result<[MemberSpec; 2], SimulateError> {
    let (Some(fast), Some(slow)) = (members.first(), members.last()) else {
        return Err(SimulateError::NoMembers);
    };
    if fast.class == slow.class {
        return Err(SimulateError::OneClass(fast.class));
    }
    let of_fast = members.iter().filter(|member| member.class == fast.class);
    let fast_regions = of_fast
        .map(|member| member.regions)
        .fold(0, u32::saturating_add);
    let pair = [
        MemberSpec {
            regions: fast_regions,
            ..*fast
        },
        MemberSpec {
            regions: slow.regions.max(regions),
            ..*slow
        },
    ];
    Ok(pair)
}

/// The volume's extents: on the slowest members first, a share of each left free. An error says how
/// many regions there is room for.
fn homes(members: &[MemberSpec], regions: u32, headroom: f64) -> Result<Vec<Extent>, u32> {
    let mut homes = Vec::new();
    let mut first = 0;
    for (index, member) in members.iter().enumerate().rev() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of a u32 is one"
        )]
        let room = (f64::from(member.regions) * (1.0 - headroom)).floor() as u32;
        let count = room.min(regions - first);
        if count > 0 {
            let home = Leg {
                member: MemberIndex(u16::try_from(index).unwrap_or(u16::MAX)),
                first: MemberRegion(0),
            };
            homes.push(Extent {
                first: VolumeRegion(first),
                count,
                legs: Legs::from_iter([home]),
            });
        }
        first += count;
    }
    if first < regions {
        Err(first)
    } else {
        Ok(homes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(class: Class, regions: u32) -> MemberSpec {
        MemberSpec {
            class,
            regions,
            profile: Profile::typical(class),
        }
    }

    #[test]
    fn data_lies_on_the_slowest_members_first_and_leaves_room_on_each() {
        let members = [
            member(Class::Nvme, 10),
            member(Class::Ssd, 20),
            member(Class::Hdd, 100),
        ];
        let homes = homes(&members, 100, 0.1).unwrap();
        let ranges: Vec<_> = homes
            .iter()
            .map(|home| (home.first.0, home.count, home.home().unwrap().member.0))
            .collect();
        assert_eq!(ranges, [(0, 90, 2), (90, 10, 1)]);
        assert_eq!(super::homes(&members, 118, 0.1), Err(117));
    }

    #[test]
    fn regions_grow_with_the_members() {
        let members = |capacity: u64| {
            Devices::Members(vec![MemberSetup {
                class: Class::Hdd,
                capacity: Bytes(capacity),
                profile: Profile::typical(Class::Hdd),
            }])
        };
        assert_eq!(members(1 << 40).region_size(), RegionSize::MIN);
        assert_eq!(members((1 << 40) + 1).region_size().bytes().0, 2 << 20);
        assert_eq!(Devices::FastShare(0.1).region_size(), RegionSize::MIN);
    }
}
