//! What is durable of the versions of an extent's legs.
//!
//! Owns: [`Versions`]. Each of its verbs gives the next state, to be committed before anything is
//! done that rests on it, or says why there is none. Invariants: two whole legs at equal versions
//! hold the same, but for what is unflushed; the version of a leg never goes back; a leg that
//! nobody has copied in full is torn. May not: know which legs are there, which is the caller's.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::{Order, Version, VersionError};
use crate::units::MemberIndex;
use crate::volume::Leg;

/// A leg as the record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Where it is.
    pub leg: Leg,
    /// The turns that it took part in.
    pub version: Version,
    /// Whether it holds what its version says. False while it is copied: then it may hold parts of
    /// the old and of the new.
    pub whole: bool,
}

/// The versions of an extent's legs. The first is the home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Versions {
    legs: SmallVec<[Held; 2]>,
}

/// Why a step is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such leg, or none named.
    #[error("the extent has no such leg; `tierctl conflict list` shows its legs")]
    NoLeg,
    /// Another leg of the extent is on that member.
    #[error("member {0} already holds a leg of this extent; choose another member")]
    SecondOnMember(MemberIndex),
    /// It was being copied when that ended.
    #[error(
        "the leg on member {0} was being written over by a copy that did not end and holds parts \
         of two states; keep another leg"
    )]
    Torn(MemberIndex),
    /// It lacks, or may lack, what another leg acknowledged.
    #[error("the leg on member {0} is not as new as the extent's newest; copy it first")]
    NotNewest(MemberIndex),
    /// It is as new as any other, or newer.
    #[error(
        "the leg on member {0} holds what no other leg is known to hold; let the others go on \
         without it, or resolve the conflict, first"
    )]
    NotStale(MemberIndex),
    /// Its version cannot be made.
    #[error(transparent)]
    Version(#[from] VersionError),
}

impl Versions {
    /// The record of legs that are equal and never were without one another.
    #[must_use]
    pub fn new(legs: &[Leg]) -> Self {
        let legs = legs.iter().map(|&leg| Held {
            leg,
            version: Version::default(),
            whole: true,
        });
        Self {
            legs: legs.collect(),
        }
    }

    /// The record that a start puts together from those of several sides.
    #[must_use]
    pub fn of(legs: impl IntoIterator<Item = Held>) -> Self {
        Self {
            legs: legs.into_iter().collect(),
        }
    }

    /// The legs, the home first.
    #[must_use]
    pub fn legs(&self) -> &[Held] {
        &self.legs
    }

    /// What is recorded of `leg`.
    #[must_use]
    pub fn held(&self, leg: Leg) -> Option<&Held> {
        self.legs.iter().find(|held| held.leg == leg)
    }

    /// The version that dominates or equals every other. `None` in a conflict.
    #[must_use]
    pub fn newest(&self) -> Option<&Version> {
        let versions = || self.legs.iter().map(|held| &held.version);
        versions().find(|one| versions().all(|other| one.is_as_new_as(other)))
    }

    /// Whether the legs `with` may acknowledge a write, in the epoch of that number: they are all
    /// that there ever were; or every other is known to be stale or torn, and they took a turn in
    /// this epoch, of which no record of another side can know. All that there are is not enough: one
    /// that was given up may live on with another side, which knows how these were.
    #[must_use]
    pub fn may_write(&self, with: &[Leg], epoch: u64) -> bool {
        let Some(newest) = self.newest() else {
            return false;
        };
        let is_newest = |held: &Held| held.whole && held.version == *newest;
        let others = || self.legs.iter().filter(|held| !with.contains(&held.leg));
        let never_parted = newest.is_empty() && others().next().is_none();
        never_parted || newest.is_of(epoch) && !others().any(is_newest)
    }

    /// The legs `with` go on without the others: a turn, in the epoch of that number. Unchanged if
    /// none is due.
    pub fn go_on(&self, with: &[Leg], epoch: u64) -> Result<Self, Refused> {
        if self.may_write(with, epoch) {
            self.newest_of(with)?;
            return Ok(self.clone());
        }
        self.turn(with, epoch)
    }

    /// The legs `with` take a turn.
    fn turn(&self, with: &[Leg], epoch: u64) -> Result<Self, Refused> {
        let (first, newest) = self.newest_of(with)?;
        // One that has an entry already makes the version no longer.
        let named = with.iter().find(|leg| newest.names(leg.member));
        let version = newest.advanced(named.unwrap_or(&first).member, epoch)?;
        let mut next = self.clone();
        for held in &mut next.legs {
            if with.contains(&held.leg) {
                held.version.clone_from(&version);
            }
        }
        Ok(next)
    }

