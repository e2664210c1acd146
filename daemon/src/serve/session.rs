//! The daemon's connection, on the side of the process that serves a volume.
//!
//! Owns: the volume's backend and its records, and who may give them orders. Invariants: one
//! connection at a time has them; orders to each are done one after the other, in threads like the
//! daemon's own on device-mapper; when nobody has been connected for a while, or a leg has failed
//! meanwhile, moves are ended, so that nothing stays parked (rule 12).

use std::collections::BTreeMap;
use std::io::BufReader;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::Trial;
use tier_core::units::{MemberIndex, MoveId};
use tier_sys::block::{Access, BlockDevice, DeviceNumber};
use tier_ublk::volume::Volume;
use tokio::sync::mpsc;

use super::protocol::{Hello, Opened, Order, PROTOCOL, Stays, Word, hear, say};
use super::users;
use crate::backend::ublk::UblkBackend;
use crate::backend::{Added, Backend, BackendError, DropOutcome, Hold, KernelMap, LegState};
use crate::volume::assemble::mark_what_is_served;
use crate::volume::kernel::{Job, KernelThread};
use crate::volume::metadata::{MetadataThread, Published, Records};
use crate::volume::settle::end_moves;

/// How often it is looked whether moves have news.
const LOOK: Duration = Duration::from_millis(100);
/// How long a daemon may be away before its moves are ended: a restart takes less.
const AWAY_MAX: Duration = Duration::from_secs(10);

/// A backend that several threads have.
#[derive(Clone)]
struct Shared(Arc<Mutex<UblkBackend>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, UblkBackend> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Shared {
    fn read_back(&mut self) -> Result<KernelMap, BackendError> {
        self.lock().read_back()
    }

    fn set_pace(&mut self, id: MoveId, bytes_per_second: u64) -> Result<(), BackendError> {
        self.lock().set_pace(id, bytes_per_second)
    }

    fn add_legs(&mut self, adds: &[AddLeg]) -> Result<Added, BackendError> {
        self.lock().add_legs(adds)
    }

    fn leg_state(&mut self, id: MoveId) -> Result<LegState, BackendError> {
        self.lock().leg_state(id)
    }

    fn drop_leg(&mut self, drop: DropLeg) -> Result<DropOutcome, BackendError> {
        self.lock().drop_leg(drop)
    }

    fn set_map(&mut self, fold: &[MoveId]) -> Result<Hold, BackendError> {
        self.lock().set_map(fold)
    }
}

/// What does not change while a volume is served.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name.
    pub(super) name: String,
    /// The number of its ublk device.
    pub(super) id: u32,
    /// The number of its block device: major and minor.
    pub(super) device: (u32, u32),
    /// Its node.
    pub(super) node: PathBuf,
    /// The link to it.
    pub(super) link: PathBuf,
    /// Where each member is.
    pub(super) paths: Vec<(MemberIndex, PathBuf)>,
    /// What the start had to mend, for people.
    pub(super) mended: Vec<String>,
}

/// A volume that is served, and may be ordered about.
pub(super) struct Served {
    known: Known,
    volume: Arc<Volume>,
    backend: Shared,
    records: Arc<Mutex<Records>>,
    durable: Published,
    /// Held by the connection that is let in; since when none was, if none is.
    turn: Mutex<Instant>,
}

impl Served {
    pub(super) fn new(
        known: Known,
        backend: UblkBackend,
        records: Records,
        durable: Published,
    ) -> Self {
        Self {
            known,
            volume: backend.volume().clone(),
            backend: Shared(Arc::new(Mutex::new(backend))),
            records: Arc::new(Mutex::new(records)),
            durable,
            turn: Mutex::new(Instant::now()),
        }
    }

