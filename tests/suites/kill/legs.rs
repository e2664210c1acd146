//! The daemon dead *and* a leg failing: writes are parked, and settling frees them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use tier_tests::disk::{Answer, Answers, Speed};
use tier_tests::dm::{Device, MirrorStatus};
use tier_tests::guest::Guest;
use tier_tests::io::wait_until;
use tier_tests::outage::Outage;
use tier_tests::rig::{Met, REGION_BYTES, Rig, VOLUME, ask_move, ask_until, wait_for_moves};
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Setting};

use super::{SOON, programs};

/// The member that fails: the slowest, which carries no metadata but its label.
const FAILING: usize = 2;
/// The other member of the moves.
const GOOD: usize = 0;
/// Longer than anything takes that comes to an end.
const LONG: Duration = Duration::from_secs(30);

/// How far the move is when the daemon dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    /// Some chunks are in sync, and some are not.
    Copying,
    /// All are, and nothing durable says so.
    Copied,
    /// The target is durably the home.
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leg {
    Source,
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Writes fail, and all else works.
    Writes,
    /// Everything fails: the disk was pulled out.
    Everything,
}

/// What settling can do for the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// It goes on, without any error.
    WritesOn,
    /// The only leg that has everything is the failing one: the device's own errors reach the
    /// writer, and nothing that was acknowledged is lost.
    HasErrors,
}

#[test]
fn settling_frees_what_is_parked_when_a_leg_fails_and_the_daemon_is_dead() {
    use {Fault::*, Leg::*, Then::*, When::*};
    each(
        &test_name!(),
        &[
            (Copying, Target, Writes, WritesOn),
            (Copied, Target, Writes, WritesOn),
            (Committed, Target, Writes, WritesOn),
            (Committed, Source, Writes, WritesOn),
            (Copying, Source, Writes, HasErrors),
            (Copied, Source, Writes, HasErrors),
        ],
    );
}

#[test]
fn settling_frees_what_is_parked_when_a_member_is_gone_and_the_daemon_is_dead() {
    use {Fault::*, Leg::*, Then::*, When::*};
    each(
        &test_name!(),
        &[
            (Copying, Target, Everything, WritesOn),
            (Committed, Target, Everything, WritesOn),
            (Committed, Source, Everything, WritesOn),
            (Copying, Source, Everything, HasErrors),
        ],
    );
}

type Row = (When, Leg, Fault, Then);

fn each(test: &str, rows: &[Row]) {
    Guest::uml(test)
        .deadline(Duration::from_mins(4))
        .phase(|guest| {
            let rig = Rig::start(guest, programs(), false);
            for row in rows {
                println!("== {row:?}");
                frees(&rig, *row);
            }
        })
        .run();
}

fn frees(rig: &Rig<'_>, (when, leg, fault, then): Row) {
    let (from, to) = match leg {
        Leg::Source => (FAILING, GOOD),
        Leg::Target => (GOOD, FAILING),
    };
    let homes = rig.homes();
    let first = homes.iter().position(|&home| home == from).unwrap();
    let first = u32::try_from(first).unwrap();
    let writer = Outage::start(
        Path::new(VOLUME),
        u64::from(first) * REGION_BYTES,
        2 * REGION_BYTES,
    );
    let mirror = die(rig, when, first, to);
    println!("  dead: {:?}", MirrorStatus::of(&mirror));
    let answers = match fault {
        Fault::Writes => Answers {
            write: Answer::Fail,
            ..Answers::GOOD
        },
        Fault::Everything => Answers::GONE,
    };
    rig.disks[FAILING].answer(answers);
    // Not before: the copy would be complete.
    rig.disks[FAILING].set_speed(Speed::Full);
    wait_until("a leg has failed", LONG, || has_failed(&mirror));
    let mut parked = (writer.writes(), Instant::now());
    wait_until("the writer is parked", LONG, || {
        if writer.writes() != parked.0 {
            parked = (writer.writes(), Instant::now());
        }
        parked.1.elapsed() > Duration::from_millis(700)
    });
    println!("  parked: {:?}", MirrorStatus::of(&mirror));
    let began = Instant::now();
    let settled = rig.setting().settle();
    assert!(settled.success(), "settling: {settled}");
    println!("  settled in {:?}", began.elapsed());
    if then == Then::WritesOn {
        wait_until("the writer goes on", SOON, || {
            writer.writes() > parked.0 + 2
        });
    }
    let (seen, acknowledged) = writer.stop();
    println!("  {seen:?}");
    match then {
        Then::WritesOn => {
            assert_eq!((seen.failed_writes, seen.failed_reads), (0, 0), "{seen:?}");
            acknowledged.verify(&BTreeSet::new()).unwrap();
        }
        Then::HasErrors => assert!(seen.failed_writes > 0, "{seen:?}"),
    }
    rig.assert_all_linear();
    rig.disks[FAILING].answer(Answers::GOOD);
    acknowledged.verify(&BTreeSet::new()).unwrap();
    works_again(rig, first);
    acknowledged.verify(&BTreeSet::new()).unwrap();
}

