//! The thread of a volume's network.
//!
//! Owns: [`Models`], its handle, and the loop behind it.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tier_core::event::Event;
use tier_core::forecast::{Drifted, Example, GroupHistory};
use tier_network::{Network, Runtime, contract, example};
use tokio::sync::{mpsc as events, oneshot};
use tokio::time::timeout;

use super::error::{EXAMPLES_MIN, ModelError};
use super::examples::Examples;
use super::library::load_library;
use super::registry::{Entry, Registry, RegistryError};
use super::trainer::{Trained, Training};
use crate::beneath::elsewhere;
use crate::config::ForecastConfig;
use crate::state::{StateError, replace};

/// How often the thread looks whether a training has ended, or is due.
const LOOK: Duration = Duration::from_secs(1);
/// How long the thread is waited for: as long as it may take to load a model.
const ANSWER_PATIENCE: Duration = Duration::from_secs(30);
/// What is trained because forecasts became worse is trained no more often than this share of the
/// schedule.
const DRIFTS_A_PERIOD: u32 = 6;

/// How the last training ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LastTraining {
    /// When.
    pub(crate) ended_unix_seconds: u64,
    /// The model that came of it, if one did.
    pub(crate) made: Option<u32>,
    /// For people.
    pub(crate) text: String,
}

/// What there is to see.
#[derive(Clone, Debug)]
pub(crate) struct ModelsView {
    /// The library that runs the model, if one does.
    pub(crate) library: Option<PathBuf>,
    /// Why none runs, if none does.
    pub(crate) problem: Option<String>,
    /// Number of the model in use.
    pub(crate) current: u32,
    /// Loss of the base model on made-up loads, and the naive forecast's, if it could be read.
    pub(crate) base_loss: Option<(Vec<f64>, Vec<f64>)>,
    /// The models that were trained here, oldest first.
    pub(crate) models: Vec<Entry>,
    /// Examples that are kept.
    pub(crate) examples: u64,
    /// Whether a training is under way.
    pub(crate) is_training: bool,
    /// Time until the next one is due, if there is a schedule.
    pub(crate) next_training: Option<Duration>,
    /// How the last one ended, if there was one since the start.
    pub(crate) last_training: Option<LastTraining>,
}

/// What the thread is asked.
enum Job {
    Forecast(u64, Vec<GroupHistory>),
    Learn(Vec<Example>),
    Drifted(Drifted),
    View(oneshot::Sender<ModelsView>),
    Train(oneshot::Sender<Result<(), ModelError>>),
    RollBack(Option<u32>, oneshot::Sender<Result<u32, ModelError>>),
}

/// Handle of the thread. When the last handle goes, the thread ends by itself, and with it a
/// training; nobody waits for it, since its files may lie on a device that does not answer.
#[derive(Clone)]
pub(crate) struct Models {
    jobs: Option<mpsc::Sender<Job>>,
}

impl Models {
    /// Starts the thread of a volume, whose files lie in `folder`; its answers go to `events`.
    pub(crate) fn start(
        config: &ForecastConfig,
        folder: PathBuf,
        events: events::UnboundedSender<Event>,
        volume: &str,
    ) -> std::io::Result<Self> {
        if !config.network {
            return Ok(Self { jobs: None });
        }
        let (jobs, inbox) = mpsc::channel();
        let config = config.clone();
        let volume_name = volume.to_owned();
        std::thread::Builder::new()
            .name(format!("model-{volume}"))
            .spawn(move || match Worker::open(config, folder, events) {
                Ok(worker) => worker.run(&inbox),
                Err(error) => {
                    tracing::warn!(volume = volume_name, %error, "forecasts go without a network");
                    refuse_all(&inbox, &error);
                }
            })?;
        Ok(Self { jobs: Some(jobs) })
    }

    fn ask(&self, job: Job) -> Result<(), ModelError> {
        let jobs = self.jobs.as_ref().ok_or(ModelError::Off)?;
        jobs.send(job).map_err(|_| ModelError::Died)
    }

