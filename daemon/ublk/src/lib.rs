//! The data path of a volume on ublk: each request is looked up, and served by the members.
//!
//! Owns: from a request of the kernel to requests to members, with nothing on the way that waits,
//! allocates or logs ([`path`]); where everything is, as a snapshot that is exchanged as a whole
//! ([`map`], [`volume`]); moves under way ([`moving`], [`chunks`]) and their copies ([`copy`]); the
//! device that people mount ([`device`]), and the threads of its queues ([`queue`]). May not: decide
//! anything, know metadata, or give a leg up by itself. It has no `unsafe` of its own: `libublk` and
//! `io-uring` take addresses of buffers, which live as long as the queue that uses them.
//!
//! # Why no acknowledged byte is lost
//!
//! - A run of regions has one home, or it moves. What moves has a source and a target, and chunks
//!   of 64 KiB that are in sync or not. A write to a chunk in sync is acknowledged when both legs
//!   have it; to any other, when the source has it, since the chunk will be copied yet.
//! - While a chunk is copied, nobody writes to it; while somebody writes to a block of it, neither
//!   is it copied, nor does anybody else write to that block. So the copy never overwrites what is
//!   newer, and two writes that overlap reach both legs in the same order ([`chunks`]).
//! - What is copied is read back from the target before any request goes there, and what was written
//!   since, before the source is given up ([`copy`]). What was written and not read back since is never
//!   answered from the target while the source can be read.
//! - Then it is tried before it is trusted ([`trial`]): a part of the reads goes to the target,
//!   some to both, which are compared while nobody writes there; then a part of the writes goes to
//!   the target first, and to the source when the target has answered. Such a write, too, is
//!   acknowledged when both have it: the record names the source until it is committed. So going
//!   back costs nothing at any time, and a target that refuses a write leaves the source as it was.
//! - A target that differs, or is slower than it may, is no longer read; but it is written, for
//!   nothing need wait until somebody has decided what becomes of it. One that leaves requests unanswered
//!   is not written either: those that come then are parked, as after a refusal.
//! - A write that one leg refuses is *parked*: not acknowledged, and given to the run's home anew
//!   when that has changed. That a leg is behind is thereby durable before any write is acknowledged
//!   without it (rule 2).
//! - Where things are changes at one moment, for all queues, by exchanging a snapshot. A request
//!   keeps the one that it began with, and a change is *over* when nobody has the old one any more.
//!   Copies begin, and legs are given up, only then: a write that still goes to the old place alone
//!   would be missing at the new one. So nothing is ever held up to change a map.

pub mod chunks;
pub mod copy;
pub mod device;
pub mod features;
mod in_flight;
pub mod latency;
pub mod map;
pub mod members;
pub mod moving;
mod path;
mod queue;
pub mod ramp;
pub mod trial;
pub mod volume;