    /// Talks with who has connected, until one of them is gone.
    pub(super) fn talk(&self, stream: &UnixStream) -> std::io::Result<()> {
        let turn = self.turn.try_lock();
        let is_free = !matches!(turn, Err(TryLockError::WouldBlock));
        let hello = Hello {
            protocol: PROTOCOL,
            is_free,
        };
        say(stream, &hello)?;
        let mut turn = match turn {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(()),
        };
        let talked = self.opened().and_then(|opened| {
            say(stream, &opened)?;
            self.obey(stream)
        });
        *turn = Instant::now();
        talked
    }

    fn records(&self) -> MutexGuard<'_, Records> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self) -> std::io::Result<Opened> {
        let map = self.backend.lock().read_back();
        let mut records = self.records();
        mark_what_is_served(&mut records.store).map_err(std::io::Error::other)?;
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Opened {
            facts: records.store.facts().clone(),
            state: records.store.state(),
            durable: durable.clone(),
            adopted: map.map_err(std::io::Error::other)?.moves,
            device: self.known.device,
            link: self.known.link.clone(),
            paths: self.known.paths.clone(),
            mended: self.known.mended.clone(),
        })
    }

    /// Does what is ordered until no more is. What was ordered before is done then.
    fn obey(&self, stream: &UnixStream) -> std::io::Result<()> {
        let name = &self.known.name;
        let to = Arc::new(Mutex::new(stream.try_clone()?));
        let (tell, told) = mpsc::unbounded_channel();
        let (send, events) = mpsc::unbounded_channel();
        let kernel = KernelThread::start(Box::new(self.backend.clone()), tell, name)?;
        let records = Arc::clone(&self.records);
        let work = move |job| {
            let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
            let event = records.run(&job);
            // Who listened may have gone.
            let _ = send.send(event);
        };
        let metadata = MetadataThread::start_with(work, Arc::clone(&self.durable), name)?;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| pass_on(told, &to, |told| [Word::Told(told)]));
            scope.spawn(|| pass_on(events, &to, |event| [self.standing(), Word::Event(event)]));
            let (jobs, is_over) = (kernel.jobs(), &is_over);
            let watcher = scope.spawn(move || self.watch(&jobs, is_over));
            let heard = self.hear_orders(stream, &to, &kernel, &metadata);
            is_over.store(true, Ordering::SeqCst);
            // A panic there has been reported by the panic hook.
            let _ = watcher.join();
            kernel.finish();
            metadata.finish();
            heard
        })
    }

    fn standing(&self) -> Word {
        let durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        Word::Durable(durable.clone())
    }

    fn hear_orders(
        &self,
        stream: &UnixStream,
        to: &Mutex<UnixStream>,
        kernel: &KernelThread,
        metadata: &MetadataThread,
    ) -> std::io::Result<()> {
        let mut from = BufReader::new(stream);
        while let Some(order) = hear_or_end(&mut from)? {
            let is_taken = match order {
                Order::Kernel(job) => kernel.ask(job),
                Order::Metadata(job) => metadata.ask(job),
                Order::Stop => {
                    if let Err(stays) = self.stop() {
                        tell(to, &Word::Stays(stays));
                    }
                    true
                }
            };
            if !is_taken {
                return Err(std::io::Error::other("a thread of the connection has died"));
            }
        }
        Ok(())
    }

    /// Takes the device down, unless it is in use; the process ends by that.
    fn stop(&self) -> Result<(), Stays> {
        let Known { id, node, .. } = &self.known;
        let number = DeviceNumber {
            major: self.known.device.0,
            minor: self.known.device.1,
        };
        // While this has it, nobody can mount it.
        let _held = match BlockDevice::open(node, Access::ReadOnlyExclusive) {
            Ok(held) => held,
            Err(error) if error.errno() == Some(libc::EBUSY) => return Err(Stays::InUse),
            Err(error) => return Err(Stays::Failed(error.to_string())),
        };
        if users::have_open(number) {
            return Err(Stays::InUse);
        }
        tier_ublk::device::stop(*id).map_err(|error| Stays::Failed(error.to_string()))
    }

    /// Has the backend look at moves that have news, until it is over.
    fn watch(&self, jobs: &Sender<Job>, is_over: &AtomicBool) {
        let mut seen = BTreeMap::new();
        while !is_over.load(Ordering::SeqCst) {
            self.volume.look_at_targets();
            let moves = self.volume.snapshot();
            let now: BTreeMap<MoveId, _> = moves
                .moves()
                .map(|one| (one.id, one.state()))
                .map(|(id, one)| (id, (one.source_alive, one.target_alive, tenth(one.trial))))
                .collect();
            drop(moves);
            let is_news = |(id, state): &(&MoveId, &_)| seen.get(*id) != Some(*state);
            let news: Vec<MoveId> = now.iter().filter(is_news).map(|(id, _)| *id).collect();
            if !news.is_empty() && jobs.send(Job::Look(news)).is_err() {
                return;
            }
            seen = now;
            std::thread::sleep(LOOK);
        }
    }

    /// Ends what nobody attends to: all moves, once no daemon was there for a while; at once, if a leg
    /// has failed, or its target leaves requests unanswered. For ever, in a thread of its own.
    pub(super) fn attend(&self) {
        loop {
            std::thread::sleep(LOOK);
            let Ok(since) = self.turn.try_lock() else {
                continue;
            };
            let is_due = since.elapsed() > AWAY_MAX || self.is_one_failed();
            if is_due && self.is_any_left() {
                self.settle();
            }
        }
    }

    fn is_one_failed(&self) -> bool {
        self.volume.look_at_targets();
        let snapshot = self.volume.snapshot();
        snapshot.moves().any(|one| !one.may_be_written())
    }

    /// Whether a move is there, be it one that is linear by now and only not forgotten.
    fn is_any_left(&self) -> bool {
        let map = self.backend.lock().read_back();
        map.is_ok_and(|map| !map.moves.is_empty())
    }

    fn settle(&self) {
        let mut ended = Vec::new();
        // What was committed may be about to be acted on (rule 6).
        if let Err(error) = mark_what_is_served(&mut self.records().store) {
            tracing::error!(%error, "moves cannot be ended yet");
            return;
        }
        let settled = end_moves(
            &mut *self.backend.lock(),
            &mut self.records().store,
            &self.known.paths,
            &mut ended,
        );
        // It may have committed a leg.
        self.records().publish(Vec::new());
        for (id, kept) in &ended {
            tracing::info!(id = id.0, ?kept, "a move was ended: no daemon is there");
        }
        match settled {
            Ok(report) => {
                for (id, error) in &report.failed {
                    tracing::warn!(id = id.0, %error, "a move could not be ended yet");
                }
            }
            Err(error) => tracing::error!(%error, "moves could not be ended yet"),
        }
    }
}

/// How far a trial is, without more of what it reads back than is news.
const fn tenth(trial: Option<Trial>) -> Option<Trial> {
    match trial {
        Some(Trial::ReadsBack(percent)) => Some(Trial::ReadsBack(percent / 10)),
        other => other,
    }
}

/// The next order; `None` also if who gave them died.
fn hear_or_end(from: &mut BufReader<&UnixStream>) -> std::io::Result<Option<Order>> {
    match hear(from) {
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(None),
        other => other,
    }
}

fn tell(to: &Mutex<UnixStream>, word: &Word) {
    let to = to.lock().unwrap_or_else(PoisonError::into_inner);
    // Who listened may have gone; that ends the connection from the other side.
    let _ = say(&*to, word);
}

/// Says what comes, until nothing more can.
fn pass_on<T, const N: usize>(
    mut from: mpsc::UnboundedReceiver<T>,
    to: &Mutex<UnixStream>,
    words: impl Fn(T) -> [Word; N],
) {
    while let Some(one) = from.blocking_recv() {
        for word in words(one) {
            tell(to, &word);
        }
    }
}