    /// Asks for forecasts; they are told as an event. Tells whether somebody heard.
    pub(crate) fn forecast(&self, window: u64, groups: Vec<GroupHistory>) -> bool {
        self.ask(Job::Forecast(window, groups)).is_ok()
    }

    /// Keeps examples, if anybody has use for them.
    pub(crate) fn learn(&self, examples: Vec<Example>) {
        // Without a network they are of no use.
        let _ = self.ask(Job::Learn(examples));
    }

    /// Forecasts have become worse.
    pub(crate) fn drifted(&self, drifted: Drifted) {
        // As above.
        let _ = self.ask(Job::Drifted(drifted));
    }

    /// What there is to see.
    pub(crate) async fn view(&self) -> Result<ModelsView, ModelError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::View(answer))?;
        told(answered).await
    }

    /// Begins a training.
    pub(crate) async fn train(&self) -> Result<(), ModelError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::Train(answer))?;
        told(answered).await?
    }

    /// Takes another model into use: the one named, or the one before. Gives its number.
    pub(crate) async fn roll_back(&self, to: Option<u32>) -> Result<u32, ModelError> {
        let (answer, answered) = oneshot::channel();
        self.ask(Job::RollBack(to, answer))?;
        told(answered).await?
    }
}

/// What the thread answers, if it does: who asks takes up a place of the API as long as it waits.
async fn told<T>(answered: oneshot::Receiver<T>) -> Result<T, ModelError> {
    let answered = timeout(ANSWER_PATIENCE, answered).await;
    answered
        .map_err(|_| ModelError::Late)?
        .map_err(|_| ModelError::Died)
}

/// Answers for a worker that could not be made.
fn refuse_all(inbox: &mpsc::Receiver<Job>, error: &ModelError) {
    let again = || ModelError::Registry(RegistryError::Unusable(error.to_string()));
    while let Ok(job) = inbox.recv() {
        match job {
            Job::View(answer) => {
                let _ = answer.send(ModelsView {
                    library: None,
                    problem: Some(error.to_string()),
                    current: 0,
                    base_loss: None,
                    models: Vec::new(),
                    examples: 0,
                    is_training: false,
                    next_training: None,
                    last_training: None,
                });
            }
            Job::Train(answer) => drop(answer.send(Err(again()))),
            Job::RollBack(_, answer) => drop(answer.send(Err(again()))),
            Job::Forecast(..) | Job::Learn(_) | Job::Drifted(_) => {}
        }
    }
}

struct Worker {
    config: ForecastConfig,
    registry: Registry,
    examples: Examples,
    events: events::UnboundedSender<Event>,
    runtime: Result<Runtime, String>,
    network: Result<Network, String>,
    training: Option<Training>,
    next_training: Option<Instant>,
    last_begun: Option<Instant>,
    last_training: Option<LastTraining>,
}

