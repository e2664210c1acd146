//! The ublk backend: a process of tierd's own serves each request of the volume.
//!
//! Owns: the volume's map in regions, and the moves under way; what is served is made from them
//! ([`tier_ublk`]). A move is in the map from its first leg on, so nothing is ever held: a verb
//! exchanges the map, and what goes by the old one ends by itself. A leg that is dropped is given up
//! only then; until that, [`Backend::drop_leg`] says that it took too long, and is asked again. What
//! was parked goes on all the while, on the leg that is kept.
//!
//! Invariants: those of the trait. The map is in memory alone: after the death of the process it is
//! made from the records, as after a power cut, and moves begin anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{AdoptedMove, AdoptedStage, Kept, MirrorState};
use tier_core::units::{MemberIndex, MoveId, VolumeRegion};
use tier_core::volume::{Extent, Leg};
use tier_sys::block::{Access, BlockDevice, BlockError};
use tier_ublk::copy::Copier;
use tier_ublk::members::Member;
use tier_ublk::moving::Moving;
use tier_ublk::volume::{Change, Volume};

use super::dm::adds;
use super::dm::map::{Home, VolumeMap};
use super::settle::Settle;
use super::{
    Added, Backend, BackendError, DropOutcome, Hold, KernelMap, Layout, LegState, MemberDevice,
    check_kept,
};

mod snapshot;

use snapshot::{place, region_bytes, snapshot, snapshot_with};

/// How long I/O in flight is waited for before a verb is given up.
const LIMIT: Duration = Duration::from_millis(500);
/// How often it is looked for.
const LOOK: Duration = Duration::from_micros(200);

/// One volume that this process serves.
#[derive(Debug)]
pub struct UblkBackend {
    layout: Layout,
    missing: Missing,
    volume: Arc<Volume>,
    map: VolumeMap,
    moves: BTreeMap<MoveId, Move>,
}

/// Members that are not there.
type Missing = BTreeSet<MemberIndex>;

#[derive(Debug)]
struct Move {
    add: AddLeg,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Both legs are written.
    Mirror { moving: Arc<Moving>, copier: Copier },
    /// New requests go to this leg alone; others, or a copy to the other leg, may still be under way.
    Leaving {
        leg: Leg,
        change: Change,
        copier: Copier,
    },
    /// All go to this leg.
    Linear(Leg),
}

impl UblkBackend {
    /// Puts each extent on its home, on members that [`claim`] opened in the order of the layout.
    pub fn new(
        layout: Layout,
        members: Vec<BlockDevice>,
        extents: &[Extent],
    ) -> Result<Self, BackendError> {
        Self::degraded(layout, members, Vec::new(), extents)
    }

    /// The same where some members are not there: what is on them alone can be neither read nor written.
    /// A device that was found of one, with what it had long ago, is let go.
    pub fn degraded(
        mut layout: Layout,
        members: Vec<BlockDevice>,
        missing: Vec<MemberDevice>,
        extents: &[Extent],
    ) -> Result<Self, BackendError> {
        let is_missing = |index| missing.iter().any(|one| one.index == index);
        let (present, members): (Vec<_>, Vec<_>) = layout
            .members
            .into_iter()
            .zip(members)
            .filter(|(member, _)| !is_missing(member.index))
            .map(|(member, device)| (member, Member::new(device)))
            .unzip();
        // Places are told by the order of those that are there.
        layout.members = present;
        let absent = missing.iter().map(|one| one.index).collect();
        layout.members.extend(missing);
        let map = VolumeMap::from_extents(&layout, extents)?;
        let moves = BTreeMap::new();
        let snapshot = snapshot(&layout, &absent, &map, &moves)?;
        Ok(Self {
            missing: absent,
            volume: Arc::new(Volume::new(members, snapshot)),
            layout,
            map,
            moves,
        })
    }

