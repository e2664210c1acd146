//! Which copy of an extent holds what: version vectors of legs that come and go.
//!
//! Owns: [`Version`], what is durable of an extent's legs ([`record`]), what a start makes of it
//! ([`verdict`]), and which blocks a stale leg needs ([`changed`]). May not: read or write a leg,
//! or commit. Each step gives what is to be committed; the caller acts when that is durable, and
//! not before.
//!
//! # What a version says
//!
//! A leg's version names the *turns* that the leg took part in. A turn is the moment from which
//! writes may be acknowledged without some leg: those that go on get an entry, the others do not.
//! No write is counted. While every leg is written, all versions stay as they are, and a write
//! costs no commit.
//!
//!  - **Equal**: neither leg lacks an acknowledged write. They hold the same, but for what was not
//!    flushed when power went, or the leg; so equal legs are not alike after an unclean stop.
//!  - **Dominated**: the leg lacks, or may lack, what the other acknowledged: *stale*.
//!  - **Concurrent**: each went on without the other: a *conflict*, which no machine may end.
//!
//! A turn may have been taken and nothing written after it. Then versions differ while the data
//! does not, and a copy is made or a conflict shown that was not needed. It is never the other way
//! round: that is the safe side, chosen in every doubt below.
//!
//! # When a turn is taken
//!
//!  1. **A leg leaves** (it fails, vanishes). Writes wait. [`Versions::go_on`] is committed on every
//!     live replica; then the first write is acknowledged without the leg (rule 2). **A flush waits
//!     as a write does** while anything is unflushed: what the leg had in its cache is lost if it
//!     lost power, and the flush promises it.
//!  2. **A leg returns** before any turn: it is as it was only if nothing was unflushed when it
//!     left. Otherwise the others go on without it first, and it is copied.
//!  3. **In each epoch in which some leg is not written**, stale or not, or in which all are that
//!     ever parted, before the first write or flush. A leg that is as new, as far as is known, may
//!     have gone on elsewhere; and with one that is stale may be a record of how those that serve
//!     were when that epoch began. A person there may keep the stale leg over what that record
//!     knows, not over what is written now; or one that was given up here, so that it does not help
//!     that all which there are go on.
//!  4. **A start after an unclean stop** with more than one newest leg: before the first *read*.
//!     The legs may differ in what was not flushed. One of them, the home if it can be, becomes
//!     the truth; if another were believed after it has been read, a block could go back in time
//!     under a reader.
//!  5. **A leg is given up** ([`Versions::remove`]), stale or not, for the reasons of 3.
//!  6. **A person keeps a leg** ([`Versions::keep`]): its version becomes the join of all that are
//!     known, and a turn of its own. It dominates every side, also one that is away.
//!
//! A **copy** changes no version until it is whole. [`Versions::copy_begun`] is durable before the
//! first block is written over: from then on the leg is *torn*, which is worse than old, and
//! nobody may keep it. When all is copied and the leg is flushed, [`Versions::copy_done`] gives it
//! the version of the leg that it was copied from. A torn leg whose copy was interrupted is
//! copied from its beginning.
//!
//! # Why an entry is a member, an epoch and a count
//!
//! A member is on one side of a split only, so that the turns that it is named for form a line.
//! But a commit may reach one replica and be forgotten by a start that does not see it. If that
//! start gave the same count again, a side that did see it would seem to know a turn that it never
//! took part in, and the writes of that turn would be copied over. A start without a member
//! begins a new epoch, on its labels before anything else; and so counts begin again in each
//! epoch, above those of all epochs before. What is forgotten has another name than what comes.
//!
//! # What stays small
//!
//! The member named for a turn is one that has an entry already, if one of those that go on has.
//! So a version has as many entries as members went on without it, [`ENTRIES_MAX`] at most; and
//! entries of members without a leg go when all legs are present and equal
//! ([`Versions::settled`]): no leg can change them any more, so that they tell none from another.
//! A record of another side may name them still, and is a conflict then that need not be one.
//!
//! # What is taken for granted
//!
//! Of the store: a commit that was acknowledged is found by every start that finds any replica of
//! its epoch; whenever the set of members changes, which a start with fewer does, another epoch
//! begins, on all replicas and labels that are there, with a number above those of all sides that
//! it joins; a member whose label names an epoch that no replica knows is refused. Of the caller:
//! extents with unequal versions are not joined; one that is cut leaves its versions to both parts
//! and what is known of changed blocks to none; and an extent has one leg on a member.

