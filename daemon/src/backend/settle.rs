//! Owns: leaving nothing parked (rule 12).
//!
//! After any exit, each mirror becomes the leg that its record names, so that no write waits for a
//! daemon that may not come back. Where that leg is dead or incomplete and the other one is whole,
//! the other one must be committed first: that is the caller's, who has the records.

use tier_core::command::DropLeg;
use tier_core::event::{AdoptedMove, AdoptedStage, Kept, MirrorState};
use tier_core::units::MoveId;
use tier_core::volume::{Extent, Leg};

use super::{Backend, BackendError, DropOutcome};

/// A move whose recorded home is not the leg to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeedsCommit {
    /// The move, with its run and its legs.
    pub found: FoundMove,
    /// The leg to commit as the home before settling again.
    pub keep: Kept,
    /// How the mirror stands.
    pub state: MirrorState,
}

/// Which run a move is about, and between which legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundMove {
    /// The move.
    pub id: MoveId,
    /// Its first region in the volume.
    pub first: tier_core::units::VolumeRegion,
    /// How many regions it has.
    pub count: u32,
    /// The leg that is read while it copies.
    pub source: Leg,
    /// The leg that is copied to.
    pub target: Leg,
}

/// What settling did.
#[derive(Debug, Default)]
pub struct Settled {
    /// Moves that are linear now, on the leg that is named.
    pub dropped: Vec<(MoveId, Kept)>,
    /// Moves left as they are: commit that leg as the home, then settle again.
    pub needs_commit: Vec<NeedsCommit>,
    /// Moves that could not be settled, and why.
    pub failed: Vec<(MoveId, BackendError)>,
}

/// What is to become of a mirror.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    Keep(Kept),
    CommitFirst(Kept),
}

/// A backend whose moves can be ended without the engine.
pub trait Settle: Backend + Sized {
    /// Turns each mirror into the leg that `record` names as its run's home. A volume that does not
    /// run is settled.
    fn settle(&mut self, record: &[Extent]) -> Result<Settled, BackendError> {
        settle(self, record)
    }
}

/// What [`Settle::settle`] does on every backend.
pub(super) fn settle(
    backend: &mut impl Backend,
    record: &[Extent],
) -> Result<Settled, BackendError> {
    let map = match backend.read_back() {
        Err(BackendError::NotRunning { .. }) => return Ok(Settled::default()),
        other => other?,
    };
    let mut settled = Settled::default();
    for found in map.moves {
        let AdoptedStage::Mirror(state) = found.stage else {
            continue;
        };
        match settle_one(backend, record, &found, state) {
            Ok(Ok(keep)) => settled.dropped.push((found.id, keep)),
            Ok(Err(needs_commit)) => settled.needs_commit.push(needs_commit),
            Err(error) => settled.failed.push((found.id, error)),
        }
    }
    Ok(settled)
}

/// Gives the leg that was kept, or what is to be committed first.
fn settle_one(
    backend: &mut impl Backend,
    record: &[Extent],
    found: &AdoptedMove,
    state: MirrorState,
) -> Result<Result<Kept, NeedsCommit>, BackendError> {
    let keep = match choice(record, found, state)? {
        Choice::CommitFirst(keep) => return Ok(Err(needs_commit(found, keep, state))),
        Choice::Keep(keep) => keep,
    };
    let drop = DropLeg {
        id: found.id,
        keep,
        leg: match keep {
            Kept::Source => found.source,
            Kept::Target => found.target,
        },
        require_complete: false,
    };
    match backend.drop_leg(drop)? {
        DropOutcome::Dropped(_) => Ok(Ok(keep)),
        // Only now is it known which leg has everything.
        DropOutcome::Refused(state) => match choice(record, found, state)? {
            Choice::CommitFirst(keep) => Ok(Err(needs_commit(found, keep, state))),
            Choice::Keep(_) => Err(BackendError::UnhealthyMove {
                id: found.id,
                state,
            }),
        },
    }
}

fn choice(
    record: &[Extent],
    found: &AdoptedMove,
    state: MirrorState,
) -> Result<Choice, BackendError> {
    let recorded = recorded_home(record, found);
    let home = match recorded {
        Some(leg) if leg == found.source => Kept::Source,
        Some(leg) if leg == found.target => Kept::Target,
        _ => {
            return Err(BackendError::Mismatch {
                device: format!("move {}", found.id),
                sector: 0,
                found: format!("a mirror of {:?} and {:?}", found.source, found.target),
                wanted: format!("{recorded:?}"),
            });
        }
    };
    Ok(choose(home, state))
}

