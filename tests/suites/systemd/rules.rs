//! The udev rules with the real udevd: who gets a link, and who is left alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tier_tests::command::run;
use tier_tests::disk::{Disk, RunningDisk, Speed};
use tier_tests::guest::Guest;
use tier_tests::io::wait_until;
use tier_tests::test_name;

use crate::machine::{
    PATIENCE, disk_links, inner_devices, installed_with, systemctl, tierctl, udev,
};

/// Half of each member stays free, so that there is room to move to.
const CONFIG: &str = "[intervals]\nscale = 0.05\n[policy]\nenabled = false\nheadroom = 0.5";
const OLD: &str = "11111111-1111-4111-8111-111111111111";
const NEW: &str = "22222222-2222-4222-8222-222222222222";
const LINK: &str = "/dev/tierd/v";

/// Slow enough that udev comes to the device of a move before it has gone again.
const SLOW: Speed = Speed::Flash {
    latency: Duration::from_millis(1),
    bytes_per_second: 2 << 20,
};

#[test]
fn udev_shows_the_volume_and_nothing_that_it_is_made_of() {
    Guest::uml(test_name!())
        .memory_mib(768)
        .systemd(&installed_with(CONFIG))
        .phase(|guest| {
            let fast = Disk::new(guest.file("fast.img"), 48 << 20).start();
            let slow = Disk::new(guest.file("slow.img"), 96 << 20).start();
            systemctl(&["start", "tierd"]);
            what_a_member_held_before_is_forgotten([&fast, &slow]);
            the_volume_has_its_link_and_its_file_system();
            moves_show_nothing([&fast, &slow]);
            the_link_goes_and_comes_with_the_volume();
            no_trace_of_a_file_system_on([&fast, &slow]);
        })
        .run();
}

fn by_uuid(uuid: &str) -> PathBuf {
    Path::new("/dev/disk/by-uuid").join(uuid)
}

/// The device's number in the kernel, by whatever name.
fn real(path: impl AsRef<Path>) -> Option<PathBuf> {
    std::fs::canonicalize(path).ok()
}

/// The device that the volume's link leads to.
#[track_caller]
fn volume() -> PathBuf {
    real(LINK).unwrap_or_else(|| panic!("no {LINK}"))
}

fn what_a_member_held_before_is_forgotten([fast, slow]: [&RunningDisk; 2]) {
    run("mkfs.ext4", &["-q", "-U", OLD, slow.node(), "64M"]);
    wait_until("udev shows the old file system", PATIENCE, || {
        real(by_uuid(OLD)).as_deref() == Some(slow.path())
    });
    let members = [
        format!("{}=nvme", fast.node()),
        format!("{}=hdd", slow.node()),
    ];
    tierctl(&[
        "volume",
        "create",
        "v",
        "--yes",
        "--force",
        &members[0],
        &members[1],
    ]);
    wait_until("udev has forgotten the old file system", PATIENCE, || {
        real(by_uuid(OLD)).is_none()
    });
    no_trace_of_a_file_system_on([fast, slow]);
}

fn no_trace_of_a_file_system_on(members: [&RunningDisk; 2]) {
    for member in members {
        let is_marked = |known: &Vec<String>| known.iter().any(|line| line == "TIERD_MEMBER=1");
        wait_until("udev knows the member", PATIENCE, || {
            udev(member.path()).is_some_and(|known| is_marked(&known))
        });
        let known = udev(member.path()).unwrap();
        let wanted = [
            "ID_FS_TYPE=tierd_member",
            "ID_FS_USAGE=raid",
            "TIERD_VOLUME_NAME=v",
        ];
        for line in wanted {
            assert!(
                known.iter().any(|found| found == line),
                "{line}: {known:#?}"
            );
        }
        let uuid = known.iter().find(|line| line.starts_with("ID_FS_UUID"));
        assert_eq!(uuid, None, "{known:#?}");
        let said = run(
            "lsblk",
            &["--nodeps", "--noheadings", "-o", "FSTYPE", member.node()],
        );
        assert_eq!(said.trim(), "tierd_member");
    }
}

