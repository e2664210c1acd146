//! The flush thread: makes what the kernel copied to a target durable.
//!
//! Owns: one open file per member, over its whole block device. dm-mirror's copy leaves data in a
//! member's volatile cache, and nobody else flushes it; the result of the flush is the only proof
//! that a commit may name the target (rule 3). A file that failed a flush is never believed again
//! within the same move: the kernel forgets the error once it has told it.

use std::collections::BTreeMap;
use std::sync::mpsc as queue;
use std::thread::JoinHandle;

use tier_core::command::FlushTarget;
use tier_core::event::Event;
use tier_core::units::{MemberIndex, MoveId};
use tier_sys::block::BlockDevice;
use tokio::sync::mpsc;

use crate::stop_point;

/// Handle of the thread.
pub(crate) struct Flusher {
    jobs: queue::Sender<Vec<FlushTarget>>,
    thread: Option<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread over the members' block devices; its answers go to `events`.
    pub(super) fn start(
        members: BTreeMap<MemberIndex, BlockDevice>,
        events: mpsc::UnboundedSender<Event>,
        volume: &str,
    ) -> std::io::Result<Self> {
        let (jobs, inbox) = queue::channel::<Vec<FlushTarget>>();
        let thread = std::thread::Builder::new()
            .name(format!("flush-{volume}"))
            .spawn(move || {
                while let Ok(targets) = inbox.recv() {
                    stop_point::reach("flush:before");
                    let outcome = flush(&members, &targets);
                    // Flushed, and nobody has been told yet.
                    stop_point::reach("flush:after");
                    for event in outcome {
                        // The run loop ends before this thread only when the daemon stops.
                        let _ = events.send(event);
                    }
                }
            })?;
        Ok(Self {
            jobs,
            thread: Some(thread),
        })
    }

    /// Queues a flush of these moves' targets.
    pub(super) fn ask(&self, targets: Vec<FlushTarget>) -> bool {
        self.jobs.send(targets).is_ok()
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

/// Flushes each member once, whatever the number of targets on it.
fn flush(members: &BTreeMap<MemberIndex, BlockDevice>, targets: &[FlushTarget]) -> Vec<Event> {
    let mut by_member: BTreeMap<MemberIndex, Vec<MoveId>> = BTreeMap::new();
    for target in targets {
        by_member
            .entry(target.target.member)
            .or_default()
            .push(target.id);
    }
    by_member
        .into_iter()
        .map(|(member, ids)| flush_one(members.get(&member), member, ids))
        .collect()
}

fn flush_one(device: Option<&BlockDevice>, member: MemberIndex, ids: Vec<MoveId>) -> Event {
    let Some(device) = device else {
        return Event::FlushFailed {
            ids,
            error: format!("member {member} is not open"),
        };
    };
    match device.sync_data() {
        Ok(()) => Event::TargetsFlushed { ids },
        Err(error) => Event::FlushFailed {
            ids,
            error: error.to_string(),
        },
    }
}
