//! What people may see of the engine. Nothing here changes anything.

use serde::Serialize;

use super::Engine;
use crate::command::{Reason, Stage};
use crate::map::Map;
use crate::migrate::Move;
use crate::units::{Generation, MoveId, Now, VolumeRegion};
use crate::volume::{Class, Leg};

/// A move, as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MoveView {
    /// Its number.
    pub id: MoveId,
    /// First region of the volume.
    pub first: VolumeRegion,
    /// Number of regions.
    pub count: u32,
    /// The home when it began.
    pub source: Leg,
    /// Where it goes.
    pub target: Leg,
    /// Class of the source's member.
    pub from: Class,
    /// Class of the target's member.
    pub to: Class,
    /// Where it stands.
    pub stage: Stage,
    /// Chunks copied, of `total_chunks`; zero before the first look at the mirror.
    pub in_sync_chunks: u64,
    /// Chunks in all; zero before the first look at the mirror.
    pub total_chunks: u64,
    /// Why it was chosen.
    pub reason: Reason,
    /// When it was chosen.
    pub since: Now,
    /// What went wrong, if something did.
    pub error: Option<String>,
}

impl From<&Move> for MoveView {
    fn from(one: &Move) -> Self {
        Self {
            id: one.id,
            first: one.first,
            count: one.count,
            source: one.source,
            target: one.target,
            from: one.from,
            to: one.to,
            stage: one.stage(),
            in_sync_chunks: one.mirror.map_or(0, |state| state.in_sync_chunks),
            total_chunks: one.mirror.map_or(0, |state| state.total_chunks),
            reason: one.reason.clone(),
            since: one.since,
            error: one.error.clone(),
        }
    }
}

/// A tier, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TierStatus {
    /// Which.
    pub class: Class,
    /// Regions that its members have.
    pub regions: u32,
    /// Of these, free ones.
    pub free: u32,
}

impl Engine {
    /// Who lives where, as of the newest durable generation.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.migrate.map
    }

    /// The newest durable generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.migrate.generation
    }

    /// Moves under way, then those that wait for their turn.
    pub fn moves(&self) -> impl Iterator<Item = MoveView> + '_ {
        self.migrate
            .live
            .values()
            .chain(self.migrate.pending.values())
            .map(MoveView::from)
    }

    /// Why nothing more is begun, if an invariant was found violated.
    #[must_use]
    pub fn latched(&self) -> Option<&str> {
        self.migrate.latched.as_deref()
    }
}
