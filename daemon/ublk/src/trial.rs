//! A target that is tried while both legs are written: what requests ask of it, and tell of it.
//! Before any request goes to it, and once more when all have, it is read back ([`crate::copy`]).
//!
//! Owns: [`Trial`]: the step that goes on, which requests it takes, what was measured and the verdict.
//! Invariants: nothing here waits, locks or allocates, for it is on the way of requests; a verdict,
//! once given, is never taken back; who has passed is judged by content alone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tier_core::event::{LegFault, Trial as Step};
use tier_core::policy::TrialPolicy;
use tier_core::units::{Bytes, Micros};

use crate::in_flight::InFlight;
use crate::latency::{Latencies, is_by_chance, is_too_slow};
use crate::ramp::{Next, Ramp, Seen, is_chosen, rank};

/// The word that tells where it stands: percent of reads, of writes above them, of what is read back
/// above those, and at the top:
const WRITES_SHIFT: u32 = 8;
const READ_BACK_SHIFT: u32 = 16;
const PHASE_SHIFT: u32 = 24;
const PERCENT: u32 = 0xff;
/// Percent of reads and of writes.
const REQUESTS: u32 = 0xffff;
const AHEAD: u32 = 0;
const READS_BACK: u32 = 1;
const READS: u32 = 2;
const WRITES: u32 = 3;
const PASSED: u32 = 4;

/// A trial, from the beginning of its move on.
#[derive(Debug, Default)]
pub struct Trial {
    policy: Option<TrialPolicy>,
    /// Whether it may be too slow.
    is_judged: bool,
    word: AtomicU32,
    reads: Tried,
    writes: Tried,
    verdict: OnceLock<LegFault>,
}

/// Requests of one kind.
#[derive(Debug, Default)]
struct Tried {
    came: AtomicU64,
    /// Requests since the step began: by their numbers they are chosen.
    numbers: AtomicU64,
    begun: AtomicU64,
    done: AtomicU64,
    source: Latencies,
    target: Latencies,
    /// Of those measured, how many took too long on the target, each beside itself on the source.
    slower: AtomicU64,
}

/// How a read is made.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// As if there were no trial.
    Source,
    /// On the target.
    Target(Turn<'a>),
    /// On both, which are compared.
    Both(Turn<'a>),
}

/// A request by which a target is tried, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    tried: &'a Tried,
    policy: Option<&'a TrialPolicy>,
    /// How many came before it that were chosen as it was.
    number: u64,
}

/// When a request to a leg began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Began(Instant);

