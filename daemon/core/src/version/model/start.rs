//! A start, by what the store promises, and what must hold of it.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Host;
use super::{BLOCKS, Mistake, Record, World, disk_of, leg};
use crate::version::{
    Advance, Changed, Differences, Held, Order, Serving, Stop, Verdict, Version, Versions, judge,
};
use crate::volume::Leg;

type Turns = BTreeSet<u32>;

impl World {
    pub(super) fn start(&mut self, plugged: BTreeSet<usize>) -> Result<Option<Host>, String> {
        let Some(sides) = self.sides(&plugged) else {
            self.saw("a refused start");
            return Ok(None);
        };
        let mut record = self.merged(&sides, &plugged);
        let versions = sides.iter().flat_map(|side| side.versions.legs());
        let mut known: Vec<Version> = versions.map(|held| held.version.clone()).collect();
        let stop = if record.open && !self.errs(Mistake::AnyStopIsClean) {
            Stop::Unclean(Changed::all(BLOCKS as u64))
        } else {
            Stop::Clean
        };
        let legs = record.versions.legs().iter().map(|held| held.leg);
        let present: Vec<Leg> = legs
            .filter(|&leg| plugged.contains(&disk_of(leg)))
            .collect();
        if self.errs(Mistake::MissingUnknown) && !present.is_empty() {
            known.clear();
            let legs = record.versions.legs().iter();
            let there = legs.filter(|held| present.contains(&held.leg)).cloned();
            record.versions = Versions::of(there);
        }
        let verdict = judge(
            &record.versions,
            &present,
            &known,
            &stop,
            &record.differences,
        );
        let epochs = sides
            .iter()
            .map(|side| self.acknowledged[&side.epoch().1].iter().copied());
        let promised: BTreeSet<u32> = epochs.flatten().collect();
        self.check_order(&record, &present)?;
        self.check_verdict(&verdict, &sides, &record, &present)?;
        if let Verdict::Serve(serving) = &verdict {
            self.check_serving(serving, &record, &promised)?;
        }
        let is_new = sides.len() > 1 || sides[0].with != plugged;
        let mut host = Host {
            plugged,
            record,
            serving: Vec::new(),
            choice: Vec::new(),
            was_split: false,
            known,
            turn_due: false,
            differences: Differences::unknown(BLOCKS as u64),
            unflushed: Changed::none(BLOCKS as u64),
            copying: BTreeMap::new(),
            truth: [0; BLOCKS],
        };
        match &stop {
            Stop::Clean => host.differences = host.record.differences.clone(),
            Stop::Unclean(unflushed) => host.unflushed = unflushed.clone(),
        }
        if let Verdict::Serve(_) = &verdict {
            host.record.open = true;
            host.record.differences = Differences::unknown(BLOCKS as u64);
        }
        let committed = if is_new {
            let went_on = host.begin_epoch(self);
            self.acknowledged.insert(host.record.epoch().1, promised);
            went_on
        } else {
            host.commit(self, u8::MAX)
        };
        Ok((committed && self.serve(&mut host, verdict)).then_some(host))
    }

