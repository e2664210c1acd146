//! Volumes at boot: up before local file systems, without the daemon, and by their last member.

use std::fmt::Write as _;
use std::path::Path;

use tier_tests::command::{attempt, run};
use tier_tests::disk::Disk;
use tier_tests::guest::Guest;
use tier_tests::io::wait_until;
use tier_tests::test_name;

use crate::machine::{PATIENCE, installed, property, systemctl, tierctl};

const LATE_BYTES: u64 = 48 << 20;

/// The mount of `v` is one that the boot cannot do without; that of `w`, whose second member comes
/// late, may be waited for.
const FSTAB: &str = "\
if [ $TIER_GUEST_PHASE = 1 ]; then
    echo '/dev/tierd/v /run/v ext4 defaults 0 2' >>/etc/fstab
    echo '/dev/tierd/w /run/w ext4 defaults,nofail 0 2' >>/etc/fstab
fi";

#[test]
fn volumes_come_up_at_boot_without_the_daemon_and_with_their_last_member() {
    Guest::uml(test_name!())
        .memory_mib(768)
        .boot_disk("fast.img", 48 << 20)
        .boot_disk("slow.img", 96 << 20)
        .boot_disk("early.img", 64 << 20)
        .systemd(&format!("{}\n{FSTAB}", installed()))
        .phase(|guest| {
            let late = Disk::new(guest.file("late.img"), LATE_BYTES).start();
            systemctl(&["start", "tierd"]);
            tierctl(&[
                "volume",
                "create",
                "v",
                "--yes",
                "/dev/ubdb=nvme",
                "/dev/ubdc=hdd",
            ]);
            let late = format!("{}=hdd", late.node());
            tierctl(&["volume", "create", "w", "--yes", "/dev/ubdd=nvme", &late]);
            for name in ["v", "w"] {
                let (device, folder) = (format!("/dev/tierd/{name}"), format!("/run/{name}"));
                run("mkfs.ext4", &["-q", &device]);
                run("mount", &["-o", "X-mount.mkdir", &device, &folder]);
                let file = Path::new(&folder).join("file");
                std::fs::write(file, content(name)).unwrap();
                run("umount", &[&folder]);
            }
        })
        .phase(|guest| {
            up_and_mounted_before_anything_needed_it();
            assert!(!Path::new("/dev/tierd/w").exists(), "up without a member");
            assert!(attempt("mountpoint", &["/run/w"]).is_err());
            let _late = Disk::new(guest.file("late.img"), LATE_BYTES).start();
            wait_until("the late volume is mounted", PATIENCE, || {
                attempt("mountpoint", &["/run/w"]).is_ok()
            });
            assert_eq!(std::fs::read("/run/w/file").unwrap(), content("w"));
            assert_eq!(property("tierd", "ActiveState"), "inactive");
            the_daemon_takes_over();
        })
        .run();
}

/// More than a region, and different for each volume.
fn content(name: &str) -> Vec<u8> {
    let mut lines = String::new();
    while lines.len() < 5 << 20 {
        let at = lines.len();
        writeln!(lines, "{name} {at}").unwrap();
    }
    lines.into_bytes()
}

fn up_and_mounted_before_anything_needed_it() {
    assert_eq!(property("tierd", "ActiveState"), "inactive");
    assert_eq!(property("tierd-activate", "Result"), "success");
    assert_eq!(property("run-v.mount", "ActiveState"), "active");
    assert_eq!(std::fs::read("/run/v/file").unwrap(), content("v"));
    let moment = |unit: &str, what: &str| -> u64 {
        let name = format!("{what}TimestampMonotonic");
        property(unit, &name).parse().unwrap()
    };
    let activated = moment("tierd-activate", "ActiveEnter");
    let prepared = moment("local-fs-pre.target", "ActiveEnter");
    let mounting = moment("run-v.mount", "InactiveExit");
    let mounted = moment("local-fs.target", "ActiveEnter");
    assert!(
        0 < activated && activated <= prepared,
        "{activated} {prepared}"
    );
    assert!(
        prepared <= mounting && mounting <= mounted,
        "{prepared} {mounting} {mounted}"
    );
}

fn the_daemon_takes_over() {
    systemctl(&["start", "tierd"]);
    assert_eq!(property("tierd", "StatusText"), "serving v, w");
    systemctl(&["stop", "tierd"]);
    tierctl(&["check", "/dev/ubdb", "/dev/ubdc"]);
    assert_eq!(std::fs::read("/run/v/file").unwrap(), content("v"));
}