impl Began {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }

    /// Microseconds since then.
    pub(crate) fn micros(self) -> u64 {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Tried {
    fn seen(&self) -> Seen {
        // In this order, so that no more seem done than begun, nor more begun than came.
        let done = self.done.load(Ordering::SeqCst);
        let begun = self.begun.load(Ordering::SeqCst);
        let came = self.came.load(Ordering::SeqCst);
        Seen { came, begun, done }
    }

    /// The request's turn, if it is one of so many percent.
    fn turn<'a>(&'a self, percent: u32, policy: Option<&'a TrialPolicy>) -> Option<Turn<'a>> {
        let percent = u8::try_from(percent).unwrap_or(100);
        let number = self.numbers.fetch_add(1, Ordering::SeqCst);
        is_chosen(number, percent).then(|| {
            self.begun.fetch_add(1, Ordering::SeqCst);
            Turn {
                tried: self,
                policy,
                number: rank(number, percent),
            }
        })
    }
}

impl Turn<'_> {
    /// Whether it is one of those that go to the target before they go to the source: every other.
    pub(crate) const fn is_target_first(&self) -> bool {
        self.number % 2 == 1
    }

    /// Both legs answered, and took so many microseconds.
    pub(crate) fn measured(&self, source: u64, target: u64) {
        self.tried.source.add(source);
        self.tried.target.add(target);
        if self
            .policy
            .is_some_and(|policy| is_too_slow(source, target, policy))
        {
            self.tried.slower.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.tried.done.fetch_add(1, Ordering::SeqCst);
    }
}

impl Trial {
    /// One by this policy; none: what is copied has passed. Only if it promises to be faster may the
    /// target be too slow.
    #[must_use]
    pub fn new(policy: Option<TrialPolicy>, promises_faster: bool) -> Self {
        Self {
            policy,
            is_judged: promises_faster,
            ..Self::default()
        }
    }

    /// Whether the target is read back, and read alone only where it was.
    pub(crate) fn reads_back(&self) -> bool {
        self.policy.is_some_and(|policy| policy.read_back)
    }

    /// How far it is; none if it has passed.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        let word = self.word.load(Ordering::SeqCst);
        let percent = |shift: u32| u8::try_from(word >> shift & PERCENT).unwrap_or(u8::MAX);
        match word >> PHASE_SHIFT {
            AHEAD => Some(Step::Ahead),
            READS_BACK => Some(Step::ReadsBack(percent(READ_BACK_SHIFT))),
            READS => Some(Step::Reads(percent(0))),
            WRITES => Some(Step::Writes(percent(WRITES_SHIFT))),
            _ => None,
        }
    }

    /// What the target did not stand, if it did not.
    #[must_use]
    pub fn verdict(&self) -> Option<LegFault> {
        self.verdict.get().copied()
    }

    /// The legs differ at this byte of the volume.
    pub(crate) fn differs(&self, at: u64) {
        self.give(LegFault::Differs { at: Bytes(at) });
    }

    /// Looks whether what the target is asked is left unanswered for longer than it may.
    pub(crate) fn look_at(&self, asked: &InFlight) {
        let Some(millis) = self.policy.map(|policy| policy.hang_millis) else {
            return;
        };
        if millis > 0 && asked.has_waited(Duration::from_millis(millis.into())) {
            let waited = Micros(u64::from(millis) * 1000);
            self.give(LegFault::Unanswered { waited });
        }
    }

    /// Whether the target was found to leave requests unanswered.
    #[must_use]
    pub fn hangs(&self) -> bool {
        matches!(self.verdict.get(), Some(LegFault::Unanswered { .. }))
    }

    /// The first is kept.
    fn give(&self, verdict: LegFault) {
        let _ = self.verdict.set(verdict);
    }

    /// A read comes.
    pub(crate) fn read(&self) -> Read<'_> {
        self.reads.came.fetch_add(1, Ordering::SeqCst);
        let percent = self.word.load(Ordering::SeqCst) & PERCENT;
        if percent == 0 || self.verdict.get().is_some() {
            return Read::Source;
        }
        let compared = self.policy.map_or(0, |policy| policy.compare_percent);
        match self.reads.turn(percent, self.policy.as_ref()) {
            None => Read::Source,
            Some(mut turn) if is_chosen(turn.number, compared) => {
                turn.number = rank(turn.number, compared);
                Read::Both(turn)
            }
            Some(turn) => Read::Target(turn),
        }
    }

    /// A write comes: its turn, if it goes to the target first.
    pub(crate) fn write(&self) -> Option<Turn<'_>> {
        self.writes.came.fetch_add(1, Ordering::SeqCst);
        let percent = self.word.load(Ordering::SeqCst) >> WRITES_SHIFT & PERCENT;
        if percent == 0 || self.verdict.get().is_some() {
            return None;
        }
        self.writes.turn(percent, self.policy.as_ref())
    }

    /// Its steps, once all is copied.
    pub(crate) fn ramp(&self) -> Option<Ramp> {
        self.policy.map(Ramp::new)
    }

    /// So many percent of what is to be read back are. Requests go on as they did before.
    pub(crate) fn has_read_back(&self, percent: u8) {
        let requests = self.word.load(Ordering::SeqCst) & REQUESTS;
        let at = READS_BACK << PHASE_SHIFT | u32::from(percent) << READ_BACK_SHIFT;
        self.word.store(at | requests, Ordering::SeqCst);
    }

    /// Goes on with its steps at this time, as far as they go, and judges what has been seen. False if
    /// there is nothing more to do: all of them are behind it, or it has a verdict.
    pub(crate) fn go_on(&self, ramp: &mut Ramp, now_nanos: u64) -> bool {
        let ended = ramp.step();
        let next = ramp.look(now_nanos, self.reads.seen(), self.writes.seen());
        if self.verdict.get().is_some() {
            return false;
        }
        match next {
            Next::Stay => return true,
            Next::Overdue if !self.is_judged => return true,
            Next::Overdue => self.give_up_waiting(),
            Next::Enter(_) | Next::Passed => self.judge(ended),
        }
        if self.verdict.get().is_some() {
            return false;
        }
        if let Next::Enter(step) = next {
            self.enter(step);
        }
        matches!(next, Next::Enter(_))
    }

    fn tried(&self, step: Step) -> &Tried {
        match step {
            Step::Reads(_) => &self.reads,
            Step::Writes(_) | Step::Ahead | Step::ReadsBack(_) => &self.writes,
        }
    }

    /// Compares what the legs took by now, at the end of a step.
    fn judge(&self, ended: Option<Step>) {
        let (Some(policy), Some(ended)) = (self.policy, ended) else {
            return;
        };
        let tried = self.tried(ended);
        let (count, target) = tried.target.median();
        let (_, source) = tried.source.median();
        let slower = tried.slower.load(Ordering::SeqCst);
        let is_enough = count >= u64::from(policy.samples_min) && !is_by_chance(slower, count);
        if self.is_judged && is_enough && is_too_slow(source, target, &policy) {
            self.give(LegFault::Slow {
                source: Micros(source),
                target: Micros(target),
            });
        }
    }

    /// It answers too late for anything to be measured.
    fn give_up_waiting(&self) {
        let millis = self.policy.map_or(0, |policy| policy.patience_millis);
        let waited = Micros(u64::from(millis) * 1000);
        self.give(LegFault::Unanswered { waited });
    }

    fn enter(&self, step: Step) {
        let reads = self.word.load(Ordering::SeqCst) & PERCENT;
        let word = match step {
            Step::Ahead | Step::ReadsBack(_) => return,
            Step::Reads(percent) => READS << PHASE_SHIFT | u32::from(percent),
            Step::Writes(percent) => {
                WRITES << PHASE_SHIFT | u32::from(percent) << WRITES_SHIFT | reads
            }
        };
        self.tried(step).numbers.store(0, Ordering::SeqCst);
        self.word.store(word, Ordering::SeqCst);
    }

    /// All is behind it. Requests go on as in the last step.
    pub(crate) fn pass(&self) {
        let requests = self.word.load(Ordering::SeqCst) & REQUESTS;
        self.word
            .store(PASSED << PHASE_SHIFT | requests, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests;
