//! The daemon's shell: it starts the engine, gives it events and carries out its commands.
//!
//! Two workers, for the kernel and for the store, each obey in order and at any pace to each
//! other. Invariant: a command that fails has done nothing, but for a commit without a replica.

use super::{World, config};
use crate::command::{Command, Commit, DropLeg, MoveReport, Reason, Stage};
use crate::engine::Engine;
use crate::event::{AdoptedStage, Event};
use crate::units::VolumeRegion;

impl World {
    pub(super) fn start_daemon(&mut self) {
        self.engine = Engine::new(config());
        self.engine.set_full_check(true);
        self.recorded.clear();
        self.ordered.clear();
        self.engine.mutate(self.mutation);
        let adopted = self.kernel.adopted();
        for one in &adopted {
            self.seen.note(match one.stage {
                AdoptedStage::Mirror(_) => "adopted mirror",
                AdoptedStage::Linear(_) => "adopted linear",
            });
        }
        for (region, &leg) in self.store.homes().iter().enumerate() {
            let region_index = VolumeRegion(u32::try_from(region).unwrap());
            assert!(
                self.kernel.is_moving(region_index) || self.kernel.table[region] == leg,
                "region {region}: the kernel's table is not what the record says"
            );
        }
        self.step(Event::Started {
            state: self.store.state(),
            adopted,
        });
    }

    pub(super) fn step(&mut self, event: Event) {
        self.now.0 += 1_000_000;
        if self.recording {
            self.recorded.push((self.now, event.clone()));
        }
        let commands = self.engine.step(self.now, event);
        if self.recording {
            self.ordered.push(serde_json::to_string(&commands).unwrap());
        }
        // A canary is to be caught by what it does to data, not by the engine's own watch.
        if self.mutation.is_none() {
            assert_eq!(self.engine.latched(), None, "an invariant was violated");
        }
        for command in commands {
            match command {
                Command::Commit(_) | Command::MarkActedOn(_) => self.to_store.push_back(command),
                Command::AddLegs(_)
                | Command::FlushTargets(_)
                | Command::DropLeg(_)
                | Command::SetMap { .. } => self.to_kernel.push_back(command),
                Command::Report(report) => self.note(&report),
                Command::SetHotThreshold(_)
                | Command::SetPace { .. }
                | Command::Forecast { .. }
                | Command::Learn(_)
                | Command::Retrain(_)
                | Command::Reply { .. }
                | Command::Warn(_) => {}
            }
        }
    }

    fn note(&mut self, report: &MoveReport) {
        match report.stage {
            Stage::Done => self.seen.note("done"),
            Stage::Undone => self.seen.note("undone"),
            Stage::Failed => self.seen.note("failed"),
            _ => return,
        }
        match report.reason {
            Reason::Promotion { .. } => self.seen.note("promotion"),
            Reason::Demotion { .. } | Reason::Worn { .. } => self.seen.note("demotion"),
            Reason::ByHand { .. } | Reason::Adopted => {}
        }
    }

