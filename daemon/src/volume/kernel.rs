//! The kernel thread: the one thread that changes where a running volume's data are.
//!
//! Owns: the volume's [`Backend`], or the way to the process that has it. Jobs are done one at a time in the order they came, so two holds
//! never overlap. Results go back as events. The thread writes no log and touches no file: the
//! device that it holds may carry either (rule 4).

use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::Event;
use tier_core::units::MoveId;
use tier_sys::process::run_before_others;
use tokio::sync::mpsc;

use crate::backend::{Backend, BackendError, DropOutcome, Hold, LegState};
use crate::stop_point;

/// What the thread can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// `Command::AddLegs`.
    AddLegs(Vec<AddLeg>),
    /// `Command::DropLeg`.
    DropLeg(DropLeg),
    /// `Command::SetMap`.
    SetMap(Vec<MoveId>),
    /// `Command::SetPace`, in bytes per second.
    SetPace(MoveId, u64),
    /// Look at these moves and tell how each stands.
    Look(Vec<MoveId>),
}

/// What a hold was made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    /// Runs were put behind devices of their own.
    AddLegs,
    /// The copy of one of them began.
    BeginCopy,
    /// One of them became linear.
    DropLeg,
    /// They were taken out of the volume's table.
    SetMap,
}

impl Verb {
    /// Its name in the metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::AddLegs => "add_legs",
            Self::BeginCopy => "begin_copy",
            Self::DropLeg => "drop_leg",
            Self::SetMap => "set_map",
        }
    }
}

/// What the thread tells.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    /// Something for the engine.
    Event(Event),
    /// A hold was made; for the statistics.
    Held(Verb, Hold),
    /// A hold was given up because I/O in flight did not drain within its bound, or failed.
    HoldFailed,
    /// A look at a move failed; the look is repeated, so this is for the log only.
    LookFailed(MoveId, String),
    /// A move was not given another pace; for the log only.
    PaceNotSet(MoveId, String),
    /// The process that serves the volume is gone, and nothing more will be told.
    Lost,
}

/// Handle of the thread. Dropping it ends the thread once its queue is empty; it never changes
/// what the kernel holds (rule 12).
pub(crate) struct KernelThread {
    jobs: std::sync::mpsc::Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl KernelThread {
    /// Starts the thread over `backend`; what it tells goes to `told`.
    pub(crate) fn start(
        backend: Box<dyn Backend>,
        told: mpsc::UnboundedSender<Told>,
        volume: &str,
    ) -> std::io::Result<Self> {
        let mut worker = Worker { backend, told };
        Self::start_with(move |job| worker.run(job), volume)
    }

    /// Starts the thread; it does a job by `work`.
    pub(crate) fn start_with(
        mut work: impl FnMut(Job) + Send + 'static,
        volume: &str,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = std::sync::mpsc::channel();
        let (ranked, rank) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name(format!("hold-{volume}"))
            .spawn(move || {
                // The one who started it waits for this.
                let _ = ranked.send(run_before_others());
                while let Ok(job) = queue.recv() {
                    work(job);
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
    pub(crate) fn ask(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// Another way to queue jobs. The thread ends when none is left.
    pub(crate) fn jobs(&self) -> std::sync::mpsc::Sender<Job> {
        self.jobs.clone()
    }

    /// Lets the queue run empty and waits for the thread.
    pub(crate) fn finish(self) {
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
            Job::SetPace(id, bytes_per_second) => match self.backend.set_pace(id, bytes_per_second)
            {
                // One that has ended meanwhile needs none.
                Ok(()) | Err(BackendError::NoSuchMove(_)) => {}
                Err(error) => self.tell(Told::PaceNotSet(id, error.to_string())),
            },
            Job::Look(ids) => ids.into_iter().for_each(|id| self.look(id)),
        }
    }

    fn add_legs(&mut self, adds: &[AddLeg]) {
        let ids: Vec<MoveId> = adds.iter().map(|add| add.id).collect();
        match self.backend.add_legs(adds) {
            Ok(added) => {
                self.tell(Told::Held(Verb::AddLegs, added.hold));
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
                    self.tell(Told::Held(Verb::BeginCopy, hold));
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
                self.tell(Told::Held(Verb::DropLeg, hold));
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
                self.tell(Told::Held(Verb::SetMap, hold));
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
            Err(error) => self.tell(Told::LookFailed(id, error.to_string())),
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
