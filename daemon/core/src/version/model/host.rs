//! What runs with the disks that are plugged in, by the protocol.
//!
//! Each verb says whether the host lives on.

use std::collections::{BTreeMap, BTreeSet};

use super::{BLOCKS, DISKS_MAX, Disk, Mistake, Record, World, disk_of, leg};
use crate::version::{Changed, Differences, Held, Version, Versions};
use crate::volume::Leg;

#[derive(Clone, Debug)]
pub(crate) struct Host {
    pub(super) plugged: BTreeSet<usize>,
    /// What is durable.
    pub(super) record: Record,
    /// The legs that are read and written. None: a person has to choose.
    pub(super) serving: Vec<Leg>,
    /// What a person may choose from.
    pub(super) choice: Vec<Leg>,
    /// Whether that is between the sides of a split.
    pub(super) was_split: bool,
    /// Versions that records name.
    pub(super) known: Vec<Version>,
    pub(super) turn_due: bool,
    pub(super) differences: Differences,
    pub(super) unflushed: Changed,
    /// Blocks left to copy, by disk.
    pub(super) copying: BTreeMap<usize, Vec<usize>>,
    /// What a read has to give.
    pub(super) truth: [u32; BLOCKS],
}

impl Host {
    pub(super) fn newest(&self) -> Version {
        let newest = self.record.versions.newest();
        newest.cloned().unwrap_or_default()
    }

    /// A new epoch, if other disks are there than in the last: on every replica and label.
    pub(super) fn begin_epoch(&mut self, world: &mut World) -> bool {
        let id = world.next();
        let (_, old) = self.record.epoch();
        let number = self.record.line.iter().map(|&(number, _)| number).max();
        self.record.line.push((number.unwrap_or(0) + 1, id));
        self.record.with.clone_from(&self.plugged);
        let before = world.acknowledged.get(&old).cloned();
        world
            .acknowledged
            .entry(id)
            .or_insert(before.unwrap_or_default());
        if !self.commit(world, u8::MAX) {
            return false;
        }
        for &disk in &self.plugged {
            world.disks[disk].label = id;
        }
        let epoch = self.epoch_number(world);
        self.turn_due = !self.record.versions.may_write(&self.serving, epoch);
        true
    }

    /// Writes the record on those replicas of which the bit is set.
    pub(super) fn commit(&mut self, world: &mut World, mask: u8) -> bool {
        self.record.revision += 1;
        let mut written = self.record.clone();
        if world.errs(Mistake::TearNotRecorded) {
            let whole = |held: &Held| Held {
                whole: true,
                ..held.clone()
            };
            written.versions = Versions::of(written.versions.legs().iter().map(whole));
        }
        let mut live = false;
        for &disk in &self.plugged {
            let disk_at = &mut world.disks[disk];
            if disk_at.has_area && mask >> disk & 1 == 1 {
                disk_at.replica = Some(written.clone());
                live = true;
            }
        }
        live
    }

    pub(super) fn epoch_number(&self, world: &World) -> u64 {
        if world.errs(Mistake::OneEpoch) {
            1
        } else {
            self.record.epoch().0
        }
    }

    /// Those that serve go on without the others.
    pub(super) fn turn(&mut self, world: &mut World, mask: u8) -> bool {
        let before = self.newest();
        let epoch = self.epoch_number(world);
        let versions = &self.record.versions;
        if world.errs(Mistake::NoTurnInNewEpoch) && versions.may_write(&self.serving, 0) {
            self.turn_due = false;
            return true;
        }
        let next = versions.go_on(&self.serving, epoch);
        let next = match next {
            Ok(next) => next,
            Err(why) => {
                world.broken = Some(format!("no turn: {why}"));
                return false;
            }
        };
        self.turn_due = false;
        if next == self.record.versions {
            return true;
        }
        self.went_on(world, &before, &next);
        self.commit(world, mask)
    }

    /// A turn is in `next`.
    fn went_on(&mut self, world: &mut World, before: &Version, next: &Versions) {
        self.record.versions = next.clone();
        if self.newest() == *before {
            return;
        }
        let id = world.next();
        for leg in &self.serving {
            self.record.turns.entry(leg.member).or_default().insert(id);
        }
        let mut unflushed = self.unflushed.clone();
        if world.errs(Mistake::BeginsEmpty) {
            unflushed = Changed::none(BLOCKS as u64);
        }
        self.differences.go_on(before, &self.newest(), &unflushed);
    }

    pub(super) fn acknowledge(&self, world: &mut World) {
        let id = world.next();
        for &leg in &self.serving {
            world.disks[disk_of(leg)].heard.insert(id);
        }
        let (_, epoch) = self.record.epoch();
        world.acknowledged.entry(epoch).or_default().insert(id);
    }

