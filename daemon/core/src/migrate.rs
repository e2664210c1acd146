//! How a move goes, whatever fails: the protocol between the durable record and the kernel.
//!
//! Owns: [`Migrate`], which holds the engine's copy of the durable record (map, retired homes,
//! generations, free space) and every live move. May not: choose what moves (that is the policy's
//! and people's), or believe anything but an answer: a fact changes only when an event tells it.
//!
//! # The protocol
//!
//! An extent's durable states are `{source}` and `{target}`; nothing durable says "copying".
//! "The home" is the leg that the newest durable generation names.
//!
//!  1. **Add** (`AddLegs`, one hold of the volume for a batch, then one of each extent alone). The
//!     extent stands behind a mirror of source and target; the target's regions are reserved in
//!     memory alone. What copies at a time on one hard disk is bounded: see the module `heads`.
//!  2. **Copy.** The kernel copies; a write is acknowledged when both legs have it. A write that a
//!     leg refuses is *parked*: not acknowledged, and not lost.
//!     Where the backend can, it then tries the target with a part of the requests, still mirrored,
//!     and reports one that answers wrongly or too slowly as failed (rule a).
//!  3. **Flush** (`FlushTargets`) once every chunk is in sync, the target has passed its trial and
//!     both legs are alive: what the
//!     kernel copied is durable on the target only after this. A flush is never tried twice: the
//!     kernel may have forgotten the failed pages, and a second flush would succeed over them.
//!  4. **Commit** (`Commit`): the target becomes the home, the source is *retired*. At most one
//!     commit or mark is under way; a commit takes along every move that is ready, and frees
//!     every retired home that may be freed.
//!  5. **Mark** (`MarkActedOn`) the newest generation, before the swap, so that no start can fall
//!     back past a swap.
//!  6. **Drop** (`DropLeg`): the mirror becomes linear on the home. With both legs alive, only if
//!     it is complete in the hold.
//!  7. **Fold** (`SetMap`): the extent leaves the mirror's device, the device is removed, and the
//!     kernel's table is read back. The move is over.
//!  8. **Free**: a later commit frees the retired home; only when that is durable may the
//!     allocator give it out again.
//!
//! The rules that hold at every step: never drop to a leg that the record does not name; never
//! drop to a leg whose generation is not marked (if it was committed during the move); never
//! commit a target that was not flushed after it was complete.
//!
//! # When something fails
//!
//! A leg that fails is answered in the step that tells of it, as far as the record allows, for
//! writes are parked until then. *Back* means: drop to the source and fold.
//!
//!  - **a. Target fails before the commit** (in the copy or in the flush): back. Its range is set
//!    aside, the extent rests for a while.
//!  - **b. Source fails before the copy was ever complete**: back; the record still names the
//!    source. What is unreadable there was lost by the device; the good blocks can be read again.
//!  - **c. Source fails after the copy was complete**: forward. Every acknowledged write is on the
//!    target, for one that the source refused is parked. Flush, commit, mark, drop without the
//!    check of completeness, which a dead source can never pass.
//!  - **d. A commit is under way when a leg fails**: its answer decides, as the record's content is
//!    not known before it.
//!  - **e. Target fails after the commit** (or the drop is refused because it is not in sync): the
//!    mirror still holds everything on the source. Commit the source as home again (the target is
//!    retired, the source leaves the retired list), mark, drop to the source.
//!  - **f. Both legs fail**: the leg that the record names; errors come from the device itself.
//!  - **g. A commit fails and may be tried again**: after a pause; the mirror loses nothing
//!    meanwhile. After [`COMMIT_ATTEMPTS_MAX`] failures, uncommitted moves go back.
//!  - **h. No replica is left**: moves whose home is the source go back, finished commits are
//!    marked and dropped. Moves whose commit was under way stay mirrored: the failed replica may
//!    show that commit at the next start or may not, and both legs are right only while both are
//!    written. The same holds for a committed target that fails when no commit can be made.
//!  - **i. Marking, dropping or folding fails**: tried again after a pause; each leaves what was.
//!    **Adding fails**: the move is over; where only its own copy could not begin, its device is
//!    linear on the source and is folded.
//!  - **k. A person cancels**: back, unless the commit is under way or done.
//!
//! # What a start finds (recovery; the daemon died, the kernel's tables live)
//!
//!  - **A. A mirror whose source is home**: goes on from 2 if it is still copying. If it is
//!    complete, it goes back: the daemon that died may have seen its flush fail, and a second one
//!    would not tell (step 3). The simulation found this one.
//!  - **B. A mirror whose source is home, with its target retired**: died in e; back, after a mark.
//!  - **C. A mirror whose target is home, its source retired**: goes on from 5. It was complete
//!    when it was committed.
//!  - **D. A linear device on the home**: goes on from 7.
//!  - **E. A retired home with no move beside it**: freed by the next commit, once no adopted move
//!    is left.
//!  - **F. Anything else** (a linear device on a leg that the record does not name, a target that
//!    is in use): a rule was broken before; it is left as it is, people are told, and nothing is
//!    begun.
//!
//! After a power cut no mirror lives, and E alone applies.

