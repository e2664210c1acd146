//! A run that has two legs for a while.
//!
//! Owns: [`Moving`]: its legs, its chunks, its pace, and what its legs failed at. Invariant: a fault, once seen,
//! is never taken back; somebody else decides what becomes of the leg.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use tier_core::event::{LegFault, MirrorState};
use tier_core::policy::TrialPolicy;
use tier_core::units::MoveId;

use crate::chunks::{Chunks, Proof};
use crate::map::Place;
use crate::trial::Trial;

/// One of the two legs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where the data were.
    Source,
    /// Where the copy goes.
    Target,
}

/// A leg's first fault.
#[derive(Debug, Default)]
struct Fault(AtomicU8);

const FAULTS: [LegFault; 4] = [
    LegFault::Write,
    LegFault::Copy,
    LegFault::Read,
    LegFault::Flush,
];

impl Fault {
    fn set(&self, fault: LegFault) {
        let at = FAULTS.iter().position(|one| *one == fault);
        let code = at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(1);
        // The first is kept.
        let _ = self
            .0
            .compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
    }

    fn get(&self) -> Option<LegFault> {
        let code = usize::from(self.0.load(Ordering::SeqCst));
        FAULTS.get(code.checked_sub(1)?).copied()
    }
}

/// A move, from when its second leg is added until it is dropped.
#[derive(Debug)]
pub struct Moving {
    /// Its number.
    pub id: MoveId,
    /// Where it begins in the volume, in bytes, and where it ends.
    pub bytes: Range<u64>,
    /// Where the data were.
    pub source: Place,
    /// Where the copy goes.
    pub target: Place,
    /// What is copied.
    pub chunks: Chunks,
    /// How the target is tried once all is copied.
    pub trial: Trial,
    bytes_per_second: AtomicU64,
    source_fault: Fault,
    target_fault: Fault,
    is_stopped: AtomicBool,
}

impl Moving {
    /// A move that has just begun: nothing is copied. Its target is not tried.
    #[must_use]
    pub fn new(id: MoveId, bytes: Range<u64>, source: Place, target: Place) -> Self {
        Self {
            id,
            chunks: Chunks::new(bytes.end - bytes.start),
            bytes,
            source,
            target,
            trial: Trial::default(),
            bytes_per_second: AtomicU64::new(0),
            source_fault: Fault::default(),
            target_fault: Fault::default(),
            is_stopped: AtomicBool::new(false),
        }
    }

    /// The same, copied and tried by this policy, if there is one. Only if it promises to be faster
    /// may the target fail by being slower.
    #[must_use]
    pub fn tried(mut self, policy: Option<TrialPolicy>, promises_faster: bool) -> Self {
        let pace = policy.map_or(0, |policy| policy.copy_bytes_per_second);
        self.trial = Trial::new(policy, promises_faster);
        self.bytes_per_second = AtomicU64::new(pace);
        self
    }

    /// From now on, so many bytes are copied in a second at most; 0: as many as can be.
    pub fn set_pace(&self, bytes_per_second: u64) {
        self.bytes_per_second
            .store(bytes_per_second, Ordering::SeqCst);
    }

    /// How many bytes are copied in a second at most; 0: as many as can be.
    #[must_use]
    pub fn pace(&self) -> u64 {
        self.bytes_per_second.load(Ordering::SeqCst)
    }

    /// One of its legs.
    #[must_use]
    pub const fn leg(&self, side: Side) -> Place {
        match side {
            Side::Source => self.source,
            Side::Target => self.target,
        }
    }

    const fn fault(&self, side: Side) -> &Fault {
        match side {
            Side::Source => &self.source_fault,
            Side::Target => &self.target_fault,
        }
    }

    /// A leg failed at something.
    pub fn failed(&self, side: Side, at: LegFault) {
        self.fault(side).set(at);
    }

    /// Whether a leg has shown no fault. One that failed its trial may not have.
    #[must_use]
    pub fn is_alive(&self, side: Side) -> bool {
        self.fault(side).get().is_none()
    }

    /// Whether both have shown none, so that writes can be acknowledged.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.is_alive(Side::Source) && self.is_alive(Side::Target)
    }

    /// Whether both are to be asked. One that leaves requests unanswered would only get more of them.
    #[must_use]
    pub fn may_be_written(&self) -> bool {
        self.is_well() && !self.trial.hangs()
    }

    /// Copies nothing more.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
    }

    /// Whether nothing more is to be copied.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Whether the target may be read where it is in sync: it has failed at nothing, and never held
    /// anything else than the source. One that is merely slow may be, if there is no other.
    #[must_use]
    pub fn may_read_target(&self) -> bool {
        let differs = matches!(self.trial.verdict(), Some(LegFault::Differs { .. }));
        self.is_alive(Side::Target) && !differs
    }

    /// What says that these bytes, from the move's beginning on, may be read from the target alone.
    #[must_use]
    pub(crate) fn proof(&self, bytes: &Range<u64>) -> Option<Proof> {
        if self.trial.reads_back() {
            self.chunks.proof(bytes)
        } else {
            Some(Proof::NOT_ASKED)
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> MirrorState {
        let (source, target) = (self.source_fault.get(), self.target_fault.get());
        let target = target.or_else(|| self.trial.verdict());
        MirrorState {
            in_sync_chunks: self.chunks.in_sync(),
            total_chunks: self.chunks.count(),
            source_alive: source.is_none(),
            target_alive: target.is_none(),
            fault: source.or(target),
            trial: self.trial.step(),
        }
    }
}
