//! What the engine has learned, kept over restarts.
//!
//! Owns: the file `memory` in a volume's folder, and the thread that writes it. The run loop never
//! waits for the file, and a stop waits for it a little only.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tier_core::memory::Memory;
use tier_core::units::Now;

use crate::state::{StateError, make_folder, replace};

const MAGIC: [u8; 8] = *b"TIERMEM1";
const CHECKSUM_BYTES: usize = 4;
/// How long a stop waits for what is being written.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// A memory that was kept, and the engine's time now.
#[derive(Debug)]
pub(crate) struct Remembered {
    /// What was learned.
    pub(crate) memory: Memory,
    /// Where the engine's time goes on.
    pub(crate) now: Now,
}

/// Handle of the thread that writes.
#[derive(Debug)]
pub(crate) struct Keeper {
    memories: Option<mpsc::SyncSender<Memory>>,
    ended: mpsc::Receiver<()>,
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
    postcard::from_bytes(body).ok()
}

fn read(path: &Path) -> Result<Option<Kept>, UnreadableError> {
    match std::fs::read(path) {
        Ok(bytes) => decode(&bytes).map(Some).ok_or(UnreadableError::Damaged),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// What was kept in a volume's folder. The engine's time has gone on since then as the calendar
/// did; if that was set back, it has stood still.
pub(crate) fn recall(folder: &Path) -> Option<Remembered> {
    let path = folder.join("memory");
    match read(&path) {
        Ok(kept) => kept.map(|kept| {
            let passed = unix_nanos().saturating_sub(kept.unix_nanos);
            let now = Now(kept.memory.now.0.saturating_add(passed));
            let memory = kept.memory;
            Remembered { memory, now }
        }),
        Err(error) => {
            let path = path.display();
            tracing::warn!(
                %error,
                "what was learned of the volume's use is lost, and the year of its wear budget begins \
                 anew: {path}"
            );
            None
        }
    }
}

impl Keeper {
    /// Starts the thread of a volume, whose files lie in `folder`. Where nothing can be kept there
    /// is none, and the log says why.
    pub(crate) fn start(folder: PathBuf, volume: &str) -> io::Result<Self> {
        // One waits while another is written; a third is newer news that can wait for its turn.
        let (memories, inbox) = mpsc::sync_channel::<Memory>(1);
        let (end, ended) = mpsc::channel();
        std::thread::Builder::new()
            .name(format!("memory-{volume}"))
            .spawn(move || {
                if let Err(error) = keep(&folder, &inbox) {
                    tracing::warn!(%error, "what is learned of the volume's use is not kept");
                }
                // Nobody may be left to be told.
                let _ = end.send(());
            })?;
        Ok(Self {
            memories: Some(memories),
            ended,
        })
    }

    /// Hands a memory over to be written, unless the thread has not come round to the last one.
    pub(crate) fn keep(&self, memory: Memory) {
        if let Some(memories) = &self.memories {
            let _ = memories.try_send(memory);
        }
    }

    /// Writes the last one. Waits for it, but not for a file that does not answer.
    pub(crate) fn finish(mut self, memory: Memory) {
        self.keep(memory);
        self.memories = None;
        if self.ended.recv_timeout(PATIENCE).is_err() {
            tracing::warn!("what was learned of the volume's use could not be written in time");
        }
    }
}

fn keep(folder: &Path, inbox: &mpsc::Receiver<Memory>) -> Result<(), StateError> {
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

    fn memory() -> Memory {
        Engine::new(PolicyConfig::default()).memory()
    }

    #[test]
    fn what_is_kept_is_recalled_and_time_has_gone_on() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("volume");
        assert!(recall(&place).is_none());
        let keeper = Keeper::start(place.clone(), "v").unwrap();
        keeper.finish(memory());
        let first = recall(&place).unwrap();
        assert_eq!(first.memory, memory());
        std::thread::sleep(Duration::from_millis(20));
        let later = recall(&place).unwrap();
        let passed = later.now.0 - first.now.0;
        assert!(passed >= 20_000_000, "{passed}");
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