    /// What is served.
    #[must_use]
    pub const fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// What this backend maps.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its members that are there, in the order in which [`claim`] opened them.
    #[must_use]
    pub fn present(&self) -> &[MemberDevice] {
        let count = self.volume.members().len();
        self.layout.members.get(..count).unwrap_or_default()
    }

    /// Serves what the map and the moves say from now on.
    fn serve(&self) -> Result<Change, BackendError> {
        let snapshot = snapshot(&self.layout, &self.missing, &self.map, &self.moves)?;
        Ok(self.volume.replace(snapshot))
    }

    /// Sees that all legs are on members that are there.
    fn check_present(&self, adds: &[AddLeg]) -> Result<(), BackendError> {
        for add in adds {
            let legs = [add.source, add.target];
            let absent = legs.iter().find(|leg| self.missing.contains(&leg.member));
            if let Some(leg) = absent {
                let last = add.first.0.saturating_add(add.count).saturating_sub(1);
                return Err(BackendError::Contradiction {
                    first: add.first,
                    last: VolumeRegion(last),
                    why: format!("member {} is missing", leg.member),
                });
            }
        }
        Ok(())
    }

    /// Sees that no move has lost a leg.
    fn check_healthy(&self) -> Result<(), BackendError> {
        for (id, found) in &self.moves {
            if let Stage::Mirror { moving, .. } = &found.stage
                && !moving.is_well()
            {
                let state = moving.state();
                return Err(BackendError::UnhealthyMove { id: *id, state });
            }
        }
        Ok(())
    }

    /// Every leg that holds something.
    fn used(&self) -> Vec<(Leg, u32)> {
        let direct = self.map.runs().iter().filter_map(|run| match run.home {
            Home::Member(leg) => Some((leg, run.count)),
            Home::Move(_) => None,
        });
        let moving = self.moves.values().flat_map(|found| {
            let AddLeg { source, target, .. } = found.add;
            let legs = match found.stage {
                Stage::Linear(leg) => vec![leg],
                Stage::Mirror { .. } | Stage::Leaving { .. } => vec![source, target],
            };
            legs.into_iter().map(|leg| (leg, found.add.count))
        });
        direct.chain(moving).collect()
    }

    fn moving(&self, add: &AddLeg) -> Result<Arc<Moving>, BackendError> {
        let bytes = |region: u32| u64::from(region) * region_bytes(&self.layout);
        let end = add.first.0.saturating_add(add.count);
        let moving = Moving::new(
            add.id,
            bytes(add.first.0)..bytes(end),
            place(&self.layout, add.source)?,
            place(&self.layout, add.target)?,
        );
        Ok(Arc::new(moving.tried(add.trial, add.promises_faster)))
    }

    /// Begins the copy of a move that is served already; where that fails, it is to be linear again.
    fn begin(
        &mut self,
        add: AddLeg,
        moving: Arc<Moving>,
        added: Change,
    ) -> Result<(), BackendError> {
        let started = Copier::start(self.volume.clone(), moving.clone(), added);
        let (stage, begun) = match started {
            Ok(copier) => (Stage::Mirror { moving, copier }, Ok(())),
            Err(source) => {
                let error = BackendError::Kernel {
                    what: "start the copy of",
                    device: format!("move {}", add.id),
                    source,
                };
                (Stage::Linear(add.source), Err(error))
            }
        };
        self.moves.insert(add.id, Move { add, stage });
        begun
    }

    fn find(&mut self, id: MoveId) -> Result<&mut Move, BackendError> {
        self.moves.get_mut(&id).ok_or(BackendError::NoSuchMove(id))
    }

    /// Waits until nothing goes to a leg any more that is being left, if one is.
    fn end_leaving(&mut self, id: MoveId) -> Result<(), BackendError> {
        let found = self.find(id)?;
        if let Stage::Leaving {
            leg,
            change,
            copier,
        } = &found.stage
        {
            wait_for(id, || change.is_over() && copier.has_ended())?;
            found.stage = Stage::Linear(*leg);
        }
        Ok(())
    }

