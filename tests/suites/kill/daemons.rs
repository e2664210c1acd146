//! Two daemons at once, and one that is told to end in mid-move.

use std::path::Path;
use std::time::Duration;

use tier_tests::command::run;
use tier_tests::disk::{Answer, Answers, Speed};
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::Guest;
use tier_tests::io::wait_until;
use tier_tests::load::Load;
use tier_tests::rig::{Met, REGION_BYTES, Rig, VOLUME, ask_move, moves, wait_for_moves};
use tier_tests::test_name;
use tierd::exit::ExitCode;

use super::programs;

/// The regions that move: two moves of four chunks each, at once.
const FIRST: u32 = 4;
const COUNT: u32 = 8;
const MOVES: usize = 2;
const REGIONS_A_MOVE: u32 = 4;
/// How long I/O may take that waits behind a slow copy.
const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_second_daemon_is_refused_and_changes_nothing() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false).with_moves_of(REGIONS_A_MOVE);
            let load = load(3);
            let daemon = rig.run();
            let (mirror, to) = begin_slow_moves(&rig);
            // The copies stand still, and with them the first daemon.
            rig.disks[to].answer(Answers {
                write: Answer::Hang,
                ..Answers::GOOD
            });
            let before = kernel();
            let mut second = rig.setting().spawn();
            let refused = second.wait();
            assert_eq!(refused.code(), Some(i32::from(ExitCode::InUse.number())));
            let log = daemon.log();
            assert!(
                log.contains("another tierd"),
                "it says what is in use:\n{log}"
            );
            // One with a socket of its own finds the volume held; settling and activating too.
            let run = Path::new("/run/other");
            let elsewhere = rig.setting_at(run);
            let Met::Up(other) = Rig::meet_at(&elsewhere, &run.join("tierd.sock")) else {
                panic!("a daemon without volumes runs on")
            };
            let log = other.log();
            assert!(log.contains("another tierd holds volume v"), "{log}");
            assert!(other.stop().success());
            assert!(rig.setting().settle().success());
            assert!(rig.setting().activate().success());
            assert_eq!(kernel(), before, "nothing was loaded, resumed or removed");
            assert!(
                !is_complete(&MirrorStatus::of(&mirror)),
                "the move is still under way"
            );
            rig.disks[to].set_speed(Speed::Full);
            set_throttle(100);
            rig.disks[to].answer(Answers::GOOD);
            load.must_go_on(LONG);
            wait_for_moves(&daemon);
            assert!(daemon.stop().success());
            load.stop().verify();
            rig.assert_all_linear();
            rig.assert_checked();
        })
        .run();
}

#[test]
fn a_daemon_told_to_end_leaves_its_mirror_and_the_next_one_finishes_the_move() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false).with_moves_of(REGIONS_A_MOVE);
            let load = load(4);
            let daemon = rig.run();
            let (mirror, to) = begin_slow_moves(&rig);
            assert!(daemon.stop().success());
            let left = MirrorStatus::of(&mirror);
            assert!(!is_complete(&left), "{left:?}");
            load.must_go_on(LONG);
            wait_until("the kernel copies on", LONG, || {
                MirrorStatus::of(&mirror).in_sync > left.in_sync
            });
            let copied = MirrorStatus::of(&mirror);
            assert!(!is_complete(&copied), "{copied:?}");
            let daemon = rig.run();
            let adopted = MirrorStatus::of(&mirror);
            assert!(
                adopted.in_sync >= copied.in_sync,
                "{copied:?} then {adopted:?}"
            );
            load.must_go_on(LONG);
            rig.disks[to].set_speed(Speed::Full);
            set_throttle(100);
            wait_for_moves(&daemon);
            adopted_moves_are_done_unless_they_were_complete(to, &rig);
            assert!(daemon.stop().success());
            load.stop().verify();
            rig.assert_all_linear();
            rig.assert_checked();
        })
        .run();
}

/// The move whose mirror was seen to be incomplete is done. The others may have been complete while
/// no daemon was there to flush them; then they go back.
fn adopted_moves_are_done_unless_they_were_complete(to: usize, rig: &Rig<'_>) {
    let ended = moves().unwrap();
    let history = ended["history"].as_array().unwrap();
    assert_eq!(history.len(), MOVES, "{ended}");
    let homes = rig.homes();
    for one in history {
        assert_eq!(one["reason"]["rule"], "adopted", "{one}");
        let is_last = one["first"] == FIRST + COUNT - REGIONS_A_MOVE;
        let why = one["error"].as_str().unwrap_or_default();
        let went_back = why.contains("it was complete when the daemon ended");
        assert!(one["stage"] == "done" || (went_back && !is_last), "{one}");
        let first = usize::try_from(one["first"].as_u64().unwrap()).unwrap();
        assert_eq!(homes[first] == to, !went_back, "{one}, {homes:?}");
    }
}

/// A load beside the regions that move, and on the first of them: few writes wait for the slow
/// member, and leave it to the copies.
fn load(seed: u64) -> Load {
    let bytes = u64::from(FIRST + 1) * REGION_BYTES;
    Load::start(Path::new(VOLUME), 0..bytes, seed, false)
}

/// Begins moves to a member that is slow from now on. Gives the mirror of one of them, which has
/// copied something and not all, and the member.
fn begin_slow_moves(rig: &Rig<'_>) -> (Device, usize) {
    let home = rig.homes()[FIRST as usize];
    let to = if home == 2 { 0 } else { 2 };
    // Copies get a hundredth of the time (drivers/md/dm-kcopyd.c), and the member is slow besides:
    // were it alone slow enough, a daemon's start would wait on it for as long as the copies take.
    set_throttle(1);
    rig.disks[to].set_speed(Speed::Flash {
        latency: Duration::from_millis(1),
        bytes_per_second: 16 << 20,
    });
    let ids = ask_move(FIRST, COUNT, to).unwrap();
    assert_eq!(ids.len(), MOVES);
    let mirror = Device::named(&format!("tierd-v-mirror-{}", ids[MOVES - 1]));
    wait_until("a chunk is copied", LONG, || {
        mirror.is_live() && MirrorStatus::of(&mirror).in_sync > 0
    });
    assert!(!is_complete(&MirrorStatus::of(&mirror)));
    (mirror, to)
}

/// Percent of time that mirrors may copy.
fn set_throttle(percent: u32) {
    let file = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";
    std::fs::write(file, percent.to_string()).unwrap();
}

/// What the kernel holds, but for how far the copies are.
fn kernel() -> [String; 2] {
    let columns = "name,uuid,major,minor,suspended,tables_loaded,segments,open";
    let devices = run("dmsetup", &["info", "-c", "--noheadings", "-o", columns]);
    [devices, run("dmsetup", &["table"])]
}

fn is_complete(status: &MirrorStatus) -> bool {
    status.in_sync == status.chunks
}
