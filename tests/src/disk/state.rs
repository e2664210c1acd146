//! What a disk does with a request: its faults, its bad blocks, its cache.
//!
//! Owns: one disk's state behind one lock. May not: touch the socket.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

use super::cache::Cache;
use super::mechanics::{Mechanics, Speed};
use super::protocol::{Action, Answered, EIO, Request};
use super::{Answer, Answers, Counts, Disk, Spoil};

/// One disk.
#[derive(Debug)]
pub(super) struct State {
    parts: Mutex<Parts>,
}

#[derive(Debug)]
struct Parts {
    block_bytes: u64,
    write_cache: bool,
    flushes_nothing: bool,
    answers: Answers,
    /// Bad blocks by their number.
    bad: BTreeMap<u64, Spoil>,
    cache: Cache,
    mechanics: Mechanics,
    counts: Counts,
}

/// What became of a request.
pub(super) enum Outcome {
    /// It is answered, at this moment.
    Answered(Answered, Instant),
    /// It hangs.
    Hangs,
}

impl State {
    pub(super) fn new(image: File, disk: &Disk) -> Self {
        let parts = Parts {
            block_bytes: u64::from(disk.block_bytes),
            write_cache: disk.write_cache,
            flushes_nothing: disk.flushes_nothing,
            answers: Answers::GOOD,
            bad: BTreeMap::new(),
            cache: Cache::new(image, disk.block_bytes, disk.power_loss),
            mechanics: Mechanics::new(disk.speed, disk.bytes),
            counts: Counts::default(),
        };
        Self {
            parts: Mutex::new(parts),
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().expect("a disk's server has panicked")
    }

    pub(super) fn set_answers(&self, answers: Answers) {
        self.parts().answers = answers;
    }

    pub(super) fn set_speed(&self, speed: Speed) {
        self.parts().mechanics.set_speed(speed);
    }

    pub(super) fn counts(&self) -> Counts {
        self.parts().counts
    }

    pub(super) fn unflushed_blocks(&self) -> usize {
        self.parts().cache.volatile_blocks()
    }

    pub(super) fn spoil(&self, offset: u64, length: u64, how: Spoil) {
        let mut parts = self.parts();
        for number in parts.blocks(offset, length) {
            parts.bad.insert(number, how);
        }
    }

    /// Carries out a request, or fails it, or lets it hang.
    pub(super) fn handle(&self, request: &Request) -> Outcome {
        let mut parts = self.parts();
        if parts.hangs(&request.action) {
            return Outcome::Hangs;
        }
        parts.count(&request.action);
        let answered = parts.act(request);
        if answered.is_err() {
            parts.counts.errors += 1;
        }
        let length = match request.action {
            Action::Read | Action::Write { .. } => u64::from(request.length),
            _ => 0,
        };
        let due = parts.mechanics.due(Instant::now(), request.offset, length);
        Outcome::Answered(answered, due)
    }
}

impl Parts {
    fn blocks(&self, offset: u64, length: u64) -> std::ops::Range<u64> {
        offset / self.block_bytes..(offset + length).div_ceil(self.block_bytes)
    }

    fn hangs(&self, action: &Action) -> bool {
        let answer = match action {
            Action::Read => self.answers.read,
            Action::Write { fua: true, .. } if self.answers.flush == Answer::Hang => Answer::Hang,
            Action::Write { .. } => self.answers.write,
            Action::Flush => self.answers.flush,
            Action::Discard => self.answers.discard,
            Action::Disconnect => Answer::Serve,
        };
        answer == Answer::Hang
    }

    fn count(&mut self, action: &Action) {
        match action {
            Action::Read => self.counts.reads += 1,
            Action::Write { fua, .. } => {
                self.counts.writes += 1;
                self.counts.fua_writes += u64::from(*fua);
            }
            Action::Flush => self.counts.flushes += 1,
            Action::Discard => self.counts.discards += 1,
            Action::Disconnect => {}
        }
    }

    fn act(&mut self, request: &Request) -> Answered {
        let (offset, length) = (request.offset, u64::from(request.length));
        match &request.action {
            Action::Read => {
                let spoiled = self.bad.range(self.blocks(offset, length)).next().is_some();
                refuse_if(self.answers.read == Answer::Fail || spoiled)?;
                let mut data = vec![0; request.length as usize];
                self.cache.read(offset, &mut data).map_err(|_error| EIO)?;
                Ok(data)
            }
            Action::Write { data, fua } => {
                refuse_if(self.answers.write == Answer::Fail)?;
                refuse_if(*fua && self.answers.flush == Answer::Fail)?;
                self.write_over(offset, length)?;
                let durable = *fua && !self.flushes_nothing;
                if durable || !self.write_cache {
                    self.cache
                        .write_through(offset, data)
                        .map_err(|_error| EIO)?;
                } else {
                    self.cache.write(offset, data).map_err(|_error| EIO)?;
                }
                Ok(Vec::new())
            }
            Action::Flush => {
                refuse_if(self.answers.flush == Answer::Fail)?;
                if !self.flushes_nothing {
                    self.cache.flush().map_err(|_error| EIO)?;
                }
                Ok(Vec::new())
            }
            Action::Discard => {
                refuse_if(self.answers.discard == Answer::Fail)?;
                self.write_over(offset, length)?;
                let zeroes = vec![0; request.length as usize];
                self.cache.write(offset, &zeroes).map_err(|_error| EIO)?;
                Ok(Vec::new())
            }
            Action::Disconnect => Ok(Vec::new()),
        }
    }

    /// Heals bad blocks that a write heals; refuses a write over the others.
    fn write_over(&mut self, offset: u64, length: u64) -> Result<(), u32> {
        let blocks = self.blocks(offset, length);
        refuse_if(
            self.bad
                .range(blocks.clone())
                .any(|(_, how)| *how == Spoil::ForEver),
        )?;
        self.bad.retain(|number, _| !blocks.contains(number));
        Ok(())
    }
}

fn refuse_if(bad: bool) -> Result<(), u32> {
    if bad { Err(EIO) } else { Ok(()) }
}
