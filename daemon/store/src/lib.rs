//! tierd's on-disk state: labels, metadata areas, epochs, records, recovery.
//!
//! An offline library: it knows no device-mapper and decides no placement. Everything it needs of
//! a device is [`storage::Storage`]. `FORMAT.md` describes every byte it writes. Modules stand in
//! reading order: what a device is, what lies on it, what is made of it, what a person asks of it.

pub mod words;

// What a device is.
pub mod storage;
pub mod device;
pub mod steps;

// What lies on it.
pub mod label;
pub mod layout;
pub mod area;
pub mod violation;
pub mod map;
pub mod meta;

// What is made of it.
pub mod store;
pub mod create;
pub mod refusal;
pub mod recover;
pub mod open;
pub mod scan;

// What a person asks of it.
pub mod check;
pub mod repair;
pub mod dump;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod storm;
