//! The app above the volume: it writes stamps, reads them back and syncs.
//!
//! Owns: what each chunk may hold, and the judgement of what was found in it. A read returns what
//! was acknowledged last, or a later write whose answer never came.

use super::World;
use crate::sim::kernel::Written;

/// What is known of one chunk of the volume.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    pub(super) acknowledged: u64,
    /// Newest stamp that an fsync promised to keep.
    pub(super) synced: u64,
    /// Stamps issued since `synced` was, in order.
    pub(super) issued: Vec<u64>,
    /// Stamps issued and never acknowledged, since the last acknowledged one.
    pub(super) unsure: Vec<u64>,
    pub(super) parked: bool,
}

impl World {
    pub(super) fn app_writes(&mut self) {
        let at = self.random.below(self.chunks.len());
        if self.chunks[at].parked {
            return;
        }
        self.stamp += 1;
        self.chunks[at].issued.push(self.stamp);
        self.chunks[at].unsure.push(self.stamp);
        match self.kernel.write(at, self.stamp, &mut self.disks) {
            Written::Acknowledged => self.acknowledge(at, self.stamp),
            Written::Error => {}
            Written::Parked => {
                self.seen.note("parked write");
                self.chunks[at].parked = true;
            }
        }
    }

    pub(super) fn acknowledge(&mut self, at: usize, stamp: u64) {
        let chunk = &mut self.chunks[at];
        chunk.acknowledged = stamp;
        chunk.unsure.clear();
    }

    pub(super) fn app_reads(&mut self) {
        let at = self.random.below(self.chunks.len());
        if let Ok(found) = self.kernel.read(at, &self.disks, &mut self.random) {
            self.judge(at, found);
        }
    }

    pub(super) fn judge(&self, at: usize, found: u64) {
        let chunk = &self.chunks[at];
        assert!(
            found == chunk.acknowledged || chunk.unsure.contains(&found),
            "chunk {at} holds {found}, {chunk:?}"
        );
    }

    pub(super) fn app_syncs(&mut self) {
        self.disks.flush_all();
        for chunk in &mut self.chunks {
            chunk.synced = chunk.acknowledged;
            chunk.issued.retain(|&stamp| stamp > chunk.synced);
        }
    }
}
