//! What goes wrong: commands that fail, chunks that go bad, deaths of the daemon, power cuts.
//!
//! Owns: the fault model of the simulation's head. Invariant: a death and a power cut lose what
//! was not begun, and the record falls back no further than to its newest mark.

use super::app::Chunk;
use super::{MEMBER_REGIONS, World};
use crate::sim::kernel::Kernel;
use crate::units::{MemberIndex, MemberRegion};
use crate::volume::Leg;

impl World {
    pub(super) fn fails(&mut self) -> bool {
        self.faults && self.random.one_in(12)
    }

    pub(super) fn spoil_or_mend(&mut self) {
        if self.random.one_in(4) {
            self.disks.mend();
            return;
        }
        // Where a mirror writes, a fault says more than elsewhere.
        let legs = self.kernel.mirrored();
        if legs.is_empty() || self.random.one_in(4) {
            let member =
                MemberIndex(u16::try_from(self.random.below(MEMBER_REGIONS.len())).unwrap());
            let regions = MEMBER_REGIONS[usize::from(member.0)];
            let leg = Leg {
                member,
                first: MemberRegion(self.random.below_u32(regions)),
            };
            self.disks.spoil(leg, &mut self.random);
        } else {
            self.disks
                .spoil(legs[self.random.below(legs.len())], &mut self.random);
        }
    }

    pub(super) fn kill_daemon(&mut self) {
        self.seen.note("daemon death");
        for queue in [&mut self.to_kernel, &mut self.to_store] {
            queue.clear();
        }
        for queue in [&mut self.from_kernel, &mut self.from_store, &mut self.looks] {
            queue.clear();
        }
        self.store.dead = false;
        self.fall_back();
        self.start_daemon();
    }

    pub(super) fn cut_power(&mut self) {
        self.seen.note("power cut");
        self.disks.cut_power(&mut self.random);
        self.kernel = Kernel::new(Vec::new());
        for queue in [&mut self.to_kernel, &mut self.to_store] {
            queue.clear();
        }
        for queue in [&mut self.from_kernel, &mut self.from_store, &mut self.looks] {
            queue.clear();
        }
        self.store.dead = false;
        self.fall_back();
        // Who loads tables from a record acts on it, and so marks it before.
        self.store.mark(self.store.state().generation);
        self.kernel = Kernel::new(self.store.homes().to_vec());
        for at in 0..self.chunks.len() {
            let found = self.kernel.content(at, &self.disks);
            let chunk = &mut self.chunks[at];
            assert!(
                found == chunk.synced || chunk.issued.contains(&found),
                "chunk {at} holds {found} after a power cut, {chunk:?}"
            );
            *chunk = Chunk {
                acknowledged: found,
                synced: found,
                ..Chunk::default()
            };
        }
        self.start_daemon();
    }

    fn fall_back(&mut self) {
        if self.random.one_in(3) {
            let before = self.store.state().generation;
            let choice = self.random.below(1_000);
            self.store.fall_back(choice, !self.kernel.is_quiet());
            if self.store.state().generation < before {
                self.seen.note("fell back");
            }
        }
    }
}
