//! The engine: one event in, the commands that follow from it out.
//!
//! Owns: the order in which a step goes (take in the event, let the policy choose, drive the
//! moves, check what must hold). May not: do anything between steps.

mod classes;
mod explain;
mod view;

use crate::check;
use crate::command::{Command, Refusal, Reply};
use crate::event::Event;
use crate::memory::{Memory, MemoryError};
use crate::migrate::Migrate;
use crate::policy::{Policy, PolicyConfig};
use crate::units::{Now, RequestId};

#[cfg(feature = "canary")]
pub use crate::migrate::Mutation;
pub use classes::TierForecast;
pub use explain::{Explanation, Offer, Opinion, Verdict};
pub use view::{MoveView, NetworkStatus, PlannedMove, Status, TierStatus, WantedMove};

/// The pure engine. See the crate's documentation for the flow.
#[derive(Clone, Debug)]
pub struct Engine {
    migrate: Migrate,
    policy: Policy,
    started: bool,
    paused: bool,
    full_check: bool,
    now: Now,
}

impl Engine {
    /// An engine that waits for `Event::Started`. Every step checks all invariants in debug
    /// builds, and the quick ones in others ([`Engine::set_full_check`]).
    #[must_use]
    pub fn new(config: PolicyConfig) -> Self {
        let migrate = Migrate::new(config.limits());
        Self {
            migrate,
            policy: Policy::new(config),
            started: false,
            paused: false,
            full_check: cfg!(debug_assertions),
            now: Now(0),
        }
    }

    /// Its parameters.
    #[must_use]
    pub const fn config(&self) -> &PolicyConfig {
        &self.policy.config
    }

    /// Whether to check all invariants after every step, which costs time for each extent.
    pub fn set_full_check(&mut self, full: bool) {
        self.full_check = full;
    }

    /// Takes in one event and gives the commands that follow from it, in the order in which they
    /// are to be carried out. `now` never goes back; if it does, no time has passed.
    pub fn step(&mut self, now: Now, event: Event) -> Vec<Command> {
        let now = now.max(self.now);
        self.now = now;
        let tick = matches!(event, Event::Tick);
        self.take_in(now, event);
        self.migrate.forgive(now);
        self.policy.ended(&self.migrate.ended, now);
        self.migrate.ended.clear();
        self.decide(now, tick);
        self.migrate.waits_for_room = !self.policy.wants.is_empty();
        self.migrate
            .drive(now, self.policy.config.mirrors_max, tick);
        self.policy.ended(&self.migrate.ended, now);
        self.migrate.ended.clear();
        self.check();
        std::mem::take(&mut self.migrate.out)
    }

    /// What was learned of the volume's use, to be given back after a restart.
    #[must_use]
    pub fn memory(&self) -> Memory {
        self.policy.remember(self.now)
    }

    /// Whether such a memory would be taken over, once the engine is started.
    ///
    /// # Errors
    /// Why it would not.
    pub fn fits(&self, memory: &Memory, now: Now) -> Result<(), MemoryError> {
        self.policy.fits(memory, now)
    }

    /// Whether the policy may begin moves.
    fn is_active(&self) -> bool {
        self.started && self.policy.config.enabled && !self.paused && self.migrate.may_begin()
    }

    fn decide(&mut self, now: Now, tick: bool) {
        let active = self.is_active();
        if active {
            if tick {
                self.policy.plan(&mut self.migrate, now);
            }
            self.policy.dispatch(&mut self.migrate, now);
        }
        if let Some(touches) = self.policy.threshold(active, &self.migrate, now) {
            self.migrate.out.push(Command::SetHotThreshold(touches));
        }
    }

    fn take_in(&mut self, now: Now, event: Event) {
        let migrate = &mut self.migrate;
        match event {
            Event::Started { state, adopted } if !self.started => {
                self.started = true;
                migrate.start(state, &adopted, now);
                self.policy.start(migrate, now);
            }
            Event::Started { .. } => {
                migrate
                    .out
                    .push(Command::Warn("the engine was started twice".to_owned()));
            }
            Event::Tick => {}
            Event::Samples(samples) => self.policy.samples(&samples, migrate, now),
            Event::Hot(hot) => self.policy.hot(hot, migrate, now),
            Event::Resources(resources) => {
                self.policy.resources(&resources, migrate.mirrors(), now);
            }
            Event::Remembered(memory) => {
                if let Err(why) = self.policy.recall(&memory, now) {
                    let warning = format!("what was learned of its use is not taken over: {why}");
                    migrate.out.push(Command::Warn(warning));
                }
            }
            Event::Forecaster { ready } => self.policy.forecasts.forecaster(ready),
            Event::Forecast { window, groups } => self.policy.told(window, &groups, now),
            Event::MoveRequested { .. }
            | Event::CancelRequested { .. }
            | Event::PriorityRequested { .. }
            | Event::PauseRequested { .. } => self.asked(&event, now),
            Event::LegsAdded { ids } => migrate.legs_added(&ids),
            Event::AddLegsFailed { ids, error } => migrate.add_legs_failed(&ids, &error, now),
            Event::CopyNotBegun {
                id,
                may_copy,
                error,
            } => migrate.copy_not_begun(id, may_copy, &error),
            Event::LegState { id, state } => migrate.leg_state(id, state),
            Event::TargetsFlushed { ids } => migrate.targets_flushed(&ids),
            Event::FlushFailed { ids, error } => migrate.flush_failed(&ids, &error, now),
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

    /// Breaks a rule of the protocol from now on, to show that the tests see it.
    #[cfg(any(test, feature = "canary"))]
    pub fn mutate(&mut self, mutation: Option<crate::migrate::Mutation>) {
        self.migrate.mutation = mutation;
    }

    /// Does what a person asks.
    fn asked(&mut self, event: &Event, now: Now) {
        let migrate = &mut self.migrate;
        match *event {
            Event::MoveRequested {
                request,
                first,
                count,
                target,
                priority,
            } => {
                let moves = migrate.request(request, first, count, target, now);
                for id in moves.iter().flatten() {
                    // They have only just been proposed.
                    let _ = migrate.set_priority(*id, priority);
                }
                self.reply(request, moves.map(Reply::Moves));
            }
            Event::CancelRequested { request, id } => {
                let done = migrate.cancel(id);
                self.reply(request, done.map(|()| Reply::Done));
            }
            Event::PriorityRequested {
                request,
                id,
                priority,
            } => {
                let done = migrate.set_priority(id, priority);
                self.reply(request, done.map(|()| Reply::Done));
            }
            Event::PauseRequested { request, paused } => {
                self.paused = paused;
                self.reply(request, Ok(Reply::Done));
            }
            _ => {}
        }
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
        let headroom = self.policy.check_headroom();
        if let Err(why) = found.and(headroom) {
            self.migrate.latch(why);
        }
    }
}
