//! Whether the running kernel can carry the probe, asked before it is tried.
//!
//! Owns: the checks whose failure names a missing feature, and libbpf's log. libbpf's own errors
//! are a bare errno for most of these; a person can do something about a name.

use std::fs;
use std::path::Path;
use std::sync::Mutex;

use libbpf_rs::btf::{Btf, BtfType, ReferencesType, types};
use libbpf_rs::{ErrorKind, PrintLevel};

use crate::error::{Doing, KernelFeature, ProbeError};

/// Where the kernel shows its types.
pub(crate) const BTF_PATH: &str = "/sys/kernel/btf/vmlinux";

/// The tracepoints that the probe attaches to, and the structures their arguments point to (after
/// the first, which is BPF's own; "" for what is no pointer to a structure).
const TRACEPOINTS: [(&str, &[&str]); 5] = [
    ("block_bio_queue", &["bio"]),
    ("block_bio_complete", &["request_queue", "bio"]),
    ("block_rq_issue", &["request"]),
    ("block_rq_requeue", &["request"]),
    ("block_rq_complete", &["request", "", ""]),
];

/// Bits of `CapEff` (include/uapi/linux/capability.h).
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_PERFMON: u64 = 1 << 38;
const CAP_BPF: u64 = 1 << 39;

/// What libbpf warned of since the last [`start_log`], for the error that may follow.
static WARNINGS: Mutex<String> = Mutex::new(String::new());
/// How much of a verifier's log is kept: its end, which says what was refused.
const LOG_BYTES_MAX: usize = 4096;

/// Checks everything that can be checked without loading.
pub(crate) fn check() -> Result<(), ProbeError> {
    check_permission(Path::new("/proc/self/status"))?;
    check_tracepoints(Path::new(BTF_PATH), &TRACEPOINTS)
}

fn missing(feature: KernelFeature) -> ProbeError {
    ProbeError::Missing { feature }
}

fn check_permission(status: &Path) -> Result<(), ProbeError> {
    let text = fs::read_to_string(status)
        .doing(|| format!("read capabilities from {}", status.display()))?;
    let effective = text
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .unwrap_or(0);
    let tracing = CAP_BPF | CAP_PERFMON;
    if effective & CAP_SYS_ADMIN != 0 || effective & tracing == tracing {
        return Ok(());
    }
    Err(missing(KernelFeature::Permission))
}

