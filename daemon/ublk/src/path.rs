//! One request, from the kernel to the members and back.
//!
//! Owns: what a read, a write, a flush, a discard and a write of zeroes mean for a run that is at one
//! place, and for one that moves ([`legs`]). Invariants: nothing is allocated, logged or waited for but I/O
//! and, where a write cannot be made now, time; a request holds the snapshot that it goes by only
//! while it has I/O in flight; a write that fails on a leg of a move is not answered, but tried
//! again by the next snapshot.

use std::ops::Range;

use io_uring::types::{Fixed, FsyncFlags, Timespec};
use io_uring::{opcode, squeue};
use libublk::UblkUringData;
use libublk::uring_async::ublk_submit_sqe_async;
use tier_core::event::LegFault;

use crate::map::{Home, Place};
use crate::moving::Side;
use crate::volume::Volume;

mod legs;
mod memory;

pub(crate) use memory::{Buffer, Data, Spare};

/// The first pause before what cannot be done now is tried again, and the longest.
const PAUSE_NANOS: (u32, u32) = (100_000, 12_800_000);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Read,
    Write,
    Flush,
    Discard,
    WriteZeroes,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) op: Op,
    /// Bytes of the volume.
    pub(crate) bytes: Range<u64>,
    /// Durable before it is answered.
    pub(crate) is_durable: bool,
}

/// An errno.
type Errno = i32;

/// Why a request does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// Not now.
    Parked,
    /// Not ever.
    Failed(Errno),
}

/// Serves a request. Gives its bytes, or a negative errno.
pub(crate) async fn serve(
    volume: &Volume,
    request: &Request,
    data: Data<'_>,
    spare: &Spare,
) -> i32 {
    if request.op == Op::Flush {
        return flush(volume).await.map_or_else(|errno| -errno, |()| 0);
    }
    let (mut at, mut pause_nanos) = (request.bytes.start, PAUSE_NANOS.0);
    while at < request.bytes.end {
        match step(volume, request, at, data, spare).await {
            Ok(until) => (at, pause_nanos) = (until, PAUSE_NANOS.0),
            Err(Stop::Failed(errno)) => return -errno,
            Err(Stop::Parked) => {
                pause(pause_nanos).await;
                pause_nanos = (pause_nanos * 2).min(PAUSE_NANOS.1);
            }
        }
    }
    i32::try_from(request.bytes.end - request.bytes.start).unwrap_or(i32::MAX)
}

/// Serves a request's bytes from `at` on, as far as they are in one run, and tells how far that is.
async fn step(
    volume: &Volume,
    request: &Request,
    at: u64,
    data: Data<'_>,
    spare: &Spare,
) -> Result<u64, Stop> {
    let snapshot = volume.snapshot();
    let run = snapshot.run_at(at).ok_or(Stop::Failed(libc::EIO))?;
    let until = request.bytes.end.min(run.end);
    let piece = Piece {
        volume,
        op: request.op,
        within: at - run.start..until - run.start,
        data: data.plus(at - request.bytes.start),
        spare,
        is_durable: request.is_durable,
    };
    match &run.home {
        Home::One(place) => piece.at(*place).await.map_err(Stop::Failed)?,
        Home::Moving(moving) if request.op == Op::Read => {
            piece.read_moving(moving).await.map_err(Stop::Failed)?;
        }
        Home::Moving(moving) => piece.write_moving(moving).await?,
        Home::Missing => return Err(Stop::Failed(libc::EIO)),
    }
    Ok(until)
}

/// The part of a request that lies in one run.
struct Piece<'a> {
    volume: &'a Volume,
    op: Op,
    /// From the run's beginning on.
    within: Range<u64>,
    data: Data<'a>,
    spare: &'a Spare,
    is_durable: bool,
}

impl Piece<'_> {
    /// Does it at the one place of its run.
    async fn at(&self, home: Place) -> Result<(), Errno> {
        let length = self.within.end - self.within.start;
        let place = home.plus(self.within.start);
        match self.op {
            Op::Read => read(place, self.data, length).await,
            Op::Discard => self.discard(place, length).await,
            Op::Write | Op::WriteZeroes | Op::Flush => self.put(place, self.data, length).await,
        }
    }

    /// Writes to a place.
    async fn put(&self, place: Place, data: Data<'_>, length: u64) -> Result<(), Errno> {
        if self.op == Op::WriteZeroes {
            zero(place, length).await?;
        } else {
            write(place, data, length, self.is_durable).await?;
        }
        self.changed(place);
        Ok(())
    }

    /// A hint, which a member without discards does not take.
    async fn discard(&self, place: Place, length: u64) -> Result<(), Errno> {
        match discard(place, length).await {
            Err(libc::EOPNOTSUPP) => Ok(()),
            done => {
                self.changed(place);
                done
            }
        }
    }

    fn changed(&self, place: Place) {
        if let Some(member) = self.volume.members().get(place.member) {
            member.changed();
        }
    }
}

