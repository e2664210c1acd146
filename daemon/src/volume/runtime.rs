//! The run loop of one volume: wait for something, ask the engine, do what it says.
//!
//! Owns: the engine of a running volume and the threads that obey it. Invariants: every event
//! passes through [`Runtime::step`], which records it first, so that a recording replays to the
//! same commands; nothing here waits for a device. Ending the loop, however it ends, changes
//! nothing in the kernel (rule 12).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use tier_core::command::{Command, MoveReport, Reply};
use tier_core::engine::Engine;
use tier_core::event::{Event, Samples};
use tier_core::forecast::GroupHistory;
use tier_core::units::{MoveId, Now, RegionSize, RequestId};
use tier_core::volume::Member;
use tokio::sync::{mpsc, oneshot};

use super::flusher::Flusher;
use super::history::History;
use super::hold_stats::HoldStats;
use super::kernel::{Job, KernelThread, Told};
use super::memory::{Keeper, Remembered};
use super::metadata::{Job as Record, MetadataThread};
use super::pace::{Pace, Timers};
use super::recorder::Recorder;
use super::sampler::{Counts, Sampler};
use super::watch::KernelWatch;
use crate::metrics::{CommitOutcome, VolumeMetrics};
use crate::model::Models;
use crate::monitor::Monitor;
use crate::monitor::load::{ProbeLatency, WatchedMember};
use crate::patience::PATIENCE;
use crate::serve::Wire;

/// Time between two measurements of what is expected of the tiers: a minute, about as often as
/// metrics are asked for.
const FORECASTS_NANOS: u64 = 60_000_000_000;

/// What others may ask of a running volume.
pub(crate) enum Ask {
    /// Run this on the state and go on.
    View(Box<dyn FnOnce(&Runtime) + Send>),
    /// Give the engine an event that carries a request, and tell what became of it.
    Request {
        /// Makes the event from the number that the loop gives the request.
        event: Box<dyn FnOnce(RequestId) -> Event + Send>,
        /// Where the engine's answer goes.
        answer: oneshot::Sender<Reply>,
    },
    /// End the loop, once the jobs under way are done.
    End,
}

/// What the loop is made of when a volume has been brought up.
pub(crate) struct Parts {
    /// The engine, not yet started.
    pub(crate) engine: Engine,
    /// The thread that changes tables.
    pub(crate) kernel: KernelThread,
    /// What that thread tells.
    pub(crate) told: mpsc::UnboundedReceiver<Told>,
    /// The thread that owns the store.
    pub(crate) metadata: MetadataThread,
    /// The connection to the process that serves the volume, if one does.
    pub(crate) wire: Option<Wire>,
    /// The thread that flushes targets.
    pub(crate) flusher: Flusher,
    /// What was learned before the daemon started.
    pub(crate) remembered: Option<Remembered>,
    /// The thread that keeps what is learned.
    pub(crate) keeper: Keeper,
    /// The thread of the network.
    pub(crate) models: Models,
    /// What the metadata, flush and network threads tell.
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    /// Tells when a move's device has something to say.
    pub(crate) watch: KernelWatch,
    /// Counts I/O.
    pub(crate) sampler: Sampler,
    /// The members' devices, for the monitor.
    pub(crate) members: Vec<WatchedMember>,
    /// Where events are recorded, if they are.
    pub(crate) record: Option<PathBuf>,
    /// The members, as the engine knows them.
    pub(crate) known_members: Vec<Member>,
    /// Foreground latency that moves must not push above; zero if it follows what is seen.
    pub(crate) foreground_target_seconds: f64,
    /// Bytes per second that moves may copy at most.
    pub(crate) copy_limit_bytes_per_second: f64,
    /// How often to look.
    pub(crate) pace: Pace,
    /// Size of a region of the volume.
    pub(crate) region_size: RegionSize,
    /// The volume's metrics.
    pub(crate) metrics: VolumeMetrics,
}

/// A running volume.
pub(crate) struct Runtime {
    pub(super) parts: Parts,
    pub(super) history: History,
    pub(super) holds: HoldStats,
    pub(super) served: super::served::Served,
    monitor: Monitor,
    recorder: Option<Recorder>,
    requests: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    next_request: u64,
    origin: Instant,
    /// The engine's time then.
    began: Now,
    /// When what is expected of the tiers is to be measured next.
    next_forecasts: Now,
    pub(super) problems: super::problems::Problems,
}

