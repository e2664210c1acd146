//! User-Mode Linux: a kernel as an ordinary process, booted in two seconds.
//!
//! Owns: its command line and its init. Needs no root: the guest's root user has the rights on
//! files that the user has who runs the test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::boot::{Boot, quoted};
use super::modules::ModuleFolder;
use super::scratch::guests_folder;
use super::systemd;
use crate::command::run;

const PROGRAM: &str = "linux.uml";
const MODULES: &str = "/usr/lib/uml/modules";
/// Loaded before libc, so that the program runs on processors that are newer than it is.
const XSTATE: &str = include_str!("xstate.c");

/// Loaded in every guest: together a fraction of a second.
const ALWAYS: &[&str] = &[
    "dm-mod",
    "dm-mirror",
    "dm-zero",
    "dm-delay",
    "dm-dust",
    "dm-flakey",
    "dm-log-writes",
    "overlay",
    "nbd nbds_max=16 max_part=0",
    "loop max_loop=8",
    "brd rd_nr=4 rd_size=65536",
];

/// Whether such a guest can run here, or what is missing.
pub(super) fn available() -> Result<(), String> {
    if !crate::command::exists(PROGRAM) {
        return Err(format!(
            "{PROGRAM} is not installed (package user-mode-linux; run tests/setup)"
        ));
    }
    module_folder().map(|_folder| ())
}

fn module_folder() -> Result<ModuleFolder, String> {
    let release = crate::command::attempt(PROGRAM, &["--version"])?;
    ModuleFolder::open(Path::new(MODULES).join(release.trim()))
}

/// The command that boots this phase.
pub(super) fn command(boot: &Boot<'_>) -> Command {
    let init = init(boot);
    let memory = boot.settings.memory_mib;
    let mut command = Command::new("env");
    command.arg(format!("LD_PRELOAD={}", xstate().display()));
    command.arg(PROGRAM).arg(format!("mem={memory}M")).args([
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "rw",
        "con=null",
        "con0=fd:0,fd:1",
        // The console is a file; what it holds is what a failure shows.
        "loglevel=5",
        "panic=-1",
    ]);
    command.arg(format!("init={}", init.display()));
    for ((image, bytes), letter) in boot.settings.disks.iter().zip('b'..) {
        let path = boot.scratch.path().join(image);
        let file = std::fs::File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path);
        file.and_then(|file| file.set_len(*bytes))
            .expect("image of a disk");
        command.arg(format!("ubd{letter}={}", path.display()));
    }
    if boot.settings.systemd.is_some() {
        command.args(systemd::KERNEL_ARGUMENTS);
    }
    command.arg(format!("uml_dir={}", boot.scratch.path().display()));
    command
}

/// What [`XSTATE`] compiles to, made once by each process.
fn xstate() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let library = guests_folder().join("xstate.so");
        // In a folder of its own first: other suites make it too, or have it loaded.
        let folder = tempfile::tempdir_in(guests_folder()).expect("folder to compile in");
        let [source, made] = ["xstate.c", "xstate.so"].map(|name| folder.path().join(name));
        std::fs::write(&source, XSTATE).expect("source of a library in the folder for guests");
        let [from, to] = [&source, &made].map(|path| path.to_str().expect("path in UTF-8"));
        run("cc", &["-O2", "-shared", "-fPIC", "-o", to, from]);
        std::fs::rename(&made, &library).expect("library in the folder for guests");
        library
    })
}

/// Writes the guest's init: it mounts, loads, runs the body, and waits to be killed.
fn init(boot: &Boot<'_>) -> PathBuf {
    let text = format!(
        "#!/bin/sh\n\
         export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         mount -t proc proc /proc\n\
         mount -t sysfs sysfs /sys\n\
         mount -t tmpfs tmpfs /run\n\
         mkdir -p /dev/pts /dev/shm /run/lock\n\
         mount -t devpts devpts /dev/pts\n\
         mount -t tmpfs tmpfs /dev/shm\n\
         {modules}\n\
         {own}\n\
         hostname guest\n\
         {body}\n\
         # The host kills the guest now; an init that ended would panic the kernel first.\n\
         while :; do sleep 1000; done\n",
        modules = modules(boot),
        own = own_folders(boot),
        body = match &boot.settings.systemd {
            Some(preparation) => systemd::init(boot, preparation),
            None => boot.body_script(),
        },
    );
    boot.script("init", &text)
}

fn modules(boot: &Boot<'_>) -> String {
    let folder = module_folder().expect("checked by `available`");
    let wanted = boot.settings.modules.iter().map(String::as_str);
    let mut order = Vec::new();
    // The test's own come first, so that its parameters win over those of `ALWAYS`.
    for module in wanted.chain(ALWAYS.iter().copied()) {
        folder
            .load(module, &mut order)
            .unwrap_or_else(|why| panic!("{why}"));
    }
    order.join("\n")
}

/// Gives the guest a `/tmp` of its own, and changes below `/etc` and `/var` that die with it,
/// except where that would hide the test itself.
fn own_folders(boot: &Boot<'_>) -> String {
    let executable = std::env::current_exe().expect("own executable");
    let folder = std::env::current_dir().expect("working folder");
    let shared = [executable.as_path(), boot.scratch.path(), &folder];
    let hides = |folder: &str| shared.iter().any(|path| path.starts_with(folder));
    let mut lines = Vec::new();
    if !hides("/tmp") {
        lines.push("mount -t tmpfs tmpfs /tmp".to_owned());
    }
    for folder in ["/etc", "/var"].into_iter().filter(|folder| !hides(folder)) {
        let upper = format!("/run/own{folder}");
        let options = format!("lowerdir={folder},upperdir={upper}/upper,workdir={upper}/work");
        lines.push(format!("mkdir -p {upper}/upper {upper}/work"));
        lines.push(format!(
            "mount -t overlay -o {} own {folder}",
            quoted(&options)
        ));
    }
    lines.join("\n")
}
