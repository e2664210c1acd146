//! What others hold of a running volume: facts that do not change, and a way to ask.

use std::path::PathBuf;
use std::sync::Arc;

use tier_core::command::Reply;
use tier_core::event::Event;
use tier_core::units::RequestId;
use tier_store::words::Facts;
use tier_wire::VolumeName;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::runtime::{Ask, Runtime};

/// What does not change while a volume runs.
#[derive(Debug)]
pub(crate) struct Info {
    /// Its name.
    pub(crate) name: VolumeName,
    /// Its members, its size, its name.
    pub(crate) facts: Facts,
    /// Where each member is, by index.
    pub(crate) paths: Vec<(tier_core::units::MemberIndex, PathBuf)>,
    /// Its link, `/dev/tierd/NAME`.
    pub(crate) link: PathBuf,
    /// Whether every member takes discard, so that the volume does.
    pub(crate) discard: bool,
    /// What the start had to mend, for people.
    pub(crate) mended: Vec<String>,
}

/// A running volume.
pub(crate) struct VolumeHandle {
    /// What does not change.
    pub(crate) info: Arc<Info>,
    asks: mpsc::Sender<Ask>,
    task: JoinHandle<()>,
}

/// The volume's loop has ended.
#[derive(Debug, thiserror::Error)]
#[error(
    "the volume's loop has ended; it is begun again if the process that served the volume died, else restart tierd"
)]
pub(crate) struct Ended;

/// A way to ask that can be kept while others change the list of volumes.
#[derive(Clone)]
pub(crate) struct Asker {
    /// What does not change.
    pub(crate) info: Arc<Info>,
    asks: mpsc::Sender<Ask>,
}

impl VolumeHandle {
    /// A handle of the loop that `task` runs and that listens to `asks`.
    pub(crate) const fn new(
        info: Arc<Info>,
        asks: mpsc::Sender<Ask>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { info, asks, task }
    }

    /// A way to ask.
    pub(crate) fn asker(&self) -> Asker {
        Asker {
            info: Arc::clone(&self.info),
            asks: self.asks.clone(),
        }
    }

    /// Ends the loop. What the kernel holds stays as it is.
    pub(crate) async fn end(self) {
        // A loop that has ended already is what was asked for.
        let _ = self.asks.send(Ask::End).await;
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a volume's loop did not end by itself");
        }
    }
}

impl Asker {
    /// Runs `look` on the volume's state.
    pub(crate) async fn view<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Runtime) -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, answered) = oneshot::channel();
        let view = move |runtime: &Runtime| {
            // The asker may have given up.
            let _ = answer.send(look(runtime));
        };
        self.asks
            .send(Ask::View(Box::new(view)))
            .await
            .map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }

    /// Gives the engine a request and waits for its answer.
    pub(crate) async fn request(
        &self,
        event: impl FnOnce(RequestId) -> Event + Send + 'static,
    ) -> Result<Reply, Ended> {
        let (answer, answered) = oneshot::channel();
        let ask = Ask::Request {
            event: Box::new(event),
            answer,
        };
        self.asks.send(ask).await.map_err(|_| Ended)?;
        answered.await.map_err(|_| Ended)
    }
}
