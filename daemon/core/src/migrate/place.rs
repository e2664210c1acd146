//! Where on the members of a tier a move's target lies.
//!
//! Owns: that choice. What is adjacent in the volume is put side by side where there is room: a
//! region that comes back to a hard disk finds its old gap, is read in sequence with its
//! neighbours again, and is one extent with them, so that the volume's table stays short.

use super::Migrate;
use crate::units::{MemberIndex, MemberRegion, VolumeRegion};
use crate::volume::Leg;

impl Migrate {
    /// Takes room for up to `wanted` regions from `first` on, without a gap: beside a neighbour
    /// of theirs, else on the member with the most room, so that members of a tier fill evenly.
    pub(super) fn allocate(
        &mut self,
        first: VolumeRegion,
        wanted: u32,
        members: &[MemberIndex],
    ) -> Option<(Leg, u32)> {
        let spaces = self.alloc.spaces().iter();
        let roomiest = spaces
            .filter(|space| members.contains(&space.member()))
            .max_by_key(|space| (space.free(), std::cmp::Reverse(space.member())))?;
        let (roomiest, most) = (roomiest.member(), roomiest.free());
        for leg in self.beside(first, wanted) {
            if members.contains(&leg.member)
                && self.is_about_as_roomy(leg.member, most)
                && self.alloc.take(leg, wanted)
            {
                return Some((leg, wanted));
            }
        }
        self.alloc.allocate(roomiest, wanted)
    }

    /// Whether a member may be preferred to the one that has the most room: neighbours keep
    /// together only while that leaves the members of a tier about evenly filled.
    fn is_about_as_roomy(&self, member: MemberIndex, most: u32) -> bool {
        let space = self.alloc.space(member).filter(|space| space.is_present());
        space.is_some_and(|space| space.free() >= most / 2)
    }

    /// Where these regions would continue what comes before them in the volume, and where they
    /// would lead to what comes after.
    fn beside(&self, first: VolumeRegion, count: u32) -> impl Iterator<Item = Leg> + use<> {
        let before = first.0.checked_sub(1).map(VolumeRegion);
        let before = before.and_then(|region| self.lies_or_will_lie(region));
        let after = first.0.checked_add(count).map(VolumeRegion);
        let after = after.and_then(|region| self.lies_or_will_lie(region));
        let after = after.and_then(|leg| {
            let first = MemberRegion(leg.first.0.checked_sub(count)?);
            Some(Leg { first, ..leg })
        });
        let before = before.map(|leg| leg.plus(1));
        before.into_iter().chain(after)
    }

    /// Where a region is, or where it will be when its move is over.
    fn lies_or_will_lie(&self, region: VolumeRegion) -> Option<Leg> {
        let moving = self.mover_of(region, 1).and_then(|(_, id)| {
            let one = self.live.get(&id).or_else(|| self.pending.get(&id))?;
            Some(one.target.plus(region.0.checked_sub(one.first.0)?))
        });
        moving.or_else(|| self.map.home(region))
    }
}