mod adopt;
mod answers;
mod begin;
mod drive;
mod heads;
mod ledger;
mod moving;
mod place;

use std::collections::BTreeMap;

use crate::alloc::Alloc;
use crate::command::{Command, Stage};
use crate::event::Kept;
use crate::map::Map;
use crate::policy::TrialPolicy;
use crate::units::{Generation, MemberIndex, MoveId, Now, RegionSize, VolumeRegion};
use crate::volume::{Class, Member};

pub(crate) use ledger::{Former, Gate};
pub(crate) use moving::{Device, Move, Waits};

/// Commits that may fail in a row before uncommitted moves are wound back.
const COMMIT_ATTEMPTS_MAX: u32 = 5;

/// Bounds on moves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Limits {
    /// Mirrors at a time.
    pub(crate) mirrors: u32,
    /// Bytes per move.
    pub(crate) bytes_per_move: u64,
    /// Pause before a failed command is given again, in nanoseconds.
    pub(crate) retry_nanos: u64,
    /// How long a range that failed as a target is not chosen, in nanoseconds.
    pub(crate) failed_range_nanos: u64,
    /// How long the policy leaves an extent alone whose move failed, in nanoseconds.
    pub(crate) rest_nanos: u64,
    /// How targets are tried.
    pub(crate) trial: TrialPolicy,
}

/// What the store is doing.
#[derive(Clone, Debug)]
enum StoreWork {
    Commit(ledger::UnderWay),
    Mark(Generation),
}

/// How a move ended, for the policy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ended {
    pub(crate) first: VolumeRegion,
    pub(crate) count: u32,
    pub(crate) from: Class,
    pub(crate) to: Class,
    pub(crate) stage: Stage,
    /// Whether the policy promoted it.
    pub(crate) promoted: bool,
    /// When it began.
    pub(crate) since: Now,
}

/// An extent whose move failed, which the policy leaves alone for a while.
#[derive(Clone, Copy, Debug)]
struct Rest {
    first: u32,
    count: u32,
    until: Now,
}

/// The durable record as the engine knows it, and all moves.
#[derive(Clone, Debug)]
pub(crate) struct Migrate {
    pub(crate) limits: Limits,
    pub(crate) members: Vec<Member>,
    pub(crate) region_size: RegionSize,
    pub(crate) map: Map,
    pub(crate) alloc: Alloc,
    /// Former homes that no commit has freed.
    pub(crate) retired: Vec<Former>,
    /// The newest durable generation.
    pub(crate) generation: Generation,
    /// The newest generation known to be marked as acted on.
    pub(crate) marked: Generation,
    /// Moves of which the kernel has, or may have, a device.
    pub(crate) live: BTreeMap<MoveId, Move>,
    /// Moves that wait for their turn, with their target reserved.
    pub(crate) pending: BTreeMap<MoveId, Move>,
    /// Ranges of all moves, by first region: (region after the last, move).
    claims: BTreeMap<u32, (u32, MoveId)>,
    next_id: u64,
    store: Option<StoreWork>,
    store_retry_at: Now,
    commit_failures: u32,
    fold_retry_at: Now,
    /// When former homes are freed by a commit of their own, if some wait.
    frees_due: Option<Now>,
    /// Whether the policy has a move for which there is no room.
    pub(crate) waits_for_room: bool,
    /// Whether a metadata replica is left.
    pub(crate) can_commit: bool,
    /// Why nothing more is begun, if so.
    pub(crate) latched: Option<String>,
    rests: Vec<Rest>,
    /// Moves that ended in this step.
    pub(crate) ended: Vec<Ended>,
    /// Commands of this step.
    pub(crate) out: Vec<Command>,
    #[cfg(any(test, feature = "canary"))]
    pub(crate) mutation: Option<Mutation>,
}