    fn serve(&mut self, host: &mut Host, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Serve(serving) => {
                host.serving = serving.current.to_vec();
                host.truth = self.disks[disk_of(host.serving[0])].blocks();
                host.turn_due = serving.advance != Advance::Not;
                if !serving.may_be_newer.is_empty() {
                    self.saw("a leg that may be newer");
                }
                if host.record.open && !host.unflushed.is_none() {
                    self.saw("a start after an unclean stop");
                    if serving.advance == Advance::BeforeReads {
                        if !self.errs(Mistake::ReadBeforeTurn) && !host.turn(self, u8::MAX) {
                            return false;
                        }
                        // What is read from one of several is the truth from then on.
                        host.acknowledge(self);
                    }
                    host.fix(self);
                }
            }
            Verdict::Behind { older, .. } => {
                self.saw("a leg that is too old to serve");
                host.choice = older;
            }
            Verdict::Conflict { sides } => {
                self.saw("a conflict");
                if self.seen.0["a conflict"] > 1 {
                    self.saw("a second conflict");
                }
                host.was_split = true;
                host.choice = sides.into_iter().flat_map(|side| side.present).collect();
            }
        }
        true
    }

    /// The newest record of each side of which a replica is there. None: a label names an epoch
    /// that no replica knows, or there is no replica.
    fn sides(&self, plugged: &BTreeSet<usize>) -> Option<Vec<Record>> {
        let mut newest: BTreeMap<u32, &Record> = BTreeMap::new();
        for record in plugged
            .iter()
            .filter_map(|&disk| self.disks[disk].replica.as_ref())
        {
            let place = newest.entry(record.epoch().1).or_insert(record);
            if place.revision < record.revision {
                *place = record;
            }
        }
        let is_old = |id: u32| {
            let others = newest.iter().filter(|&(&other, _)| other != id);
            others.into_iter().any(|(_, record)| record.knows(id))
        };
        let sides: Vec<Record> = newest
            .iter()
            .filter(|&(&id, _)| !is_old(id))
            .map(|(_, &record)| record.clone())
            .collect();
        let is_known = |&disk: &usize| sides.iter().any(|one| one.knows(self.disks[disk].label));
        (!sides.is_empty() && plugged.iter().all(is_known)).then_some(sides)
    }

    /// One record from those of all sides: of each leg what its own side has.
    fn merged(&self, sides: &[Record], plugged: &BTreeSet<usize>) -> Record {
        let [first, rest @ ..] = sides else {
            unreachable!("there is a side")
        };
        let mut merged = first.clone();
        for side in rest {
            merged.open |= side.open;
            merged.gone.extend(&side.gone);
            merged.differences.add_all_of(&side.differences);
        }
        if rest.is_empty() {
            return merged;
        }
        let mut legs: Vec<Held> = Vec::new();
        merged.turns.clear();
        for side in sides {
            for held in side.versions.legs() {
                // One that its own side gave up is none.
                let Some(own) = self.own_side(sides, held.leg, plugged) else {
                    continue;
                };
                let Some(found) = own.versions.held(held.leg) else {
                    continue;
                };
                if legs.iter().all(|one| one.leg.member != held.leg.member) {
                    legs.push(found.clone());
                    let turns = own.turns.get(&held.leg.member).cloned();
                    merged
                        .turns
                        .insert(held.leg.member, turns.unwrap_or_default());
                }
            }
        }
        for side in rest {
            merged.line.extend(&side.line);
            merged.revision = merged.revision.max(side.revision);
        }
        // One that comes back with its own side is a leg again.
        for held in &legs {
            merged.gone.remove(&disk_of(held.leg));
        }
        merged.versions = Versions::of(legs);
        merged
    }

    fn own_side<'a>(
        &self,
        sides: &'a [Record],
        of: Leg,
        plugged: &BTreeSet<usize>,
    ) -> Option<&'a Record> {
        let label = self.disks[disk_of(of)].label;
        let is_there = plugged.contains(&disk_of(of));
        let is_own = |side: &&Record| {
            let is_newest = side.epoch().1 == label;
            if is_there {
                is_newest
            } else {
                side.with.contains(&disk_of(of))
            }
        };
        let own = sides.iter().find(is_own);
        let is_gone = sides.iter().any(|side| side.gone.contains(&disk_of(of)));
        if own.is_some() || is_gone {
            return own;
        }
        let others = sides.iter().filter(|side| !is_there || side.knows(label));
        // The newest that any has.
        let newest = others
            .filter_map(|side| Some((side, &side.versions.held(of)?.version)))
            .reduce(|one, other| {
                if other.1.is_as_new_as(one.1) {
                    other
                } else {
                    one
                }
            });
        newest.map(|(side, _)| side)
    }

    /// Versions are as new as one another exactly if the legs took part in the same turns; and who
    /// is as new was part of all that was acknowledged.
    fn check_order(&self, record: &Record, present: &[Leg]) -> Result<(), String> {
        for one in record.versions.legs() {
            for other in record.versions.legs() {
                let order = one.version.compare(&other.version);
                let may_be = [false, true].map(|all| {
                    let ours = self.turns(record, one.leg, all);
                    let theirs = self.turns(record, other.leg, all);
                    match (ours.is_superset(&theirs), theirs.is_superset(&ours)) {
                        (true, true) => Order::Equal,
                        (true, false) => Order::Dominates,
                        (false, true) => Order::Dominated,
                        (false, false) => Order::Concurrent,
                    }
                });
                let one_too_many = self.shortened && order == Order::Concurrent;
                if !may_be.contains(&order) && !one_too_many {
                    return Err(format!(
                        "{one:?} is {order:?}, not {may_be:?}, to {other:?}"
                    ));
                }
                let here = [one, other];
                if !here
                    .iter()
                    .all(|held| held.whole && present.contains(&held.leg))
                {
                    continue;
                }
                let [one_disk, other_disk] = here.map(|held| &self.disks[disk_of(held.leg)]);
                if one.version.is_as_new_as(&other.version)
                    && !one_disk.heard.is_superset(&other_disk.heard)
                {
                    return Err(format!("{one:?} is as new as {other:?} and lacks a write"));
                }
            }
        }
        Ok(())
    }

    /// The turns of a leg. Those on whose commit nobody acted may count, or may not.
    fn turns(&self, record: &Record, of: Leg, all: bool) -> Turns {
        let turns = record.turns.get(&of.member).into_iter().flatten();
        let counts = |turn: &&u32| all || !self.not_acted_on.contains(turn);
        turns.filter(counts).copied().collect()
    }

    /// What is said is what the turns say.
    fn check_verdict(
        &self,
        verdict: &Verdict,
        sides: &[Record],
        record: &Record,
        present: &[Leg],
    ) -> Result<(), String> {
        let is_right = [false, true].into_iter().any(|all| {
            let of = |side| {
                let legs = Record::legs(side).into_iter();
                legs.map(move |leg| self.turns(side, leg, all))
            };
            let turns: Vec<Turns> = sides.iter().flat_map(of).collect();
            let mut tops = turns.iter();
            let top = tops.find(|one| turns.iter().all(|other| one.is_superset(other)));
            let whole = record.versions.legs().iter().filter(|held| held.whole);
            let mut here = whole.filter(|held| present.contains(&held.leg));
            let can_serve =
                top.is_some_and(|top| here.any(|held| self.turns(record, held.leg, all) == *top));
            match verdict {
                Verdict::Serve(_) => can_serve,
                Verdict::Behind { .. } => self.shortened || top.is_some() && !can_serve,
                Verdict::Conflict { .. } => self.shortened || top.is_none(),
            }
        });
        if is_right {
            Ok(())
        } else {
            Err(format!("{verdict:?} of {record:?} with {present:?}"))
        }
    }

    fn check_serving(
        &mut self,
        serving: &Serving,
        record: &Record,
        promised: &BTreeSet<u32>,
    ) -> Result<(), String> {
        let first = &self.disks[disk_of(serving.current[0])];
        for &leg in &serving.current {
            let disk = &self.disks[disk_of(leg)];
            if !disk.heard.is_superset(promised) {
                return Err(format!(
                    "{leg:?} is current and lacks what was acknowledged"
                ));
            }
            if disk.blocks() != first.blocks() {
                return Err(format!("{leg:?} is current and differs"));
            }
            for (block, allowed) in disk.allowed.iter().enumerate() {
                if !allowed.contains(&disk.block(block)) {
                    return Err(format!("block {block} of {leg:?} is lost: {disk:?}"));
                }
            }
        }
        for held in record.versions.legs() {
            let is_there = serving.current.contains(&held.leg)
                || serving.stale.iter().any(|stale| stale.leg == held.leg);
            let is_newest = held.whole && Some(&held.version) == record.versions.newest();
            if is_newest && !is_there && !serving.may_be_newer.contains(&held.leg) {
                return Err(format!("{held:?} may be newer, and nothing is said"));
            }
        }
        for stale in &serving.stale {
            let is_whole = record
                .versions
                .held(stale.leg)
                .is_some_and(|held| held.whole);
            let (disk, from) = (disk_of(stale.leg), disk_of(stale.from));
            self.covers(&stale.blocks, disk, from, is_whole)?;
        }
        Ok(())
    }

    /// Every block that differs is to be copied.
    pub(super) fn covers(
        &mut self,
        blocks: &Changed,
        disk: usize,
        from: usize,
        is_whole: bool,
    ) -> Result<(), String> {
        let (old, new) = (self.disks[disk].blocks(), self.disks[from].blocks());
        for (block, (old, new)) in old.into_iter().zip(new).enumerate() {
            let copied = blocks
                .runs()
                .any(|(first, count)| (first..first + count).contains(&(block as u64)));
            if old != new && !copied {
                let leg = leg(disk);
                return Err(format!(
                    "block {block} of {leg:?} differs and is not copied"
                ));
            }
        }
        if !is_whole && !blocks.is_all() {
            return Err(format!("a torn leg is copied in part: {blocks:?}"));
        }
        Ok(())
    }
}
