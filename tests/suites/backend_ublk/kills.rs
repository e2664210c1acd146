//! The process that serves a volume dies, again and again, beneath a load that tolerates nothing.
//!
//! `TIER_SERVE_KILLS=N` kills it more often than twenty times, for a campaign.

use tier_sys::block::{Access, BlockDevice};
use tier_tests::disk::{Answer, Answers};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{Pending, assert_filled, fill, read};
use tier_tests::load::Load;
use tier_tests::rig::{REGION_BYTES, Rig as Disks, VOLUME};
use tier_tests::server::{Server, device_of};
use tier_tests::test_name;
use tier_tests::tierd::{Programs, Setting};

use super::*;

const KILLS: u64 = 20;

fn programs() -> Programs {
    Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test"))
}

/// A volume on three disks that runs nowhere.
fn stopped_volume(guest: &Inside) -> Disks<'_> {
    let disks = Disks::start(guest, programs(), true);
    let daemon = disks.run();
    daemon.must(&["volume", "stop", "v"]);
    assert!(daemon.stop().success());
    disks
}

/// All disks answer so from now on.
fn answer(disks: &Disks<'_>, answers: Answers) {
    for disk in &disks.disks {
        disk.answer(answers);
    }
}

fn kills() -> u64 {
    let asked = std::env::var("TIER_SERVE_KILLS").ok();
    asked.map_or(KILLS, |number| number.parse().expect("a number"))
}

#[test]
fn no_request_fails_and_none_is_lost_however_often_the_server_dies() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(
            Duration::from_mins(5) + Duration::from_secs(30) * u32::try_from(kills()).unwrap(),
        )
        .phase(|guest| {
            let disks = stopped_volume(guest);
            // So that something is in flight there whenever the server dies.
            disks.slow_down_the_hdd();
            let setting = disks.setting();
            let mut server = Server::start(&setting, "v");
            let volume = Path::new(VOLUME);
            let bytes = u64::from(disks.regions()) * REGION_BYTES;
            let load = Load::start(volume, 0..bytes, 9, true);
            let id = device_of(volume);
            for kill in 0..kills() {
                load.must_go_on(LONG);
                std::thread::sleep(Duration::from_millis(kill * 37 % 200));
                server.kill();
                server = Server::start(&setting, "v");
                assert_eq!(device_of(volume), id, "the same device goes on");
            }
            load.must_go_on(LONG);
            load.stop().verify();
            device::remove(id).unwrap();
            assert!(server.wait().success(), "{}", server.log());
            assert!(!volume.exists());
        })
        .run();
}

/// Each place at which a server can die before it serves.
#[test]
fn a_server_that_dies_at_its_start_leaves_the_next_one_free_to_serve() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = stopped_volume(guest);
            let die = |at: &str| disks.setting().die_at(at, 1);
            let mut first = Server::spawn(&die("serve:made"), "v");
            assert!(!first.wait().success(), "{}", first.log());
            let server = Server::start(&disks.setting(), "v");
            let volume = Path::new(VOLUME);
            fill(volume, 0, 1 << 20, 7).unwrap();
            server.kill();
            let mut second = Server::spawn(&die("serve:made"), "v");
            assert!(!second.wait().success(), "{}", second.log());
            let mut server = Server::start(&disks.setting(), "v");
            assert_eq!(read(volume, 4096, 4096).unwrap(), [7; 4096]);
            a_second_server_is_refused(&disks.setting(), &server);
            device::remove(device_of(volume)).unwrap();
            assert!(server.wait().success(), "{}", server.log());
            // What was written is the volume's, whoever serves it.
            assert!(disks.setting().activate().success());
            assert_eq!(read(volume, 4096, 4096).unwrap(), [7; 4096]);
        })
        .run();
}

/// Nobody serves a volume twice.
fn a_second_server_is_refused(setting: &Setting<'_>, server: &Server) {
    let mut second = Server::spawn(setting, "v");
    assert_eq!(second.wait().code(), Some(4), "{}", server.log());
}

/// What is in flight on a member when the server dies holds the member, so that nobody begins before
/// it has landed: else it could overwrite what the next has acknowledged.
#[test]
fn a_write_that_is_in_flight_when_the_server_dies_lands_before_the_next_serves() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(10))
        .phase(|guest| {
            let disks = stopped_volume(guest);
            let setting = disks.setting();
            let mut server = Server::start(&setting, "v");
            let volume = Path::new(VOLUME);
            let writes_hang = Answers {
                write: Answer::Hang,
                ..Answers::GOOD
            };
            answer(&disks, writes_hang);
            let write = Pending::start(|| fill(Path::new(VOLUME), 0, 4096, 8));
            let hanging = || disks.disks.iter().find(|disk| disk.hanging() > 0);
            wait_until("the write is in flight", LONG, || hanging().is_some());
            let member = hanging().unwrap().path().to_owned();
            server.signal();
            let mut next = Server::spawn(&setting, "v");
            let said = next.log().matches("volume is served").count();
            write.assert_parked_for(Duration::from_secs(5));
            let held = BlockDevice::open(&member, Access::Exclusive).unwrap_err();
            assert_eq!(held.errno(), Some(16), "{held}");
            assert!(next.ended().is_none(), "{}", next.log());
            assert_eq!(next.log().matches("volume is served").count(), said);
            answer(&disks, Answers::GOOD);
            write.within(LONG).expect("the write goes on").unwrap();
            assert!(!server.wait().success());
            assert_filled(volume, 0, 4096, 8);
            device::remove(device_of(volume)).unwrap();
            assert!(next.wait().success(), "{}", next.log());
        })
        .run();
}
