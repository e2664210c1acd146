//! The kernel thread: the one thread that changes a running volume's tables.
//!
//! Owns: the volume's [`Backend`]. Jobs are done one at a time in the order they came, so two holds
//! never overlap. Results go back as events. The thread writes no log and touches no file: the
//! device that it holds may carry either (rule 4).

use std::thread::JoinHandle;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::Event;
use tier_core::units::MoveId;
use tier_sys::process::run_before_others;
use tokio::sync::mpsc;

use crate::backend::{Backend, BackendError, DropOutcome, Hold, LegState};
use crate::stop_point;

/// What the thread can be asked.
pub(super) enum Job {
    /// `Command::AddLegs`.
    AddLegs(Vec<AddLeg>),
    /// `Command::DropLeg`.
    DropLeg(DropLeg),
    /// `Command::SetMap`.
    SetMap(Vec<MoveId>),
    /// Look at these moves and tell how each stands.
    Look(Vec<MoveId>),
}

/// What the thread tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// Something for the engine.
    Event(Event),
    /// A hold was made by this verb; for the statistics.
    Held(&'static str, Hold),
    /// A hold was given up because I/O in flight did not drain within its bound, or failed.
    HoldFailed,
    /// A look at a move failed; the look is repeated, so this is for the log only.
    LookFailed(MoveId, BackendError),
}

/// Handle of the thread. Dropping it ends the thread once its queue is empty; it never changes
/// what the kernel holds (rule 12).
pub(crate) struct KernelThread {
    jobs: std::sync::mpsc::Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl KernelThread {
    /// Starts the thread over `backend`; what it tells goes to `told`.
    pub(super) fn start(
        backend: Box<dyn Backend>,
        told: mpsc::UnboundedSender<Told>,
        volume: &str,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        let (ranked, rank) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("hold-{volume}"))
            .spawn(move || {
                // The one who started it waits for this.
                let _ = ranked.send(run_before_others());
                let mut worker = Worker { backend, told };
                while let Ok(job) = queue.recv() {
                    worker.run(job);
                }
            })?;
        // In a hold, new I/O waits for this thread; the copies of mirrors that the hold itself has
        // started would run before it else. Told from here: the thread writes no log.
        if let Ok(Err(error)) = rank.recv() {
            tracing::warn!(%error, volume, "holds have no priority and may take longer; allow RLIMIT_NICE 40");
        }
        Ok(Self {
            jobs,
            thread: Some(thread),
        })
    }

    /// Queues a job. False if the thread has ended, which only a panic in it can cause.
    pub(super) fn ask(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Lets the queue run empty and waits for the thread.
    pub(super) fn finish(self) {
        let Self { jobs, thread } = self;
        drop(jobs);
        if let Some(thread) = thread {
            // A panic in the thread has been reported by the panic hook; nothing is left to do.
            let _ = thread.join();
        }
    }
}

struct Worker {
    backend: Box<dyn Backend>,
    told: mpsc::UnboundedSender<Told>,
}

impl Worker {
    fn run(&mut self, job: Job) {
        match job {
            Job::AddLegs(adds) => {
                stop_point::reach("add_legs:before");
                self.add_legs(&adds);
                stop_point::reach("add_legs:after");
            }
            Job::DropLeg(drop) => {
                stop_point::reach("drop_leg:before");
                self.drop_leg(drop);
                stop_point::reach("drop_leg:after");
            }
            Job::SetMap(fold) => {
                stop_point::reach("set_map:before");
                self.set_map(fold);
                stop_point::reach("set_map:after");
            }
            Job::Look(ids) => ids.into_iter().for_each(|id| self.look(id)),
        }
    }

    fn add_legs(&mut self, adds: &[AddLeg]) {
        let ids: Vec<MoveId> = adds.iter().map(|add| add.id).collect();
        match self.backend.add_legs(adds) {
            Ok(added) => {
                self.tell(Told::Held("add_legs", added.hold));
                self.tell_of_copies(added.copies);
            }
            Err(error) => {
                self.tell(Told::HoldFailed);
                self.event(Event::AddLegsFailed {
                    ids,
                    error: error.to_string(),
                });
            }
        }
    }

    fn tell_of_copies(&mut self, copies: Vec<(MoveId, Result<Hold, BackendError>)>) {
        let mut begun = Vec::with_capacity(copies.len());
        for (id, copy) in copies {
            match copy {
                Ok(hold) => {
                    self.tell(Told::Held("begin_copy", hold));
                    begun.push(id);
                }
                Err(error) => {
                    self.tell(Told::HoldFailed);
                    self.event(Event::CopyNotBegun {
                        id,
                        may_copy: matches!(error, BackendError::StillCopies { .. }),
                        error: error.to_string(),
                    });
                }
            }
        }
        if !begun.is_empty() {
            self.event(Event::LegsAdded { ids: begun.clone() });
        }
        for id in begun {
            self.look(id);
        }
    }

    fn drop_leg(&mut self, drop: DropLeg) {
        match self.backend.drop_leg(drop) {
            Ok(DropOutcome::Dropped(hold)) => {
                self.tell(Told::Held("drop_leg", hold));
                self.event(Event::LegDropped {
                    id: drop.id,
                    kept: drop.keep,
                });
            }
            Ok(DropOutcome::Refused(state)) => {
                self.event(Event::DropRefused { id: drop.id, state });
            }
            Err(error) => {
                self.tell(Told::HoldFailed);
                self.event(Event::DropFailed {
                    id: drop.id,
                    error: error.to_string(),
                });
            }
        }
    }

    fn set_map(&mut self, fold: Vec<MoveId>) {
        match self.backend.set_map(&fold) {
            Ok(hold) => {
                self.tell(Told::Held("set_map", hold));
                self.event(Event::MapSet { folded: fold });
            }
            Err(error) => {
                self.tell(Told::HoldFailed);
                self.event(Event::SetMapFailed {
                    error: error.to_string(),
                });
            }
        }
    }

    fn look(&mut self, id: MoveId) {
        match self.backend.leg_state(id) {
            Ok(LegState::Mirror(state)) => self.event(Event::LegState { id, state }),
            // The drop that made it linear tells the engine itself.
            Ok(LegState::Linear) => {}
            Err(error) => self.tell(Told::LookFailed(id, error)),
        }
    }

    fn event(&self, event: Event) {
        self.tell(Told::Event(event));
    }

    fn tell(&self, told: Told) {
        // The run loop ends before this thread only when the daemon stops; then nobody listens.
        let _ = self.told.send(told);
    }
}
