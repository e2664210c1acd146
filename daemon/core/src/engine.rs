//! The engine: one event in, the commands that follow from it out.
//!
//! Owns: the order in which a step goes (take in the event, let the policy choose, drive the
//! moves, check what must hold). May not: do anything between steps.

mod view;

use crate::check;
use crate::command::{Command, Refusal, Reply};
use crate::event::Event;
use crate::migrate::Migrate;
use crate::policy::PolicyConfig;
use crate::units::{Now, RequestId};

pub use view::{MoveView, TierStatus};

/// The pure engine. See the crate's documentation for the flow.
#[derive(Clone, Debug)]
pub struct Engine {
    config: PolicyConfig,
    migrate: Migrate,
    started: bool,
    paused: bool,
    full_check: bool,
}

impl Engine {
    /// An engine that waits for `Event::Started`. Every step checks all invariants in debug
    /// builds, and the quick ones in others ([`Engine::set_full_check`]).
    #[must_use]
    pub fn new(config: PolicyConfig) -> Self {
        let migrate = Migrate::new(config.limits());
        let full_check = cfg!(debug_assertions);
        Self {
            config,
            migrate,
            started: false,
            paused: false,
            full_check,
        }
    }

    /// Whether to check all invariants after every step, which costs time for each extent.
    pub fn set_full_check(&mut self, full: bool) {
        self.full_check = full;
    }

    /// Takes in one event and gives the commands that follow from it, in the order in which they
    /// are to be carried out. `now` never goes back; if it does, no time has passed.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        let idle = matches!(event, Event::Tick);
        self.take_in(now, event);
        self.migrate.forgive(now);
        let mirrors_max = self.config.mirrors_max;
        self.migrate.drive(now, mirrors_max, idle);
        self.migrate.ended.clear();
        self.check();
        std::mem::take(&mut self.migrate.out)
    }

    fn take_in(&mut self, now: Now, event: Event) {
        let migrate = &mut self.migrate;
        match event {
            Event::Started { state, adopted } if !self.started => {
                self.started = true;
                migrate.start(state, &adopted, now);
            }
            Event::Started { .. } => {
                migrate
                    .out
                    .push(Command::Warn("the engine was started twice".to_owned()));
            }
            Event::Tick | Event::Samples(_) | Event::Hot(_) | Event::Resources(_) => {}
            Event::MoveRequested {
                request,
                first,
                count,
                target,
            } => {
                let moves = migrate.request(request, first, count, target, now);
                self.reply(request, moves.map(Reply::Moves));
            }
            Event::CancelRequested { request, id } => {
                let done = migrate.cancel(id);
                self.reply(request, done.map(|()| Reply::Done));
            }
            Event::PauseRequested { request, paused } => {
                self.paused = paused;
                self.reply(request, Ok(Reply::Done));
            }
            Event::LegsAdded { ids } => migrate.legs_added(&ids),
            Event::AddLegsFailed { ids, error } => migrate.add_legs_failed(&ids, &error, now),
            Event::LegState { id, state } => migrate.leg_state(id, state),
            Event::TargetsFlushed { ids } => migrate.targets_flushed(&ids),
            Event::FlushFailed { ids, error } => migrate.flush_failed(&ids, &error),
            Event::Committed { generation } => migrate.committed(generation, now),
            Event::CommitFailed { can_retry, error } => {
                migrate.commit_failed(can_retry, &error, now);
            }
            Event::Marked { generation } => migrate.marked(generation),
            Event::MarkFailed { generation, error } => {
                migrate.mark_failed(generation, &error, now);
            }
            Event::LegDropped { id, kept } => migrate.leg_dropped(id, kept),
            Event::DropRefused { id, state } => migrate.drop_refused(id, state, now),
            Event::DropFailed { id, error } => migrate.drop_failed(id, &error, now),
            Event::MapSet { folded } => migrate.map_set(&folded, now),
            Event::SetMapFailed { error } => migrate.set_map_failed(&error, now),
        }
    }

    #[cfg(test)]
    pub(crate) fn mutate(&mut self, mutation: Option<crate::migrate::Mutation>) {
        self.migrate.mutation = mutation;
    }

    fn reply(&mut self, request: RequestId, result: Result<Reply, Refusal>) {
        let reply = result.unwrap_or_else(Reply::Refused);
        self.migrate.out.push(Command::Reply { request, reply });
    }

    fn check(&mut self) {
        if self.migrate.latched.is_some() {
            return;
        }
        let found = if self.full_check {
            check::full(&self.migrate)
        } else {
            check::cheap(&self.migrate)
        };
        if let Err(why) = found {
            self.migrate.latch(why);
        }
    }
}