/// How a loop came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Somebody asked for it, or nobody is left who could ask.
    AsAsked,
    /// The process that serves the volume is gone.
    Lost,
}

/// Something that the loop woke up for.
enum Woken {
    Told(Told),
    Event(Event),
    Ask(Ask),
    Changed(Vec<MoveId>),
    Counts(Counts),
    Sample,
    Tick,
    Monitor,
    Look,
    Keep,
    /// Nobody is left who could ask; the daemon is stopping.
    Orphaned,
}

impl Runtime {
    /// A loop over these parts. `None` only if the fixed bounds of the histograms were wrong.
    pub(crate) fn new(parts: Parts) -> Option<Self> {
        let began = parts.remembered.as_ref().map_or(Now(0), |one| one.now);
        Some(Self {
            parts,
            history: History::default(),
            holds: HoldStats::new()?,
            served: super::served::Served::default(),
            monitor: Monitor::default(),
            recorder: None,
            requests: BTreeMap::new(),
            next_request: 1,
            origin: Instant::now(),
            began,
            next_forecasts: began,
            problems: super::problems::Problems::default(),
        })
    }

    /// The engine's time: nanoseconds since the volume was first taken up, as far as is remembered.
    pub(super) fn now(&self) -> Now {
        let passed = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Now(self.began.0.saturating_add(passed))
    }

    /// Runs until asked to end, or until nobody is left who could ask. `first` is the engine's
    /// first event.
    pub(crate) async fn run(mut self, first: Event, mut asks: mpsc::Receiver<Ask>) -> Ended {
        self.begin_recording().await;
        self.step(first);
        if let Some(Remembered { memory, .. }) = self.parts.remembered.take() {
            if self.parts.engine.fits(&memory, self.now()).is_err() {
                self.parts.keeper.spare();
            }
            self.step(Event::Remembered(memory));
        }
        let mut timers = Timers::new(self.parts.pace);
        let ended = loop {
            match self.wait(&mut timers, &mut asks).await {
                Woken::Told(Told::Lost) => break Ended::Lost,
                Woken::Told(told) => self.on_told(told),
                Woken::Event(event) => self.step(event),
                Woken::Ask(Ask::End) | Woken::Orphaned => break Ended::AsAsked,
                Woken::Ask(Ask::View(view)) => view(&self),
                Woken::Ask(Ask::Request { event, answer }) => self.request(event, answer),
                Woken::Changed(ids) => self.look(ids),
                Woken::Counts(counts) => self.on_counts(counts),
                Woken::Sample => self.parts.sampler.ask_samples(self.now()),
                Woken::Tick => {
                    self.step(Event::Tick);
                    self.measure_forecasts();
                }
                Woken::Monitor => self.parts.sampler.ask_latency(),
                Woken::Look => self.look(self.copying()),
                Woken::Keep => self.parts.keeper.keep(self.parts.engine.memory()),
            }
        };
        Box::pin(self.finish()).await;
        ended
    }

    async fn wait(&mut self, timers: &mut Timers, asks: &mut mpsc::Receiver<Ask>) -> Woken {
        let parts = &mut self.parts;
        tokio::select! {
            // What the kernel and the store tell goes first: a failed leg has writes parked.
            biased;
            Some(told) = parts.told.recv() => Woken::Told(told),
            ids = parts.watch.changed() => Woken::Changed(ids),
            Some(event) = parts.events.recv() => Woken::Event(event),
            ask = asks.recv() => ask.map_or(Woken::Orphaned, Woken::Ask),
            counts = parts.sampler.next() => Woken::Counts(counts),
            _ = timers.look.tick() => Woken::Look,
            _ = timers.tick.tick() => Woken::Tick,
            _ = timers.keep.tick() => Woken::Keep,
            _ = timers.monitor.tick() => Woken::Monitor,
            _ = timers.sample.tick() => Woken::Sample,
        }
    }

