//! Which pending moves may begin to copy, so that hard disks copy in long stretches.
//!
//! Owns: how much is copied from and to each hard disk at a time. Several mirrors on one disk each
//! copy a chunk in turn, and the head goes to and fro between them: eight large moves together
//! copied at half the pace of one after the other (`tests/bench copy-disk`). Small moves lose
//! little by that, and gain by sharing a hold.

use std::collections::{BTreeMap, BTreeSet};

use super::{Move, Waits, moving::Device};
use crate::units::MemberIndex;
use crate::volume::Class;

/// What several moves together may copy at a time from or to one hard disk.
const SHARED_BYTES: u64 = 8 << 20;

/// The hard disks, with what is copied from or to each.
#[derive(Debug, Default)]
pub(super) struct Heads {
    bytes: BTreeMap<MemberIndex, u64>,
    /// A move waits for these. Later ones that need them wait too, or it might for ever.
    awaited: BTreeSet<MemberIndex>,
}

impl Heads {
    /// With the moves that are copying, each of `bytes`.
    pub(super) fn of<'moves>(live: impl Iterator<Item = (&'moves Move, u64)>) -> Self {
        let mut heads = Self::default();
        for (one, bytes) in live {
            let copies = match one.device {
                Device::Absent => one.waits == Waits::Add,
                Device::Mirror => !one.was_complete,
                Device::Linear(_) => false,
            };
            if copies {
                heads.take(one, bytes);
            }
        }
        heads
    }

    /// Whether this one may begin besides those that are copying. If so, it counts from now on.
    pub(super) fn admit(&mut self, one: &Move, bytes: u64) -> bool {
        let has_room = |disk: &MemberIndex| {
            let taken = self.bytes.get(disk).copied().unwrap_or(0);
            !self.awaited.contains(disk)
                && (taken == 0 || taken.saturating_add(bytes) <= SHARED_BYTES)
        };
        if disks(one).all(|disk| has_room(&disk)) {
            self.take(one, bytes);
            true
        } else {
            self.awaited.extend(disks(one));
            false
        }
    }

    fn take(&mut self, one: &Move, bytes: u64) {
        for disk in disks(one) {
            let taken = self.bytes.entry(disk).or_default();
            *taken = taken.saturating_add(bytes);
        }
    }
}

/// The hard disks that a move copies from or to.
fn disks(one: &Move) -> impl Iterator<Item = MemberIndex> {
    let source = (one.from == Class::Hdd).then_some(one.source.member);
    let target = (one.to == Class::Hdd).then_some(one.target.member);
    source
        .into_iter()
        .chain(target.filter(|_| source != target))
}
