//! How a leg that is stale, or was away, comes back.

use super::host::Host;
use super::{Mistake, World, disk_of, leg};
use crate::volume::Leg;

impl Host {
    pub(super) fn copy(
        &mut self,
        world: &mut World,
        disk: usize,
        count: usize,
    ) -> Result<bool, String> {
        let here = self.plugged.contains(&disk) && !self.serving.contains(&leg(disk));
        let Some(held) = self
            .record
            .versions
            .held(leg(disk))
            .filter(|_| here)
            .cloned()
        else {
            return Ok(true);
        };
        let Some(&source) = self.serving.first() else {
            return Ok(true);
        };
        if held.whole && held.version == self.newest() {
            if self.unflushed.is_none() || world.errs(Mistake::TakenBackUnflushed) {
                world.saw("a leg that was away and is as it was");
                return self.take_back(world, disk).map(|()| true);
            }
            if !self.turn(world, u8::MAX) {
                return Ok(false);
            }
        }
        if !self.copying.contains_key(&disk) && !self.begin_copy(world, disk, source)? {
            return Ok(false);
        }
        let left = self.copying.get_mut(&disk).expect("it has begun");
        for _ in 0..count {
            if let Some(block) = left.pop() {
                world.disks[disk].cache[block].push(self.truth[block]);
            }
        }
        let spared = usize::from(world.errs(Mistake::DoneEarly));
        if left.len() > spared {
            return Ok(true);
        }
        self.end_copy(world, disk, source)
    }

    fn begin_copy(&mut self, world: &mut World, disk: usize, from: Leg) -> Result<bool, String> {
        let held = self.record.versions.held(leg(disk)).expect("it was found");
        let blocks = if held.whole {
            self.differences.between(&held.version, &self.newest())
        } else {
            world.saw("a copy that was interrupted");
            self.differences.all()
        };
        if !blocks.is_all() {
            world.saw("a copy of no more than what changed");
            if self.was_split {
                world.saw("a copy over what two sides changed");
            }
        }
        let is_whole = held.whole;
        world.covers(&blocks, disk, disk_of(from), is_whole)?;
        let next = self.record.versions.copy_begun(leg(disk));
        self.record.versions = next.map_err(|why| why.to_string())?;
        let left = blocks
            .runs()
            .flat_map(|(first, count)| first..first + count);
        let left = left.map(|block| usize::try_from(block).expect("few"));
        self.copying.insert(disk, left.collect());
        Ok(self.commit(world, u8::MAX))
    }

    fn end_copy(&mut self, world: &mut World, disk: usize, from: Leg) -> Result<bool, String> {
        self.copying.remove(&disk);
        if !world.errs(Mistake::DoneUnflushed) {
            world.disks[disk].flush();
        }
        let next = self.record.versions.copy_done(leg(disk), from);
        self.record.versions = next.map_err(|why| why.to_string())?;
        let turns = self.record.turns.get(&from.member).cloned();
        self.record
            .turns
            .insert(leg(disk).member, turns.unwrap_or_default());
        let source = world.disks[disk_of(from)].clone();
        world.disks[disk].heard = source.heard;
        world.disks[disk].allowed = source.allowed;
        if !self.commit(world, u8::MAX) {
            return Ok(false);
        }
        self.take_back(world, disk)?;
        Ok(self.settle(world))
    }

    /// A leg is read and written again.
    fn take_back(&mut self, world: &mut World, disk: usize) -> Result<(), String> {
        if world.disks[disk].blocks() != self.truth {
            return Err(format!("disk {disk} is taken back and differs"));
        }
        self.serving.push(leg(disk));
        let epoch = self.epoch_number(world);
        self.turn_due = !self.record.versions.may_write(&self.serving, epoch);
        Ok(())
    }

    /// Shorter versions, if every leg serves.
    pub(super) fn settle(&mut self, world: &mut World) -> bool {
        if self.record.versions.legs().len() != self.serving.len() {
            return true;
        }
        self.differences.forget();
        let next = self.record.versions.settled(&self.serving);
        if next == self.record.versions {
            return true;
        }
        world.saw("a shorter version");
        world.shortened = true;
        self.record.versions = next;
        self.commit(world, u8::MAX)
    }
}