    /// Gives the engine an event and carries out what it orders.
    pub(super) fn step(&mut self, event: Event) {
        let now = self.now();
        if let Some(recorder) = &mut self.recorder {
            match tier_core::record::encode(now, &event) {
                Ok(line) => recorder.append(line),
                Err(error) => tracing::error!(%error, "an event could not be recorded"),
            }
        }
        self.note_outcome(&event);
        let start = Instant::now();
        let commands = self.parts.engine.step(now, event);
        self.parts.metrics.step(start.elapsed());
        for command in commands {
            self.obey(command);
        }
    }

    /// Counts how commits end, and what the tick finds.
    fn note_outcome(&self, event: &Event) {
        let Parts {
            metrics,
            engine,
            metadata,
            region_size,
            ..
        } = &self.parts;
        match event {
            Event::Committed { .. } => metrics.commit(CommitOutcome::Durable),
            Event::CommitFailed { .. } => metrics.commit(CommitOutcome::Failed),
            Event::Hot(_) => metrics.hot(),
            Event::Tick => {
                let status = engine.status();
                let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
                metrics.moves(count(status.moves), count(status.pending + status.wanted));
                let durable = metadata.durable();
                metrics.metadata(durable.generation, durable.live_replicas as usize);
                for wear in &status.wear.members {
                    metrics.wear(wear);
                }
                for tier in &status.tiers {
                    let bytes = |regions| region_size.bytes_of(regions);
                    metrics.tier(tier.class, bytes(tier.free), bytes(tier.regions));
                }
            }
            _ => {}
        }
    }

    /// Measures what is expected of the tiers, now and then: it takes some milliseconds.
    fn measure_forecasts(&mut self) {
        let now = self.now();
        if now >= self.next_forecasts {
            self.next_forecasts = Now(now.0.saturating_add(FORECASTS_NANOS));
            for tier in self.parts.engine.tier_forecasts() {
                self.parts.metrics.forecast(&tier);
            }
        }
    }

    fn obey(&mut self, command: Command) {
        let taken = match command {
            Command::AddLegs(adds) => self.ask_kernel(Job::AddLegs(adds)),
            Command::DropLeg(drop) => self.ask_kernel(Job::DropLeg(drop)),
            Command::SetMap { fold } => self.ask_kernel(Job::SetMap(fold)),
            Command::SetPace {
                id,
                bytes_per_second,
            } => self.ask_kernel(Job::SetPace(id, bytes_per_second)),
            Command::FlushTargets(targets) => self.parts.flusher.ask(targets),
            Command::Commit(commit) => self.parts.metadata.ask(Record::Commit(commit)),
            Command::MarkActedOn(generation) => self.parts.metadata.ask(Record::Mark(generation)),
            Command::SetHotThreshold(touches) => {
                self.parts.sampler.set_threshold(touches);
                return;
            }
            Command::Forecast { window, groups } => return self.forecast(window, groups),
            Command::Learn(examples) => return self.parts.models.learn(examples),
            Command::Retrain(drifted) => return self.parts.models.drifted(drifted),
            Command::Report(report) => return self.report(&report),
            Command::Reply { request, reply } => return self.reply(request, reply),
            Command::Warn(text) => {
                tracing::warn!("{text}");
                self.problems.note(text);
                return;
            }
        };
        if !taken {
            self.problems
                .note("a worker thread has died; restart tierd".to_owned());
            tracing::error!("a worker thread has died; nothing more can be moved until a restart");
        }
    }

    /// A network that does not answer leaves the other experts to it.
    fn forecast(&mut self, window: u64, groups: Vec<GroupHistory>) {
        if !self.parts.models.forecast(window, groups) {
            tracing::error!("the thread of the network has died; forecasts go without it");
            self.step(Event::Forecaster { ready: false });
        }
    }

    fn ask_kernel(&self, job: Job) -> bool {
        self.parts.kernel.ask(job)
    }

    fn report(&mut self, report: &MoveReport) {
        tracing::info!(
            id = report.id.0,
            first = report.first.0,
            count = report.count,
            from = %report.from,
            to = %report.to,
            stage = ?report.stage,
            reason = ?report.reason,
            error = report.error.as_deref(),
            "move"
        );
        let engine = &self.parts.engine;
        let touches = engine.touches_in_all(report.first, report.count);
        self.history.note(report, SystemTime::now(), touches);
        let bytes = self.parts.region_size.bytes_of(report.count);
        self.parts.metrics.moved(report, bytes);
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        if let Some(answer) = self.requests.remove(&request) {
            // The asker may have gone; what was asked is done all the same.
            let _ = answer.send(reply);
        }
    }

