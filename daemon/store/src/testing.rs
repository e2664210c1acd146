//! A disk in memory that fails, and loses power, in the ways real disks do.
//!
//! Owns: [`MemoryDisk`], [`Power`]. Its fault model: a write is made of blocks; each block is
//! written whole or not at all; until a flush returns, any subset of the blocks written since the
//! last one may be lost at a power cut, in any order, block by block; a block that was written
//! twice since then may come back as either version or as what it was before. A write that returns
//! an error may have reached the medium or not. A crash is a value: [`MemoryDisk::after_cut`]
//! gives the disk as it may be found, and leaves this one as it is.
//!
//! For tests only, of this crate and of others (feature `testing`).

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::storage::{Storage, check_bounds};

/// What becomes of one block that was written and not flushed, at a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It reached the medium.
    Kept,
    /// It did not.
    Lost,
}

/// The power that some disks share: it is cut before the operation of a chosen number.
#[derive(Debug)]
pub struct Power {
    /// Writes and flushes done so far.
    operations: AtomicU64,
    /// The first that is not done any more.
    cut_before: AtomicU64,
}

impl Power {
    /// Power that stays on.
    #[must_use]
    pub fn steady() -> Arc<Self> {
        Self::cut_before(u64::MAX)
    }

    /// Power that is cut before the write or flush with this number, counted from zero.
    #[must_use]
    pub fn cut_before(operation: u64) -> Arc<Self> {
        Arc::new(Self {
            operations: AtomicU64::new(0),
            cut_before: AtomicU64::new(operation),
        })
    }

    /// Cuts it now.
    pub fn cut(&self) {
        self.cut_before.store(0, Ordering::SeqCst);
    }

    /// Cuts it after this many more writes and flushes.
    pub fn cut_after(&self, more: u64) {
        self.cut_before
            .store(self.operations().saturating_add(more), Ordering::SeqCst);
    }

    /// Writes and flushes done so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    fn spend(&self) -> io::Result<()> {
        let number = self.operations.fetch_add(1, Ordering::SeqCst);
        if number < self.cut_before.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.operations.fetch_sub(1, Ordering::SeqCst);
        Err(io::Error::other("the power is cut"))
    }
}

/// Which operations of a disk fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Reads.
    Read,
    /// Writes.
    Write,
    /// Flushes.
    Flush,
}

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What fails.
    pub operation: Operation,
    /// How many of these succeed first, from now.
    pub after: u64,
    /// How many then fail; `u64::MAX` for all.
    pub count: u64,
    /// Whether a write that fails reaches the disk all the same.
    pub lands: bool,
}

type Blocks = BTreeMap<u64, Arc<[u8]>>;

#[derive(Clone, Debug, Default)]
struct Image {
    /// What a read returns, by offset.
    live: Blocks,
    /// What is on the medium for certain.
    durable: Blocks,
    /// Blocks written since the last flush, in order.
    unflushed: Vec<(u64, Arc<[u8]>)>,
    faults: Vec<Fault>,
    /// Whether flushes return without flushing.
    lies: bool,
}

/// A disk in memory.
pub struct MemoryDisk {
    name: String,
    len_bytes: u64,
    block_bytes: u32,
    /// What a block holds that was never written.
    fill: u8,
    power: Arc<Power>,
    image: Mutex<Image>,
}

impl MemoryDisk {
    /// A disk of zeros.
    #[must_use]
    pub fn new(name: &str, len_bytes: u64, block_bytes: u32, power: &Arc<Power>) -> Arc<Self> {
        Self::filled(name, len_bytes, block_bytes, 0, power)
    }

    /// A disk with another life behind it: each byte holds `fill`.
    #[must_use]
    pub fn filled(
        name: &str,
        len_bytes: u64,
        block_bytes: u32,
        fill: u8,
        power: &Arc<Power>,
    ) -> Arc<Self> {
        Arc::new(Self {
            name: name.to_owned(),
            len_bytes,
            block_bytes,
            fill,
            power: Arc::clone(power),
            image: Mutex::new(Image::default()),
        })
    }

    /// This disk as it may be found after a power cut, on other power. `fate` is asked for each
    /// unflushed block, oldest first: its offset decides nothing unless `fate` makes it.
    #[must_use]
    pub fn after_cut(&self, power: &Arc<Power>, mut fate: impl FnMut(u64) -> Fate) -> Arc<Self> {
        let image = self.lock();
        let mut durable = image.durable.clone();
        for (offset, block) in &image.unflushed {
            if fate(*offset) == Fate::Kept {
                durable.insert(*offset, Arc::clone(block));
            }
        }
        self.with_image(durable, self.len_bytes, power)
    }

    /// An exact copy of what this disk shows, all of it durable, on other power.
    #[must_use]
    pub fn copy(&self, power: &Arc<Power>) -> Arc<Self> {
        let live = self.lock().live.clone();
        self.with_image(live, self.len_bytes, power)
    }

