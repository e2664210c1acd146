//! All volumes of the machine: which run, and how they are made, started, stopped and destroyed.
//!
//! Owns: the list of running volumes, and the API's answers. Invariants: changes to the list are
//! made one at a time; a change that fails leaves everything as it was; ending the manager ends
//! the loops and changes nothing in the kernel (rule 12).

mod answer;
mod create;
mod error;
mod life;
mod losses;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Mutex, Notify, mpsc};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::volume::assemble::AssembleError;
use crate::volume::bring_up::bring_up;
use crate::volume::discover::{Found, scan};
use crate::volume::handle::{Asker, VolumeHandle};
use crate::volume::start::Mapped;
use tier_store::open::OpenOptions;
use tier_store::words::BackendKind;

pub(crate) use self::error::to_body;

/// All volumes of the machine.
pub struct Manager {
    config: Config,
    since: Instant,
    running: Mutex<BTreeMap<String, VolumeHandle>>,
    /// Held while the set of volumes changes: a volume is not created and destroyed at once.
    changing: Mutex<()>,
    /// Volumes that could not be started, and why.
    problems: std::sync::Mutex<BTreeMap<String, String>>,
    /// Volumes whose serving process is gone.
    lost: mpsc::UnboundedSender<String>,
    losses: Mutex<mpsc::UnboundedReceiver<String>>,
    /// Told whenever a volume begins or ends to be served.
    changed: Notify,
}

/// How starting what was found went.
#[derive(Debug, Default)]
pub struct Started {
    /// Volumes that are served now.
    pub volumes: Vec<String>,
    /// Volumes that are not, and why.
    pub failed: Vec<(String, tier_wire::ErrorBody)>,
}

impl Manager {
    /// A manager of no volumes yet.
    #[must_use]
    pub fn new(config: Config) -> Self {
        let (lost, losses) = mpsc::unbounded_channel();
        Self {
            lost,
            losses: Mutex::new(losses),
            config,
            since: Instant::now(),
            running: Mutex::default(),
            changing: Mutex::default(),
            problems: std::sync::Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Serves every volume that is found on the machine's devices.
    pub async fn start_all(&self) -> Started {
        let mut started = Started::default();
        let _changing = self.changing.lock().await;
        for members in self.scan().await {
            let Some(name) = members.first().map(|found| found.label.name.to_string()) else {
                continue;
            };
            match self.serve(members, OpenOptions::default(), None).await {
                Ok(()) => started.volumes.push(name),
                Err(body) => {
                    tracing::error!(volume = name, "{body}");
                    self.note_problem(&name, &body);
                    started.failed.push((name, body));
                }
            }
        }
        started
    }

    fn problems(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        let problems = self.problems.lock();
        problems.unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn note_problem(&self, name: &str, body: &tier_wire::ErrorBody) {
        let text = format!("volume {name} was not started: {body}");
        self.problems().insert(name.to_owned(), text);
    }

    /// The members of each volume on the machine's devices.
    async fn scan(&self) -> Vec<Vec<Found>> {
        let admitted = self.config.daemon.scan.clone();
        let found = tokio::task::spawn_blocking(move || scan(&admitted)).await;
        match found {
            Ok(Ok(found)) => {
                for error in &found.unusable {
                    tracing::warn!(%error, "a label cannot be used");
                }
                found.volumes.into_values().collect()
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "block devices cannot be listed");
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, "the scan for labels died");
                Vec::new()
            }
        }
    }

    /// Brings a volume up and serves it.
    async fn serve(
        &self,
        members: Vec<Found>,
        options: OpenOptions,
        wanted: Option<BackendKind>,
    ) -> Result<(), tier_wire::ErrorBody> {
        let config = self.config.clone();
        let mapped = tokio::task::spawn_blocking(move || {
            let _turn = crate::turn::take_within(&config, crate::turn::PATIENCE);
            let mapped = bring_up(&config, &members, &options, wanted)?.mapped(&members)?;
            crate::turn::unmark_stopped(&config, mapped.facts.name.as_str());
            Ok(mapped)
        })
        .await
        .map_err(|error| error::internal(&error))?
        .map_err(|error: AssembleError| to_body(&error))?;
        self.serve_mapped(mapped).await
    }

    async fn serve_mapped(&self, mapped: Mapped) -> Result<(), tier_wire::ErrorBody> {
        let name = mapped.facts.name.to_string();
        if !mapped.mended.is_empty() {
            tracing::warn!(volume = name, mended = ?mapped.mended, "the start had to mend");
        }
        let handle = crate::volume::start::serve(mapped, &self.config, self.lost.clone())
            .await
            .map_err(|error| error::internal(&error))?;
        tracing::info!(volume = name, device = %handle.info.link.display(), "volume is served");
        self.problems().remove(&name);
        self.running.lock().await.insert(name, handle);
        self.changed.notify_one();
        Ok(())
    }

    /// Completes when the set of served volumes has changed since the last call.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is served, in one line for people.
    pub async fn status_line(&self) -> String {
        let names: Vec<String> = self.running.lock().await.keys().cloned().collect();
        let failed = self.problems().len();
        let served = names.join(", ");
        match (names.len(), failed) {
            (0, 0) => "no volumes yet".to_owned(),
            (_, 0) => format!("serving {served}"),
            (0, failed) => format!("{failed} volumes could not be started; see the log"),
            (_, failed) => format!("serving {served}; {failed} volumes could not be started"),
        }
    }

    /// A way to ask a running volume.
    async fn asker(&self, name: &str) -> Option<Asker> {
        self.running.lock().await.get(name).map(VolumeHandle::asker)
    }

    /// Ends every loop. Volumes go on without it.
    pub async fn end(self: Arc<Self>) {
        let running = std::mem::take(&mut *self.running.lock().await);
        // All at once: each may wait for a file that does not answer.
        let mut ending = JoinSet::new();
        for (name, handle) in running {
            ending.spawn(async move {
                handle.end().await;
                tracing::info!(volume = name, "volume is left running");
            });
        }
        ending.join_all().await;
    }
}
