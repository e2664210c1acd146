//! Starting, stopping and destroying volumes.

use std::path::PathBuf;
use std::time::Duration;

use tier_core::command::{Refusal, Reply, Stage};
use tier_core::event::Event;
use tier_store::open::OpenOptions;
use tier_sys::block::{Access, BlockDevice};
use tier_wire::{
    DestroyVolume, ErrorBody, ErrorKind, StartVolume, StopVolume, Volume, VolumeChange, VolumeName,
};

use super::Manager;
use super::error::{internal, no_volume, of_backend, of_device, to_body};
use crate::api::control::Answer;
use crate::backend::BackendError;
use crate::backend::dm::DmBackend;
use crate::patience::{PATIENCE, within};
use crate::state::remove_folder;
use crate::stop_point;
use crate::volume::assemble::{layout, open_areas};
use crate::volume::discover::Found;
use crate::volume::handle::Asker;
use crate::volume::runtime::Runtime;
use crate::volume::view;

/// How long a volume's moves are given to end before it is stopped.
const QUIET_PATIENCE: Duration = Duration::from_mins(1);

/// Between two looks whether they have.
const QUIET_LOOK: Duration = Duration::from_millis(50);

/// How often a volume that is in use is tried to be taken down, and what lies between the tries.
const CLOSING_TRIES: u32 = 20;
const CLOSING_PAUSE: Duration = Duration::from_millis(100);

impl Manager {
    pub(super) async fn start_volume(
        &self,
        name: VolumeName,
        request: StartVolume,
    ) -> Answer<VolumeChange> {
        let _changing = self.changing.lock().await;
        if let Some(asker) = self.asker(name.as_str()).await {
            let volume = running(&asker).await?;
            return Ok(change(
                request.dry_run,
                volume,
                vec!["it runs already".to_owned()],
            ));
        }
        let members = self.found(&name).await?;
        if request.dry_run {
            let volume = view::stopped(name.clone(), &members);
            return Ok(change(true, volume, Vec::new()));
        }
        let options = OpenOptions {
            degraded: request.degraded,
            ..OpenOptions::default()
        };
        self.serve(members, options).await?;
        let asker = self
            .asker(name.as_str())
            .await
            .ok_or_else(|| no_volume(name.as_str()))?;
        let notes = asker.info.mended.clone();
        Ok(change(false, running(&asker).await?, notes))
    }

    pub(super) async fn stop_volume(
        &self,
        name: VolumeName,
        request: StopVolume,
    ) -> Answer<VolumeChange> {
        let _changing = self.changing.lock().await;
        let Some(asker) = self.asker(name.as_str()).await else {
            let members = self.found(&name).await?;
            refuse_mapped(&name, &members)?;
            return Ok(change(
                request.dry_run,
                view::stopped(name.clone(), &members),
                vec!["it did not run".to_owned()],
            ));
        };
        let members = self.found(&name).await?;
        refuse_in_use(&members)?;
        let volume = running(&asker).await?;
        if request.dry_run {
            return Ok(change(true, volume, Vec::new()));
        }
        quiet(&asker).await?;
        // Before the members are closed, for udev hears of that and calls `tierd activate`.
        crate::turn::mark_stopped(&self.config, name.as_str()).map_err(|error| internal(&error))?;
        drop(asker);
        let handle = self.running.lock().await.remove(name.as_str());
        if let Some(handle) = handle {
            handle.end().await;
        }
        self.changed.notify_one();
        self.take_down(members.clone()).await?;
        Ok(change(
            false,
            view::stopped(name.clone(), &members),
            Vec::new(),
        ))
    }

    /// Takes a volume's devices down. Serves it again if they cannot be.
    async fn take_down(&self, members: Vec<Found>) -> Answer<()> {
        let again = members.clone();
        let config = self.config.clone();
        let down = tokio::task::spawn_blocking(move || {
            let _turn = crate::turn::take_within(&config, crate::turn::PATIENCE);
            let layout = layout(&members).map_err(|error| to_body(&error))?;
            let mut backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
            deactivate_when_closed(&mut backend).map_err(|error| of_backend(&error))
        });
        let down = down.await.map_err(|error| internal(&error))?;
        if down.is_err() {
            self.serve(again, OpenOptions::default()).await?;
        }
        down
    }

