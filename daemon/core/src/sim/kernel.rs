//! The kernel's tables as dm keeps them: linear runs, and mirrors with parked writes.
//!
//! What of dm-mirror is modelled (as seen in the guest, and as `drivers/md/dm-raid1.c` has it with
//! `handle_errors`): a chunk not yet copied is written on the source alone; one in sync is written
//! on both, and acknowledged when both have it; a write that a leg refuses is parked, marks the
//! leg dead and the chunk out of sync; chunks out of sync take no writes while a leg is dead; a
//! read error marks the leg dead; a swap issues parked writes again on the leg that stays.
//!
//! Every other move is tried, as the ublk backend does it: when all is copied, some steps later, it is
//! complete; or its target is found slow, which parks nothing.

use std::collections::BTreeMap;

use super::disks::{CHUNKS, Disks, Failed, place};
use super::random::Random;
use crate::command::{AddLeg, DropLeg};
use crate::event::{AdoptedMove, AdoptedStage, Kept, LegFault, MirrorState, Trial};
use crate::units::{Micros, MoveId, VolumeRegion};
use crate::volume::Leg;

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Acknowledged,
    Parked,
    Error,
}

/// A parked write that a swap set free: (chunk of the volume, stamp, whether it was acknowledged).
pub(super) type Released = (usize, u64, bool);

#[derive(Debug)]
struct Mirror {
    copied: Vec<bool>,
    in_sync: Vec<bool>,
    source_alive: bool,
    target_alive: bool,
    /// What is left of the target's trial, and whether it failed by being slow.
    trial: Option<Trial>,
    is_slow: bool,
    /// (chunk of the move, stamp).
    parked: Vec<(usize, u64)>,
}

#[derive(Debug)]
enum Device {
    Mirror(Mirror),
    Linear(Leg),
}

#[derive(Debug)]
struct Moved {
    add: AddLeg,
    device: Device,
}

#[derive(Debug)]
pub(super) struct Kernel {
    /// The leg of each region of the volume that is not behind a move's device.
    pub(super) table: Vec<Leg>,
    moves: BTreeMap<MoveId, Moved>,
}

impl Mirror {
    fn state(&self) -> MirrorState {
        let slow = LegFault::Slow {
            source: Micros(1),
            target: Micros(9),
        };
        MirrorState {
            in_sync_chunks: self.in_sync.iter().filter(|&&sync| sync).count() as u64,
            total_chunks: self.in_sync.len() as u64,
            source_alive: self.source_alive,
            target_alive: self.target_alive && !self.is_slow,
            fault: self.is_slow.then_some(slow),
            trial: self.trial,
        }
    }

    fn write(&mut self, add: &AddLeg, chunk: usize, stamp: u64, disks: &mut Disks) -> Written {
        let failing = !self.source_alive || !self.target_alive;
        if self.in_sync[chunk] {
            let source = disks.write(place(add.source, chunk), stamp).is_ok();
            let target = disks.write(place(add.target, chunk), stamp).is_ok();
            if source && target {
                return Written::Acknowledged;
            }
            self.source_alive &= source;
            self.target_alive &= target;
            self.in_sync[chunk] = false;
        } else if !failing && !self.copied[chunk] {
            if disks.write(place(add.source, chunk), stamp).is_ok() {
                return Written::Acknowledged;
            }
            self.source_alive = false;
        }
        self.parked.push((chunk, stamp));
        Written::Parked
    }

    fn read(
        &mut self,
        add: &AddLeg,
        chunk: usize,
        disks: &Disks,
        random: &mut Random,
    ) -> Result<u64, Failed> {
        let mut from_source =
            !self.in_sync[chunk] || (self.source_alive && (!self.target_alive || random.one_in(2)));
        for _ in 0..2 {
            let leg = if from_source { add.source } else { add.target };
            if let Ok(stamp) = disks.read(place(leg, chunk)) {
                return Ok(stamp);
            }
            let alive = if from_source {
                &mut self.source_alive
            } else {
                &mut self.target_alive
            };
            *alive = false;
            if !self.in_sync[chunk] {
                break;
            }
            from_source = !from_source;
        }
        Err(Failed)
    }

