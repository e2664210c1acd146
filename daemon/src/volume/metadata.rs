//! The metadata thread: the one thread that writes a running volume's labels and replicas.
//!
//! Owns: the volume's [`Store`], or the way to the process that has it. Commits and marks are done one
//! at a time in the order they came, and answered by events. What people should know of the store is kept in [`Durable`].

use std::sync::mpsc as queue;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};
use tier_core::command::Commit;
use tier_core::event::Event;
use tier_core::units::Generation;
use tier_store::store::{CommitError, Dropped, MarkError, Store, Unwritten};
use tokio::sync::mpsc;

use crate::stop_point;

/// What the thread can be asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// `Command::Commit`.
    Commit(Commit),
    /// `Command::MarkActedOn`.
    Mark(Generation),
}

/// How the store stands, for people.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Durable {
    /// Replicas that take every commit.
    pub(crate) live_replicas: u32,
    /// The epoch in force.
    pub(crate) epoch: String,
    /// The newest durable generation.
    pub(crate) generation: Generation,
    /// Replicas that were dropped, and labels that could not be written.
    pub(crate) problems: Vec<String>,
}

/// Where [`Durable`] is found by those who only look.
pub(crate) type Published = Arc<Mutex<Durable>>;

/// Handle of the thread.
pub(crate) struct MetadataThread {
    jobs: queue::Sender<Job>,
    durable: Published,
    thread: Option<JoinHandle<()>>,
}

impl MetadataThread {
    /// Starts the thread over `store`; its answers go to `events`.
    pub(crate) fn start(
        store: Store,
        events: mpsc::UnboundedSender<Event>,
        volume: &str,
    ) -> std::io::Result<Self> {
        let durable = Published::default();
        let mut records = Records::new(store, Arc::clone(&durable));
        let work = move |job| {
            let event = records.run(&job);
            // The run loop ends before this thread only when the daemon stops.
            let _ = events.send(event);
        };
        Self::start_with(work, durable, volume)
    }

    /// Starts the thread; it does a job by `work`, and others see in `durable` how the store stands.
    pub(crate) fn start_with(
        mut work: impl FnMut(Job) + Send + 'static,
        durable: Published,
        volume: &str,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = queue::channel();
        let thread = std::thread::Builder::new()
            .name(format!("meta-{volume}"))
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    work(job);
                }
            })?;
        Ok(Self {
            jobs,
            durable,
            thread: Some(thread),
        })
    }

    /// Queues a job. False if the thread has ended, which only a panic in it can cause.
    pub(crate) fn ask(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// How the store stands.
    pub(crate) fn durable(&self) -> Durable {
        self.durable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Lets the queue run empty, waits for the thread, which closes the store.
    pub(crate) fn finish(self) {
        let Self { jobs, thread, .. } = self;
        drop(jobs);
        if let Some(thread) = thread {
            // A panic in the thread has been reported by the panic hook; nothing is left to do.
            let _ = thread.join();
        }
    }
}

/// A store that does jobs.
pub(crate) struct Records {
    /// The store.
    pub(crate) store: Store,
    durable: Published,
}

impl Records {
    /// Of this store; how it stands is published in `durable`.
    pub(crate) fn new(store: Store, durable: Published) -> Self {
        let mut records = Self { store, durable };
        records.publish(Vec::new());
        records
    }

    /// Does a job, and says how that went.
    pub(crate) fn run(&mut self, job: &Job) -> Event {
        match job {
            Job::Commit(commit) => {
                stop_point::reach("commit:before");
                let event = self.commit(commit);
                stop_point::reach("commit:after");
                event
            }
            Job::Mark(generation) => {
                stop_point::reach("mark:before");
                let event = self.mark(*generation);
                stop_point::reach("mark:after");
                event
            }
        }
    }

    fn commit(&mut self, commit: &Commit) -> Event {
        match self.store.commit(commit) {
            Ok(done) => {
                self.publish(problems(&done.dropped, &done.unwritten));
                Event::Committed {
                    generation: done.generation,
                }
            }
            Err(error) => {
                if let CommitError::NoReplica { dropped, .. } = &error {
                    self.publish(problems(dropped, &[]));
                }
                Event::CommitFailed {
                    can_retry: error.can_retry(),
                    error: error.to_string(),
                }
            }
        }
    }

    fn mark(&mut self, generation: Generation) -> Event {
        match self.store.mark_acted_on(generation) {
            Ok(marked) => {
                self.publish(problems(&[], &marked.unwritten));
                Event::Marked { generation }
            }
            Err(error) => {
                if let MarkError::NoLabel { unwritten, .. } = &error {
                    self.publish(problems(&[], unwritten));
                }
                Event::MarkFailed {
                    generation,
                    error: error.to_string(),
                }
            }
        }
    }

    /// Tells the handle how the store stands, and the log what went wrong.
    pub(crate) fn publish(&mut self, problems: Vec<String>) {
        for problem in &problems {
            tracing::error!("{problem}");
        }
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        durable.live_replicas = u32::try_from(self.store.live_replicas().count()).unwrap_or(0);
        durable.epoch = self
            .store
            .facts()
            .epoch()
            .map_or_else(String::new, |e| e.to_string());
        durable.generation = self.store.generation();
        for problem in problems {
            if !durable.problems.contains(&problem) {
                durable.problems.push(problem);
            }
        }
    }
}

fn problems(dropped: &[Dropped], unwritten: &[Unwritten]) -> Vec<String> {
    let dropped = dropped.iter().map(|one| {
        format!(
            "the metadata replica on member {} was dropped: {}",
            one.member, one.error
        )
    });
    let unwritten = unwritten.iter().map(|one| {
        format!(
            "the label of member {} could not be written: {}",
            one.member, one.error
        )
    });
    dropped.chain(unwritten).collect()
}