    /// What can be read is what is there, but for what a cache may lose.
    pub(super) fn fix(&self, world: &mut World) {
        for &leg in &self.serving {
            let disk = &mut world.disks[disk_of(leg)];
            for (block, allowed) in disk.allowed.iter_mut().enumerate() {
                *allowed = vec![disk.durable[block]];
                allowed.extend(&disk.cache[block]);
            }
        }
    }

    /// A value goes to the caches of some legs.
    fn send(&mut self, world: &mut World, block: usize, mask: u8) -> u32 {
        let value = world.next();
        self.unflushed.add(block as u64, 1);
        if !world.errs(Mistake::NotNoted) {
            let newest = self.newest();
            self.differences.write(&newest, block as u64, 1);
        }
        let serving = self.serving.iter().map(|&leg| disk_of(leg));
        for disk in serving.chain(self.copying.keys().copied()) {
            if mask >> disk & 1 == 1 {
                world.disks[disk].cache[block].push(value);
                world.disks[disk].allowed[block].push(value);
            }
        }
        value
    }

    pub(super) fn write(&mut self, world: &mut World, block: usize) -> bool {
        if self.serving.is_empty() {
            return true;
        }
        if self.turn_due && !world.errs(Mistake::WriteBeforeTurn) && !self.turn(world, u8::MAX) {
            return false;
        }
        self.truth[block] = self.send(world, block, u8::MAX);
        self.acknowledge(world);
        true
    }

    pub(super) fn read(
        &mut self,
        world: &mut World,
        block: usize,
        which: usize,
    ) -> Result<bool, String> {
        if self.serving.is_empty() {
            return Ok(true);
        }
        let leg = self.serving[which % self.serving.len()];
        let value = world.disks[disk_of(leg)].block(block);
        if value != self.truth[block] {
            let truth = self.truth[block];
            return Err(format!(
                "block {block} of {leg:?} reads {value}, not {truth}"
            ));
        }
        Ok(true)
    }

    pub(super) fn flush(&mut self, world: &mut World) -> bool {
        let promises = !self.unflushed.is_none() && !self.serving.is_empty();
        if self.turn_due
            && promises
            && !world.errs(Mistake::FlushBeforeTurn)
            && !self.turn(world, u8::MAX)
        {
            return false;
        }
        for &leg in &self.serving {
            let disk = &mut world.disks[disk_of(leg)];
            disk.flush();
            disk.allowed = disk.blocks().map(|value| vec![value]);
        }
        if promises {
            self.acknowledge(world);
            self.unflushed = Changed::none(BLOCKS as u64);
        }
        true
    }

    pub(super) fn fail(&mut self, disk: usize) -> bool {
        self.copying.remove(&disk);
        if self.serving.contains(&leg(disk)) {
            self.serving.retain(|&one| one != leg(disk));
            self.turn_due = true;
            // With none left there is nothing to go on with.
            return !self.serving.is_empty();
        }
        true
    }

    pub(super) fn vanish(&mut self, world: &mut World, disk: usize, loss: u32) -> bool {
        if !self.plugged.remove(&disk) {
            return true;
        }
        world.disks[disk].lose_power(loss);
        self.choice.retain(|&one| one != leg(disk));
        self.fail(disk) && self.begin_epoch(world)
    }

    pub(super) fn plug(&mut self, world: &mut World, disk: usize) -> bool {
        // One that went another way, or whose side nobody knows, is refused.
        let known = |disk: &Disk| self.record.knows(disk.label);
        if self.serving.is_empty() || !world.disks.get(disk).is_some_and(known) {
            return true;
        }
        !self.plugged.insert(disk) || self.begin_epoch(world)
    }

    pub(super) fn stop(&mut self, world: &mut World) -> bool {
        if !self.serving.is_empty() && self.flush(world) && self.settle(world) {
            self.record.open = false;
            self.record.differences = self.differences.clone();
            self.commit(world, u8::MAX);
        }
        false
    }

    pub(super) fn cut(
        &mut self,
        world: &mut World,
        block: usize,
        legs: u8,
        replicas: u8,
        loss: u32,
    ) -> bool {
        if !self.serving.is_empty() {
            let before = self.record.versions.clone();
            if self.turn_due {
                let before_it = world.last;
                self.turn(world, replicas);
                world.not_acted_on.extend(before_it + 1..=world.last);
                let some = before != self.record.versions;
                let areas = self
                    .plugged
                    .iter()
                    .filter(|&&disk| world.disks[disk].has_area);
                let missed = areas.filter(|&&disk| replicas >> disk & 1 == 0).count();
                if some && missed > 0 {
                    world.saw("a turn that was forgotten");
                }
            }
            self.send(world, block, legs);
        }
        for &disk in &self.plugged {
            let turned = loss.rotate_left(3 * u32::try_from(disk).expect("few"));
            world.disks[disk].lose_power(turned);
        }
        false
    }