    pub(super) async fn destroy_volume(
        &self,
        name: VolumeName,
        request: DestroyVolume,
    ) -> Answer<VolumeChange> {
        let changing = self.changing.lock().await;
        if self.asker(name.as_str()).await.is_some() {
            let body = ErrorBody::new(ErrorKind::Busy, format!("volume {name} runs"))
                .with_hint(format!("stop it first with `tierctl volume stop {name}`"));
            return Err(body);
        }
        let members = self.found(&name).await?;
        refuse_mapped(&name, &members)?;
        let volume = view::stopped(name.clone(), &members);
        if request.dry_run {
            return Ok(change(true, volume, Vec::new()));
        }
        let paths: Vec<_> = members.iter().map(|found| found.path.clone()).collect();
        let learned = members.first().map(|found| {
            let folder = found.label.volume.to_string();
            self.config.forecast.state.join(folder)
        });
        tokio::task::spawn_blocking(move || wipe(&members))
            .await
            .map_err(|error| internal(&error))??;
        // The volume is gone; what was learned of it is in nobody's way.
        drop(changing);
        for path in &paths {
            crate::udev::announce(path);
        }
        let mut notes = vec!["its members carry no label any more".to_owned()];
        if let Some(folder) = learned {
            notes.extend(forget(folder).await);
        }
        Ok(change(false, volume, notes))
    }

    /// The members of a volume, as a scan finds them now.
    pub(super) async fn found(&self, name: &VolumeName) -> Answer<Vec<Found>> {
        let mut of_name: Vec<_> = self
            .scan()
            .await
            .into_iter()
            .filter(|members| {
                members
                    .first()
                    .is_some_and(|found| found.label.name.as_str() == name.as_str())
            })
            .collect();
        match of_name.len() {
            0 => Err(no_volume(name.as_str())),
            1 => Ok(of_name.remove(0)),
            _ => Err(two_of_one_name(name, &of_name)),
        }
    }
}

fn two_of_one_name(name: &VolumeName, volumes: &[Vec<Found>]) -> ErrorBody {
    let devices = volumes.iter().map(|members| {
        let paths: Vec<String> = members
            .iter()
            .map(|found| found.path.display().to_string())
            .collect();
        paths.join(" and ")
    });
    let devices: Vec<String> = devices.collect();
    ErrorBody::new(
        ErrorKind::Degraded,
        format!(
            "several volumes are called {name}: one on {}",
            devices.join(", one on ")
        ),
    )
    .with_hint("detach the devices of all but one")
}

/// Refuses a volume that this tierd does not serve, and that the kernel maps all the same: another
/// tierd serves it, or none has been able to. It may be mounted.
fn refuse_mapped(name: &VolumeName, members: &[Found]) -> Answer<()> {
    if !crate::volume::settle::is_running(members).map_err(|error| to_body(&error))? {
        return Ok(());
    }
    let body = ErrorBody::new(
        ErrorKind::Busy,
        format!("volume {name} is mapped in the kernel, and this tierd does not serve it"),
    );
    Err(body.with_hint(format!(
        "stop the other tierd, if there is one; `tierctl volume start {name}` serves it, or says why \
         that cannot be"
    )))
}

/// Refuses while the volume is open: mounted, or held by another program.
fn refuse_in_use(members: &[Found]) -> Answer<()> {
    let layout = layout(members).map_err(|error| to_body(&error))?;
    let backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    let path = backend.device_path().map_err(|error| of_backend(&error))?;
    // Not for writing: udev looks into what was open for that when it is closed, and is then the
    // one that has the volume open.
    match BlockDevice::open(&path, Access::ReadOnlyExclusive) {
        Ok(_) => Ok(()),
        Err(error) => Err(of_device(&error)
            .with_device(path.display().to_string())
            .with_hint("unmount what is on it (`findmnt`), or end what has it open (`fuser`)")),
    }
}