    /// The first of `with` and the newest version, if each of them is whole and has it.
    fn newest_of(&self, with: &[Leg]) -> Result<(Leg, &Version), Refused> {
        let first = *with.first().ok_or(Refused::NoLeg)?;
        let newest = self.newest().ok_or(Refused::NotNewest(first.member))?;
        for &leg in with {
            if self.whole(leg)?.version != *newest {
                return Err(Refused::NotNewest(leg.member));
            }
        }
        Ok((first, newest))
    }

    /// The extent gets a leg of which nothing is copied yet.
    pub fn add(&self, leg: Leg) -> Result<Self, Refused> {
        if self.legs.iter().any(|held| held.leg.member == leg.member) {
            return Err(Refused::SecondOnMember(leg.member));
        }
        let mut next = self.clone();
        next.legs.push(Held {
            leg,
            version: Version::default(),
            whole: false,
        });
        Ok(next)
    }

    /// The extent gives `leg` up, and the legs `with` go on without it, by a turn in any case: there
    /// may be a side that has it still, and knows how they were.
    pub fn remove(&self, leg: Leg, with: &[Leg], epoch: u64) -> Result<Self, Refused> {
        self.held(leg).ok_or(Refused::NoLeg)?;
        if with.contains(&leg) {
            return Err(Refused::NotStale(leg.member));
        }
        let mut next = self.turn(with, epoch)?;
        next.legs.retain(|held| held.leg != leg);
        Ok(next)
    }

    /// A stale leg is about to be written over.
    pub fn copy_begun(&self, leg: Leg) -> Result<Self, Refused> {
        let held = self.held(leg).ok_or(Refused::NoLeg)?;
        if held.whole && !self.is_behind_another(held) {
            return Err(Refused::NotStale(leg.member));
        }
        Ok(self.with(leg, |held| held.whole = false))
    }

    /// A leg that was written over holds what `from` holds, and is flushed.
    pub fn copy_done(&self, leg: Leg, from: Leg) -> Result<Self, Refused> {
        let old = self.held(leg).ok_or(Refused::NoLeg)?;
        let source = self.whole(from)?;
        if old.whole {
            return Err(Refused::NotStale(leg.member));
        }
        if !source.version.is_as_new_as(&old.version) {
            return Err(Refused::NotNewest(from.member));
        }
        let version = source.version.clone();
        Ok(self.with(leg, |held| {
            held.version = version;
            held.whole = true;
        }))
    }

    /// A person has chosen `leg` as the truth, in the epoch of that number: it dominates every leg,
    /// and whatever else is `known` of legs that are away. What only the others hold is given up.
    pub fn keep(&self, leg: Leg, known: &[Version], epoch: u64) -> Result<Self, Refused> {
        let held = self.whole(leg)?;
        let others = self.legs.iter().map(|held| &held.version).chain(known);
        let all = others.fold(held.version.clone(), |all, one| all.joined(one));
        let version = all.advanced(leg.member, epoch)?;
        Ok(self.with(leg, |held| held.version = version))
    }

    /// Shorter versions, if all legs are `present`, whole and equal: without the members that have
    /// no leg any more. Otherwise unchanged. What is left is not taken for something older that
    /// names as few: the turn of the last removal is named for a member that has a leg.
    #[must_use]
    pub fn settled(&self, present: &[Leg]) -> Self {
        let newest = self.newest();
        let equal = self
            .legs
            .iter()
            .all(|held| held.whole && Some(&held.version) == newest && present.contains(&held.leg));
        if !equal {
            return self.clone();
        }
        let has_leg = |member| self.legs.iter().any(|held| held.leg.member == member);
        let mut next = self.clone();
        for held in &mut next.legs {
            held.version = held.version.only(has_leg);
        }
        next
    }

    fn whole(&self, leg: Leg) -> Result<&Held, Refused> {
        let held = self.held(leg).ok_or(Refused::NoLeg)?;
        if held.whole {
            Ok(held)
        } else {
            Err(Refused::Torn(leg.member))
        }
    }

    fn is_behind_another(&self, held: &Held) -> bool {
        self.legs
            .iter()
            .any(|other| other.whole && other.version.compare(&held.version) == Order::Dominates)
    }

    fn with(&self, leg: Leg, change: impl FnOnce(&mut Held)) -> Self {
        let mut next = self.clone();
        if let Some(held) = next.legs.iter_mut().find(|held| held.leg == leg) {
            change(held);
        }
        next
    }
}
