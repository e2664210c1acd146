//! A cut at every step of a move, and at every step of a start that mends.

use std::path::Path;
use std::time::{Duration, Instant};

use tier_tests::command::attempt;
use tier_tests::disk::Speed;
use tier_tests::guest::{Guest, Inside, PowerIsOff};
use tier_tests::io::wait_until;
use tier_tests::test_name;
use tier_tests::tierd::Daemon;

use crate::files::Kind;
use crate::load::{Load, REGIONS, Running};
use crate::volume::{self, Disks, Fate, arm, armed, bring_up, move_on, next, setting};
use crate::{seed, variable};

/// The longest that a move may take to its next step.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where a cut comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// In a move, when the daemon reaches this point for the n-th time.
    Move(&'static str, u32),
    /// In a move, when a part of the data is copied.
    Copy,
    /// In the start that finds what the cut before left.
    Start(&'static str, u32),
}

/// In the order of a move. A commit and a mark each come twice: the second commit frees the
/// former home. A commit goes to two replicas, a mark to three labels of two copies each.
const CUTS: [Cut; 25] = [
    Cut::Move("add_legs:before", 1),
    Cut::Move("hold:volume", 1),
    Cut::Move("hold:start", 1),
    Cut::Move("add_legs:after", 1),
    Cut::Copy,
    Cut::Move("flush:before", 1),
    Cut::Move("flush:after", 1),
    Cut::Move("commit:before", 1),
    // Between the replicas; and the start that makes the second equal is cut before and after.
    Cut::Move("store:after_replica", 1),
    Cut::Start("store:before_replica", 1),
    Cut::Start("start:recovered", 1),
    Cut::Start("start:marked", 1),
    Cut::Move("commit:after", 1),
    Cut::Move("mark:before", 1),
    // Between the two copies of one label, and between the labels of two members.
    Cut::Move("store:label_copy", 2),
    Cut::Move("store:after_label", 1),
    Cut::Move("mark:after", 1),
    Cut::Move("drop_leg:before", 1),
    Cut::Move("hold:gate", 1),
    Cut::Move("drop_leg:after", 1),
    Cut::Move("hold:volume", 2),
    Cut::Move("set_map:after", 1),
    // The commit that frees.
    Cut::Move("commit:before", 2),
    Cut::Move("store:after_replica", 3),
    Cut::Move("commit:after", 2),
];

/// Those at which a mistake in the order of things would cost data, by their place in [`CUTS`].
/// Each meets every fate; the others meet two of three unless all are asked for.
const DANGEROUS: [usize; 8] = [4, 6, 8, 9, 12, 18, 20, 23];

#[test]
fn ext4_outlives_a_cut_at_every_step() {
    chain(test_name!(), Kind::Ext4, 0, &every());
}

#[test]
fn xfs_outlives_a_cut_at_every_step() {
    chain(test_name!(), Kind::Xfs, 1, &every());
}

#[test]
fn ext4_outlives_every_fate_at_the_dangerous_steps() {
    let all = variable("TIER_POWER_ALL", 0) != 0;
    let chosen = if all { every() } else { DANGEROUS.to_vec() };
    chain(test_name!(), Kind::Ext4, 2, &chosen);
}

fn every() -> Vec<usize> {
    (0..CUTS.len()).collect()
}

/// What the disks forget at the cut of this number, in the chain of this number: over the three
/// chains each cut meets all three.
fn fate(chain: usize, number: usize) -> Fate {
    let coin = seed().wrapping_add((chain * CUTS.len() + number) as u64);
    match (chain + number) % 3 {
        0 => Fate::Lost,
        1 => Fate::Some(coin),
        _ => Fate::Kept,
    }
}

fn chain(test: String, kind: Kind, number: usize, chosen: &[usize]) {
    let mut guest = Guest::uml(test).module("ext4").module("xfs");
    for (boot, &at) in chosen.iter().enumerate() {
        let cut = CUTS[at];
        guest = guest.until_cut(move |inside| {
            println!("cut {at}: {cut:?}, {:?}", fate(number, at));
            let disks = Disks::start(inside, fate(number, at));
            if let Cut::Start(point, n) = cut {
                return in_start(inside, point, n, boot);
            }
            let load = Load::new(inside, kind, Path::new(volume::DEVICE));
            in_move(inside, &disks, &load, (cut, boot))
        });
    }
    guest
        .phase(move |inside| {
            let disks = Disks::start(inside, Fate::Kept);
            let load = Load::new(inside, kind, Path::new(volume::DEVICE));
            let daemon = bring_up(inside, &setting(inside), true);
            let home = whole_again(&daemon, &disks, &load);
            assert_eq!(disks.assert_sound(), home);
            load.verify_mounted();
            // The log of all boots: what went as it should is no cause for a warning.
            assert!(!daemon.log().contains("cannot see how a move stands"));
        })
        .run();
}

/// Makes the volume and its first content.
fn begin(daemon: &Daemon, disks: &Disks, load: &Load) -> usize {
    disks.create(daemon);
    load.begin();
    0
}

/// Asserts that nothing acknowledged is lost by the last cut and that everything is sound, and
/// moves the whole load on under load. Returns its home.
fn whole_again(daemon: &Daemon, disks: &Disks, load: &Load) -> usize {
    let home = disks.assert_sound();
    println!("found whole: {}", load.verify());
    let running = load.start();
    must_move(daemon, home);
    // The commit that frees comes after the move's end; the next cut counts commits.
    wait_until("the former home is free", PATIENCE, || !disks.has_retired());
    running.stop();
    next(home)
}

/// Moves the whole load on. A busy machine's disks may take longer for what is in flight than a
/// hold may wait; the daemon then says so, has changed nothing, and asks to be asked again.
fn must_move(daemon: &Daemon, home: usize) {
    let start = Instant::now();
    while let Err(why) = move_on(daemon, (0, REGIONS - 1), home, true) {
        let held_off = why.contains("was not held") && start.elapsed() < PATIENCE;
        assert!(held_off, "{why}\n{}", daemon.log());
    }
}

/// Moves the load on until the power is cut in it.
fn in_move(inside: &Inside, disks: &Disks, load: &Load, (cut, boot): (Cut, usize)) -> PowerIsOff {
    let setting = match cut {
        Cut::Move(point, n) => armed(inside).cut_power_at(point, n),
        Cut::Copy | Cut::Start(..) => setting(inside),
    };
    let daemon = bring_up(inside, &setting, boot.is_multiple_of(2));
    let home = if boot == 0 {
        begin(&daemon, disks, load)
    } else {
        whole_again(&daemon, disks, load)
    };
    let running = load.start();
    arm();
    if cut == Cut::Copy {
        let slowly = Speed::Flash {
            latency: Duration::from_micros(200),
            bytes_per_second: 8 << 20,
        };
        disks.all().iter().for_each(|disk| disk.set_speed(slowly));
    }
    std::thread::scope(|scope| {
        let _mover = scope.spawn(|| must_move(&daemon, home));
        if cut == Cut::Copy {
            await_half_a_copy(&running);
            return inside.cut_power();
        }
        await_cut(&daemon, &running)
    })
}

/// Waits for the cut; fails if the writers do, or nothing comes by the point.
fn await_cut(daemon: &Daemon, running: &Running) -> ! {
    let start = Instant::now();
    loop {
        running.assert_alive();
        assert!(
            start.elapsed() < 2 * PATIENCE,
            "the move never came by the point at which the power was to be cut:\n{}",
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a third of the load is copied, and not all.
fn await_half_a_copy(running: &Running) {
    let start = Instant::now();
    loop {
        running.assert_alive();
        let status = attempt("dmsetup", &["status", "--noflush", "--target", "mirror"]);
        if let Some((synced, chunks)) = status.ok().as_deref().and_then(chunks_in_sync)
            && synced * 3 > chunks
        {
            assert!(synced < chunks, "the copy was too fast to be cut");
            return;
        }
        assert!(start.elapsed() < PATIENCE, "no copy begins");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Chunks in sync and all chunks, from a mirror's status line.
fn chunks_in_sync(status: &str) -> Option<(u64, u64)> {
    let (synced, chunks) = status.split(' ').find_map(|word| word.split_once('/'))?;
    Some((synced.parse().ok()?, chunks.parse().ok()?))
}

/// A start, cut in its mending. The point must be reached: where nothing is to be mended, there is
/// no step of it.
fn in_start(inside: &Inside, point: &str, n: u32, boot: usize) -> PowerIsOff {
    let setting = setting(inside).cut_power_at(point, n);
    if boot.is_multiple_of(2) {
        let status = setting.activate();
        panic!("`tierd activate` came by no {point} and ended with {status}");
    }
    let mut daemon = setting.spawn();
    let status = daemon.wait();
    panic!(
        "`tierd run` came by no {point} and ended with {status}:\n{}",
        daemon.log()
    );
}