    fn on_told(&mut self, told: Told) {
        match told {
            Told::Event(event) => self.step(event),
            Told::Held(verb, hold) => {
                self.holds.note(&hold);
                self.parts.metrics.hold(verb.name(), &hold);
            }
            Told::HoldFailed => self.holds.note_failed(),
            // A move that has ended meanwhile has no device any more, and nobody asks.
            Told::LookFailed(id, error) if self.copying().contains(&id) => {
                tracing::warn!(id = id.0, %error, "cannot see how a move stands");
            }
            Told::PaceNotSet(id, error) => {
                tracing::warn!(id = id.0, %error, "a move goes on at the pace that it had");
            }
            Told::LookFailed(..) | Told::Lost => {}
        }
    }

    fn request(
        &mut self,
        event: Box<dyn FnOnce(RequestId) -> Event + Send>,
        answer: oneshot::Sender<Reply>,
    ) {
        let request = RequestId(self.next_request);
        self.next_request += 1;
        self.requests.insert(request, answer);
        self.step(event(request));
    }

    fn on_counts(&mut self, counts: Counts) {
        match counts {
            Counts::Hot(regions) => {
                for region in regions {
                    self.step(Event::Hot(region));
                }
            }
            Counts::Samples(samples) => self.on_samples(samples),
            Counts::Latency(latency) => self.on_latency(&latency),
        }
    }

    fn on_samples(&mut self, samples: Samples) {
        self.parts.metrics.samples(&samples);
        let parts = &self.parts;
        self.served.note(&samples, |region| {
            let home = parts.engine.map().home(region)?;
            let mut members = parts.known_members.iter();
            members
                .find(|member| member.index == home.member)
                .map(|member| member.class)
        });
        self.step(Event::Samples(samples));
    }

    /// The load of the machine is read when the probe has told what it measured since then.
    fn on_latency(&mut self, latency: &ProbeLatency) {
        let now = self.now();
        self.served
            .note_moved(now, self.parts.engine.status().moved_bytes);
        match self.monitor.resources(now, &self.parts.members, latency) {
            Ok(Some(resources)) => {
                self.parts.metrics.resources(&resources);
                self.served.note_load(&resources);
                self.step(Event::Resources(resources));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the load of the machine cannot be read"),
        }
    }

    /// The moves whose mirror is under way.
    fn copying(&self) -> Vec<MoveId> {
        let live = |stage| !matches!(stage, tier_core::command::Stage::Pending);
        self.parts
            .engine
            .moves()
            .filter(|one| live(one.stage))
            .map(|one| one.id)
            .collect()
    }

    fn look(&self, ids: Vec<MoveId>) {
        if !ids.is_empty() && !self.parts.kernel.ask(Job::Look(ids)) {
            tracing::error!("the kernel thread has died; moves are no longer watched");
        }
    }

    async fn begin_recording(&mut self) {
        let Some(path) = &self.parts.record else {
            return;
        };
        let begin = tier_core::record::begin(self.parts.engine.config());
        let started = match begin {
            Ok(line) => Recorder::start(path, PATIENCE)
                .await
                .map(|mut recorder| {
                    recorder.append(line);
                    recorder
                })
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match started {
            Ok(recorder) => self.recorder = Some(recorder),
            Err(error) => {
                let text = format!("events are not recorded: {error}");
                tracing::error!("{text}");
                self.problems.note(text);
            }
        }
    }

    /// Lets the threads come to their ends. Other volumes' loops go on meanwhile: these wait for
    /// devices, and for files.
    async fn finish(self) {
        let Parts {
            kernel,
            metadata,
            wire,
            flusher,
            keeper,
            engine,
            ..
        } = self.parts;
        let memory = engine.memory();
        let ended = tokio::task::spawn_blocking(move || {
            kernel.finish();
            metadata.finish();
            flusher.finish();
            if let Some(wire) = wire {
                wire.close();
            }
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "the threads of a volume did not end by themselves");
        }
        if let Some(recorder) = self.recorder {
            recorder.finish(PATIENCE).await;
        }
        keeper.finish(memory, PATIENCE).await;
    }
}
