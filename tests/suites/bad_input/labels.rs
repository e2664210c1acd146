//! Labels that are torn, or do not fit their devices.

use tier_tests::guest::Guest;
use tier_tests::io::{fill, read};
use tier_tests::test_name;

use super::*;

#[test]
fn a_label_that_does_not_fit_its_device_stops_the_start_and_is_not_overwritten() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (daemon, [fast, slow]) = with_volume(guest);
            fill(Path::new("/dev/tierd/v"), 0, 4096, 5).unwrap();
            daemon.must(&["volume", "stop", "v"]);
            torn(&daemon, &fast, &slow);
            // Copies of it stand in for it, of another size.
            drop(slow);
            for (mebibytes, word) in [(31, "32505856 bytes"), (33, "34603008 bytes")] {
                drop_and_resize(guest, &daemon, &fast, mebibytes, word);
            }
        })
        .run();
}

/// Places of a label's two copies.
const COPIES: [u64; 2] = [4096, 512 << 10];

fn torn(daemon: &Daemon, fast: &RunningDisk, slow: &RunningDisk) {
    let whole = COPIES.map(|at| read(slow.path(), at, 4096).unwrap());
    let device = BlockDevice::open(slow.path(), Access::ReadWrite).unwrap();
    let tear = |copy: usize| {
        let mut torn = whole[copy].clone();
        torn[100] ^= 0xFF;
        device.write_at(COPIES[copy], &torn).unwrap();
    };
    tear(0);
    // One whole copy is enough, and the other is written again.
    daemon.must(&["volume", "start", "v"]);
    daemon.must(&["volume", "stop", "v"]);
    assert_eq!(read(slow.path(), COPIES[0], 4096).unwrap().len(), 4096);

    let healed = COPIES.map(|at| read(slow.path(), at, 4096).unwrap());
    for (copy, at) in COPIES.into_iter().enumerate() {
        let mut torn = healed[copy].clone();
        torn[100] ^= 0xFF;
        device.write_at(at, &torn).unwrap();
    }
    let devices = [fast.path(), slow.path()];
    let start = ["volume", "start", "v"];
    let says = ["volume v lacks member 1", "attach what is missing"];
    refuse(daemon, &devices, &refused(&start, exit::DEGRADED, &says));
    let create = ["volume", "create", "w", slow.node(), "--force", "--yes"];
    let says = [slow.node(), "neither copy is whole", "wipefs"];
    refuse(daemon, &devices, &refused(&create, exit::FOREIGN, &says));
    for (copy, at) in COPIES.into_iter().enumerate() {
        device.write_at(at, &healed[copy]).unwrap();
    }
}

/// A member that has another size than its label says is refused, whichever way it changed.
fn drop_and_resize(
    guest: &Inside,
    daemon: &Daemon,
    fast: &RunningDisk,
    mebibytes: u64,
    word: &str,
) {
    let image = guest.file(&format!("resized-{mebibytes}"));
    std::fs::copy(guest.file("slow"), &image).unwrap();
    let resized = Disk::new(&image, mebibytes * MIB).start();
    let says = [resized.node(), word, "its label says 33554432", "resized"];
    let row = refused(&["volume", "start", "v"], exit::UNFIT, &says);
    refuse(daemon, &[fast.path(), resized.path()], &row);
}