    /// Ends a mirror: has new requests go to one leg alone, and stops its copy. What is under way then
    /// is waited for by who called this; there is no way back from here.
    fn leave(&mut self, drop: DropLeg) -> Result<Option<MirrorState>, BackendError> {
        let found = self.moves.remove(&drop.id);
        let Move { add, stage } = found.ok_or(BackendError::NoSuchMove(drop.id))?;
        let (stage, left) = match stage {
            Stage::Mirror { moving, copier } => match check_kept(&drop, add.source, add.target) {
                Ok(()) => self.leave_mirror(add, drop, moving, copier),
                Err(error) => (Stage::Mirror { moving, copier }, Err(error)),
            },
            other => (other, Ok(None)),
        };
        self.moves.insert(drop.id, Move { add, stage });
        left
    }

    fn leave_mirror(
        &mut self,
        add: AddLeg,
        drop: DropLeg,
        moving: Arc<Moving>,
        copier: Copier,
    ) -> (Stage, Result<Option<MirrorState>, BackendError>) {
        let found = moving.state();
        // A target that lacks anything would be written by the copy while it serves.
        let is_all_there = found.in_sync_chunks == found.total_chunks;
        let (leg, is_fit) = match drop.keep {
            Kept::Source => (add.source, true),
            Kept::Target => (add.target, is_all_there),
        };
        if !is_fit || drop.require_complete && !found.is_complete() {
            return (Stage::Mirror { moving, copier }, Ok(Some(found)));
        }
        let stage = Stage::Linear(leg);
        self.moves.insert(add.id, Move { add, stage });
        match self.serve() {
            Ok(change) => {
                moving.stop();
                let leaving = Stage::Leaving {
                    leg,
                    change,
                    copier,
                };
                (leaving, Ok(None))
            }
            Err(error) => (Stage::Mirror { moving, copier }, Err(error)),
        }
    }
}

/// Opens a volume's members, exclusively: nobody else has them then, and nothing is in flight on them
/// from a process that had them before. Such a process may be dead, and its I/O not: so long is waited.
pub fn claim(layout: &Layout, patience: Duration) -> Result<Vec<BlockDevice>, BlockError> {
    let begins = Instant::now();
    let open = |member: &MemberDevice| loop {
        match BlockDevice::open(&member.path, Access::Exclusive) {
            Err(error) if is_held(&error) && begins.elapsed() < patience => sleep(LOOK),
            done => return done,
        }
    };
    layout.members.iter().map(open).collect()
}

fn is_held(error: &BlockError) -> bool {
    error.errno() == Some(libc::EBUSY)
}

impl Backend for UblkBackend {
    fn read_back(&mut self) -> Result<KernelMap, BackendError> {
        let adopted = |(id, found): (&MoveId, &Move)| {
            let (mut source, mut target) = (found.add.source, found.add.target);
            let stage = match &found.stage {
                Stage::Mirror { moving, .. } => AdoptedStage::Mirror(moving.state()),
                Stage::Leaving { leg, .. } | Stage::Linear(leg) => {
                    (source, target) = (*leg, *leg);
                    AdoptedStage::Linear(*leg)
                }
            };
            AdoptedMove {
                id: *id,
                first: found.add.first,
                count: found.add.count,
                source,
                target,
                stage,
            }
        };
        let mut moves: Vec<_> = self.moves.iter().map(adopted).collect();
        moves.sort_by_key(|found| found.first);
        Ok(KernelMap {
            direct: self.map.direct(),
            moves,
        })
    }

    fn set_pace(&mut self, id: MoveId, bytes_per_second: u64) -> Result<(), BackendError> {
        if let Stage::Mirror { moving, .. } = &self.find(id)?.stage {
            moving.set_pace(bytes_per_second);
        }
        Ok(())
    }

