//! The main job on real input: a file system with real files on a volume over NVMe, SSD and HDD,
//! under load, whose hot data moves to NVMe by itself.
//!
//! Owns: the job ([`job::run`]), as `tests/demo` shows it and the suite `main_job` asserts it; what
//! it tells while it runs ([`scene`]), and how people see that ([`view`], [`summary`]). Nothing here
//! is special to the product: it is driven by `tierctl` alone, and what it claims to have seen is
//! measured by the readers themselves and by the kernel's counters of the members.

pub mod files;
pub mod here;
pub mod job;
pub mod ledger;
pub mod load;
pub mod outcome;
pub mod scene;
pub mod summary;
pub mod view;
pub mod witness;

mod direct;
