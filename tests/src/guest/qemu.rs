//! An emulated machine with Debian's 6.12 kernel, through virtme-ng.
//!
//! Owns: its command line, its drives, and knowing whether KVM works here. The machine's root is
//! the host's, read-only, with changes below `/etc`, `/usr`, `/var`, `/tmp` and the like kept in
//! memory; only the scratch folder is shared for writing.

use std::fmt::Write as _;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use super::boot::{Boot, quoted};
use super::machine::Machine;
use super::scratch::guests_folder;

/// What `modprobe` loads in every guest.
const ALWAYS: &str = "dm-mod dm-mirror dm-zero dm-delay dm-flakey dm-log-writes nbd loop";
/// A stock kernel under working KVM comes up in a few seconds.
const KVM_TRIAL: Duration = Duration::from_mins(1);

/// How a drive is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nvme,
    Ssd,
    Hdd,
}

/// A drive of an emulated machine. Found inside by [`super::Inside::drive`].
#[derive(Clone, Debug)]
#[must_use = "a drive is given to `Guest::drive`"]
pub struct Drive {
    kind: Kind,
    name: String,
    bytes: u64,
    block_bytes: u32,
    requests_per_second: Option<u32>,
}

impl Drive {
    /// An NVMe drive of this name, a short word, and this size in bytes.
    pub fn nvme(name: &str, bytes: u64) -> Self {
        Self::new(Kind::Nvme, name, bytes)
    }

    /// A SCSI drive that says it does not rotate.
    pub fn ssd(name: &str, bytes: u64) -> Self {
        Self::new(Kind::Ssd, name, bytes)
    }

    /// A SCSI drive of 7200 turns a minute, held to 150 requests a second.
    pub fn hdd(name: &str, bytes: u64) -> Self {
        Self::new(Kind::Hdd, name, bytes).requests_per_second(150)
    }

    fn new(kind: Kind, name: &str, bytes: u64) -> Self {
        assert!(
            name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "a drive's name is its serial number: at most 20 letters and digits, not {name:?}"
        );
        let name = name.to_owned();
        Self {
            kind,
            name,
            bytes,
            block_bytes: 512,
            requests_per_second: None,
        }
    }

    /// Logical and physical block size: 512 or 4096.
    pub fn block_bytes(mut self, block_bytes: u32) -> Self {
        self.block_bytes = block_bytes;
        self
    }

    /// Holds the drive to this many requests a second.
    pub fn requests_per_second(mut self, limit: u32) -> Self {
        self.requests_per_second = Some(limit);
        self
    }

    /// QEMU's options for it; its image is made at the first boot and kept for the next.
    fn options(&self, number: usize, folder: &Path) -> String {
        let Self {
            name, block_bytes, ..
        } = self;
        let image = folder.join(format!("{name}.img"));
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&image);
        file.and_then(|file| file.set_len(self.bytes))
            .expect("image of a drive");
        let mut options = format!(
            "-drive if=none,id=d{number},file={},format=raw,cache=none,aio=io_uring,discard=unmap",
            image.display()
        );
        if let Some(limit) = self.requests_per_second {
            write!(options, ",throttling.iops-total={limit}").expect("string");
        }
        let blocks = format!("logical_block_size={block_bytes},physical_block_size={block_bytes}");
        let device = match self.kind {
            Kind::Nvme => format!("nvme,drive=d{number},serial={name},{blocks}"),
            Kind::Ssd => format!("scsi-hd,drive=d{number},serial={name},{blocks},rotation_rate=1"),
            Kind::Hdd => {
                format!("scsi-hd,drive=d{number},serial={name},{blocks},rotation_rate=7200")
            }
        };
        write!(options, " -device {device}").expect("string");
        options
    }
}

/// Whether such a guest can run here, or what is missing.
pub(super) fn available() -> Result<(), String> {
    for (program, package) in [
        ("qemu-system-x86_64", "package qemu-system-x86"),
        ("busybox", "package busybox-static"),
    ] {
        if !crate::command::exists(program) {
            return Err(format!(
                "{program} is not installed ({package}; run tests/setup)"
            ));
        }
    }
    virtme().map_err(|why| format!("{why}; run tests/setup"))?;
    kernel().map(|_image| ())
}