fn the_volume_has_its_link_and_its_file_system() {
    let volume = volume();
    assert!(
        volume
            .to_str()
            .is_some_and(|node| node.starts_with("/dev/dm-")),
        "{}",
        volume.display()
    );
    run("mkfs.ext4", &["-q", "-U", NEW, LINK]);
    wait_until("udev shows the volume's file system", PATIENCE, || {
        real(by_uuid(NEW)) == Some(volume.clone())
    });
    assert_eq!(real(run("findfs", &[format!("UUID={NEW}")])), Some(volume));
}

/// The file system's first region is moved to the other member and back, beneath a mount, so that
/// each member has carried its superblock, and each move has shown it.
fn moves_show_nothing(members: [&RunningDisk; 2]) {
    let watch = Watch::start(volume());
    run("mount", &["-o", "X-mount.mkdir", LINK, "/run/v"]);
    members[1].set_speed(SLOW);
    for to in ["hdd", "nvme", "hdd"] {
        tierctl(&["move", "v", "--regions", "0-7", "--to", to]);
        wait_until("udev has met a move", PATIENCE, || {
            let met = inner_devices().into_iter().filter(left_alone);
            met.filter(is_of_a_move).count() > 0
        });
        wait_until("the move ends", PATIENCE, || {
            !inner_devices().iter().any(is_of_a_move)
        });
        run("udevadm", &["settle"]);
    }
    members[1].set_speed(Speed::Full);
    run("umount", &["/run/v"]);
    watch.end();
    no_trace_of_a_file_system_on(members);
}

fn is_of_a_move((_, uuid): &(PathBuf, String)) -> bool {
    !uuid.contains("-area-")
}

/// Asserts that udev leaves an inner device alone, if it has met it.
fn left_alone((device, uuid): &(PathBuf, String)) -> bool {
    let Some(known) = udev(device) else {
        return false;
    };
    let shown = known.iter().find(|line| line.starts_with("ID_FS_"));
    assert_eq!(shown, None, "{uuid}: {known:#?}");
    assert!(
        known.iter().any(|line| line == "SYSTEMD_READY=0"),
        "{uuid}: {known:#?}"
    );
    let links = disk_links();
    let leads_here = links.iter().find(|(_, target)| target == device);
    assert_eq!(leads_here, None, "{uuid}");
    true
}

fn the_link_goes_and_comes_with_the_volume() {
    // systemd forgets what it has started for a device, and starts it again at the next event.
    systemctl(&["daemon-reload"]);
    tierctl(&["volume", "stop", "v"]);
    wait_until("the links are gone", PATIENCE, || {
        real(LINK).is_none() && real(by_uuid(NEW)).is_none()
    });
    assert_eq!(inner_devices(), []);
    // Nor does udev bring it up again, which hears of its members as they are closed.
    run("udevadm", &["settle"]);
    wait_until("no activation is under way", PATIENCE, || {
        systemctl(&["list-jobs", "--no-legend", "tierd*"]).is_empty()
    });
    assert_eq!(real(LINK), None);
    assert_eq!(inner_devices(), []);
    tierctl(&["volume", "start", "v"]);
    let volume = volume();
    wait_until("udev shows the volume's file system", PATIENCE, || {
        real(by_uuid(NEW)) == Some(volume.clone())
    });
}

/// Looks all the while where a file system's link leads.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<(u64, Option<PathBuf>)>,
}

impl Watch {
    fn start(volume: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut looks = 0;
            while !told.load(Ordering::SeqCst) {
                looks += 1;
                let found = real(by_uuid(NEW));
                if found.as_ref() != Some(&volume) {
                    return (looks, Some(found.unwrap_or_else(|| "nowhere".into())));
                }
                std::thread::sleep(Duration::from_millis(1));
            }
            (looks, None)
        });
        Self { stop, thread }
    }

    #[track_caller]
    fn end(self) {
        self.stop.store(true, Ordering::SeqCst);
        let (looks, elsewhere) = self.thread.join().unwrap();
        assert_eq!(elsewhere, None, "where {NEW} led at look {looks}");
        assert!(looks > 100, "watched for {looks} looks only");
    }
}
