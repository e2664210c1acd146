//! tierd's on-disk state: labels, metadata areas, epochs, records, recovery.
//!
//! An offline library: it knows no device-mapper and decides no placement. Everything it needs of
//! a device is [`storage::Storage`]. `FORMAT.md` describes every byte it writes.

pub mod area;
pub mod create;
pub mod device;
#[cfg(test)]
mod fixture;
pub mod label;
pub mod layout;
pub mod map;
pub mod meta;
pub mod open;
pub mod recover;
pub mod steps;
pub mod storage;
pub mod store;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod words;