/// virtme-ng: on the search path, or where `tests/setup` puts it when Python is the system's.
fn virtme() -> Result<PathBuf, String> {
    let own = guests_folder().with_file_name("virtme-ng").join("bin/vng");
    if own.is_file() {
        return Ok(own);
    }
    if crate::command::exists("vng") {
        return Ok("vng".into());
    }
    Err("vng is not installed (virtme-ng from PyPI)".to_owned())
}

/// The newest installed 6.12 kernel, or what is missing.
fn kernel() -> Result<PathBuf, String> {
    let images = std::fs::read_dir("/boot").map_err(|error| format!("/boot: {error}"))?;
    let is_6_12 = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-6.12."))
    };
    images
        .flatten()
        .map(|entry| entry.path())
        .filter(is_6_12)
        .max()
        .ok_or("no kernel 6.12 in /boot (package linux-image-6.12-amd64; run tests/setup)".into())
}

/// The command that boots a machine, which shares this folder with the host and runs this script.
pub(super) fn command(boot: &Boot<'_>, shared: &Path, body: &str) -> Command {
    let folder = boot.scratch.path();
    let mut options = String::from(" -device virtio-scsi-pci");
    for (number, drive) in boot.settings.drives.iter().enumerate() {
        write!(options, " {}", drive.options(number, folder)).expect("string");
    }
    let modules = boot.settings.modules.iter();
    let own: String = modules.fold(String::new(), |all, module| {
        all + "modprobe " + module + "\n"
    });
    let text = format!(
        "#!/bin/sh\n\
         {own}modprobe -a {ALWAYS}\n\
         {body}\n\
         # The host kills the guest now.\n\
         while :; do sleep 1000; done\n",
    );
    let script = boot.script("body", &text);
    let mut command = machine(
        boot.settings.memory_mib,
        boot.settings.processors,
        kvm_works(),
        &options,
    );
    command.arg(format!("--rwdir={}", shared.display()));
    command.arg("--").arg(quoted(&script.display().to_string()));
    command
}

fn machine(memory_mib: u32, processors: u32, kvm: bool, more_options: &str) -> Command {
    let program = virtme().expect("checked by `available`");
    let image = kernel().expect("checked by `available`");
    // It starts others of its package by name.
    let own = program.parent().unwrap_or(Path::new("")).to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path)));
    let path = path.expect("folders without colons");
    let mut command = Command::new("env");
    command
        .arg(format!("PATH={}", path.display()))
        .arg(&program);
    command.arg("--run").arg(image);
    command.args([
        "--cpus",
        &processors.to_string(),
        "--memory",
        &format!("{memory_mib}M"),
    ]);
    if !kvm {
        command.arg("--disable-kvm");
    }
    // The consoles that virtme adds have 31 ports each, whose queues QEMU polls at each turn.
    let mut options = "-global virtio-serial-pci.max_ports=4".to_owned();
    if !kvm {
        // The last of its kind counts. Page tables of five levels are walked by emulation, too.
        options += " -cpu max,la57=off";
    }
    command.arg(format!("--qemu-opts={options}{more_options}"));
    command
}

/// Whether a guest comes up on KVM here, tried once per boot of the host: `/dev/kvm` may be there
/// and yet no stock kernel boot on it.
fn kvm_works() -> bool {
    static KNOWN: OnceLock<bool> = OnceLock::new();
    *KNOWN.get_or_init(|| {
        let usable = File::options()
            .read(true)
            .write(true)
            .open("/dev/kvm")
            .is_ok();
        usable && remembered_or_tried()
    })
}

fn remembered_or_tried() -> bool {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let memory = guests_folder().join(format!("kvm-{}", boot.trim()));
    if let Ok(known) = std::fs::read_to_string(&memory) {
        return known == "works";
    }
    let mut command = machine(512, 1, true, "");
    command.args(["--", "true"]);
    let console = guests_folder().join("kvm-trial.log");
    let works = Machine::start(&command, &console).succeeds_within(KVM_TRIAL);
    std::fs::write(&memory, if works { "works" } else { "fails" }).expect("memory of the trial");
    works
}
