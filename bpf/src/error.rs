//! What can go wrong with the probe, and what to do then.

use std::io;

use crate::device::DeviceNumber;
use crate::record::{MAX_MEMBERS, MAX_VOLUMES};

/// Something the running kernel would have to have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KernelFeature {
    /// The kernel does not describe its own types.
    #[error("type information at {path} (CONFIG_DEBUG_INFO_BTF)")]
    Btf {
        /// Where it was looked for.
        path: String,
    },
    /// The capabilities that loading a tracing program asks for.
    #[error("the right to load BPF programs (root, or CAP_BPF and CAP_PERFMON)")]
    Permission,
    /// The bpf system call itself.
    #[error("the bpf system call (CONFIG_BPF_SYSCALL)")]
    BpfSyscall,
    /// A tracepoint that BPF programs can be attached to.
    #[error("BPF on the tracepoint {name} (CONFIG_BPF_EVENTS, CONFIG_BLOCK)")]
    Tracepoint {
        /// Name of the tracepoint.
        name: &'static str,
    },
    /// A tracepoint with the arguments that the probe reads.
    #[error("the tracepoint {name} with arguments ({expected}); this kernel has ({found})")]
    TracepointArguments {
        /// Name of the tracepoint.
        name: &'static str,
        /// Arguments that the probe was written for.
        expected: String,
        /// Arguments of the running kernel.
        found: String,
    },
    /// A field of a structure, as libbpf words it.
    #[error("a structure field that the probe reads: {relocation}")]
    Field {
        /// The relocation that failed.
        relocation: String,
    },
}

/// Why the probe could not be loaded, or did not do what it was asked. After a failed load the
/// daemon goes on without the probe; after any other error the probe goes on as it was.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel lacks something.
    #[error("the probe cannot run here: the kernel lacks {feature}")]
    Missing {
        /// What it lacks.
        feature: KernelFeature,
    },
    /// The kernel's verifier refused a program.
    #[error(
        "this kernel's verifier refuses the probe; please report it with the kernel's version \
         and this log: {log}"
    )]
    Refused {
        /// The end of the verifier's log.
        log: String,
        /// What libbpf returned.
        source: libbpf_rs::Error,
    },
    /// A call into libbpf failed.
    #[error("cannot {action}")]
    Libbpf {
        /// What was being done, and on what.
        action: String,
        /// Why it failed.
        source: libbpf_rs::Error,
    },
    /// A system call beside libbpf failed.
    #[error("cannot {action}")]
    Io {
        /// What was being done, and on what.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The device is watched already in this role.
    #[error("device {0} is watched already")]
    AlreadyWatched(DeviceNumber),
    /// The device is not watched in this role.
    #[error("device {0} is not watched")]
    NotWatched(DeviceNumber),
    /// No slot is left.
    #[error("{MAX_VOLUMES} volumes are watched already, as many as one probe can")]
    TooManyVolumes,
    /// No slot is left.
    #[error("{MAX_MEMBERS} members are watched already, as many as one probe can")]
    TooManyMembers,
    /// Regions that cannot be counted.
    #[error(
        "cannot watch device {device} as {regions} regions of 2^{region_shift} bytes: there has \
         to be one at least, of 2^12 to 2^32 bytes, and all within 2^63 bytes"
    )]
    BadRegions {
        /// The device.
        device: DeviceNumber,
        /// Number of regions asked for.
        regions: u32,
        /// Log2 of the region size asked for.
        region_shift: u32,
    },
    /// The memory budget is used up.
    #[error(
        "cannot watch device {device}: {left_bytes} bytes are left of the probe's memory budget \
         of {budget_bytes}, and {needed_bytes} are needed at least; raise the budget"
    )]
    BudgetSpent {
        /// The device.
        device: DeviceNumber,
        /// What the configuration allows.
        budget_bytes: u64,
        /// What is left of it.
        left_bytes: u64,
        /// The least that can be worked with.
        needed_bytes: u64,
    },
    /// A configuration value that cannot be used.
    #[error("probe configuration: {0}")]
    BadConfig(String),
    /// A record of another size than the probe was built with.
    #[error("the kernel gave a record of {found} bytes for {what}, where {expected} were expected")]
    BadRecord {
        /// Which record.
        what: &'static str,
        /// Its size.
        expected: usize,
        /// What came.
        found: usize,
    },
}

/// Puts what was being done to an error of libbpf.
pub(crate) trait Doing<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, ProbeError>;
}

impl<T> Doing<T> for Result<T, libbpf_rs::Error> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, ProbeError> {
        self.map_err(|source| ProbeError::Libbpf {
            action: action(),
            source,
        })
    }
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T, ProbeError> {
        self.map_err(|source| ProbeError::Io {
            action: action(),
            source,
        })
    }
}
