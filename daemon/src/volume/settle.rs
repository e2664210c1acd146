//! Settling: leaving nothing parked when no daemon runs (rule 12).
//!
//! Owns: the sequence for one volume. Each mirror becomes the leg that its record names; where that
//! leg is dead or incomplete and the other is whole, the whole one is committed and marked first.
//! Then the volume's table is folded, so that it is all linear. A volume that a daemon serves is
//! left alone.

use std::path::PathBuf;
use std::time::Duration;

use tier_core::command::Commit;
use tier_core::event::{AdoptedStage, Kept};
use tier_core::units::{Generation, MemberIndex, MoveId};
use tier_core::volume::{Extent, Legs, Retired};
use tier_store::store::{CommitError, MarkError, Store};
use tier_sys::block::{Access, BlockDevice, BlockError};

use super::assemble::{AssembleError, Assembled, layout};
use super::discover::Found;
use crate::backend::BackendError;
use crate::backend::dm::DmBackend;
use crate::backend::settle::{NeedsCommit, Settle};

/// What settling a volume did.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Moves that were ended, and on which leg.
    pub(crate) ended: Vec<(MoveId, Kept)>,
    /// Moves that could not be ended.
    pub(crate) failed: Vec<(MoveId, BackendError)>,
}

/// Why a volume could not be settled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettleError {
    /// It could not be opened.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The kernel's tables.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A whole leg had to be committed, and its member could not be flushed.
    #[error("move {id} needs its whole leg flushed before it is committed")]
    Flush {
        /// Which move.
        id: MoveId,
        /// Why it could not be.
        source: BlockError,
    },
    /// A whole leg had to be committed, and could not be.
    #[error("move {id} needs its whole leg committed before the other is dropped: {source}")]
    Commit {
        /// Which move.
        id: MoveId,
        /// Why it could not be.
        source: CommitError,
    },
    /// That commit could not be marked.
    #[error("move {id} needs its commit marked before a leg is dropped: {source}")]
    Mark {
        /// Which move.
        id: MoveId,
        /// Why it could not be.
        source: MarkError,
    },
}

/// Bounds on the holds, tried one after the other. A hold that waits for a busy disk keeps all I/O
/// waiting; but a mirror that is left behind would park writes for good once a leg fails, with no
/// daemon there to answer, so that settling becomes more patient than a daemon is.
const HOLD_LIMITS: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// Settles a volume.
pub(crate) fn settle(assembled: &mut Assembled) -> Result<Report, SettleError> {
    let mut ended = Vec::new();
    let mut outcome = Ok(Report::default());
    for limit in HOLD_LIMITS {
        assembled.backend.set_hold_limit(limit);
        outcome = settle_within(assembled, &mut ended);
        if !timed_out(&outcome) {
            break;
        }
        tracing::warn!(?limit, "a hold waited in vain for I/O in flight");
    }
    outcome.map(|report| Report { ended, ..report })
}

fn timed_out(outcome: &Result<Report, SettleError>) -> bool {
    match outcome {
        Ok(report) => report.failed.iter().any(|(_, error)| error.is_transient()),
        Err(SettleError::Backend(error)) => error.is_transient(),
        Err(_) => false,
    }
}

/// Settles what can be with the present bound on holds.
fn settle_within(
    assembled: &mut Assembled,
    ended: &mut Vec<(MoveId, Kept)>,
) -> Result<Report, SettleError> {
    let Assembled {
        backend,
        store,
        paths,
        ..
    } = assembled;
    end_moves(backend, store, paths, ended)
}

/// Ends every move: on the leg that the record names or, where that one is not whole and the other
/// is, on that one, which is committed before. Safe to repeat; what was ended is added.
pub(crate) fn end_moves(
    backend: &mut impl Settle,
    store: &mut Store,
    paths: &[(MemberIndex, PathBuf)],
    ended: &mut Vec<(MoveId, Kept)>,
) -> Result<Report, SettleError> {
    let mut report = Report::default();
    // A commit of the whole leg may be needed once for each move, and then settles it.
    loop {
        let settled = backend.settle(&store.state().extents)?;
        ended.extend(settled.dropped);
        report.failed = settled.failed;
        if settled.needs_commit.is_empty() {
            break;
        }
        for needed in &settled.needs_commit {
            commit_whole_leg(store, paths, needed)?;
        }
    }
    let linear: Vec<MoveId> = backend
        .read_back()?
        .moves
        .iter()
        .filter(|found| matches!(found.stage, AdoptedStage::Linear(_)))
        .map(|found| found.id)
        .collect();
    if !linear.is_empty() {
        backend.set_map(&linear)?;
    }
    Ok(report)
}

fn commit_whole_leg(
    store: &mut Store,
    paths: &[(MemberIndex, PathBuf)],
    needed: &NeedsCommit,
) -> Result<(), SettleError> {
    let NeedsCommit { found, keep, .. } = needed;
    let id = found.id;
    let (home, other) = match keep {
        Kept::Source => (found.source, found.target),
        Kept::Target => (found.target, found.source),
    };
    // What the kernel copied is durable only after a flush that succeeded (rule 3).
    if let Some((_, path)) = paths.iter().find(|(member, _)| *member == home.member) {
        BlockDevice::open(path, Access::ReadWrite)
            .and_then(|device| device.sync_data())
            .map_err(|source| SettleError::Flush { id, source })?;
    }
    let generation = store.generation().next();
    let commit = Commit {
        generation,
        set: vec![Extent {
            first: found.first,
            count: found.count,
            legs: Legs::from_iter([home]),
        }],
        retire: vec![Retired {
            leg: other,
            count: found.count,
            since: generation,
        }],
        free: retired_at(store, found.count, home),
    };
    store
        .commit(&commit)
        .map_err(|source| SettleError::Commit { id, source })?;
    mark(store, generation).map_err(|source| SettleError::Mark { id, source })
}

/// The record by which `home` was given up earlier, if it was: it is a home again.
fn retired_at(store: &Store, count: u32, home: tier_core::volume::Leg) -> Vec<Retired> {
    store
        .map()
        .retired()
        .filter(|retired| retired.leg == home && retired.count == count)
        .collect()
}

fn mark(store: &mut Store, generation: Generation) -> Result<(), MarkError> {
    store.mark_acted_on(generation).map(|_| ())
}

/// Whether the volume of these members has a device.
pub(crate) fn is_running(members: &[Found]) -> Result<bool, AssembleError> {
    match DmBackend::new(layout(members)?)?.device_number() {
        Ok(_) => Ok(true),
        Err(BackendError::NotRunning { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
