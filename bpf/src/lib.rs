//! The probe: block I/O counted in the kernel, per region of a volume and per member.
//!
//! Owns: the BPF programs (`bpf/probe.bpf.c`, `bpf/recorder.bpf.c` and their headers), what loads
//! and attaches them, and what reads them out. It reports facts; it does not decide, decay or rank.
//!
//! Invariants:
//! - A volume's counts over all its intervals add up to what was submitted to it, less what is
//!   reported as lost or skipped. No count is in two intervals.
//! - The memory that counts take is planned before it is taken, and kept to a budget.
//! - Nothing is pinned: when the [`Probe`] goes, so does everything it put into the kernel.
//!
//! It may not name a volume, a member or an extent by anything but a device number.

mod budget;
mod device;
mod error;
mod hot;
mod kernel;
mod latency;
mod maps;
mod member;
mod probe;
mod record;
mod recorder;
mod ring;
mod sets;
mod volume;

pub use device::DeviceNumber;
pub use error::{KernelFeature, ProbeError};
pub use hot::HotRecord;
pub use latency::{Histogram, VolumeLatencies};
pub use member::{MemberLoad, OperationLoad};
pub use probe::{Probe, ProbeConfig, ProbeStats};
pub use record::{MAX_MEMBERS, MAX_SPAN, MAX_VOLUMES};
pub use recorder::{RecordedBio, Recorder};
pub use sets::{RegionCounts, Storage};
pub use volume::{IntervalCounts, VolumeTotals};