    fn add_legs(&mut self, adds: &[AddLeg]) -> Result<Added, BackendError> {
        adds::check(&self.layout, &self.map, self.used(), adds)?;
        self.check_present(adds)?;
        if let Some(add) = adds.iter().find(|add| self.moves.contains_key(&add.id)) {
            return Err(BackendError::Foreign {
                device: format!("move {}", add.id),
                sector: 0,
                why: "it is there already".into(),
            });
        }
        self.check_healthy()?;
        let begins = Instant::now();
        let movings = adds
            .iter()
            .map(|add| self.moving(add).map(|moving| (*add, moving)));
        let movings = movings.collect::<Result<Vec<_>, BackendError>>()?;
        let mut map = self.map.clone();
        for add in adds {
            map.set(add.first, add.count, Home::Move(add.id));
        }
        let added = {
            let under_way = movings.iter().map(|(add, moving)| (add.id, moving));
            let under_way = under_way.collect();
            let (layout, missing) = (&self.layout, &self.missing);
            let snapshot = snapshot_with(layout, missing, &map, &self.moves, &under_way)?;
            self.volume.replace(snapshot)
        };
        self.map = map;
        let hold = |moves| Hold {
            total: begins.elapsed(),
            drain: Duration::ZERO,
            moves,
        };
        let mut copies = Vec::with_capacity(adds.len());
        for (add, moving) in movings {
            let begun = self.begin(add, moving, added.clone());
            copies.push((add.id, begun.map(|()| hold(1))));
        }
        if copies.iter().any(|(_, copy)| copy.is_err()) {
            self.serve()?;
        }
        let moves = u32::try_from(adds.len()).unwrap_or(u32::MAX);
        Ok(Added {
            hold: hold(moves),
            copies,
        })
    }

    fn leg_state(&mut self, id: MoveId) -> Result<LegState, BackendError> {
        self.volume.look_at_targets();
        Ok(match &self.find(id)?.stage {
            Stage::Mirror { moving, .. } => LegState::Mirror(moving.state()),
            Stage::Leaving { .. } | Stage::Linear(_) => LegState::Linear,
        })
    }

    fn drop_leg(&mut self, drop: DropLeg) -> Result<DropOutcome, BackendError> {
        let begins = Instant::now();
        if let Some(state) = self.leave(drop)? {
            return Ok(DropOutcome::Refused(state));
        }
        self.end_leaving(drop.id)?;
        match self.find(drop.id)?.stage {
            Stage::Linear(leg) if leg == drop.leg => Ok(DropOutcome::Dropped(Hold {
                total: Duration::ZERO,
                drain: begins.elapsed(),
                moves: 1,
            })),
            _ => Err(BackendError::AlreadyLinear(drop.id)),
        }
    }

    fn set_map(&mut self, fold: &[MoveId]) -> Result<Hold, BackendError> {
        let begins = Instant::now();
        // Who asks may not know that one is still being left: it was told so to somebody before.
        for id in fold {
            self.end_leaving(*id)?;
        }
        let mut map = self.map.clone();
        for id in fold {
            let found = self.moves.get(id).ok_or(BackendError::NoSuchMove(*id))?;
            let Stage::Linear(leg) = found.stage else {
                return Err(BackendError::StillMirrors(*id));
            };
            map.set(found.add.first, found.add.count, Home::Member(leg));
        }
        self.check_healthy()?;
        let snapshot = snapshot(&self.layout, &self.missing, &map, &self.moves)?;
        self.map = map;
        self.moves.retain(|id, _| !fold.contains(id));
        self.volume.replace(snapshot);
        Ok(Hold {
            total: begins.elapsed(),
            drain: Duration::ZERO,
            moves: u32::try_from(fold.len()).unwrap_or(u32::MAX),
        })
    }
}

impl Settle for UblkBackend {}

/// Waits for something of a move, within the limit.
fn wait_for(id: MoveId, holds: impl Fn() -> bool) -> Result<(), BackendError> {
    let begins = Instant::now();
    while !holds() {
        if begins.elapsed() > LIMIT {
            return Err(BackendError::HoldTimedOut {
                device: format!("move {id}"),
                limit: LIMIT,
            });
        }
        sleep(LOOK);
    }
    Ok(())
}