/// Ends all moves: those that can be taken back are, those that are committed go on to their end.
async fn quiet(asker: &Asker) -> Answer<()> {
    let ended = |_| ErrorBody::new(ErrorKind::Internal, "the volume's loop has ended");
    let was_paused = asker.view(Runtime::is_paused).await.map_err(ended)?;
    asker
        .request(|request| Event::PauseRequested {
            request,
            paused: true,
        })
        .await
        .map_err(ended)?;
    let deadline = tokio::time::Instant::now() + QUIET_PATIENCE;
    loop {
        let live = asker.view(Runtime::move_stages).await.map_err(ended)?;
        if live.is_empty() {
            return Ok(());
        }
        for (id, stage) in live {
            if matches!(stage, Stage::Pending | Stage::Copying) {
                let cancel = asker
                    .request(move |request| Event::CancelRequested { request, id })
                    .await;
                if let Ok(Reply::Refused(refusal)) = &cancel
                    && !matches!(refusal, Refusal::TooLate(_) | Refusal::NoSuchMove(_))
                {
                    tracing::warn!(%refusal, id = id.0, "a move could not be taken back");
                }
            }
        }
        if tokio::time::Instant::now() > deadline {
            asker
                .request(move |request| Event::PauseRequested {
                    request,
                    paused: was_paused,
                })
                .await
                .map_err(ended)?;
            return Err(ErrorBody::new(
                ErrorKind::Timeout,
                format!(
                    "moves did not end within {} s; the volume runs on",
                    QUIET_PATIENCE.as_secs()
                ),
            )
            .with_hint("`tierctl moves` shows them"));
        }
        tokio::time::sleep(QUIET_LOOK).await;
    }
}

/// Claims the members one last time, so that nobody else has them, and removes their labels.
fn wipe(members: &[Found]) -> Answer<()> {
    let layout = layout(members).map_err(|error| to_body(&error))?;
    let mut backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    backend
        .claim_members()
        .map_err(|error| of_backend(&error))?;
    let wiped = open_areas(&backend, members)
        .map_err(|error| to_body(&error))
        .and_then(|disks| {
            tier_store::create::destroy(&disks, &stop_point::store_steps())
                .map_err(|error| ErrorBody::new(ErrorKind::Io, super::error::chain(&error)))
        });
    let released = backend
        .release_members()
        .map_err(|error| of_backend(&error));
    wiped.and(released)
}

/// Removes what was learned of a volume. Says so where that cannot be done, or not soon.
async fn forget(folder: PathBuf) -> Option<String> {
    let name = folder.display().to_string();
    let removed = within(PATIENCE, "forget", move || remove_folder(&folder)).await;
    let error = match removed {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(error) => format!("{name}: {error}"),
    };
    Some(format!("what was learned of it is left: {error}"))
}

pub(super) async fn running(asker: &Asker) -> Answer<Volume> {
    asker
        .view(view::volume_of(asker))
        .await
        .map_err(|error| internal(&error))
}

pub(super) fn change(dry_run: bool, volume: Volume, notes: Vec<String>) -> VolumeChange {
    VolumeChange {
        dry_run,
        volume,
        overwrites: Vec::new(),
        notes,
    }
}

/// Takes a volume down. udev looks into each block device that was just written and closed, as by
/// unmounting it, and has it open for as long; so what is in use is tried again for a while.
fn deactivate_when_closed(backend: &mut DmBackend) -> Result<(), BackendError> {
    for _try in 0..CLOSING_TRIES {
        match backend.deactivate() {
            Err(BackendError::InUse { .. }) => std::thread::sleep(CLOSING_PAUSE),
            other => return other,
        }
    }
    backend.deactivate()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use super::*;

    #[tokio::test]
    async fn what_was_learned_is_forgotten_and_what_is_left_is_said() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("volume");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("memory"), b"much").unwrap();
        assert_eq!(forget(folder.clone()).await, None);
        assert!(!folder.exists());
        assert_eq!(forget(folder.clone()).await, None);
        std::fs::write(&folder, b"no folder").unwrap();
        let left = forget(folder.clone()).await.unwrap();
        assert!(left.contains(folder.to_str().unwrap()), "{left}");
        assert!(folder.exists());
    }
}