    pub(super) fn run_kernel_command(&mut self) {
        let Some(command) = self.to_kernel.pop_front() else {
            return;
        };
        let error = "simulated".to_owned();
        let answer = match command {
            Command::AddLegs(adds) => {
                if self.fails() {
                    let ids = adds.iter().map(|add| add.id).collect();
                    Event::AddLegsFailed { ids, error }
                } else {
                    let mut ids = Vec::new();
                    for add in adds {
                        if self.fails() {
                            self.kernel.add_without_copy(add);
                            self.from_kernel.push_back(Event::CopyNotBegun {
                                id: add.id,
                                may_copy: self.random.one_in(2),
                                error: error.clone(),
                            });
                        } else {
                            self.kernel.add(add);
                            ids.push(add.id);
                        }
                    }
                    Event::LegsAdded { ids }
                }
            }
            Command::FlushTargets(flushes) => {
                let mut durable = Vec::new();
                for flush in flushes {
                    if self.fails() {
                        // One region is enough: what is forgotten is forgotten.
                        self.disks.fail_flush(flush.target, 1, &mut self.random);
                        let ids = vec![flush.id];
                        self.from_kernel.push_back(Event::FlushFailed {
                            ids,
                            error: error.clone(),
                        });
                    } else {
                        self.disks.flush(flush.target.member);
                        durable.push(flush.id);
                    }
                }
                Event::TargetsFlushed { ids: durable }
            }
            Command::DropLeg(drop) => {
                if self.fails() {
                    Event::DropFailed { id: drop.id, error }
                } else {
                    self.drop_leg(drop)
                }
            }
            Command::SetMap { fold } => {
                if self.fails() {
                    Event::SetMapFailed { error }
                } else {
                    for &id in &fold {
                        self.kernel.fold(id);
                    }
                    Event::MapSet { folded: fold }
                }
            }
            other => panic!("not for the kernel: {other:?}"),
        };
        self.from_kernel.push_back(answer);
    }

    fn drop_leg(&mut self, drop: DropLeg) -> Event {
        match self
            .kernel
            .drop_leg(drop, &mut self.disks, &mut self.random)
        {
            Ok(released) => {
                for (at, stamp, acknowledged) in released {
                    self.seen.note("released write");
                    self.chunks[at].parked = false;
                    if acknowledged {
                        self.acknowledge(at, stamp);
                    }
                }
                Event::LegDropped {
                    id: drop.id,
                    kept: drop.keep,
                }
            }
            Err(state) => {
                self.seen.note("drop refused");
                Event::DropRefused { id: drop.id, state }
            }
        }
    }

    pub(super) fn run_store_command(&mut self) {
        let Some(command) = self.to_store.pop_front() else {
            return;
        };
        let error = "simulated".to_owned();
        let dies = self.faults && self.random.one_in(150);
        let answer = match command {
            Command::Commit(commit) => {
                if dies || self.store.dead {
                    if !self.store.dead && self.random.one_in(2) {
                        self.store.commit(&commit);
                    }
                    self.seen.note("no replica");
                    self.store.dead = true;
                    Event::CommitFailed {
                        can_retry: false,
                        error,
                    }
                } else if self.fails() {
                    Event::CommitFailed {
                        can_retry: true,
                        error,
                    }
                } else {
                    self.note_taken_back(&commit);
                    self.store.commit(&commit);
                    Event::Committed {
                        generation: commit.generation,
                    }
                }
            }
            Command::MarkActedOn(generation) => {
                if self.fails() {
                    Event::MarkFailed { generation, error }
                } else {
                    self.store.mark(generation);
                    Event::Marked { generation }
                }
            }
            other => panic!("not for the store: {other:?}"),
        };
        self.from_store.push_back(answer);
    }

    fn note_taken_back(&mut self, commit: &Commit) {
        let freed = |leg| commit.free.iter().any(|free| free.leg == leg);
        if commit
            .set
            .iter()
            .any(|extent| extent.home().is_some_and(freed))
        {
            self.seen.note("home taken back");
        }
    }

    pub(super) fn deliver(&mut self) {
        let queue = match self.random.below(3) {
            0 => &mut self.from_kernel,
            1 => &mut self.from_store,
            _ => &mut self.looks,
        };
        if let Some(event) = queue.pop_front() {
            self.step(event);
        }
    }

    /// The shell looks at a mirror; what it saw arrives later.
    pub(super) fn look(&mut self) {
        let ids = self.kernel.ids();
        if ids.is_empty() {
            return;
        }
        let id = ids[self.random.below(ids.len())];
        if let Some(state) = self.kernel.state(id) {
            self.looks.push_back(Event::LegState { id, state });
        }
    }

    pub(super) fn tick(&mut self) {
        self.now.0 += self.random.next() % 2_000_000_000;
        self.step(Event::Tick);
    }
}
