//! Volumes whose serving process is gone: served again.
//!
//! Owns: [`Manager::mend_losses`]. The kernel keeps what is asked of such a volume until another process
//! takes its device over; so that is seen to at once, and tried again until it succeeds or a person
//! stops the volume.

use std::collections::BTreeSet;
use std::time::Duration;

use tier_store::open::OpenOptions;

use super::Manager;
use crate::turn;

/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

impl Manager {
    /// Serves again what loses its process, for as long as the daemon runs.
    pub async fn mend_losses(&self) {
        let mut losses = self.losses.lock().await;
        let mut lost = BTreeSet::new();
        loop {
            tokio::select! {
                Some(name) = losses.recv() => {
                    tracing::error!(volume = name, "the process that serves the volume is gone; \
                        its I/O waits until another takes it over");
                    lost.insert(name);
                }
                () = tokio::time::sleep(PAUSE), if !lost.is_empty() => {}
            }
            let mut still = BTreeSet::new();
            for name in lost {
                if !self.serve_again(&name).await {
                    still.insert(name);
                }
            }
            lost = still;
        }
    }

    /// Whether nothing is left to be done.
    async fn serve_again(&self, name: &str) -> bool {
        let _changing = self.changing.lock().await;
        let ended = self.running.lock().await.remove(name);
        if let Some(handle) = ended {
            handle.end().await;
            self.changed.notify_one();
        }
        if turn::is_stopped(&self.config, name) {
            return true;
        }
        let members = self.scan().await.into_iter().find(|members| {
            let first = members.first();
            first.is_some_and(|found| found.label.name.as_str() == name)
        });
        let Some(members) = members else {
            tracing::error!(volume = name, "no member of the volume is found any more");
            return false;
        };
        match self.serve(members, OpenOptions::default(), None).await {
            Ok(()) => true,
            Err(body) => {
                tracing::error!(volume = name, "{body}");
                self.note_problem(name, &body);
                false
            }
        }
    }
}