fn needs_commit(found: &AdoptedMove, keep: Kept, state: MirrorState) -> NeedsCommit {
    let found = FoundMove {
        id: found.id,
        first: found.first,
        count: found.count,
        source: found.source,
        target: found.target,
    };
    NeedsCommit { found, keep, state }
}

/// Where the records have all of a move's run, if they have it in one piece.
fn recorded_home(record: &[Extent], found: &AdoptedMove) -> Option<Leg> {
    let end = found.first.0.checked_add(found.count)?;
    let mut home = None;
    for extent in record {
        let (first, last) = (extent.first.0.max(found.first.0), extent.end().0.min(end));
        if first >= last {
            continue;
        }
        let here = extent.home()?.plus(first - extent.first.0);
        let begin = *home.get_or_insert(here);
        // Later extents must go on where the earlier ones ended.
        if begin.plus(first - found.first.0) != here {
            return None;
        }
    }
    home
}

/// A leg that is dead is left for the other one only if that one is whole; where neither is, the
/// record stands: nobody knows more.
///
/// A source on which a write failed is behind the target in that one chunk, which the count of
/// chunks in sync no longer has. So a target that was complete before does not count as whole
/// here, unless its record says so: from the status alone it looks like one that never was.
///
/// Where a leg failed and the kernel forgot which, the record stands too: who drops the other leg
/// compares them first.
const fn choose(home: Kept, state: MirrorState) -> Choice {
    let all_in_sync = state.in_sync_chunks == state.total_chunks;
    match home {
        Kept::Source if !state.source_alive && state.target_alive && all_in_sync => {
            Choice::CommitFirst(Kept::Target)
        }
        Kept::Target if state.source_alive && !(state.target_alive && all_in_sync) => {
            Choice::CommitFirst(Kept::Source)
        }
        home => Choice::Keep(home),
    }
}

#[cfg(test)]
mod tests {
    use tier_core::units::{MemberIndex, MemberRegion, VolumeRegion};
    use tier_core::volume::Legs;

    use super::*;

    fn state(in_sync: u64, source_alive: bool, target_alive: bool) -> MirrorState {
        MirrorState {
            in_sync_chunks: in_sync,
            total_chunks: 8,
            source_alive,
            target_alive,
            fault: None,
            trial: None,
        }
    }

    #[test]
    fn the_recorded_home_is_kept_while_it_is_good_or_nothing_is_better() {
        for (home, state) in [
            (Kept::Source, state(3, true, true)),
            (Kept::Source, state(8, true, true)),
            (Kept::Source, state(8, true, false)),
            (Kept::Source, state(7, false, true)),
            (Kept::Source, state(8, false, false)),
            (Kept::Target, state(8, true, true)),
            (Kept::Target, state(8, false, true)),
            (Kept::Target, state(7, false, true)),
            (Kept::Target, state(7, false, false)),
        ] {
            assert_eq!(
                choose(home, state),
                Choice::Keep(home),
                "{home:?} {state:?}"
            );
        }
    }

    #[test]
    fn a_whole_leg_is_committed_before_a_dead_or_incomplete_home_is_dropped() {
        let commit = Choice::CommitFirst;
        assert_eq!(
            choose(Kept::Source, state(8, false, true)),
            commit(Kept::Target)
        );
        assert_eq!(
            choose(Kept::Target, state(8, true, false)),
            commit(Kept::Source)
        );
        assert_eq!(
            choose(Kept::Target, state(7, true, true)),
            commit(Kept::Source)
        );
    }

    #[test]
    fn the_recorded_home_is_found_through_extents_of_any_cut() {
        let leg = |first| Leg {
            member: MemberIndex(0),
            first: MemberRegion(first),
        };
        let extent = |first, count, home| Extent {
            first: VolumeRegion(first),
            count,
            legs: Legs::from_iter([leg(home)]),
        };
        let found = AdoptedMove {
            id: MoveId(1),
            first: VolumeRegion(4),
            count: 4,
            source: leg(14),
            target: leg(40),
            stage: AdoptedStage::Linear(leg(14)),
        };
        assert_eq!(recorded_home(&[extent(0, 16, 10)], &found), Some(leg(14)));
        let cut = [extent(0, 6, 10), extent(6, 10, 16)];
        assert_eq!(recorded_home(&cut, &found), Some(leg(14)));
        let torn = [extent(0, 6, 10), extent(6, 10, 50)];
        assert_eq!(recorded_home(&torn, &found), None);
        assert_eq!(recorded_home(&[extent(0, 4, 10)], &found), None);
    }
}
