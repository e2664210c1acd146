//! systemd and udev as a guest's first processes.
//!
//! Owns: the units that bring a guest up to the point where a phase's body runs as a service. The
//! units of the machine itself are there too, but only what `basic.target` wants is started: no
//! login, no timers, no servers. Invariant: the machine's file system is read-only in such a guest
//! but for the scratch folder, since systemd as root would tidy up there as if it were its own.

use super::boot::{Boot, quoted};

/// Where Debian keeps it.
const PROGRAM: &str = "/lib/systemd/systemd";
/// What the guest boots into.
const TARGET: &str = "tier-guest.target";

const UNIT_TARGET: &str = "\
[Unit]
Description=What a test needs
Requires=basic.target
Wants=tier-guest.service
After=basic.target
";
/// Its last line, `ExecStart=`, is the test's.
const UNIT_BODY: &str = "\
[Unit]
Description=The phase of a test
After=basic.target
[Service]
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
";

/// Arguments for the kernel's command line, where systemd finds its own.
pub(super) const KERNEL_ARGUMENTS: &[&str] = &[
    "systemd.unit=tier-guest.target",
    "systemd.log_color=0",
    "selinux=0",
    "systemd.show_status=0",
];

/// Units of the machine that a guest does without, which halves the time that it takes to come up.
const MASKED: &str = "blk-availability.service dev-mqueue.mount lvm2-lvmpolld.socket \
    lvm2-monitor.service dm-event.socket modprobe@configfs.service modprobe@drm.service \
    modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service \
    systemd-journal-flush.service systemd-modules-load.service systemd-pstore.service \
    systemd-random-seed.service systemd-sysctl.service systemd-sysusers.service \
    systemd-timesyncd.service systemd-tmpfiles-setup.service systemd-update-utmp.service";

/// The journal is shown where a failure shows it: it dies with the guest.
const JOURNAL: &str = "[Journal]\nForwardToConsole=yes\nMaxLevelConsole=info\n";

/// udev is told of block devices only, and not of hundreds of terminals.
const TRIGGER: &str = "\
[Service]
ExecStart=
ExecStart=udevadm trigger --type=devices --action=add --subsystem-match=block
";

/// Whether it is installed.
pub(super) fn available() -> Result<(), String> {
    if std::path::Path::new(PROGRAM).exists() && crate::command::exists("udevadm") {
        return Ok(());
    }
    Err("systemd or udev is not installed (run tests/setup)".to_owned())
}

/// The end of the guest's init: puts the units in place, runs the test's own preparation, and
/// becomes systemd.
pub(super) fn init(boot: &Boot<'_>, preparation: &str) -> String {
    let body = boot.script("body", &format!("#!/bin/sh\n{}", boot.body_script()));
    let preparation = boot.script("prepare", &format!("#!/bin/sh\nset -eu\n{preparation}\n"));
    let folder = quoted(&boot.scratch.path().display().to_string());
    format!(
        "mount -t hostfs -o {folder} scratch {folder}\n\
         mount -o remount,ro /\n\
         mkdir -p /run/own/usr/upper /run/own/usr/work\n\
         mount -t overlay -o lowerdir=/usr,upperdir=/run/own/usr/upper,workdir=/run/own/usr/work own /usr\n\
         : >/etc/fstab\n\
         export TIER_GUEST_PHASE={phase}\n\
         {preparation} || echo 'THE PREPARATION FAILED'\n\
         # Not before: where this folder is, systemctl asks a systemd that runs.\n\
         mkdir -p /run/systemd/system/systemd-udev-trigger.service.d /run/systemd/journald.conf.d\n\
         cat >/run/systemd/journald.conf.d/guest.conf <<'.'\n{JOURNAL}.\n\
         cat >/run/systemd/system/systemd-udev-trigger.service.d/guest.conf <<'.'\n{TRIGGER}.\n\
         for unit in {MASKED}; do ln -s /dev/null /run/systemd/system/$unit; done\n\
         cat >/run/systemd/system/{TARGET} <<'.'\n{UNIT_TARGET}.\n\
         cat >/run/systemd/system/tier-guest.service <<'.'\n{UNIT_BODY}ExecStart={body}\n.\n\
         # Empty: this is no container, whatever the machine whose file system it sees is.\n\
         export container=\n\
         exec {PROGRAM}\n",
        body = body.display(),
        preparation = quoted(&preparation.display().to_string()),
        phase = boot.phase,
    )
}
