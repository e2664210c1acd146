//! A backend in memory, with content, for tests of what drives one. The conformance suite proves
//! it against device-mapper.
//!
//! Owns: what each region of each member holds, as one number. A copy runs only when the test
//! says so ([`FakeBackend::copy`]); a member can be made to fail.

use std::collections::{BTreeMap, BTreeSet};

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{AdoptedMove, AdoptedStage, Kept, MirrorState};
use tier_core::units::{MemberIndex, MoveId, VolumeRegion};
use tier_core::volume::{Extent, Leg};

use super::dm::adds;
use super::dm::map::{Home, VolumeMap};
use super::settle::Settle;
use super::{
    Added, Backend, BackendError, DropOutcome, Hold, KernelMap, Layout, LegState, check_kept,
};

/// Why a fake read or write did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FakeIoError {
    /// The member failed.
    #[error("input/output error")]
    Failed,
    /// A mirror lost a leg; the write waits until a leg is dropped.
    #[error("parked")]
    Parked,
}

/// A move's device.
#[derive(Clone, Debug)]
struct FakeMove {
    first: u32,
    count: u32,
    source: Leg,
    target: Leg,
    stage: FakeStage,
}

#[derive(Clone, Debug)]
enum FakeStage {
    /// One chunk a region: whether it is in sync.
    Mirror {
        in_sync: Vec<bool>,
        source_alive: bool,
        target_alive: bool,
    },
    Linear(Leg),
}

/// A volume in memory.
#[derive(Clone, Debug)]
pub struct FakeBackend {
    layout: Layout,
    map: VolumeMap,
    moves: BTreeMap<MoveId, FakeMove>,
    content: BTreeMap<(MemberIndex, u32), u64>,
    failing: BTreeSet<MemberIndex>,
    parked: Vec<(VolumeRegion, u64)>,
}

impl FakeBackend {
    /// A volume whose regions are where `extents` say, and hold zero.
    pub fn new(layout: Layout, extents: &[Extent]) -> Result<Self, BackendError> {
        let map = VolumeMap::from_extents(&layout, extents)?;
        Ok(Self {
            layout,
            map,
            moves: BTreeMap::new(),
            content: BTreeMap::new(),
            failing: BTreeSet::new(),
            parked: Vec::new(),
        })
    }

    /// Starts it anew by other records; what the members hold stays.
    pub fn start_again(&mut self, extents: &[Extent]) -> Result<(), BackendError> {
        self.map = VolumeMap::from_extents(&self.layout, extents)?;
        self.moves.clear();
        self.parked.clear();
        Ok(())
    }

    /// Reads a region of the volume.
    pub fn read(&mut self, region: VolumeRegion) -> Result<u64, FakeIoError> {
        let legs = match self.home_of(region) {
            Home::Member(leg) => vec![leg],
            Home::Move(id) => self.legs_to_read(id, region),
        };
        let good = legs
            .into_iter()
            .find(|leg| !self.failing.contains(&leg.member));
        good.map(|leg| self.at(leg)).ok_or(FakeIoError::Failed)
    }

    /// Writes a region of the volume. A write that fails on a leg of a mirror is parked and is
    /// written when that mirror has become linear, as in the kernel.
    pub fn write(&mut self, region: VolumeRegion, value: u64) -> Result<(), FakeIoError> {
        match self.home_of(region) {
            Home::Member(leg) => self.put(leg, value),
            Home::Move(id) => self.write_to_move(id, region, value),
        }
    }

    /// Lets a move's copy go on by this many regions.
    pub fn copy(&mut self, id: MoveId, regions: usize) {
        let Some(mut found) = self.moves.remove(&id) else {
            return;
        };
        let (source, target) = (found.source, found.target);
        if let FakeStage::Mirror {
            in_sync,
            target_alive,
            source_alive,
        } = &mut found.stage
        {
            let behind = (0_u32..).zip(in_sync).filter(|(_, in_sync)| !**in_sync);
            for (at, in_sync) in behind.take(regions) {
                if self.failing.contains(&source.member) {
                    *source_alive = false;
                    break;
                }
                let value = self.at(source.plus(at));
                if self.put(target.plus(at), value).is_err() {
                    *target_alive = false;
                    break;
                }
                *in_sync = true;
            }
        }
        self.moves.insert(id, found);
    }

    /// Makes all I/O to a member fail, from now on or no longer.
    pub fn set_failing(&mut self, member: MemberIndex, failing: bool) {
        if failing {
            self.failing.insert(member);
        } else {
            self.failing.remove(&member);
        }
    }