    /// The same content on a disk of another length.
    #[must_use]
    pub fn resized(&self, len_bytes: u64, power: &Arc<Power>) -> Arc<Self> {
        let mut live = self.lock().live.clone();
        live.retain(|&offset, _| offset < len_bytes);
        self.with_image(live, len_bytes, power)
    }

    fn with_image(&self, blocks: Blocks, len_bytes: u64, power: &Arc<Power>) -> Arc<Self> {
        Arc::new(Self {
            name: self.name.clone(),
            len_bytes,
            block_bytes: self.block_bytes,
            fill: self.fill,
            power: Arc::clone(power),
            image: Mutex::new(Image {
                durable: blocks.clone(),
                live: blocks,
                ..Image::default()
            }),
        })
    }

    /// Arms a fault.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Disarms all faults.
    pub fn heal(&self) {
        self.lock().faults.clear();
    }

    /// From now on flushes return at once and make nothing durable, as those of a disk with a
    /// broken cache do. With it, a test of durability can show that it would notice.
    pub fn lie_about_flushes(&self) {
        self.lock().lies = true;
    }

    /// Blocks written and not flushed.
    #[must_use]
    pub fn unflushed(&self) -> usize {
        self.lock().unflushed.len()
    }

    /// Changes one byte on the medium: decay, or a stray write.
    pub fn corrupt(&self, offset: u64, change: impl FnOnce(u8) -> u8) {
        let block = u64::from(self.block_bytes);
        let begin = offset / block * block;
        let mut image = self.lock();
        let mut content = self.block(&image.live, begin);
        if let Some(byte) = usize::try_from(offset - begin)
            .ok()
            .and_then(|at| content.get_mut(at))
        {
            *byte = change(*byte);
        }
        let content: Arc<[u8]> = content.into();
        image.live.insert(begin, Arc::clone(&content));
        image.durable.insert(begin, content);
    }

    fn lock(&self) -> MutexGuard<'_, Image> {
        self.image.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block(&self, blocks: &Blocks, offset: u64) -> Vec<u8> {
        match blocks.get(&offset) {
            Some(content) => content.to_vec(),
            None => vec![self.fill; self.block_bytes as usize],
        }
    }
}

/// Without its content, of which a failing test would print megabytes.
impl fmt::Debug for MemoryDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryDisk")
            .field("name", &self.name)
            .field("len_bytes", &self.len_bytes)
            .finish_non_exhaustive()
    }
}

impl Image {
    /// Whether the next operation of this kind fails, and if so whether it lands.
    fn strike(&mut self, operation: Operation) -> Option<bool> {
        let mut struck = None;
        for fault in &mut self.faults {
            if fault.operation != operation || fault.count == 0 {
                continue;
            }
            if fault.after > 0 {
                fault.after -= 1;
            } else {
                fault.count = if fault.count == u64::MAX {
                    u64::MAX
                } else {
                    fault.count - 1
                };
                struck = Some(fault.lands);
            }
        }
        struck
    }
}

fn fault() -> io::Error {
    const EIO: i32 = 5;
    io::Error::from_raw_os_error(EIO)
}

impl Storage for MemoryDisk {
    fn name(&self) -> &str {
        &self.name
    }

    fn len_bytes(&self) -> u64 {
        self.len_bytes
    }

    fn block_bytes(&self) -> u32 {
        self.block_bytes
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        check_bounds(self, buffer.len(), offset)?;
        let mut image = self.lock();
        if image.strike(Operation::Read).is_some() {
            return Err(fault());
        }
        let mut at = offset;
        for slot in buffer.chunks_exact_mut(self.block_bytes as usize) {
            match image.live.get(&at) {
                Some(content) => slot.copy_from_slice(content),
                None => slot.fill(self.fill),
            }
            at += u64::from(self.block_bytes);
        }
        Ok(())
    }

    fn write_at(&self, data: &[u8], offset: u64) -> io::Result<()> {
        check_bounds(self, data.len(), offset)?;
        self.power.spend()?;
        let mut image = self.lock();
        let struck = image.strike(Operation::Write);
        if struck != Some(false) {
            let mut at = offset;
            for content in data.chunks_exact(self.block_bytes as usize) {
                let content: Arc<[u8]> = content.into();
                image.live.insert(at, Arc::clone(&content));
                image.unflushed.push((at, content));
                at += u64::from(self.block_bytes);
            }
        }
        if struck.is_some() {
            Err(fault())
        } else {
            Ok(())
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.power.spend()?;
        let mut image = self.lock();
        if image.strike(Operation::Flush).is_some() {
            return Err(fault());
        }
        if image.lies {
            return Ok(());
        }
        for (offset, content) in std::mem::take(&mut image.unflushed) {
            image.durable.insert(offset, content);
        }
        Ok(())
    }
}
