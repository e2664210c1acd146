//! The hand-written `unsafe` of tierd, and nothing else: no policy, no retries but of `EINTR`.
//!
//! Each module wraps one kernel interface in safe calls that keep errno, path and offset in their
//! errors. Every other crate of ours denies `unsafe`.
#![allow(
    unsafe_code,
    reason = "this crate is the one place where unsafe is written"
)]

pub mod aligned;
pub mod block;
pub mod dm;
pub mod interrupt;
pub mod memory;
pub mod mmap;
pub mod nbd;
pub mod process;
pub mod ready;
pub mod ring;

pub use aligned::AlignedBuffer;