/// Makes durable what was answered before, on all members that anything is on now: where something was
/// before it moved, it need not be durable any more, and what failed there is not to fail all that
/// follows. Legs of moves on a member that fails are no longer believed to have everything.
async fn flush(volume: &Volume) -> Result<(), Errno> {
    let mut all = Ok(());
    let on = volume.snapshot().members();
    let members = volume.members().iter().enumerate();
    for (at, member) in members.filter(|(at, _)| on.has(*at)) {
        let Some(changes) = member.to_flush() else {
            continue;
        };
        let flush = opcode::Fsync::new(fixed(at)).flags(FsyncFlags::DATASYNC);
        let done = {
            let _asked = member.asked.ask();
            submit(flush.build()).await
        };
        match done {
            Ok(_) => member.flushed(changes),
            Err(errno) => {
                all = all.and(Err(errno));
                for moving in volume.snapshot().moves() {
                    let sides = [Side::Source, Side::Target].into_iter();
                    for side in sides.filter(|side| moving.leg(*side).member == at) {
                        moving.failed(side, LegFault::Flush);
                    }
                }
            }
        }
    }
    all
}

/// Lets time pass.
async fn pause(nanos: u32) {
    let time = Timespec::new().nsec(nanos);
    // It ends with ETIME, which says that it did what it should.
    let _ = submit(opcode::Timeout::new(&raw const time).build()).await;
}

/// A member's file, as it is registered with each queue's ring: the device itself comes first.
fn fixed(member: usize) -> Fixed {
    Fixed(u32::try_from(member + 1).unwrap_or(u32::MAX))
}

async fn submit(entry: squeue::Entry) -> Result<u32, Errno> {
    let done = ublk_submit_sqe_async(entry, UblkUringData::Target as u64).await;
    let done = done.unwrap_or(-libc::EIO);
    u32::try_from(done).map_err(|_| -done)
}

/// Bytes of so much that one request to a member takes.
fn at_most(length: u64) -> u32 {
    const MOST: u32 = 1 << 30;
    u32::try_from(length).map_or(MOST, |length| length.min(MOST))
}

async fn read(place: Place, data: Data<'_>, length: u64) -> Result<(), Errno> {
    transfer(length, |at, bytes| {
        let (place, data) = (place.plus(at), data.plus(at));
        let (file, to) = (fixed(place.member), data.pointer());
        if let Some(buffer) = data.place() {
            let read = opcode::ReadFixed::new(file, to, bytes, buffer);
            read.offset(place.offset).build()
        } else {
            let read = opcode::Read::new(file, to, bytes);
            read.offset(place.offset).build()
        }
    })
    .await
}

async fn write(place: Place, data: Data<'_>, length: u64, is_durable: bool) -> Result<(), Errno> {
    let flags = if is_durable { libc::RWF_DSYNC } else { 0 };
    transfer(length, |at, bytes| {
        let (place, data) = (place.plus(at), data.plus(at));
        let (file, from) = (fixed(place.member), data.pointer());
        if let Some(buffer) = data.place() {
            let write = opcode::WriteFixed::new(file, from, bytes, buffer);
            write.offset(place.offset).rw_flags(flags).build()
        } else {
            let write = opcode::Write::new(file, from, bytes);
            write.offset(place.offset).rw_flags(flags).build()
        }
    })
    .await
}

/// Gives orders for the bytes from some place on until all are done.
async fn transfer(length: u64, order: impl Fn(u64, u32) -> squeue::Entry) -> Result<(), Errno> {
    let mut at = 0;
    while at < length {
        match submit(order(at, at_most(length - at))).await {
            // The device is shorter than the metadata say.
            Ok(0) => return Err(libc::EIO),
            Ok(bytes) => at += u64::from(bytes),
            Err(libc::EAGAIN | libc::EINTR) => pause(PAUSE_NANOS.0).await,
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Writes zeroes, by a command of the device or as data (`blkdev_fallocate` in block/fops.c).
async fn zero(place: Place, length: u64) -> Result<(), Errno> {
    allocate(place, length, libc::FALLOC_FL_ZERO_RANGE).await
}

/// Gives up what is there, as far as the device can: it then reads as zeroes.
async fn discard(place: Place, length: u64) -> Result<(), Errno> {
    allocate(place, length, libc::FALLOC_FL_PUNCH_HOLE).await
}

async fn allocate(place: Place, length: u64, mode: i32) -> Result<(), Errno> {
    let order = opcode::Fallocate::new(fixed(place.member), length);
    let order = order.offset(place.offset);
    let order = order.mode(mode | libc::FALLOC_FL_KEEP_SIZE).build();
    submit(order).await.map(|_| ())
}
