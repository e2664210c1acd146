//! How a commit, or a map read from disk, can be broken.
//!
//! Owns: [`Violation`], one variant per invariant of `map`.

use tier_core::units::{Generation, MemberIndex, MemberRegion, VolumeRegion};

/// A change that would break the map, or a map that is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Not the generation that comes next.
    #[error("generation {given} was given, and {expected} comes next")]
    Generation {
        /// What was given.
        given: Generation,
        /// What comes next.
        expected: Generation,
    },
    /// An extent of no regions, or without a leg, or with two legs on one member.
    #[error("the extent at region {first} is malformed: {why}")]
    Malformed {
        /// Where it begins.
        first: VolumeRegion,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Beyond the end of the volume.
    #[error("regions {first} to {end} are not all in the volume, which has {regions}")]
    OutOfVolume {
        /// First region.
        first: VolumeRegion,
        /// The region after the last.
        end: u64,
        /// Regions of the volume.
        regions: u32,
    },
    /// Two extents cover one region, or they are not in order.
    #[error("region {0} is covered twice, or the extents are not in ascending order")]
    Overlap(VolumeRegion),
    /// No extent covers a region.
    #[error("region {0} is covered by no extent")]
    Uncovered(VolumeRegion),
    /// Beyond the end of a member, or on a member that does not exist.
    #[error("regions {first} to {end} are not all on member {member}, which has {regions}")]
    OutOfMember {
        /// The member.
        member: MemberIndex,
        /// First region.
        first: MemberRegion,
        /// The region after the last.
        end: u64,
        /// Regions of the member; zero if there is none of that index.
        regions: u32,
    },
    /// Two hold one region of a member.
    #[error("region {region} of member {member} would be held twice")]
    HeldTwice {
        /// The member.
        member: MemberIndex,
        /// The region.
        region: MemberRegion,
    },
    /// A commit gives up regions that it does not retire.
    #[error(
        "region {region} of member {member} leaves the map and is not retired: it would be free \
         before the swap away from it was seen"
    )]
    NotRetired {
        /// The member.
        member: MemberIndex,
        /// The region.
        region: MemberRegion,
    },
    /// A commit retires regions that no extent gives up.
    #[error("region {region} of member {member} is to be retired, and no extent gives it up")]
    NotGivenUp {
        /// The member.
        member: MemberIndex,
        /// The region.
        region: MemberRegion,
    },
    /// A retired run must carry the generation that gives it up.
    #[error("a run is to be retired since generation {since} by a commit of {generation}")]
    RetiredSince {
        /// What it carries.
        since: Generation,
        /// The commit's.
        generation: Generation,
    },
    /// A commit frees what is not retired.
    #[error(
        "{count} regions from {first} of member {member} are to be freed, and are not retired \
         since generation {since}"
    )]
    NotRetiredYet {
        /// The member.
        member: MemberIndex,
        /// First region.
        first: MemberRegion,
        /// Number of regions.
        count: u32,
        /// Since when the commit believes them retired.
        since: Generation,
    },
}
