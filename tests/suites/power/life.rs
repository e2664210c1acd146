//! A cut in the volume's first and last moment: afterwards there is no volume, or a whole one.

use std::path::Path;

use tier_tests::disk::Disk;
use tier_tests::guest::{Guest, Inside, PowerIsOff};
use tier_tests::io::{assert_filled, fill};
use tier_tests::test_name;
use tier_tests::tierd::Daemon;

use crate::seed;
use crate::volume::{DEVICE, Disks, Fate, NAME, setting};

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
            let disks = Disks::start_as(inside, fate, |disk: Disk| disk);
            let daemon = setting(inside).run();
            found_none_or_whole(&daemon, &disks, doing);
            assert!(daemon.stop().success());
            cut_in(inside, &disks, (doing, point, n))
        });
    }
    guest
        .phase(|inside| {
            let disks = Disks::start(inside, Fate::Kept);
            let daemon = setting(inside).run();
            found_none_or_whole(&daemon, &disks, Destroying);
            println!("{}", daemon.log());
        })
        .run();
}

/// Asserts that there is no volume or a whole one, and makes what the next cut begins with.
fn found_none_or_whole(daemon: &Daemon, disks: &Disks, next: Doing) {
    let list = daemon.json(&["volume", "list"]);
    let volumes = list["volumes"].as_array().expect("list of volumes");
    println!("found {} volumes", volumes.len());
    if volumes.is_empty() {
        assert!(!Path::new(DEVICE).exists());
        // Nobody was given a volume, so nothing is in the way of the next try.
        disks.create(daemon);
    }
    assert_whole(daemon);
    if next == Creating {
        daemon.must(&["volume", "stop", NAME]);
        daemon.must(&["volume", "destroy", NAME, "--yes"]);
        assert!(!Path::new(DEVICE).exists());
        let list = daemon.json(&["volume", "list"]);
        assert_eq!(list["volumes"].as_array().expect("list").len(), 0, "{list}");
    }
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
    let daemon = setting(inside).cut_power_at(point, n).run();
    let outcome = if doing == Creating {
        let mut arguments = vec!["volume".to_owned(), "create".to_owned(), NAME.to_owned()];
        arguments.push("--yes".to_owned());
        for (class, path) in disks.members() {
            arguments.push(format!("{}={class}", path.display()));
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        daemon.ctl(&arguments)
    } else {
        daemon.must(&["volume", "stop", NAME]);
        daemon.ctl(&["volume", "destroy", NAME, "--yes"])
    };
    panic!("{doing:?} came by no {point}#{n}: {outcome:?}");
}