    pub(super) fn keep(&mut self, world: &mut World, which: usize) -> Result<bool, String> {
        if self.choice.is_empty() || !self.serving.is_empty() {
            return Ok(true);
        }
        let kept = self.choice[which % self.choice.len()];
        let before = self
            .record
            .versions
            .held(kept)
            .map(|held| held.version.clone());
        let before = before.unwrap_or_default();
        let epoch = self.epoch_number(world);
        let next = if world.errs(Mistake::KeptWithoutJoin) {
            let legs = self.record.versions.legs().iter().cloned();
            let version = before.advanced(kept.member, epoch);
            let version = version.map_err(|why| why.to_string())?;
            Ok(Versions::of(legs.map(|held| Held {
                version: if held.leg == kept {
                    version.clone()
                } else {
                    held.version
                },
                ..held
            })))
        } else {
            self.record.versions.keep(kept, &self.known, epoch)
        };
        self.record.versions = next.map_err(|why| why.to_string())?;
        let after = self
            .record
            .versions
            .held(kept)
            .map(|held| held.version.clone());
        self.differences.kept(&before, &after.unwrap_or_default());
        let mut turns: BTreeSet<u32> = self.record.turns.values().flatten().copied().collect();
        turns.insert(world.next());
        self.record.turns.insert(kept.member, turns);
        let (_, epoch) = self.record.epoch();
        let all = world.acknowledged.get(&epoch).cloned();
        world.disks[disk_of(kept)]
            .heard
            .extend(all.unwrap_or_default());
        self.serving = vec![kept];
        self.choice.clear();
        self.fix(world);
        self.truth = world.disks[disk_of(kept)].blocks();
        self.record.open = true;
        self.record.differences = Differences::unknown(BLOCKS as u64);
        Ok(self.commit(world, u8::MAX))
    }

    pub(super) fn replace(&mut self, world: &mut World, disk: usize) -> bool {
        if world.disks.len() == DISKS_MAX || !self.may_give_up(disk) {
            return true;
        }
        if !self.give_up(world, disk) {
            return false;
        }
        let new = world.disks.len();
        let next = self.record.versions.add(leg(new));
        self.record.versions = next.expect("it is a new disk");
        world.disks.push(Disk::new(false, self.record.epoch().1));
        self.plugged.insert(new);
        self.begin_epoch(world)
    }

    /// Without another in its place. If `cut` says so, power goes while that is committed.
    pub(super) fn remove(&mut self, world: &mut World, disk: usize, cut: Option<u8>) -> bool {
        if !self.may_give_up(disk) {
            return true;
        }
        let before = world.last;
        if !self.give_up(world, disk) {
            return false;
        }
        let Some(replicas) = cut else {
            return self.commit(world, u8::MAX);
        };
        world.saw("a removal that was forgotten");
        world.not_acted_on.extend(before + 1..=world.last);
        self.commit(world, replicas);
        for &disk in &self.plugged {
            world.disks[disk].lose_power(0);
        }
        false
    }

    fn may_give_up(&self, disk: usize) -> bool {
        !self.serving.is_empty()
            && !self.serving.contains(&leg(disk))
            && !self.copying.contains_key(&disk)
            && self.record.versions.held(leg(disk)).is_some()
    }

    /// The others go on without a leg that is one no more. To be committed.
    fn give_up(&mut self, world: &mut World, disk: usize) -> bool {
        let gone = leg(disk);
        let before = self.newest();
        let held = self.record.versions.held(gone);
        if held.is_some_and(|held| held.whole && held.version == before) {
            world.saw("a leg is given up that may be as new");
        }
        let epoch = self.epoch_number(world);
        let next = if world.errs(Mistake::RemovedWithoutTurn) {
            let left = self.record.versions.legs().iter();
            Ok(Versions::of(left.filter(|held| held.leg != gone).cloned()))
        } else {
            self.record.versions.remove(gone, &self.serving, epoch)
        };
        match next {
            Ok(next) => self.went_on(world, &before, &next),
            Err(why) => {
                world.broken = Some(format!("no removal: {why}"));
                return false;
            }
        }
        self.record.turns.remove(&gone.member);
        self.record.gone.insert(disk);
        self.turn_due = !self.record.versions.may_write(&self.serving, epoch);
        true
    }
}