    /// Writes that wait for a leg to be dropped.
    #[must_use]
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn home_of(&self, region: VolumeRegion) -> Home {
        let behind = self.moves.iter().find(|(id, _)| {
            self.map
                .move_run(**id)
                .is_some_and(|run| run.first <= region.0 && region.0 - run.first < run.count)
        });
        match behind {
            Some((id, _)) => Home::Move(*id),
            None => Home::Member(self.map.leg_of(region, 1).unwrap_or(Leg {
                member: MemberIndex(u16::MAX),
                first: tier_core::units::MemberRegion(0),
            })),
        }
    }

    fn at(&self, leg: Leg) -> u64 {
        self.content
            .get(&(leg.member, leg.first.0))
            .copied()
            .unwrap_or(0)
    }

    fn put(&mut self, leg: Leg, value: u64) -> Result<(), FakeIoError> {
        if self.failing.contains(&leg.member) || self.layout.member(leg.member).is_none() {
            return Err(FakeIoError::Failed);
        }
        self.content.insert((leg.member, leg.first.0), value);
        Ok(())
    }

    fn legs_to_read(&self, id: MoveId, region: VolumeRegion) -> Vec<Leg> {
        let Some(found) = self.moves.get(&id) else {
            return Vec::new();
        };
        let at = region.0 - found.first;
        match &found.stage {
            FakeStage::Linear(leg) => vec![leg.plus(at)],
            FakeStage::Mirror { in_sync, .. } => {
                let mut legs = vec![found.source.plus(at)];
                if in_sync.get(at as usize) == Some(&true) {
                    legs.push(found.target.plus(at));
                }
                legs
            }
        }
    }

    fn write_to_move(
        &mut self,
        id: MoveId,
        region: VolumeRegion,
        value: u64,
    ) -> Result<(), FakeIoError> {
        let Some(found) = self.moves.get(&id).cloned() else {
            return Err(FakeIoError::Failed);
        };
        let at = region.0 - found.first;
        let in_sync = match found.stage {
            FakeStage::Linear(leg) => return self.put(leg.plus(at), value),
            FakeStage::Mirror { in_sync, .. } => in_sync.get(at as usize) == Some(&true),
        };
        let source = self.put(found.source.plus(at), value);
        // A chunk that is not in sync is written on the source alone; its copy comes later.
        let target = if in_sync {
            self.put(found.target.plus(at), value)
        } else {
            Ok(())
        };
        if source.is_ok() && target.is_ok() {
            return Ok(());
        }
        if let Some(FakeMove {
            stage:
                FakeStage::Mirror {
                    in_sync,
                    source_alive,
                    target_alive,
                },
            ..
        }) = self.moves.get_mut(&id)
        {
            *source_alive &= source.is_ok();
            *target_alive &= target.is_ok();
            if let Some(chunk) = in_sync.get_mut(at as usize) {
                *chunk = false;
            }
        }
        self.parked.push((region, value));
        Err(FakeIoError::Parked)
    }

    fn state(&self, id: MoveId) -> Result<Option<MirrorState>, BackendError> {
        let found = self.moves.get(&id).ok_or(BackendError::NoSuchMove(id))?;
        let FakeStage::Mirror {
            in_sync,
            source_alive,
            target_alive,
        } = &found.stage
        else {
            return Ok(None);
        };
        Ok(Some(MirrorState {
            in_sync_chunks: in_sync.iter().filter(|in_sync| **in_sync).count() as u64,
            total_chunks: in_sync.len() as u64,
            source_alive: *source_alive,
            target_alive: *target_alive,
            fault: None,
            trial: None,
        }))
    }

    fn check_healthy(&self) -> Result<(), BackendError> {
        for id in self.moves.keys() {
            if let Some(state) = self.state(*id)?
                && !(state.source_alive && state.target_alive)
            {
                return Err(BackendError::UnhealthyMove { id: *id, state });
            }
        }
        Ok(())
    }

    fn used(&self) -> Vec<(Leg, u32)> {
        let direct = self.map.runs().iter().filter_map(|run| match run.home {
            Home::Member(leg) => Some((leg, run.count)),
            Home::Move(_) => None,
        });
        let moving = self.moves.values().flat_map(|found| match found.stage {
            FakeStage::Linear(leg) => vec![(leg, found.count)],
            FakeStage::Mirror { .. } => {
                vec![(found.source, found.count), (found.target, found.count)]
            }
        });
        direct.chain(moving).collect()
    }
}

