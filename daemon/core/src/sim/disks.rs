//! Member devices with content: what a read gives now, and what a power cut would leave.

use super::random::Random;
use crate::units::MemberIndex;
use crate::volume::Leg;

/// Chunks per region: the unit of content, of the mirror's sync bits and of the app's writes.
pub(super) const CHUNKS: usize = 2;

/// A chunk of a leg: (leg's first region, chunks from there).
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) member: MemberIndex,
    pub(super) chunk: usize,
}

pub(super) fn place(leg: Leg, chunk: usize) -> Place {
    Place {
        member: leg.member,
        chunk: leg.first.0 as usize * CHUNKS + chunk,
    }
}

#[derive(Debug)]
pub(super) struct Failed;

#[derive(Debug)]
struct Disk {
    now: Vec<u64>,
    durable: Vec<u64>,
    /// Dirty chunks that a failed flush made the kernel forget: no later flush writes them.
    forgotten: Vec<bool>,
    bad_read: Vec<bool>,
    bad_write: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct Disks(Vec<Disk>);

impl Disks {
    pub(super) fn new(regions: &[u32]) -> Self {
        let disk = |&regions: &u32| {
            let chunks = regions as usize * CHUNKS;
            Disk {
                now: vec![0; chunks],
                durable: vec![0; chunks],
                forgotten: vec![false; chunks],
                bad_read: vec![false; chunks],
                bad_write: vec![false; chunks],
            }
        };
        Self(regions.iter().map(disk).collect())
    }

    fn disk(&mut self, member: MemberIndex) -> &mut Disk {
        &mut self.0[usize::from(member.0)]
    }

    /// What is there, whether or not the device would read it.
    pub(super) fn content(&self, at: Place) -> u64 {
        self.0[usize::from(at.member.0)].now[at.chunk]
    }

    pub(super) fn read(&self, at: Place) -> Result<u64, Failed> {
        let disk = &self.0[usize::from(at.member.0)];
        if disk.bad_read[at.chunk] {
            Err(Failed)
        } else {
            Ok(disk.now[at.chunk])
        }
    }

    pub(super) fn write(&mut self, at: Place, stamp: u64) -> Result<(), Failed> {
        let disk = self.disk(at.member);
        if disk.bad_write[at.chunk] {
            return Err(Failed);
        }
        disk.now[at.chunk] = stamp;
        disk.forgotten[at.chunk] = false;
        Ok(())
    }

    pub(super) fn flush(&mut self, member: MemberIndex) {
        let disk = self.disk(member);
        for chunk in 0..disk.now.len() {
            if !disk.forgotten[chunk] {
                disk.durable[chunk] = disk.now[chunk];
            }
        }
    }

    pub(super) fn flush_all(&mut self) {
        for member in 0..self.0.len() {
            self.flush(MemberIndex(u16::try_from(member).unwrap()));
        }
    }

    /// A flush that fails: some of what was dirty in the range is forgotten.
    pub(super) fn fail_flush(&mut self, leg: Leg, count: u32, random: &mut Random) {
        for chunk in 0..count as usize * CHUNKS {
            let at = place(leg, chunk);
            let disk = self.disk(at.member);
            if disk.now[at.chunk] != disk.durable[at.chunk] && random.one_in(2) {
                disk.forgotten[at.chunk] = true;
            }
        }
    }

    /// Loses what was not flushed: none of it, all of it, or any part.
    pub(super) fn cut_power(&mut self, random: &mut Random) {
        let how = random.below(3);
        for disk in &mut self.0 {
            for chunk in 0..disk.now.len() {
                let reached = match how {
                    0 => true,
                    1 => false,
                    _ => random.one_in(2),
                };
                if reached && !disk.forgotten[chunk] {
                    disk.durable[chunk] = disk.now[chunk];
                }
                disk.now[chunk] = disk.durable[chunk];
                disk.forgotten[chunk] = false;
            }
        }
    }

    /// Makes a chunk of a region bad, for reads or writes or both.
    pub(super) fn spoil(&mut self, leg: Leg, random: &mut Random) {
        let at = place(leg, random.below(CHUNKS));
        let disk = self.disk(at.member);
        let how = random.below(3);
        disk.bad_read[at.chunk] |= how != 1;
        disk.bad_write[at.chunk] |= how != 0;
    }

    pub(super) fn mend(&mut self) {
        for disk in &mut self.0 {
            disk.bad_read.fill(false);
            disk.bad_write.fill(false);
        }
    }
}
