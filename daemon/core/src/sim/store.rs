//! The durable record: every generation, and the mark below which no start may fall back.

use crate::command::Commit;
use crate::units::{Generation, RegionSize, VolumeRegion};
use crate::volume::{Extent, Leg, Legs, Member, Retired, VolumeState};

#[derive(Clone, Debug)]
struct Record {
    generation: Generation,
    homes: Vec<Leg>,
    retired: Vec<Retired>,
    freed: bool,
}

#[derive(Debug)]
pub(super) struct Store {
    members: Vec<Member>,
    records: Vec<Record>,
    marked: Generation,
    /// Whether no replica is left.
    pub(super) dead: bool,
}

impl Store {
    pub(super) fn new(members: Vec<Member>, homes: Vec<Leg>) -> Self {
        let record = Record {
            generation: Generation(1),
            homes,
            retired: Vec::new(),
            freed: false,
        };
        Self {
            members,
            records: vec![record],
            marked: Generation(1),
            dead: false,
        }
    }

    fn newest(&self) -> &Record {
        self.records.last().expect("there is always a record")
    }

    pub(super) fn homes(&self) -> &[Leg] {
        &self.newest().homes
    }

    pub(super) fn commit(&mut self, commit: &Commit) {
        let mut record = self.newest().clone();
        assert_eq!(
            commit.generation,
            record.generation.next(),
            "generations grow by one"
        );
        record.generation = commit.generation;
        record.freed = !commit.free.is_empty();
        for free in &commit.free {
            let at = record.retired.iter().position(|retired| retired == free);
            record
                .retired
                .remove(at.expect("what is freed was retired"));
            assert!(
                free.since < commit.generation,
                "a home is freed in a later generation"
            );
        }
        for retired in &commit.retire {
            assert_eq!(retired.since, commit.generation, "{commit:?}");
            record.retired.push(*retired);
        }
        for extent in &commit.set {
            for at in 0..extent.count {
                record.homes[(extent.first.0 + at) as usize] = extent.legs[0].plus(at);
            }
        }
        let mut owned: Vec<Leg> = record.homes.clone();
        for retired in &record.retired {
            owned.extend((0..retired.count).map(|at| retired.leg.plus(at)));
        }
        owned.sort_unstable();
        let owners = owned.len();
        owned.dedup();
        assert_eq!(owned.len(), owners, "{commit:?} gives a region to two");
        self.records.push(record);
    }

    pub(super) fn mark(&mut self, generation: Generation) {
        assert!(
            generation <= self.newest().generation,
            "only what is durable is marked"
        );
        self.marked = self.marked.max(generation);
    }

    /// Loses the newest generations, down to `choice` of those that a start would accept. With
    /// the kernel's moves alive, not past a commit that freed homes: they may be in use again.
    pub(super) fn fall_back(&mut self, choice: usize, moves_live: bool) {
        let marked = self.marked;
        let floor = self
            .records
            .iter()
            .rposition(|record| record.generation <= marked || (moves_live && record.freed))
            .unwrap_or(0);
        let kept = floor + choice % (self.records.len() - floor) + 1;
        self.records.truncate(kept);
    }

    pub(super) fn state(&self) -> VolumeState {
        let record = self.newest();
        let extents = record
            .homes
            .iter()
            .enumerate()
            .map(|(region, &leg)| Extent {
                first: VolumeRegion(u32::try_from(region).unwrap()),
                count: 1,
                legs: Legs::from_slice(&[leg]),
            });
        VolumeState {
            region_size: RegionSize::MIN,
            regions: u32::try_from(record.homes.len()).unwrap(),
            block_bytes: crate::units::Bytes(512),
            members: self.members.clone(),
            extents: extents.collect(),
            retired: record.retired.clone(),
            generation: record.generation,
        }
    }
}
