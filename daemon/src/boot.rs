//! `tierd activate` and `tierd settle`: bringing volumes up for the boot, and leaving nothing
//! parked after any exit. Neither decides anything, and neither needs the daemon.

use std::io;
use std::time::Duration;

use tier_store::label::LabelState;
use tier_store::open::OpenOptions;

use crate::cli::Activate;
use crate::config::Config;
use crate::exit::{ExitCode, Failure};
use crate::serve::{JoinError, LaunchError};
use crate::turn::{self, Turn};
use crate::volume::assemble::{AssembleError, assemble};
use crate::volume::bring_up::{Up, bring_up};
use crate::volume::claimed::{Claimed, scan_claimed};
use crate::volume::discover::{Found, Scan, scan};
use crate::volume::settle;

/// Brings volumes up, without counting or moving.
pub fn activate(config: &Config, what: &Activate) -> Result<ExitCode, Failure> {
    crate::run::harden()?;
    let _turn = turn::take(config)?;
    let found = look(config)?;
    let mut worst = None;
    for name in &what.names {
        if found.volume(name).is_none() {
            let error = AssembleError::NotFound(name.clone());
            worst = Some(tell(name, Failure::new(ExitCode::NotFound, error)));
        }
    }
    let mut up = 0_u32;
    for ((name, _), members) in &found.volumes {
        let wanted = what.names.is_empty() || what.names.contains(name);
        let by_itself = what.ready_only && what.names.is_empty();
        if !wanted
            || (what.ready_only && !is_ready(members))
            || (by_itself && turn::is_stopped(config, name))
        {
            continue;
        }
        let options = OpenOptions::default();
        match bring_up(config, members, &options, None) {
            Ok(Up::Dm(assembled)) => {
                up += 1;
                let device = assembled.activated.link.display().to_string();
                tracing::info!(volume = name, device, how = ?assembled.activated.how, "volume is up");
            }
            Ok(Up::Ublk(_, opened)) => {
                up += 1;
                tracing::info!(volume = name, device = %opened.link.display(), "volume is up");
            }
            // Who has it has brought it up.
            Err(
                AssembleError::Held { .. }
                | AssembleError::Launch(LaunchError::Join(JoinError::Busy)),
            ) => up += 1,
            Err(error) => worst = Some(tell(name, failure(error))),
        }
    }
    Ok(outcome(up, worst))
}

/// Leaves nothing parked.
pub fn settle(config: &Config) -> Result<ExitCode, Failure> {
    crate::run::harden()?;
    settle_within(config, turn::PATIENCE, scan_claimed)
}

/// Settles what `running` finds, in turn or, where another does not end its turn for so long, out of
/// turn: whoever hangs on one disk is not to keep parked what lies on others. The members' claims
/// keep this from what another holds.
fn settle_within(
    config: &Config,
    patience: Duration,
    running: impl FnOnce() -> io::Result<Vec<Claimed>>,
) -> Result<ExitCode, Failure> {
    let turn = turn::take_within(config, patience);
    let mut worst = None;
    let mut settled = 0_u32;
    for volume in running()? {
        match settle_one(&volume, turn.as_ref()) {
            Ok(()) => settled += 1,
            Err(failure) => worst = Some(tell(&volume.name, failure)),
        }
    }
    Ok(outcome(settled, worst))
}

fn settle_one(volume: &Claimed, turn: Option<&Turn>) -> Result<(), Failure> {
    let Claimed {
        name,
        members,
        unreadable,
    } = volume;
    if !settle::is_running(members).map_err(failure)? {
        return Ok(());
    }
    let options = OpenOptions {
        unreadable: unreadable.clone(),
        ..OpenOptions::default()
    };
    let mut assembled = match assemble(members, &options) {
        Ok(assembled) => assembled,
        // A daemon serves it; it settles its moves itself. Out of turn it may be another, who will
        // not: then nothing can be done here, and it is said.
        Err(AssembleError::Held { .. }) => {
            if turn.is_none() {
                tracing::warn!(volume = name, "not settled: another process holds it");
            }
            return Ok(());
        }
        Err(error) => return Err(failure(error)),
    };
    let report = settle::settle(&mut assembled)
        .map_err(|error| Failure::new(ExitCode::DeviceFailed, error))?;
    for (id, kept) in &report.ended {
        tracing::info!(volume = name, id = id.0, ?kept, "a move was ended");
    }
    match report.failed.into_iter().next() {
        None => Ok(()),
        Some((id, error)) => Err(Failure::new(
            ExitCode::DeviceFailed,
            format!("move {id} could not be ended: {error}"),
        )),
    }
}

fn look(config: &Config) -> Result<Scan, Failure> {
    let found = scan(&config.daemon.scan)?;
    for error in &found.unusable {
        tracing::warn!(%error, "a label cannot be used");
    }
    Ok(found)
}

/// Whether all members are here, and the volume's creation has come to its end.
fn is_ready(members: &[Found]) -> bool {
    let all = |found: &Found| members.len() >= usize::from(found.label.member_count);
    members.first().is_some_and(all)
        && members
            .iter()
            .any(|found| found.label.state == LabelState::Whole)
}

fn tell(volume: &str, failure: Failure) -> Failure {
    tracing::error!(volume, error = failure.message(), "volume failed");
    failure
}

fn outcome(done: u32, worst: Option<Failure>) -> ExitCode {
    match worst {
        None => ExitCode::Done,
        Some(_) if done > 0 => ExitCode::Partial,
        Some(failure) => failure.code(),
    }
}

/// With which code a failed start ends.
pub(crate) fn failure(error: AssembleError) -> Failure {
    use tier_store::refusal::OpenError;
    let code = match &error {
        AssembleError::NotFound(_) => ExitCode::NotFound,
        AssembleError::Held { .. }
        | AssembleError::OnUblk { .. }
        | AssembleError::PerhapsOnUblk { .. } => ExitCode::InUse,
        AssembleError::Backend(crate::backend::BackendError::Unavailable { .. }) => {
            ExitCode::KernelFeature
        }
        AssembleError::Store(
            OpenError::ActedOn { .. }
            | OpenError::Split { .. }
            | OpenError::Behind { .. }
            | OpenError::Missing { .. },
        ) => ExitCode::MetadataRefused,
        AssembleError::Store(OpenError::Size { .. } | OpenError::BlockSize { .. }) => {
            ExitCode::DeviceFailed
        }
        AssembleError::Store(_) | AssembleError::Name(_) => ExitCode::MetadataUnreadable,
        AssembleError::Launch(LaunchError::Said { code, .. }) => *code,
        AssembleError::Launch(LaunchError::Join(JoinError::Busy) | LaunchError::InUse(_)) => {
            ExitCode::InUse
        }
        AssembleError::Mark(_)
        | AssembleError::Record(_)
        | AssembleError::Launch(_)
        | AssembleError::Device(_)
        | AssembleError::Backend(_)
        | AssembleError::Twice { .. } => ExitCode::DeviceFailed,
    };
    Failure::new(code, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_ends_its_turn_does_not_keep_others_from_being_settled() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.daemon.socket = folder.path().join("run/tierd.sock");
        let _hangs = turn::take(&config).unwrap();
        let mut looked = false;
        let settled = settle_within(&config, Duration::from_millis(50), || {
            looked = true;
            Ok(Vec::new())
        });
        assert!(looked && matches!(settled, Ok(ExitCode::Done)));
    }
}