pub mod changed;
pub mod record;
pub mod verdict;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::units::MemberIndex;

pub use changed::{Changed, Differences};
pub use record::{Held, Refused, Versions};
pub use verdict::{Advance, Serving, Side, Stale, Stop, Verdict, judge};

/// Most entries of a version.
pub const ENTRIES_MAX: usize = 32;

/// How one version stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Both took part in the same turns.
    Equal,
    /// The first took part in every turn of the second, and in more.
    Dominates,
    /// The second took part in every turn of the first, and in more.
    Dominated,
    /// Each took part in a turn of its own.
    Concurrent,
}

/// The newest turn that a member is named for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    member: MemberIndex,
    /// Number of the volume's epoch in which the turn was taken.
    epoch: u64,
    /// Which of the member's turns in that epoch it was, from 1.
    count: u32,
}

impl Entry {
    /// By which turns of one member follow one another.
    const fn turn(self) -> (u64, u32) {
        (self.epoch, self.count)
    }
}

/// The turns that a leg took part in. Empty for one that never was without another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(MemberIndex, u64, u32)>")]
#[serde(into = "Vec<(MemberIndex, u64, u32)>")]
pub struct Version {
    /// Ascending by member, each once.
    entries: SmallVec<[Entry; 2]>,
}

/// Why a version cannot be made or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// More members went on alone than a version names.
    #[error(
        "a leg's version would name more than {ENTRIES_MAX} members; \
         bring its extent's missing legs back or remove them, then let it settle"
    )]
    Full,
    /// More turns in one epoch than a count holds.
    #[error("a leg's version can count no more turns in this epoch; start the volume again")]
    Overflow,
    /// What was read is no version.
    #[error("what is recorded of a leg's version is no version; run `tierctl check`")]
    Malformed,
}