/// A daemon dies with a move of two regions under way. Gives its mirror; if it is still copying, the
/// disk that is to fail is slow.
fn die(rig: &Rig<'_>, when: When, first: u32, to: usize) -> Device {
    let setting = match when {
        When::Copying => {
            rig.disks[FAILING].set_speed(Speed::Flash {
                latency: Duration::from_millis(1),
                bytes_per_second: 256 << 10,
            });
            rig.setting()
        }
        When::Copied => rig.setting().die_at("flush:before", 1),
        When::Committed => rig.setting().die_at("commit:after", 1),
    };
    let begun = (0..3).find_map(|_daemon| begin(&setting, first, to));
    let Some((daemon, mirror)) = begun else {
        panic!("no daemon has begun a move")
    };
    if when == When::Copying {
        wait_until("a chunk is copied", LONG, || {
            MirrorStatus::of(&mirror).in_sync > 0
        });
        daemon.kill();
        let status = MirrorStatus::of(&mirror);
        assert!(status.in_sync < status.chunks, "{status:?}");
    } else {
        ends(daemon);
        let status = MirrorStatus::of(&mirror);
        assert_eq!(status.in_sync, status.chunks);
    }
    mirror
}

/// A daemon that has begun a move of two regions, and its mirror. The first commit of one may free a former
/// home before the move is asked for; if it dies of that, the next one begins it.
fn begin(setting: &Setting<'_>, first: u32, to: usize) -> Option<(Daemon, Device)> {
    let Met::Up(mut daemon) = Rig::meet(setting) else {
        return None;
    };
    let mirror = || {
        let found = mirrors().pop().map(|name| Device::named(&name));
        found.filter(Device::is_live)
    };
    ask_until("a mirror, or a death", (first, 2), to, || {
        mirror().is_some() || daemon.ended().is_some()
    });
    mirror().map(|mirror| (daemon, mirror))
}

/// Whether a leg has, also where the kernel has forgotten it: when the copy was complete just then.
fn has_failed(mirror: &Device) -> bool {
    let events = mirror.events();
    let status = MirrorStatus::of(mirror);
    status.health != "AA" || events > u32::from(status.in_sync == status.chunks)
}

fn ends(mut daemon: Daemon) {
    assert!(!daemon.wait().success(), "it was to be killed");
}

fn mirrors() -> Vec<String> {
    let shown = tier_tests::command::run("dmsetup", &["ls"]);
    let names = shown.lines().filter_map(|line| line.split('\t').next());
    names
        .filter(|name| name.starts_with("tierd-v-mirror-"))
        .map(str::to_owned)
        .collect()
}

/// The disk is well again: the next daemon takes the volume as it is, and the same regions move.
fn works_again(rig: &Rig<'_>, first: u32) {
    let daemon = rig.run();
    let to = (rig.homes()[first as usize] + 1) % 3;
    assert_eq!(ask_move(first, 2, to).unwrap().len(), 1);
    wait_for_moves(&daemon);
    assert_eq!(rig.homes()[first as usize], to);
    assert!(daemon.stop().success());
    rig.assert_all_linear();
    rig.assert_checked();
}
