//! What the engine has learned, kept over restarts.
//!
//! Owns: the file `memory` in a volume's folder, and the thread that reads and writes it. The run
//! loop never waits for the file; a start and a stop wait for it a little only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tier_core::memory::Memory;
use tier_core::units::Now;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::beneath::elsewhere;
use crate::state::{StateError, make_folder, replace};

const MAGIC: [u8; 8] = *b"TIERMEM1";
const CHECKSUM_BYTES: usize = 4;
/// Between two writings: what a power cut may lose.
pub(crate) const PERIOD: Duration = Duration::from_mins(10);

/// What is in the file, behind its magic and its checksum.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// When, by the calendar.
    unix_nanos: u64,
    memory: Memory,
}

/// Why a memory cannot be read.
#[derive(Debug, thiserror::Error)]
enum UnreadableError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is damaged, or of another version")]
    Damaged,
}

/// What there was to be read at a start.
#[derive(Debug)]
pub(crate) enum Recalled {
    /// This.
    Memory(Remembered),
    /// Nothing: nothing was kept yet, or nothing can be.
    Nothing,
    /// Something that was of no use, or did not come in time.
    Lost,
}

/// A memory that was kept, and the engine's time now.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// What was learned.
    pub(crate) memory: Box<Memory>,
    /// Where the engine's time goes on.
    pub(crate) now: Now,
}

