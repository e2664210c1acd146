//! The power is cut at random moments, while file systems are written to and everything moves.
//!
//! `TIER_UBLK_CUTS=N` cuts it more often than twice, for a campaign.

use std::time::Instant;

use tier_tests::command::run;
use tier_tests::disk::{Disk, PowerLoss, RunningDisk};
use tier_tests::guest::PowerIsOff;
use tier_tests::test_name;
use tier_tests::tierd::Setting;

use super::*;
use crate::files::Kind;
use crate::load::{Load, REGIONS};

/// The members, each with its size in MiB. Half of each stays free: the load fits on any of them.
const MEMBERS: [(&str, u64); 3] = [("nvme", 47), ("ssd", 47), ("hdd", 64)];
const CONFIG: &str = "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
    [daemon.scan]\ninclude = [\"/dev/nbd*\"]\n[intervals]\nscale = 0.05\n\
    [probe]\nenabled = false\n[policy]\nenabled = false\nheadroom = 0.5\n";
/// Files that are written before a cut, at least, and moves that have ended.
const FILES: u64 = 2;
const MOVES: usize = 1;
/// Longest that this takes on an emulated machine with others beside it.
const SLOWEST: Duration = Duration::from_mins(15);

#[test]
fn ext4_and_xfs_outlive_cuts_while_everything_moves() {
    let cuts = std::env::var("TIER_UBLK_CUTS").map_or(2, |text| text.parse().expect("a number"));
    let mut guest = Guest::qemu(test_name!())
        .module("ublk_drv")
        .module("ext4")
        .module("xfs")
        .deadline(SLOWEST + LONG);
    for cut in 0..cuts {
        guest = guest.until_cut(move |inside| one(inside, cut));
    }
    guest
        .phase(|inside| {
            let disks = disks(inside, PowerLoss::Kept);
            let daemon = started(inside, true);
            found_whole(&disks, inside, cuts);
            daemon.must(&["volume", "stop", "v"]);
            assert!(daemon.stop().success());
        })
        .run();
}

fn disks(inside: &Inside, power_loss: PowerLoss) -> [RunningDisk; 3] {
    MEMBERS.map(|(class, mib)| {
        let disk = Disk::new(inside.file(&format!("{class}.img")), mib << 20);
        disk.on_power_loss(power_loss).start()
    })
}

/// A daemon, after `tierd activate` or by itself.
fn started(inside: &Inside, by_activation: bool) -> Daemon {
    let setting = Setting::new(inside, programs()).config(CONFIG);
    if by_activation {
        assert!(setting.activate().success());
    }
    setting.run()
}

/// The file system of this boot: they take turns.
const fn kind_of(cut: u64) -> Kind {
    if cut.is_multiple_of(2) {
        Kind::Ext4
    } else {
        Kind::Xfs
    }
}

fn load(inside: &Inside, kind: Kind) -> Load {
    Load::new(inside, kind, device())
}

fn one(inside: &Inside, cut: u64) -> PowerIsOff {
    let mut random = fastrand::Rng::with_seed(cut + 1);
    let loss = [
        PowerLoss::Lost,
        PowerLoss::Some {
            seed: random.u64(..),
        },
    ];
    let disks = disks(inside, loss[usize::try_from(cut % 2).unwrap()]);
    let daemon = started(inside, cut % 3 == 1);
    let kind = kind_of(cut);
    if cut == 0 {
        let members = [0, 1, 2].map(|at: usize| (MEMBERS[at].0, disks[at].path()));
        daemon.create_on("ublk", "v", &members);
    } else {
        found_whole(&disks, inside, cut);
    }
    let load = load(inside, kind);
    load.begin();
    let running = load.start();
    // By what has happened, and not by time: a machine that is emulated does little in a second.
    let files = FILES + random.u64(..FILES);
    let begins = Instant::now();
    while acknowledged(inside) < files || ends("done") < MOVES {
        running.assert_alive();
        assert!(begins.elapsed() < SLOWEST, "little happens: {:?}", moves());
        let first = random.u32(0..REGIONS);
        let count = random.u32(1..6).min(REGIONS - first);
        // What moves already is refused.
        let _refused = ask_move(first, count, random.usize(0..3));
        std::thread::sleep(Duration::from_millis(50));
    }
    inside.cut_power()
}

/// Files whose names a sync has acknowledged.
fn acknowledged(inside: &Inside) -> u64 {
    let said = std::fs::read_to_string(inside.file("files.acknowledged"));
    said.unwrap_or_default().trim().parse().unwrap_or_default()
}

/// What a sync had acknowledged before this cut is there, the file system is clean, and the metadata
/// are sound.
fn found_whole(disks: &[RunningDisk; 3], inside: &Inside, cut: u64) {
    let mut arguments = vec!["check"];
    arguments.extend(disks.iter().map(RunningDisk::node));
    let checked = run(programs().tierctl.to_str().unwrap(), &arguments);
    assert!(
        checked.contains("Nothing was found"),
        "cut {cut}: {checked}"
    );
    let found = load(inside, kind_of(cut - 1)).verify();
    println!("cut {cut}: found whole: {found}");
    Kind::unmount();
}