fn check_tracepoints(
    btf: &Path,
    tracepoints: &[(&'static str, &[&str])],
) -> Result<(), ProbeError> {
    let kernel = Btf::from_path(btf).map_err(|_| {
        missing(KernelFeature::Btf {
            path: btf.display().to_string(),
        })
    })?;
    for &(name, expected) in tracepoints {
        // CONFIG_BPF_EVENTS leaves one such typedef per tracepoint (include/trace/bpf_probe.h).
        let found = kernel
            .type_by_name::<types::Typedef<'_>>(&format!("btf_trace_{name}"))
            .and_then(|typedef| arguments(&kernel, typedef.referenced_type()))
            .ok_or_else(|| missing(KernelFeature::Tracepoint { name }))?;
        if found != expected {
            return Err(missing(KernelFeature::TracepointArguments {
                name,
                expected: expected.join(", "),
                found: found.join(", "),
            }));
        }
    }
    Ok(())
}

/// Names of the structures that a tracepoint's arguments point to, less the first.
fn arguments(btf: &Btf<'_>, pointer: BtfType<'_>) -> Option<Vec<String>> {
    let pointer = types::Ptr::try_from(pointer).ok()?;
    let function = types::FuncProto::try_from(pointer.referenced_type()).ok()?;
    let name_of = |id| {
        let pointer = btf.type_by_id::<types::Ptr<'_>>(id)?;
        let target = pointer.referenced_type().skip_mods_and_typedefs();
        Some(target.name()?.to_string_lossy().into_owned())
    };
    Some(
        function
            .iter()
            .skip(1)
            .map(|parameter| name_of(parameter.ty).unwrap_or_default())
            .collect(),
    )
}

/// Sends what libbpf says to tracing from now on, and keeps its warnings for [`explain_load`].
pub(crate) fn start_log() {
    if let Ok(mut warnings) = WARNINGS.lock() {
        warnings.clear();
    }
    libbpf_rs::set_print(Some((PrintLevel::Debug, log)));
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "the signature is libbpf-rs's"
)]
fn log(level: PrintLevel, message: String) {
    let line = message.trim_end();
    match level {
        // Warnings come with an error, which reports them; by themselves they explain nothing.
        PrintLevel::Warn => {
            tracing::info!(target: "libbpf", "{line}");
            if let Ok(mut warnings) = WARNINGS.lock() {
                warnings.push_str(&message);
                let excess = warnings.len().saturating_sub(LOG_BYTES_MAX);
                let start = (excess..=warnings.len())
                    .find(|&at| warnings.is_char_boundary(at))
                    .unwrap_or_default();
                warnings.drain(..start);
            }
        }
        PrintLevel::Info => tracing::debug!(target: "libbpf", "{line}"),
        PrintLevel::Debug => tracing::trace!(target: "libbpf", "{line}"),
    }
}

/// Turns a failed load into an error that says what is missing.
pub(crate) fn explain_load(source: libbpf_rs::Error) -> ProbeError {
    let log = WARNINGS
        .lock()
        .map(|warnings| warnings.clone())
        .unwrap_or_default();
    explain(source, &log)
}

fn explain(source: libbpf_rs::Error, log: &str) -> ProbeError {
    // The loader turns the access to an unknown field into an invalid call that it names.
    if let Some(line) = log.lines().find(|line| line.contains("CO-RE relocation")) {
        let relocation = line.trim().to_owned();
        return missing(KernelFeature::Field { relocation });
    }
    // The verifier refuses with EACCES or EINVAL, and always leaves a log.
    if log.contains("BEGIN PROG LOAD LOG") {
        return ProbeError::Refused {
            log: log.to_owned(),
            source,
        };
    }
    match source.kind() {
        ErrorKind::PermissionDenied => missing(KernelFeature::Permission),
        _ if format!("{source:#}").contains("os error 38") => missing(KernelFeature::BpfSyscall),
        _ => ProbeError::Libbpf {
            action: "load the probe into the kernel".to_owned(),
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn feature(result: Result<(), ProbeError>) -> KernelFeature {
        match result {
            Err(ProbeError::Missing { feature }) => feature,
            other => panic!("expected a missing feature, got {other:?}"),
        }
    }

    #[test]
    fn a_kernel_without_type_information_is_told() {
        let path = "/nonexistent/vmlinux";
        assert_eq!(
            feature(check_tracepoints(Path::new(path), &TRACEPOINTS)),
            KernelFeature::Btf {
                path: path.to_owned()
            }
        );
    }

    #[test]
    fn a_tracepoint_that_is_unknown_or_has_other_arguments_is_told() {
        let btf = Path::new(BTF_PATH);
        assert_eq!(
            feature(check_tracepoints(btf, &[("block_no_such_point", &["bio"])])),
            KernelFeature::Tracepoint {
                name: "block_no_such_point"
            }
        );
        assert_eq!(
            feature(check_tracepoints(
                btf,
                &[("block_bio_queue", &["request_queue", "bio"])]
            )),
            KernelFeature::TracepointArguments {
                name: "block_bio_queue",
                expected: "request_queue, bio".to_owned(),
                found: "bio".to_owned(),
            }
        );
    }

    #[test]
    fn capabilities_are_asked_for_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let status = directory.path().join("status");
        let check = |cap_eff: &str| {
            fs::write(&status, format!("Name:\tx\nCapEff:\t{cap_eff}\n")).unwrap();
            check_permission(&status)
        };
        check("000001ffffffffff").unwrap();
        check("000000c000000000").unwrap();
        check("0000000000200000").unwrap();
        assert_eq!(
            feature(check("0000000000000000")),
            KernelFeature::Permission
        );
        assert_eq!(
            feature(check("0000008000000000")),
            KernelFeature::Permission
        );
    }

    #[test]
    fn a_failed_load_is_explained_by_its_log_before_its_errno() {
        let denied = || libbpf_rs::Error::from(io::Error::from_raw_os_error(13));
        let field = explain(
            denied(),
            "x\n10: <invalid CO-RE relocation> struct bio.bi_bdev\ny",
        );
        let ProbeError::Missing {
            feature: KernelFeature::Field { relocation },
        } = field
        else {
            panic!("{field}");
        };
        assert!(relocation.contains("bio.bi_bdev"), "{relocation}");

        let refused = explain(denied(), "-- BEGIN PROG LOAD LOG --\nR0 unbounded\n");
        assert!(matches!(&refused, ProbeError::Refused { log, .. } if log.contains("R0")));
        let permission = explain(denied(), "");
        assert!(matches!(
            permission,
            ProbeError::Missing {
                feature: KernelFeature::Permission
            }
        ));
        let no_call = explain(libbpf_rs::Error::from(io::Error::from_raw_os_error(38)), "");
        assert!(matches!(
            no_call,
            ProbeError::Missing {
                feature: KernelFeature::BpfSyscall
            }
        ));
    }
}
