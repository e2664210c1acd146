//! Harness disks: block devices whose cache is volatile and whose faults come on order.
//!
//! Owns: a disk's settings and the handle that a test turns its faults with. A disk is an NBD
//! server in this process and the guest's own nbd driver in front of it, so the kernel sees a real
//! device: one with a write-back cache, flush, force-unit-access and, if wanted, discard.
//! Invariants: what was flushed, or written with FUA, is in the image file and survives the
//! guest's death; what was not, is there as [`PowerLoss`] says, decided when it was written and
//! not when the power went, since nobody is asked then. An error answers a request that did
//! nothing. Works inside a guest only: the machine itself need not have nbd.
//!
//! ```ignore
//! let disk = Disk::new(guest.file("fast.img"), 64 << 20).on_power_loss(PowerLoss::Lost).start();
//! disk.answer(Answers { write: Answer::Fail, ..Answers::GOOD });
//! disk.spoil(4096, 512, Spoil::UntilWritten);
//! ```

mod cache;
mod connection;
mod mechanics;
mod protocol;
mod state;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connection::Connection;
use state::State;

pub use mechanics::Speed;

/// What becomes of writes that were not flushed when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerLoss {
    /// They are all there: a disk with a safe cache.
    Kept,
    /// They are gone, all of them.
    Lost,
    /// Each block of each write is there or not, independently and so in any order, by a coin
    /// with this seed. A block is never torn: disks promise that much.
    Some {
        /// Seed of the coin.
        seed: u64,
    },
}

/// How one kind of request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As a good disk does.
    Serve,
    /// With an I/O error, and nothing is done.
    Fail,
    /// Not at all, until the answer changes: the request is then served or failed.
    Hang,
}

/// How each kind of request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Reads.
    pub read: Answer,
    /// Writes.
    pub write: Answer,
    /// Flushes, and the flush part of a write with force-unit-access.
    pub flush: Answer,
    /// Discards.
    pub discard: Answer,
}

impl Answers {
    /// A good disk.
    pub const GOOD: Self = Self::all(Answer::Serve);
    /// A disk that was pulled out.
    pub const GONE: Self = Self::all(Answer::Fail);
    /// A disk that has stopped answering.
    pub const HUNG: Self = Self::all(Answer::Hang);

    const fn all(answer: Answer) -> Self {
        Self {
            read: answer,
            write: answer,
            flush: answer,
            discard: answer,
        }
    }
}

/// How a bad block heals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoil {
    /// Reads of it fail until it is written: what a disk does that has spare sectors.
    UntilWritten,
    /// Reads and writes of it fail for ever.
    ForEver,
}

/// What a disk was asked for since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Read requests.
    pub reads: u64,
    /// Write requests.
    pub writes: u64,
    /// Of those, with force-unit-access.
    pub fua_writes: u64,
    /// Flush requests.
    pub flushes: u64,
    /// Discard requests.
    pub discards: u64,
    /// Requests answered with an error.
    pub errors: u64,
}

/// A disk to be started.
#[derive(Clone, Debug)]
#[must_use = "a disk does nothing until `start`"]
#[allow(
    clippy::struct_excessive_bools,
    reason = "what a disk has and has not, each by itself"
)]
pub struct Disk {
    image: PathBuf,
    bytes: u64,
    block_bytes: u32,
    read_only: bool,
    write_cache: bool,
    discard: bool,
    power_loss: PowerLoss,
    flushes_nothing: bool,
    speed: Speed,
}

impl Disk {
    /// A disk of this size in bytes whose image is this file: made when it is not there, and
    /// taken as it was left when it is. 512-byte blocks, a volatile write cache that keeps
    /// everything ([`PowerLoss::Kept`]), as fast as it can.
    pub fn new(image: impl Into<PathBuf>, bytes: u64) -> Self {
        Self {
            image: image.into(),
            bytes,
            block_bytes: 512,
            read_only: false,
            write_cache: true,
            discard: false,
            power_loss: PowerLoss::Kept,
            flushes_nothing: false,
            speed: Speed::Full,
        }
    }

    /// Logical and physical block size: 512 or 4096.
    pub fn block_bytes(mut self, block_bytes: u32) -> Self {
        self.block_bytes = block_bytes;
        self
    }

    /// A disk that refuses writes.
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// A disk without a write cache: it says so, and the kernel sends it no flush.
    pub fn write_through(mut self) -> Self {
        self.write_cache = false;
        self
    }

    /// A disk that takes discards; discarded blocks read as zeroes.
    pub fn discard(mut self) -> Self {
        self.discard = true;
        self
    }

    /// What a power cut does to unflushed writes.
    pub fn on_power_loss(mut self, power_loss: PowerLoss) -> Self {
        self.power_loss = power_loss;
        self
    }

    /// A disk that lies: it answers a flush, or a write with force-unit-access, and leaves the data
    /// in its volatile cache. What a suite shows of power cuts is worth something only if it fails
    /// on such disks.
    pub fn flush_nothing(mut self) -> Self {
        self.flushes_nothing = true;
        self
    }

    /// How fast it is.
    pub fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Starts the disk on a free nbd device of the guest.
    ///
    /// # Panics
    /// Outside a guest, or when the image, the device or a thread cannot be had.
    #[must_use]
    pub fn start(self) -> RunningDisk {
        assert!(
            crate::guest::Inside::current().is_some(),
            "harness disks run inside guests: the machine's own kernel may have no nbd"
        );
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let image = options.open(&self.image).expect("image of a harness disk");
        image.set_len(self.bytes).expect("image of a harness disk");
        let state = Arc::new(State::new(image, &self));
        let connection = Connection::start(&self, &state);
        RunningDisk { state, connection }
    }
}

/// A running disk. Dropping it disconnects it: I/O in flight fails.
#[derive(Debug)]
pub struct RunningDisk {
    state: Arc<State>,
    connection: Connection,
}

impl RunningDisk {
    /// The device node.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.connection.node()
    }

    /// The device node as text, for tables and command lines.
    #[must_use]
    pub fn node(&self) -> &str {
        self.connection
            .node()
            .to_str()
            .expect("device nodes are ASCII")
    }

    /// The device's name below `/sys/block`.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node().trim_start_matches("/dev/")
    }

    /// Changes how requests are answered from now on. Requests that hung are taken up again.
    pub fn answer(&self, answers: Answers) {
        self.state.set_answers(answers);
        self.connection.take_up_again(&self.state);
    }

    /// Makes the blocks that hold these bytes bad.
    pub fn spoil(&self, offset: u64, length: u64, how: Spoil) {
        self.state.spoil(offset, length, how);
    }

    /// Changes how fast it is from now on.
    pub fn set_speed(&self, speed: Speed) {
        self.state.set_speed(speed);
    }

    /// What it was asked for so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts()
    }

    /// Blocks in its volatile cache: what a cut would lose now.
    #[must_use]
    pub fn unflushed_blocks(&self) -> usize {
        self.state.unflushed_blocks()
    }

    /// Requests that hang.
    #[must_use]
    pub fn hanging(&self) -> usize {
        self.connection.hanging()
    }
}
