//! A cut in the volume's first and last moment: afterwards there is no volume, or a whole one.
//!
//! What a cut leaves of a volume that is none is shown by its name, so that people know what their
//! devices carry, and is never served. The remains of a creation give way to the next try at once;
//! those of a destruction go by destroying again, for its devices hold what once was data.

use std::path::Path;

use tier_tests::guest::{Guest, Inside, PowerIsOff};
use tier_tests::io::{assert_filled, fill};
use tier_tests::test_name;
use tier_tests::tierd::Daemon;

use crate::seed;
use crate::volume::{DEVICE, Disks, Fate, NAME, arm, armed, setting};

/// What is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Creating,
    Destroying,
}

use Doing::{Creating, Destroying};

/// Creation writes two replicas, then six copies of labels that say `creating` and six that say
/// `whole`; destruction writes six that say `destroying`, then wipes.
const CUTS: [(Doing, &str, u32); 12] = [
    (Creating, "store:before_replica", 1),
    (Creating, "store:before_replica", 2),
    (Creating, "store:after_replica", 2),
    (Creating, "store:label_copy", 2),
    (Creating, "store:after_label", 3),
    (Creating, "store:label_copy", 8),
    (Creating, "store:after_label", 4),
    (Destroying, "store:label_copy", 1),
    (Destroying, "store:label_copy", 2),
    (Destroying, "store:after_label", 1),
    (Destroying, "store:after_label", 3),
    (Creating, "store:after_label", 6),
];

#[test]
fn a_cut_in_creation_or_destruction_leaves_no_volume_or_a_whole_one() {
    let mut guest = Guest::uml(test_name!());
    for (at, (doing, point, n)) in CUTS.into_iter().enumerate() {
        guest = guest.until_cut(move |inside| {
            let fate = Fate::Each(seed().wrapping_add(at as u64 * 7));
            println!("cut {at}: {doing:?} at {point}#{n}, {fate:?}");
            let disks = Disks::start(inside, fate);
            let daemon = setting(inside).run();
            let before = at.checked_sub(1).map(|before| CUTS[before].0);
            found_none_or_whole(&daemon, &disks, before, doing);
            assert!(daemon.stop().success());
            cut_in(inside, &disks, (doing, point, n))
        });
    }
    guest
        .phase(|inside| {
            let disks = Disks::start(inside, Fate::Kept);
            let daemon = setting(inside).run();
            found_none_or_whole(&daemon, &disks, Some(Creating), Destroying);
        })
        .run();
}

/// Asserts that there is no volume or a whole one, and makes what the next cut begins with.
fn found_none_or_whole(daemon: &Daemon, disks: &Disks, before: Option<Doing>, next: Doing) {
    let found = volumes(daemon);
    println!("found {found:?}");
    let served = Path::new(DEVICE).exists();
    match (before, found.as_slice()) {
        (_, []) => disks.create(daemon),
        (Some(_), [state]) if served => assert_eq!(state, "running"),
        (Some(Creating), [_remains]) => disks.create(daemon),
        (Some(Destroying), [_remains]) => {
            let why = daemon.ctl(&["volume", "start", NAME]).unwrap_err();
            assert!(why.contains("destroy"), "{why}");
            daemon.must(&["volume", "destroy", NAME, "--yes"]);
            assert_eq!(volumes(daemon), Vec::<String>::new());
            disks.create(daemon);
        }
        (before, found) => panic!("after {before:?} there is {found:?}"),
    }
    assert_whole(daemon);
    if next == Creating {
        daemon.must(&["volume", "stop", NAME]);
        daemon.must(&["volume", "destroy", NAME, "--yes"]);
        assert!(!Path::new(DEVICE).exists());
        assert_eq!(volumes(daemon), Vec::<String>::new());
    }
}

/// The state of each volume that is listed.
fn volumes(daemon: &Daemon) -> Vec<String> {
    let list = daemon.json(&["volume", "list"]);
    let volumes = list["volumes"].as_array().expect("list of volumes");
    let state = |volume: &serde_json::Value| volume["state"].as_str().unwrap_or("?").to_owned();
    volumes.iter().map(state).collect()
}

/// A whole volume is served, takes writes, and moves them.
fn assert_whole(daemon: &Daemon) {
    let device = Path::new(DEVICE);
    assert!(device.exists(), "a volume that is not served");
    fill(device, 3 << 20, 1 << 20, 7).expect("write to the volume");
    for class in ["ssd", "nvme"] {
        daemon.must(&["move", NAME, "--regions", "3-3", "--to", class, "--wait"]);
        assert_filled(device, 3 << 20, 1 << 20, 7);
    }
}

fn cut_in(inside: &Inside, disks: &Disks, (doing, point, n): (Doing, &str, u32)) -> PowerIsOff {
    let daemon = armed(inside).cut_power_at(point, n).run();
    let outcome = if doing == Creating {
        arm();
        disks.try_create(&daemon)
    } else {
        daemon.must(&["volume", "stop", NAME]);
        arm();
        daemon.ctl(&["volume", "destroy", NAME, "--yes"])
    };
    panic!("{doing:?} came by no {point}#{n}: {outcome:?}");
}