impl Backend for FakeBackend {
    fn read_back(&mut self) -> Result<KernelMap, BackendError> {
        let mut moves = Vec::new();
        for run in self.map.runs() {
            let Home::Move(id) = run.home else { continue };
            let found = self.moves.get(&id).ok_or(BackendError::NoSuchMove(id))?;
            let (source, target, stage) = match (&found.stage, self.state(id)?) {
                (FakeStage::Linear(leg), _) => (*leg, *leg, AdoptedStage::Linear(*leg)),
                (_, Some(state)) => (found.source, found.target, AdoptedStage::Mirror(state)),
                (_, None) => return Err(BackendError::NoSuchMove(id)),
            };
            let first = VolumeRegion(run.first);
            moves.push(AdoptedMove {
                id,
                first,
                count: run.count,
                source,
                target,
                stage,
            });
        }
        Ok(KernelMap {
            direct: self.map.direct(),
            moves,
        })
    }

    fn add_legs(&mut self, adds: &[AddLeg]) -> Result<Added, BackendError> {
        adds::check(&self.layout, &self.map, self.used(), adds)?;
        if let Some(add) = adds.iter().find(|add| self.moves.contains_key(&add.id)) {
            return Err(BackendError::Foreign {
                device: format!("move-{}", add.id),
                sector: 0,
                why: "it is there already".into(),
            });
        }
        self.check_healthy()?;
        for add in adds {
            self.map.set(add.first, add.count, Home::Move(add.id));
            let stage = FakeStage::Mirror {
                in_sync: vec![false; add.count as usize],
                source_alive: true,
                target_alive: true,
            };
            let (source, target) = (add.source, add.target);
            let made = FakeMove {
                first: add.first.0,
                count: add.count,
                source,
                target,
                stage,
            };
            self.moves.insert(add.id, made);
        }
        let hold = Hold {
            moves: u32::try_from(adds.len()).unwrap_or(u32::MAX),
            ..Hold::default()
        };
        let begun = Hold {
            moves: 1,
            ..Hold::default()
        };
        let copies = adds.iter().map(|add| (add.id, Ok(begun))).collect();
        Ok(Added { hold, copies })
    }

    fn leg_state(&mut self, id: MoveId) -> Result<LegState, BackendError> {
        Ok(self.state(id)?.map_or(LegState::Linear, LegState::Mirror))
    }

    fn drop_leg(&mut self, drop: DropLeg) -> Result<DropOutcome, BackendError> {
        let Some(state) = self.state(drop.id)? else {
            let linear = self.moves.get(&drop.id).map(|found| &found.stage);
            return match linear {
                Some(FakeStage::Linear(leg)) if *leg == drop.leg => {
                    Ok(DropOutcome::Dropped(Hold {
                        moves: 1,
                        ..Hold::default()
                    }))
                }
                _ => Err(BackendError::AlreadyLinear(drop.id)),
            };
        };
        if let Some(found) = self.moves.get(&drop.id) {
            check_kept(&drop, found.source, found.target)?;
        }
        if drop.require_complete && !state.is_complete() {
            return Ok(DropOutcome::Refused(state));
        }
        if let Some(found) = self.moves.get_mut(&drop.id) {
            found.stage = FakeStage::Linear(match drop.keep {
                Kept::Source => found.source,
                Kept::Target => found.target,
            });
        }
        for (region, value) in std::mem::take(&mut self.parked) {
            // One that fails again is an error to its writer now, no longer parked.
            let _ = self.write(region, value);
        }
        Ok(DropOutcome::Dropped(Hold {
            moves: 1,
            ..Hold::default()
        }))
    }

    fn set_map(&mut self, fold: &[MoveId]) -> Result<Hold, BackendError> {
        let mut map = self.map.clone();
        for id in fold {
            let found = self.moves.get(id).ok_or(BackendError::NoSuchMove(*id))?;
            let FakeStage::Linear(leg) = found.stage else {
                return Err(BackendError::StillMirrors(*id));
            };
            map.set(VolumeRegion(found.first), found.count, Home::Member(leg));
        }
        let still: Vec<MoveId> = map
            .runs()
            .iter()
            .filter_map(|run| match run.home {
                Home::Move(id) => Some(id),
                Home::Member(_) => None,
            })
            .collect();
        self.check_healthy()?;
        self.map = map;
        self.moves.retain(|id, _| still.contains(id));
        Ok(Hold {
            moves: u32::try_from(fold.len()).unwrap_or(u32::MAX),
            ..Hold::default()
        })
    }
}

impl Settle for FakeBackend {}
