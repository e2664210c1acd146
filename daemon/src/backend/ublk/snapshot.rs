//! From the map in regions, and the moves, to what is served in bytes.
//!
//! Owns: where a leg begins on its member, and what a run on one that is missing becomes.

use std::collections::BTreeMap;
use std::sync::Arc;

use tier_core::units::MoveId;
use tier_core::volume::Leg;
use tier_ublk::map::{self as served, Place, Snapshot};
use tier_ublk::moving::Moving;

use super::super::dm::map::{Home, VolumeMap};
use super::{BackendError, Layout, Missing, Move, Stage};

pub(super) fn region_bytes(layout: &Layout) -> u64 {
    layout.region_size.bytes().0
}

/// Where a leg begins.
pub(super) fn place(layout: &Layout, leg: Leg) -> Result<Place, BackendError> {
    let mut members = layout.members.iter().enumerate();
    let found = members.find(|(_, member)| member.index == leg.member);
    let (at, member) = found
        .ok_or_else(|| BackendError::Layout(format!("member {}: there is none", leg.member)))?;
    Ok(Place {
        member: at,
        offset: member.data_start.0 + u64::from(leg.first.0) * region_bytes(layout),
    })
}

pub(super) fn snapshot(
    layout: &Layout,
    missing: &Missing,
    map: &VolumeMap,
    moves: &BTreeMap<MoveId, Move>,
) -> Result<Snapshot, BackendError> {
    snapshot_with(layout, missing, map, moves, &BTreeMap::new())
}

/// What the map says, with these moves and others that begin.
pub(super) fn snapshot_with(
    layout: &Layout,
    missing: &Missing,
    map: &VolumeMap,
    moves: &BTreeMap<MoveId, Move>,
    beginning: &BTreeMap<MoveId, &Arc<Moving>>,
) -> Result<Snapshot, BackendError> {
    let bytes = |region: u32| u64::from(region) * region_bytes(layout);
    let mut runs = Vec::with_capacity(map.runs().len());
    for run in map.runs() {
        let home = match run.home {
            Home::Member(leg) if missing.contains(&leg.member) => served::Home::Missing,
            Home::Member(leg) => served::Home::One(place(layout, leg)?),
            Home::Move(id) => match beginning.get(&id) {
                Some(moving) => served::Home::Moving(Arc::clone(moving)),
                None => home_of(layout, moves.get(&id).ok_or(BackendError::NoSuchMove(id))?)?,
            },
        };
        runs.push(served::Run {
            start: bytes(run.first),
            end: bytes(run.first.saturating_add(run.count)),
            home,
        });
    }
    Snapshot::new(runs).map_err(|gap| BackendError::Layout(gap.to_string()))
}

fn home_of(layout: &Layout, found: &Move) -> Result<served::Home, BackendError> {
    Ok(match &found.stage {
        Stage::Mirror { moving, .. } => served::Home::Moving(moving.clone()),
        Stage::Leaving { leg, .. } | Stage::Linear(leg) => served::Home::One(place(layout, *leg)?),
    })
}
