//! Starting, stopping and destroying volumes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tier_core::command::{Refusal, Reply, Stage};
use tier_core::event::Event;
use tier_store::open::OpenOptions;
use tier_store::storage::Disk;
use tier_store::words::BackendKind;
use tier_sys::block::{Access, BlockDevice};
use tier_wire::{
    Backend, DestroyVolume, ErrorBody, ErrorKind, StartVolume, StopVolume, Volume, VolumeChange,
    VolumeName,
};

use super::Manager;
use super::error::{internal, no_volume, of_backend, of_device, of_launch, to_body};
use crate::api::control::Answer;
use crate::backend::BackendError;
use crate::backend::dm::DmBackend;
use crate::config::Config;
use crate::patience::{PATIENCE, within};
use crate::serve::LaunchError;
use crate::state::remove_folder;
use crate::stop_point;
use crate::volume::assemble::{layout, open_areas, open_members};
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

const CLOSE_HINT: &str = "unmount what is on it (`findmnt`), or end what has it open (`fuser`)";

impl Manager {
    pub(super) async fn start_volume(
        &self,
        name: VolumeName,
        request: StartVolume,
    ) -> Answer<VolumeChange> {
        let _changing = self.changing.lock().await;
        if let Some(asker) = self.asker(name.as_str()).await {
            let volume = running(&asker).await?;
            refuse_other(&volume, request.backend)?;
            return Ok(change(
                request.dry_run,
                volume,
                vec!["it runs already".to_owned()],
            ));
        }
        let members = self.found(&name).await?;
        if request.dry_run {
            let mut volume = view::stopped(name.clone(), &members);
            volume.backend = request.backend.unwrap_or(volume.backend);
            return Ok(change(true, volume, Vec::new()));
        }
        let options = OpenOptions {
            degraded: request.degraded,
            ..OpenOptions::default()
        };
        let wanted = request.backend.map(view::backend_kind);
        self.serve(members, options, wanted).await?;
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
            self.refuse_mapped(&name, &members)?;
            return Ok(change(
                request.dry_run,
                view::stopped(name.clone(), &members),
                vec!["it did not run".to_owned()],
            ));
        };
        let members = self.found(&name).await?;
        let backend = asker.info.facts.backend;
        match backend {
            BackendKind::Dm => refuse_in_use(&dm_device(&members)?)?,
            BackendKind::Ublk => refuse_in_use(&asker.info.link)?,
        }
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
        self.take_down(backend, members.clone()).await?;
        Ok(change(
            false,
            view::stopped(name.clone(), &members),
            Vec::new(),
        ))
    }

    /// Takes a volume's devices down. Serves it again if they cannot be.
    async fn take_down(&self, backend: BackendKind, members: Vec<Found>) -> Answer<()> {
        let again = members.clone();
        let config = self.config.clone();
        let down = tokio::task::spawn_blocking(move || {
            let _turn = crate::turn::take_within(&config, crate::turn::PATIENCE);
            match backend {
                BackendKind::Dm => remove_tables(&members),
                BackendKind::Ublk => stop_process(&config, &members),
            }
        });
        let down = down.await.map_err(|error| internal(&error))?;
        if down.is_err() {
            self.serve(again, OpenOptions::default(), None).await?;
        }
        down
    }

    /// Refuses a volume that this tierd does not serve, and that runs all the same: another tierd
    /// serves it, or none has been able to. It may be mounted.
    fn refuse_mapped(&self, name: &VolumeName, members: &[Found]) -> Answer<()> {
        let is_mapped = crate::volume::settle::is_running(members);
        let is_on_ublk = crate::serve::is_on_ublk(&self.config, name.as_str());
        if !is_on_ublk && !is_mapped.map_err(|error| to_body(&error))? {
            return Ok(());
        }
        let body = ErrorBody::new(
            ErrorKind::Busy,
            format!("volume {name} is mapped in the kernel, and this tierd does not serve it"),
        );
        Err(body.with_hint(format!(
            "stop the other tierd, if there is one; `tierctl volume start {name}` serves it, or says \
             why that cannot be"
        )))
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
        self.refuse_mapped(&name, &members)?;
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

/// Refuses to go on with a volume that runs on another backend than is asked for.
fn refuse_other(volume: &Volume, wanted: Option<Backend>) -> Answer<()> {
    let name = &volume.name;
    match wanted {
        Some(wanted) if wanted != volume.backend => Err(ErrorBody::new(
            ErrorKind::Busy,
            format!("volume {name} runs on {}", volume.backend),
        )
        .with_hint(format!(
            "only a stopped volume can change its backend: `tierctl volume stop {name}` comes first"
        ))),
        _ => Ok(()),
    }
}

fn dm_device(members: &[Found]) -> Answer<PathBuf> {
    let layout = layout(members).map_err(|error| to_body(&error))?;
    let backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    backend.device_path().map_err(|error| of_backend(&error))
}

/// Refuses while the volume is open: mounted, or held by another program.
fn refuse_in_use(device: &Path) -> Answer<()> {
    // Not for writing: udev looks into what was open for that when it is closed, and is then the
    // one that has the volume open.
    match BlockDevice::open(device, Access::ReadOnlyExclusive) {
        Ok(_) => Ok(()),
        Err(error) => Err(of_device(&error)
            .with_device(device.display().to_string())
            .with_hint(CLOSE_HINT)),
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

/// Removes the labels of members that nobody else has meanwhile.
fn wipe(members: &[Found]) -> Answer<()> {
    let is_on_ublk = |found: &Found| found.label.backend == BackendKind::Ublk;
    if members.iter().any(is_on_ublk) {
        return open_members(members)
            .map_err(|error| to_body(&error))
            .and_then(|disks| unlabel(&disks));
    }
    let layout = layout(members).map_err(|error| to_body(&error))?;
    let mut backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    backend
        .claim_members()
        .map_err(|error| of_backend(&error))?;
    let wiped = open_areas(&backend, members)
        .map_err(|error| to_body(&error))
        .and_then(|disks| unlabel(&disks));
    let released = backend
        .release_members()
        .map_err(|error| of_backend(&error));
    wiped.and(released)
}

fn unlabel(disks: &[Disk]) -> Answer<()> {
    tier_store::create::destroy(disks, &stop_point::store_steps())
        .map_err(|error| ErrorBody::new(ErrorKind::Io, super::error::chain(&error)))
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

fn remove_tables(members: &[Found]) -> Answer<()> {
    let layout = layout(members).map_err(|error| to_body(&error))?;
    let mut backend = DmBackend::new(layout).map_err(|error| of_backend(&error))?;
    deactivate_when_closed(&mut backend).map_err(|error| of_backend(&error))
}

/// Has the process that serves a volume end. What udev has open is tried again, as below.
fn stop_process(config: &Config, members: &[Found]) -> Answer<()> {
    let Some(first) = members.first() else {
        return Ok(());
    };
    let name = first.label.name.as_str();
    let paths: Vec<_> = members.iter().map(|found| found.path.clone()).collect();
    for _try in 0..CLOSING_TRIES {
        match crate::serve::stop(config, name, &paths) {
            Err(LaunchError::InUse(_)) => std::thread::sleep(CLOSING_PAUSE),
            other => return other.map_err(|error| of_launch(&error)),
        }
    }
    let stopped = crate::serve::stop(config, name, &paths);
    stopped.map_err(|error| of_launch(&error).with_hint(CLOSE_HINT))
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