/// Handle of the thread that writes.
#[derive(Debug)]
pub(crate) struct Keeper {
    memories: Option<mpsc::SyncSender<Memory>>,
    ended: oneshot::Receiver<()>,
    /// Until when what lies in the file stays there.
    spared_until: Option<Instant>,
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

fn encode(memory: Memory, unix_nanos: u64) -> Option<Vec<u8>> {
    let kept = Kept { unix_nanos, memory };
    let body = postcard::to_allocvec(&kept).ok()?;
    let checksum = crc32c::crc32c(&body).to_le_bytes();
    Some([&MAGIC[..], &checksum, &body].concat())
}

fn decode(bytes: &[u8]) -> Option<Kept> {
    let (magic, rest) = bytes.split_at_checked(MAGIC.len())?;
    let (checksum, body) = rest.split_at_checked(CHECKSUM_BYTES)?;
    if magic != MAGIC || checksum != crc32c::crc32c(body).to_le_bytes() {
        return None;
    }
    let ((_, version), _) = postcard::take_from_bytes::<(u64, u32)>(body).ok()?;
    if version == Memory::BEFORE {
        // It ends before what it lacks; what of this is there already is read first.
        return postcard::from_bytes(&[body, &Memory::WITHOUT].concat()).ok();
    }
    postcard::from_bytes(body).ok()
}

fn read(path: &Path) -> Result<Option<Kept>, UnreadableError> {
    match std::fs::read(path) {
        Ok(bytes) => decode(&bytes).map(Some).ok_or(UnreadableError::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn too_old(path: &Path, age: Duration) -> Recalled {
    tracing::warn!(
        "what was learned of the volume's use is too old, or a clock was or is wrong: by the calendar \
         it was kept {} days ago; the year of its wear budget begins anew: {}",
        age.as_secs() / 86_400,
        path.display()
    );
    Recalled::Lost
}

/// What was kept in a volume's folder. The engine's time has gone on since then as the calendar
/// did; if that was set back, it has stood still.
fn recall(folder: &Path) -> Recalled {
    let path = folder.join("memory");
    match read(&path) {
        Ok(None) => Recalled::Nothing,
        Ok(Some(Kept {
            unix_nanos: then,
            memory,
        })) => {
            let passed = unix_nanos().saturating_sub(then);
            match memory.resume(passed) {
                Some(now) => {
                    let memory = Box::new(memory);
                    Recalled::Memory(Remembered { memory, now })
                }
                None => too_old(&path, Duration::from_nanos(passed)),
            }
        }
        Err(error) => {
            let path = path.display();
            tracing::warn!(
                %error,
                "what was learned of the volume's use is lost, and the year of its wear budget begins \
                 anew: {path}"
            );
            Recalled::Lost
        }
    }
}

impl Recalled {
    /// What was learned, if it came.
    pub(crate) fn memory(self) -> Option<Remembered> {
        match self {
            Self::Memory(remembered) => Some(remembered),
            Self::Nothing | Self::Lost => None,
        }
    }
}

impl Keeper {
    /// Starts the thread of a volume, whose files lie in `folder`. It reads, then writes. Gives
    /// what it has read; if that takes longer than `patience`, the volume goes on without. Where
    /// nothing can be kept there is no thread, and the log says why.
    pub(crate) async fn start(
        folder: PathBuf,
        volume: &str,
        patience: Duration,
    ) -> io::Result<(Self, Option<Remembered>)> {
        // One waits while another is written; a third is newer news that can wait for its turn.
        let (memories, inbox) = mpsc::sync_channel::<Memory>(1);
        let (tell, told) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(format!("memory-{volume}"))
            .spawn(move || {
                if let Err(error) = recall_and_keep(&folder, tell, &inbox) {
                    tracing::warn!(%error, "what is learned of the volume's use is not kept");
                }
                // Nobody may be left to be told.
                let _ = end.send(());
            })?;
        let recalled = match timeout(patience, told).await {
            Ok(told) => told.unwrap_or(Recalled::Nothing),
            Err(_) => late(volume),
        };
        let mut keeper = Self {
            memories: Some(memories),
            ended,
            spared_until: None,
        };
        if matches!(recalled, Recalled::Lost) {
            keeper.spare();
        }
        Ok((keeper, recalled.memory()))
    }

    /// Leaves what lies in the file for a period: it was not taken over, which may be for a
    /// mistake that a person mends by then, and what was learned since is less.
    pub(crate) fn spare(&mut self) {
        self.spared_until = Instant::now().checked_add(PERIOD);
    }

    /// Hands a memory over to be written, unless the thread has not come round to the last one.
    pub(crate) fn keep(&self, memory: Memory) {
        let is_spared = self
            .spared_until
            .is_some_and(|until| Instant::now() < until);
        if let Some(memories) = &self.memories
            && !is_spared
        {
            let _ = memories.try_send(memory);
        }
    }

    /// Writes the last one. Waits for it, but not for a file that does not answer. Tells whether
    /// it was done with in time.
    pub(crate) async fn finish(mut self, memory: Memory, patience: Duration) -> bool {
        self.keep(memory);
        self.memories = None;
        let in_time = timeout(patience, self.ended).await.is_ok();
        if !in_time {
            tracing::warn!("what was learned of the volume's use could not be written in time");
        }
        in_time
    }
}

fn late(volume: &str) -> Recalled {
    tracing::warn!(
        volume,
        "what was learned of the volume's use could not be read in time; it goes without"
    );
    Recalled::Lost
}

fn recall_and_keep(
    folder: &Path,
    tell: oneshot::Sender<Recalled>,
    inbox: &mpsc::Receiver<Memory>,
) -> Result<(), StateError> {
    elsewhere(folder)?;
    // Whoever asked may have gone on without.
    let _ = tell.send(recall(folder));
    make_folder(folder)?;
    let path = folder.join("memory");
    while let Ok(memory) = inbox.recv() {
        if let Some(bytes) = encode(memory, unix_nanos()) {
            replace(&path, &bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by it")]

    use tier_core::Engine;
    use tier_core::policy::PolicyConfig;

    use super::*;
    use crate::patience::PATIENCE;

    /// What is in the file now.
    fn kept(folder: &Path) -> Memory {
        *recall(folder).memory().unwrap().memory
    }

    fn memory() -> Memory {
        Engine::new(PolicyConfig::default()).memory()
    }

    #[tokio::test]
    async fn what_is_kept_is_recalled_and_time_has_gone_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("volume");
        let start = || Keeper::start(place.clone(), "v", PATIENCE);
        let (keeper, remembered) = start().await.unwrap();
        assert!(remembered.is_none());
        assert!(keeper.finish(memory(), PATIENCE).await);
        let first = start().await.unwrap().1.unwrap();
        assert_eq!(*first.memory, memory());
        std::thread::sleep(Duration::from_millis(20));
        let later = start().await.unwrap().1.unwrap();
        let passed = later.now.0 - first.now.0;
        assert!(passed >= 20_000_000, "{passed}");
    }

    #[tokio::test]
    async fn what_was_not_taken_over_is_not_written_over_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let start = || Keeper::start(folder.path().to_owned(), "v", PATIENCE);
        let path = folder.path().join("memory");
        std::fs::write(&path, b"damaged").unwrap();
        let (keeper, remembered) = start().await.unwrap();
        assert!(remembered.is_none());
        keeper.keep(memory());
        assert!(keeper.finish(memory(), PATIENCE).await);
        assert_eq!(std::fs::read(&path).unwrap(), b"damaged");
        // One that was kept in 1970, by a clock that was wrong.
        std::fs::write(&path, encode(memory(), 7).unwrap()).unwrap();
        let (keeper, remembered) = start().await.unwrap();
        assert!(remembered.is_none() && keeper.spared_until.is_some());
        // One that the engine has no use for.
        std::fs::write(&path, encode(memory(), unix_nanos()).unwrap()).unwrap();
        let before = std::fs::read(&path).unwrap();
        let mut keeper = start().await.unwrap().0;
        keeper.spare();
        assert!(keeper.finish(memory(), PATIENCE).await);
        assert_eq!(std::fs::read(&path).unwrap(), before);
        // When its time is over it is.
        let mut keeper = start().await.unwrap().0;
        keeper.spared_until = Some(Instant::now());
        assert!(keeper.finish(memory(), PATIENCE).await);
        assert_ne!(std::fs::read(&path).unwrap(), before);
    }

    /// A keeper whose file does not answer, until it is opened for writing.
    async fn mute(folder: &Path, patience: Duration) -> (Keeper, PathBuf) {
        let path = folder.join("memory");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let started = Keeper::start(folder.to_owned(), "v", patience).await;
        let (keeper, remembered) = started.unwrap();
        assert!(remembered.is_none());
        (keeper, path)
    }

    #[tokio::test]
    async fn a_file_that_does_not_answer_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (mut keeper, path) = mute(folder.path(), Duration::from_millis(1)).await;
        assert!(keeper.spared_until.is_some());
        // It answers after all; what was learned since then is kept, when its time has come.
        std::fs::write(path, b"late").unwrap();
        keeper.spared_until = None;
        assert!(keeper.finish(memory(), PATIENCE).await);
        assert_eq!(kept(folder.path()), memory());
    }

    #[tokio::test]
    async fn a_stop_keeps_nobody_from_working_while_it_waits() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, path) = mute(folder.path(), Duration::ZERO).await;
        // The file answers once another task on this thread has had its turn.
        let other = async { std::fs::write(&path, b"late").unwrap() };
        let (in_time, ()) = tokio::join!(keeper.finish(memory(), PATIENCE), other);
        assert!(in_time);
    }

    #[tokio::test]
    async fn a_stop_waits_for_no_file_that_does_not_answer() {
        let folder = tempfile::tempdir().unwrap();
        let (keeper, path) = mute(folder.path(), Duration::ZERO).await;
        assert!(!keeper.finish(memory(), Duration::from_millis(1)).await);
        std::fs::write(path, b"late").unwrap();
    }

    #[test]
    fn what_an_older_version_kept_is_told_from_what_fits() {
        // Of version 1, which knew nothing of how often forecasts came true, or of wear: when, its
        // version, the engine's time, regions and half-life, no heat, no groups, no neighbours, no
        // leads, and who was believed.
        let half_life = [128, 192, 202, 243, 132, 163, 2];
        let body = [&[7, 1, 0, 0][..], &half_life, &[0, 0, 0, 0, 1]].concat();
        let checksum = crc32c::crc32c(&body).to_le_bytes();
        let old = [&MAGIC[..], &checksum, &body].concat();
        assert!(decode(&old).is_none());
        // Up to the leads it is what a new engine is kept as.
        let new = encode(memory(), 7).unwrap();
        let mut new = new[MAGIC.len() + CHECKSUM_BYTES..].to_vec();
        assert_eq!(std::mem::replace(&mut new[1], 1), 3, "the version");
        assert!(new.starts_with(&body[..14]), "{new:?}");
    }

    #[test]
    fn what_the_version_before_kept_is_taken_over_as_far_as_it_knew() {
        let new = encode(memory(), 7).unwrap();
        let mut known = new[MAGIC.len() + CHECKSUM_BYTES..].to_vec();
        assert!(known.ends_with(&Memory::WITHOUT), "{known:?}");
        known.truncate(known.len() - Memory::WITHOUT.len());
        assert_eq!(std::mem::replace(&mut known[1], 2), 3, "the version");
        let taken_over = |rest: &[u8]| {
            let body = [&known, rest].concat();
            let checksum = crc32c::crc32c(&body).to_le_bytes();
            let old = decode(&[&MAGIC[..], &checksum, &body].concat()).unwrap();
            assert_eq!(old.unix_nanos, 7);
            let engine = Engine::new(PolicyConfig::default());
            assert!(engine.fits(&old.memory, old.memory.now).is_ok());
            let again = encode(old.memory, 7).unwrap();
            again[MAGIC.len() + CHECKSUM_BYTES + known.len()..].to_vec()
        };
        // Of the time when what follows what was not kept, and of the time when it was: two runs
        // that became active, at 1 and at 2 ns, and one that is due.
        assert_eq!(taken_over(&[]), [0; 5]);
        let following = [0, 2, 1, 1, 2, 9, 1, 3];
        assert_eq!(taken_over(&following), [&following[..], &[0, 0]].concat());
    }

    #[test]
    fn what_is_damaged_is_left_alone() {
        let good = encode(memory(), 7).unwrap();
        assert_eq!(decode(&good).unwrap().unix_nanos, 7);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_none(), "{at}");
            assert!(decode(&good[..at]).is_none(), "{at}");
        }
    }
}