fn unix_seconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Worker {
    fn open(
        config: ForecastConfig,
        folder: PathBuf,
        events: events::UnboundedSender<Event>,
    ) -> Result<Self, ModelError> {
        let registry = Registry::open(folder)?;
        let path = registry.file("examples");
        let examples = Examples::open(path.clone()).map_err(StateError::of(&path))?;
        let runtime = load_library(config.library.as_deref());
        let next_training = (!config.retrain.is_zero()).then(|| Instant::now() + config.retrain);
        Ok(Self {
            network: Err("no model was loaded yet".to_owned()),
            config,
            registry,
            examples,
            events,
            runtime,
            training: None,
            next_training,
            last_begun: None,
            last_training: None,
        })
    }

    fn run(mut self, inbox: &mpsc::Receiver<Job>) {
        self.take_into_use();
        loop {
            match inbox.recv_timeout(LOOK) {
                Ok(job) => self.take(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.look_after_training();
        }
    }

    /// Loads the model that is to be used, and tells the engine whether forecasts come.
    fn take_into_use(&mut self) {
        self.network = self.load(self.registry.current());
        match &self.network {
            Ok(_) => tracing::info!(model = self.registry.current(), "the network forecasts"),
            Err(why) => tracing::warn!("forecasts go without a network: {why}"),
        }
        let ready = self.network.is_ok();
        // The run loop ends before this thread only when the volume stops.
        let _ = self.events.send(Event::Forecaster { ready });
    }

    fn load(&self, number: u32) -> Result<Network, String> {
        let runtime = self.runtime.as_ref().map_err(Clone::clone)?;
        let bytes = self.registry.bytes(number);
        let bytes = bytes.map_err(|error| error.to_string())?;
        Network::new(runtime, &bytes).map_err(|error| error.to_string())
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Forecast(window, groups) => self.forecast(window, &groups),
            Job::Learn(examples) => self.learn(examples),
            Job::Drifted(drifted) => self.drifted(drifted),
            Job::View(answer) => drop(answer.send(self.view())),
            Job::Train(answer) => drop(answer.send(self.train())),
            Job::RollBack(to, answer) => drop(answer.send(self.roll_back(to))),
        }
    }

    fn forecast(&mut self, window: u64, groups: &[GroupHistory]) {
        let Ok(network) = &mut self.network else {
            return;
        };
        match network.forecast_groups(groups) {
            Ok(groups) => {
                let _ = self.events.send(Event::Forecast { window, groups });
            }
            Err(error) => {
                tracing::error!(%error, "forecasts go without a network from now on");
                self.network = Err(error.to_string());
                let _ = self.events.send(Event::Forecaster { ready: false });
            }
        }
    }

    fn learn(&mut self, examples: Vec<Example>) {
        let farthest = contract::HORIZON_SECONDS.last().copied().unwrap_or(0);
        let at_seconds = unix_seconds().saturating_sub(u64::from(farthest));
        let examples: Vec<_> = examples
            .into_iter()
            .map(|one| example::Example {
                at_seconds,
                codes: one.codes,
                touches: one.touches,
            })
            .collect();
        if let Err(error) = self.examples.append(&examples) {
            tracing::warn!(%error, "examples for the network could not be kept");
        }
    }

    fn drifted(&mut self, drifted: Drifted) {
        let pause = self.config.retrain / DRIFTS_A_PERIOD;
        let is_soon = |begun: Instant| begun.elapsed() < pause;
        if self.config.retrain.is_zero() || self.last_begun.is_some_and(is_soon) {
            return;
        }
        tracing::info!(
            error_before = drifted.error_before,
            error_late = drifted.error_late,
            "forecasts of the network have become worse"
        );
        if let Err(error) = self.train() {
            tracing::info!(%error, "the network is not trained anew");
        }
    }

    /// Begins a training of the model in use.
    fn train(&mut self) -> Result<(), ModelError> {
        if self.training.is_some() {
            return Err(ModelError::Training);
        }
        if self.examples.count() < EXAMPLES_MIN {
            let have = self.examples.count();
            return Err(ModelError::TooFew { have });
        }
        let from = self.registry.current();
        let model = if from == 0 {
            // The program reads a file, and the base model is none.
            let path = self.registry.file("base.onnx");
            replace(&path, tier_network::BASE_MODEL)?;
            path
        } else {
            self.registry.path(from)
        };
        let program = self.config.trainer();
        // A process that waits for a volume would keep systemd from starting `tierd settle`.
        elsewhere(&program).map_err(|error| ModelError::Place(error, "forecast.trainer"))?;
        let examples = self.registry.file("examples");
        let out = self.registry.file("trained.onnx");
        let training = Training::start(&program, (from, &model), &examples, out);
        let training = training.map_err(|error| ModelError::Program {
            program,
            why: error.to_string(),
        })?;
        tracing::info!(from, examples = self.examples.count(), "a training begins");
        self.training = Some(training);
        self.last_begun = Some(Instant::now());
        Ok(())
    }

    /// Takes in a training that has ended; begins one that is due.
    fn look_after_training(&mut self) {
        if let Some(training) = &mut self.training
            && let Some(trained) = training.ended()
        {
            let (from, out) = (training.from, training.out.clone());
            self.training = None;
            self.trained(from, trained, &out);
            let _ = std::fs::remove_file(out);
        }
        let is_due = |at: Instant| at <= Instant::now();
        if self.next_training.is_some_and(is_due) {
            self.next_training = Some(Instant::now() + self.config.retrain);
            if let Err(error) = self.train() {
                tracing::info!(%error, "the network is not trained anew");
            }
        }
    }

    fn trained(&mut self, from: u32, trained: Trained, out: &std::path::Path) {
        let (made, text) = match trained {
            Trained::Better(told) => {
                let entry = Entry {
                    number: self.registry.next_number(),
                    from,
                    made_unix_seconds: unix_seconds(),
                    judged_by: told.new.examples,
                    loss: told.new.network,
                    loss_before: told.old.network,
                    loss_naive: told.new.naive,
                };
                match self.keep(entry, out) {
                    Ok(number) => (Some(number), format!("model {number} is better")),
                    Err(error) => (None, format!("the new model cannot be kept: {error}")),
                }
            }
            Trained::NotBetter(told) => {
                let why = told.reason.unwrap_or_else(|| "it is no better".to_owned());
                (None, format!("the new model was not taken: {why}"))
            }
            Trained::Failed(why) => (None, format!("the training failed: {why}")),
        };
        tracing::info!(made, "{text}");
        self.last_training = Some(LastTraining {
            ended_unix_seconds: unix_seconds(),
            made,
            text,
        });
    }

    fn keep(&mut self, entry: Entry, out: &std::path::Path) -> Result<u32, ModelError> {
        let number = entry.number;
        let model = std::fs::read(out).map_err(StateError::of(out))?;
        // A model that the library refuses must never be the one in use.
        if let Ok(runtime) = &self.runtime {
            Network::new(runtime, &model)?;
        }
        self.registry.add(entry, &model)?;
        self.take_into_use();
        Ok(number)
    }

    fn roll_back(&mut self, to: Option<u32>) -> Result<u32, ModelError> {
        if let (Some(number), Ok(runtime)) = (to, &self.runtime) {
            let known = number == 0
                || self
                    .registry
                    .models()
                    .iter()
                    .any(|one| one.number == number);
            if known {
                Network::new(runtime, &self.registry.bytes(number)?)?;
            }
        }
        let number = self.registry.roll_back(to)?;
        self.take_into_use();
        Ok(number)
    }

    fn view(&self) -> ModelsView {
        let is_used = self.network.is_ok();
        let library = self.runtime.as_ref().ok();
        ModelsView {
            library: library
                .filter(|_| is_used)
                .map(|runtime| runtime.library().to_owned()),
            problem: self.network.as_ref().err().cloned(),
            current: self.registry.current(),
            base_loss: library.and_then(base_loss),
            models: self.registry.models().to_vec(),
            examples: self.examples.count(),
            is_training: self.training.is_some(),
            next_training: self
                .next_training
                .map(|at| at.saturating_duration_since(Instant::now())),
            last_training: self.last_training.clone(),
        }
    }
}

/// What the base model says of itself.
fn base_loss(runtime: &Runtime) -> Option<(Vec<f64>, Vec<f64>)> {
    let network = Network::new(runtime, tier_network::BASE_MODEL).ok()?;
    let numbers = |fact: &str| -> Option<Vec<f64>> {
        let text = network.fact(fact)?;
        text.split(' ').map(|number| number.parse().ok()).collect()
    };
    Some((numbers("tierd.loss")?, numbers("tierd.loss_naive")?))
}