    /// Copies one chunk, if one is left; else the trial goes on.
    fn copy(&mut self, add: &AddLeg, disks: &mut Disks, random: &mut Random) {
        if !self.source_alive || !self.target_alive || self.is_slow {
            return;
        }
        let Some(chunk) = self.copied.iter().position(|&copied| !copied) else {
            self.is_slow = self.trial.is_some() && random.one_in(12);
            self.trial = match self.trial {
                Some(Trial::Ahead) => Some(Trial::ReadsBack(0)),
                Some(Trial::ReadsBack(0)) => Some(Trial::Reads(50)),
                Some(Trial::Reads(_)) => Some(Trial::Writes(50)),
                Some(Trial::Writes(_)) => Some(Trial::ReadsBack(50)),
                Some(Trial::ReadsBack(_)) if self.is_slow => self.trial,
                Some(Trial::ReadsBack(_)) | None => None,
            };
            return;
        };
        let Ok(stamp) = disks.read(place(add.source, chunk)) else {
            self.source_alive = false;
            return;
        };
        if disks.write(place(add.target, chunk), stamp).is_err() {
            self.target_alive = false;
            return;
        }
        self.copied[chunk] = true;
        self.in_sync[chunk] = true;
    }
}

impl Kernel {
    pub(super) fn new(table: Vec<Leg>) -> Self {
        Self {
            table,
            moves: BTreeMap::new(),
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.moves.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<MoveId> {
        self.moves.keys().copied().collect()
    }

    fn behind(&mut self, chunk: usize) -> Option<(&mut Moved, usize)> {
        let region = u32::try_from(chunk / CHUNKS).unwrap();
        let moved = self.moves.values_mut().find(|moved| {
            let add = &moved.add;
            (add.first.0..add.first.0 + add.count).contains(&region)
        })?;
        let within = chunk - moved.add.first.0 as usize * CHUNKS;
        Some((moved, within))
    }

    fn direct(&self, chunk: usize) -> super::disks::Place {
        place(self.table[chunk / CHUNKS], chunk % CHUNKS)
    }

    pub(super) fn write(&mut self, chunk: usize, stamp: u64, disks: &mut Disks) -> Written {
        let at = match self.behind(chunk) {
            Some((
                Moved {
                    add,
                    device: Device::Mirror(mirror),
                },
                within,
            )) => {
                return mirror.write(add, within, stamp, disks);
            }
            Some((
                Moved {
                    device: Device::Linear(leg),
                    ..
                },
                within,
            )) => place(*leg, within),
            None => self.direct(chunk),
        };
        if disks.write(at, stamp).is_ok() {
            Written::Acknowledged
        } else {
            Written::Error
        }
    }

    pub(super) fn read(
        &mut self,
        chunk: usize,
        disks: &Disks,
        random: &mut Random,
    ) -> Result<u64, Failed> {
        let at = match self.behind(chunk) {
            Some((
                Moved {
                    add,
                    device: Device::Mirror(mirror),
                },
                within,
            )) => {
                return mirror.read(add, within, disks, random);
            }
            Some((
                Moved {
                    device: Device::Linear(leg),
                    ..
                },
                within,
            )) => place(*leg, within),
            None => self.direct(chunk),
        };
        disks.read(at)
    }

    /// What the chunk holds, whether or not its device would read it. Only without mirrors.
    pub(super) fn content(&self, chunk: usize, disks: &Disks) -> u64 {
        disks.content(self.direct(chunk))
    }

    pub(super) fn copy(&mut self, disks: &mut Disks, random: &mut Random) {
        let count = self.moves.len();
        if count == 0 {
            return;
        }
        let Some(moved) = self.moves.values_mut().nth(random.below(count)) else {
            return;
        };
        if let Device::Mirror(mirror) = &mut moved.device {
            mirror.copy(&moved.add, disks, random);
        }
    }

    pub(super) fn state(&self, id: MoveId) -> Option<MirrorState> {
        match &self.moves.get(&id)?.device {
            Device::Mirror(mirror) => Some(mirror.state()),
            Device::Linear(_) => None,
        }
    }

    /// Every region of a member that a mirror writes.
    pub(super) fn mirrored(&self) -> Vec<Leg> {
        let mirrors = self
            .moves
            .values()
            .filter(|moved| matches!(moved.device, Device::Mirror(_)));
        mirrors
            .flat_map(|moved| {
                let add = moved.add;
                (0..add.count).flat_map(move |at| [add.source.plus(at), add.target.plus(at)])
            })
            .collect()
    }

    /// Every region of a member that the kernel may write to: (member, region).
    fn written(&self) -> Vec<(u16, u32)> {
        let mut written = Vec::new();
        let covered = |region: u32| {
            self.moves.values().any(|moved| {
                (moved.add.first.0..moved.add.first.0 + moved.add.count).contains(&region)
            })
        };
        for (region, leg) in self.table.iter().enumerate() {
            if !covered(u32::try_from(region).unwrap()) {
                written.push((leg.member.0, leg.first.0));
            }
        }
        for moved in self.moves.values() {
            let legs = match &moved.device {
                Device::Mirror(_) => vec![moved.add.source, moved.add.target],
                Device::Linear(leg) => vec![*leg],
            };
            for leg in legs {
                written.extend((0..moved.add.count).map(|at| (leg.member.0, leg.first.0 + at)));
            }
        }
        written
    }

    pub(super) fn add(&mut self, add: AddLeg) {
        let written = self.written();
        for at in 0..add.count {
            assert_eq!(
                self.table[(add.first.0 + at) as usize],
                add.source.plus(at),
                "{add:?}: the kernel has another leg"
            );
            let target = add.target.plus(at);
            assert!(
                !written.contains(&(target.member.0, target.first.0)),
                "{add:?}: the target is in use in the kernel"
            );
        }
        let chunks = add.count as usize * CHUNKS;
        let mirror = Mirror {
            copied: vec![false; chunks],
            in_sync: vec![false; chunks],
            source_alive: true,
            target_alive: true,
            trial: (add.id.0 % 2 == 1).then_some(Trial::Ahead),
            is_slow: false,
            parked: Vec::new(),
        };
        self.insert(add, Device::Mirror(mirror));
    }

    /// The move's device is there, and its mirror could not be put beneath it.
    pub(super) fn add_without_copy(&mut self, add: AddLeg) {
        self.insert(add, Device::Linear(add.source));
    }

    fn insert(&mut self, add: AddLeg, device: Device) {
        let before = self.moves.insert(add.id, Moved { add, device });
        assert!(before.is_none(), "{add:?}: the number is taken");
    }

    /// Drops a leg, or gives the state for which it refuses.
    pub(super) fn drop_leg(
        &mut self,
        drop: DropLeg,
        disks: &mut Disks,
        random: &mut Random,
    ) -> Result<Vec<Released>, MirrorState> {
        let moved = self
            .moves
            .get_mut(&drop.id)
            .expect("a drop is for a live move");
        let Device::Mirror(mirror) = &mut moved.device else {
            panic!("{drop:?}: no mirror")
        };
        let state = mirror.state();
        if drop.require_complete && !state.is_complete() {
            // Resuming makes the log look for chunks to copy from its beginning again.
            for chunk in 0..mirror.copied.len() {
                if random.one_in(2) {
                    mirror.copied[chunk] &= mirror.in_sync[chunk];
                }
            }
            return Err(state);
        }
        let leg = match drop.keep {
            Kept::Source => moved.add.source,
            Kept::Target => moved.add.target,
        };
        let begin = moved.add.first.0 as usize * CHUNKS;
        let parked = std::mem::take(&mut mirror.parked);
        moved.device = Device::Linear(leg);
        let reissue = |(chunk, stamp): (usize, u64)| {
            (
                begin + chunk,
                stamp,
                disks.write(place(leg, chunk), stamp).is_ok(),
            )
        };
        Ok(parked.into_iter().map(reissue).collect())
    }

    pub(super) fn fold(&mut self, id: MoveId) {
        let moved = self.moves.remove(&id).expect("a fold is for a live move");
        let Device::Linear(leg) = moved.device else {
            panic!("move {id}: folded while a mirror")
        };
        for at in 0..moved.add.count {
            self.table[(moved.add.first.0 + at) as usize] = leg.plus(at);
        }
    }

    /// What a daemon that starts finds.
    pub(super) fn adopted(&self) -> Vec<AdoptedMove> {
        let adopt = |(&id, moved): (&MoveId, &Moved)| {
            let add = moved.add;
            let (source, target, stage) = match &moved.device {
                Device::Mirror(mirror) => {
                    (add.source, add.target, AdoptedStage::Mirror(mirror.state()))
                }
                Device::Linear(leg) => (*leg, *leg, AdoptedStage::Linear(*leg)),
            };
            AdoptedMove {
                id,
                first: add.first,
                count: add.count,
                source,
                target,
                stage,
            }
        };
        self.moves.iter().map(adopt).collect()
    }

    /// Whether the region is behind a move's device.
    pub(super) fn is_moving(&self, region: VolumeRegion) -> bool {
        self.moves
            .values()
            .any(|m| (m.add.first.0..m.add.first.0 + m.add.count).contains(&region.0))
    }
}