impl Version {
    /// Number of members that it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the leg never was without another.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How this version stands to `other`.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Order {
        match (self.has_all_of(other), other.has_all_of(self)) {
            (true, true) => Order::Equal,
            (true, false) => Order::Dominates,
            (false, true) => Order::Dominated,
            (false, false) => Order::Concurrent,
        }
    }

    /// Whether it has every turn of `other`.
    #[must_use]
    pub fn is_as_new_as(&self, other: &Self) -> bool {
        matches!(self.compare(other), Order::Equal | Order::Dominates)
    }

    /// Whether it names `member`.
    #[must_use]
    pub fn names(&self, member: MemberIndex) -> bool {
        self.turn_of(member).is_some()
    }

    /// Whether one of its turns was taken in the epoch of that number, or in a later one.
    #[must_use]
    pub fn is_of(&self, epoch: u64) -> bool {
        self.entries.iter().any(|entry| entry.epoch >= epoch)
    }

    /// This version with a turn more, named for `member`, in the epoch of that number.
    pub fn advanced(&self, member: MemberIndex, epoch: u64) -> Result<Self, VersionError> {
        let (epoch, count) = match self.turn_of(member) {
            // An epoch lower than the last is a caller's mistake; the turn still is a later one.
            Some((last, count)) if last >= epoch => {
                (last, count.checked_add(1).ok_or(VersionError::Overflow)?)
            }
            _ => (epoch, 1),
        };
        let mut entries = self.entries.clone();
        entries.retain(|entry| entry.member != member);
        entries.push(Entry {
            member,
            epoch,
            count,
        });
        entries.sort_unstable_by_key(|entry| entry.member);
        if entries.len() > ENTRIES_MAX {
            return Err(VersionError::Full);
        }
        Ok(Self { entries })
    }

    /// The least version that has all turns of both.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let mut entries = self.entries.clone();
        for &theirs in &other.entries {
            match entries.iter_mut().find(|own| own.member == theirs.member) {
                Some(own) if own.turn() < theirs.turn() => *own = theirs,
                Some(_) => {}
                None => entries.push(theirs),
            }
        }
        entries.sort_unstable_by_key(|entry| entry.member);
        Self { entries }
    }

    /// This version without what it says of the members that are not kept.
    #[must_use]
    fn only(&self, keeps: impl Fn(MemberIndex) -> bool) -> Self {
        let mut entries = self.entries.clone();
        entries.retain(|entry| keeps(entry.member));
        Self { entries }
    }

    /// A short form to be kept beside a leg: of each entry the distance to the member before, the
    /// epoch and the count, in groups of seven bits from the lowest. No bytes for an empty one.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut next = 0;
        for entry in &self.entries {
            let member = u64::from(entry.member.0);
            for number in [member - next, entry.epoch, u64::from(entry.count)] {
                put(number, &mut bytes);
            }
            next = member + 1;
        }
        bytes
    }

    /// The version whose short form this is.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, VersionError> {
        let mut entries = Vec::new();
        let mut next = 0_u64;
        while !bytes.is_empty() {
            let member = take(&mut bytes)?.checked_add(next);
            let member = member.and_then(|member| u16::try_from(member).ok());
            let member = member.ok_or(VersionError::Malformed)?;
            let epoch = take(&mut bytes)?;
            let count = u32::try_from(take(&mut bytes)?).map_err(|_| VersionError::Malformed)?;
            entries.push((MemberIndex(member), epoch, count));
            next = u64::from(member) + 1;
        }
        Self::try_from(entries)
    }

    fn turn_of(&self, member: MemberIndex) -> Option<(u64, u32)> {
        let at = self
            .entries
            .binary_search_by_key(&member, |entry| entry.member);
        at.ok()
            .and_then(|at| self.entries.get(at))
            .map(|entry| entry.turn())
    }

    fn has_all_of(&self, other: &Self) -> bool {
        other.entries.iter().all(|theirs| {
            self.turn_of(theirs.member)
                .is_some_and(|own| own >= theirs.turn())
        })
    }
}

impl From<Version> for Vec<(MemberIndex, u64, u32)> {
    fn from(version: Version) -> Self {
        let entries = version.entries.into_iter();
        entries
            .map(|entry| (entry.member, entry.epoch, entry.count))
            .collect()
    }
}

impl TryFrom<Vec<(MemberIndex, u64, u32)>> for Version {
    type Error = VersionError;

    fn try_from(list: Vec<(MemberIndex, u64, u32)>) -> Result<Self, Self::Error> {
        let ascends = list.is_sorted_by(|one, other| one.0 < other.0);
        let counts = list.iter().all(|&(_, _, count)| count > 0);
        if !ascends || !counts || list.len() > ENTRIES_MAX {
            return Err(VersionError::Malformed);
        }
        let entries = list.into_iter().map(|(member, epoch, count)| Entry {
            member,
            epoch,
            count,
        });
        Ok(Self {
            entries: entries.collect(),
        })
    }
}

/// Writes a number as groups of seven bits, the highest bit of each byte saying that more follow.
fn put(mut number: u64, bytes: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Reads such a number and goes past it.
fn take(bytes: &mut &[u8]) -> Result<u64, VersionError> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(VersionError::Malformed)?;
        *bytes = rest;
        let group = u64::from(byte & 0x7f);
        let moved = group << shift;
        if moved >> shift != group {
            return Err(VersionError::Malformed);
        }
        number |= moved;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(VersionError::Malformed)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