#[cfg(all(feature = "canary", not(debug_assertions)))]
compile_error!("the feature `canary` builds mistakes that lose data; it is for tests alone");

/// A rule that a canary breaks, to show that the simulation, or a suite on the real kernel, would
/// see it.
#[cfg(any(test, feature = "canary"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Drops to the target as soon as it is complete.
    SwapBeforeCommit,
    /// Commits a target that was not flushed.
    CommitBeforeFlush,
    /// Frees a former home in the commit after its own, before the swap was seen.
    FreeTooEarly,
    /// Drops to the target without a mark.
    SkipMark,
    /// Flushes again after a flush failed, and believes it.
    FlushTwice,
    /// Drops to the source after the commit without committing it back.
    BackWithoutCommit,
    /// Goes forward with a dead source although the copy was never complete.
    ForwardIncomplete,
    /// Does not answer a dead target.
    IgnoreDeadLeg,
}

impl Migrate {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            members: Vec::new(),
            region_size: RegionSize::MIN,
            map: Map::default(),
            alloc: Alloc::default(),
            retired: Vec::new(),
            generation: Generation(0),
            marked: Generation(0),
            live: BTreeMap::new(),
            pending: BTreeMap::new(),
            claims: BTreeMap::new(),
            next_id: 1,
            store: None,
            store_retry_at: Now(0),
            commit_failures: 0,
            fold_retry_at: Now(0),
            frees_due: None,
            waits_for_room: false,
            can_commit: true,
            latched: None,
            rests: Vec::new(),
            ended: Vec::new(),
            out: Vec::new(),
            #[cfg(any(test, feature = "canary"))]
            mutation: None,
        }
    }

    /// Most regions that one move takes along.
    pub(crate) fn regions_per_move(&self) -> u32 {
        let regions = self.limits.bytes_per_move >> self.region_size.shift();
        u32::try_from(regions).unwrap_or(u32::MAX).max(1)
    }

    pub(crate) fn class_of(&self, member: MemberIndex) -> Option<Class> {
        self.member(member).map(|member| member.class)
    }

    pub(crate) fn member(&self, index: MemberIndex) -> Option<&Member> {
        self.members.iter().find(|member| member.index == index)
    }

    /// The move that has one of these regions, if one does, and the first region it has of them.
    pub(crate) fn mover_of(
        &self,
        first: VolumeRegion,
        count: u32,
    ) -> Option<(VolumeRegion, MoveId)> {
        let end = first.0.saturating_add(count);
        let (&at, &(_, id)) = self
            .claims
            .range(..end)
            .next_back()
            .filter(|&(_, &(claimed_end, _))| claimed_end > first.0)?;
        Some((VolumeRegion(at.max(first.0)), id))
    }

    /// Whether the policy should leave one of these regions alone, as its move failed lately.
    pub(crate) fn rests(&self, first: VolumeRegion, count: u32) -> bool {
        let end = first.0.saturating_add(count);
        self.rests
            .iter()
            .any(|rest| rest.first < end && first.0 < rest.first + rest.count)
    }

    /// Mirrors that exist or are being made.
    pub(crate) fn mirrors(&self) -> u32 {
        let mirrors = self
            .live
            .values()
            .filter(|one| !matches!(one.device, Device::Linear(_)));
        u32::try_from(mirrors.count()).unwrap_or(u32::MAX)
    }

    /// Whether new moves may begin at all.
    pub(crate) fn may_begin(&self) -> bool {
        self.can_commit && self.latched.is_none()
    }

    /// Refuses to begin anything more, and winds back what is not committed.
    pub(crate) fn latch(&mut self, why: String) {
        self.out.push(Command::Warn(format!(
            "{why}; nothing more is moved until the daemon is started again and `tierctl check` \
             finds nothing"
        )));
        if self.latched.is_none() {
            self.wind_back("an invariant was found violated");
            self.latched = Some(why);
        }
    }

    /// Takes back every move whose home is its source and whose commit is not under way, and
    /// forgets those that wait.
    fn wind_back(&mut self, why: &str) {
        for one in self.live.values_mut() {
            if one.home == Kept::Source && !matches!(one.waits, Waits::Commit) {
                one.fail(why);
            }
        }
        let waiting: Vec<MoveId> = self.pending.keys().copied().collect();
        for id in waiting {
            self.forget_pending(id, Stage::Failed, Some(why));
        }
    }

    #[cfg(any(test, feature = "canary"))]
    fn breaks(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }
}

#[cfg(test)]
mod tests;
