//! The daemon as a service: ready, killed, hanging, stopped, misconfigured, and what the journal says.

use std::path::Path;
use std::time::Duration;

use tier_tests::command::{attempt, run};
use tier_tests::disk::{Disk, RunningDisk, Speed};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::wait_until;
use tier_tests::test_name;

use crate::machine::{
    PATIENCE, answers, drop_in, inner_devices, installed_with, journal, no_drop_in, property,
    systemctl, tierctl, wait_for_another_than,
};
use crate::writer::Writer;

/// Half of each member stays free, so that there is room to move to.
const CONFIG: &str = "[intervals]\nscale = 0.05\n[policy]\nenabled = false\nheadroom = 0.5";
const UNITS: &str = "/usr/lib/systemd/system";

/// Slow enough that a move of some regions can be met in its middle.
const SLOW: Speed = Speed::Flash {
    latency: Duration::from_millis(1),
    bytes_per_second: 12 << 20,
};

/// What is moved: on the slow disk when the volume is made, and as much as one move takes.
const MOVED: &str = "100-163";

#[test]
fn the_daemon_may_die_hang_and_be_stopped_and_its_volumes_go_on() {
    Guest::uml(test_name!())
        .memory_mib(768)
        .deadline(Duration::from_mins(4))
        .systemd(&installed_with(CONFIG))
        .phase(|guest| {
            the_units_are_clean();
            let [_fast, slow] = started_with_a_volume(guest);
            let writer = Writer::start("/dev/tierd/v", 110 << 20, 64);
            writer.assert_goes_on();
            it_is_active_only_when_it_answers(&writer);
            killed_in_a_move_it_is_settled_and_started_again(&writer);
            a_move_that_was_not_settled_is_adopted(&writer, &slow);
            stopped_in_a_move_it_is_settled(&writer);
            hanging_it_is_killed_and_started_again(&writer);
            stopping_the_units_stops_no_volume(&writer);
            a_wrong_configuration_is_no_reason_to_try_again(&writer);
            writer.end(guest);
        })
        .run();
}

fn the_units_are_clean() {
    let units = ["tierd", "tierd-activate", "tierd-activate@", "tierd-serve@"].map(|name| {
        let unit = format!("{UNITS}/{name}.service");
        assert!(Path::new(&unit).exists(), "{unit}");
        unit
    });
    // It works in a folder below /tmp, which is read-only here if the repository lies there.
    let verify = format!(
        "mount -t tmpfs tmpfs /tmp && systemd-analyze verify {} 2>&1",
        units.join(" ")
    );
    assert_eq!(run("unshare", &["--mount", "sh", "-c", &verify]), "");
    for unit in ["tierd", "tierd-activate"] {
        assert_eq!(systemctl(&["is-enabled", unit]), "enabled");
    }
}

fn started_with_a_volume(guest: &Inside) -> [RunningDisk; 2] {
    let fast = Disk::new(guest.file("fast.img"), 192 << 20).start();
    let slow = Disk::new(guest.file("slow.img"), 384 << 20)
        .speed(SLOW)
        .start();
    systemctl(&["start", "tierd"]);
    assert!(answers(), "started, and does not answer");
    assert_eq!(property("tierd", "StatusText"), "no volumes yet");
    let members = [
        format!("{}=nvme", fast.node()),
        format!("{}=hdd", slow.node()),
    ];
    tierctl(&["volume", "create", "v", "--yes", &members[0], &members[1]]);
    let status = systemctl(&["status", "--no-pager", "tierd"]);
    assert!(status.contains("Status: \"serving v\""), "{status}");
    [fast, slow]
}

/// Held where the volume's metadata has been read, and nothing answers yet.
fn it_is_active_only_when_it_answers(writer: &Writer) {
    let held = Path::new("/run/held");
    systemctl(&["stop", "tierd"]);
    drop_in(
        "tierd.service",
        "[Service]\nEnvironment=TIERD_STOP_AT=start:recovered TIERD_STOP_HOW=wait \
         TIERD_STOP_FILE=/run/held\n",
    );
    systemctl(&["start", "--no-block", "tierd"]);
    wait_until("the start is held", PATIENCE, || held.exists());
    assert_eq!(property("tierd", "ActiveState"), "activating");
    assert!(!answers(), "answers before its volume is served");
    writer.assert_goes_on();
    assert_eq!(property("tierd", "ActiveState"), "activating");
    std::fs::remove_file(held).unwrap();
    wait_until("tierd is active", PATIENCE, || {
        property("tierd", "ActiveState") == "active"
    });
    assert!(answers(), "active, and does not answer");
    no_drop_in("tierd.service");
}

/// The devices of moves.
fn mirrors() -> Vec<String> {
    let is_move = |uuid: &String| !uuid.contains("-area-");
    let devices = inner_devices().into_iter().map(|(_, uuid)| uuid);
    let mut mirrors: Vec<_> = devices.filter(is_move).collect();
    mirrors.sort();
    mirrors
}

/// Starts a move and waits until the kernel copies.
fn moving(to: &str) {
    assert_eq!(mirrors(), Vec::<String>::new());
    tierctl(&["move", "v", "--regions", MOVED, "--to", to]);
    wait_until("a move is under way", PATIENCE, || !mirrors().is_empty());
}

fn kill_it() -> String {
    let process = property("tierd", "MainPID");
    run("kill", &["-9", &process]);
    process
}

fn killed_in_a_move_it_is_settled_and_started_again(writer: &Writer) {
    moving("nvme");
    let restarts = property("tierd", "NRestarts");
    let process = kill_it();
    wait_for_another_than(&process);
    writer.assert_goes_on();
    assert_ne!(property("tierd", "NRestarts"), restarts);
    let log = journal("tierd");
    let settled = log
        .iter()
        .find(|line| line.message.contains("a move was ended"));
    let settled = settled.unwrap_or_else(|| panic!("nothing was settled: {log:#?}"));
    assert_ne!(settled.process, process);
    assert_eq!(settled.priority, "6");
    assert_eq!(mirrors(), Vec::<String>::new());
}

/// Without `tierd settle` in between, the next daemon finds the kernel copying, and takes it over.
/// Its copy has to go on by then: one that is complete would be wound back.
fn a_move_that_was_not_settled_is_adopted(writer: &Writer, slow: &RunningDisk) {
    drop_in("tierd.service", "[Service]\nExecStopPost=\n");
    set_throttle(1);
    moving("nvme");
    let process = kill_it();
    let before = mirrors();
    wait_for_another_than(&process);
    writer.assert_goes_on();
    assert!(!before.is_empty());
    let copying = mirrors();
    assert!(
        !copying.is_empty() && copying.iter().all(|mirror| before.contains(mirror)),
        "{copying:?} were {before:?}"
    );
    slow.set_speed(Speed::Full);
    set_throttle(100);
    wait_until("the adopted move ends", PATIENCE, || mirrors().is_empty());
    writer.assert_goes_on();
    slow.set_speed(SLOW);
    no_drop_in("tierd.service");
}

/// Percent of the time that mirrors may copy: with few, a move still goes on when another daemon has
/// come up, which a disk that is slow for everything would keep waiting.
fn set_throttle(percent: u32) {
    let file = "/sys/module/dm_mirror/parameters/raid1_resync_throttle";
    std::fs::write(file, percent.to_string()).unwrap();
}

fn stopped_in_a_move_it_is_settled(writer: &Writer) {
    moving("hdd");
    systemctl(&["stop", "tierd"]);
    assert_eq!(mirrors(), Vec::<String>::new());
    assert_eq!(property("tierd", "ExecMainStatus"), "0");
    assert_eq!(property("tierd", "Result"), "success");
    writer.assert_goes_on();
    systemctl(&["start", "tierd"]);
}

/// Stopped by a signal, it does what a deadlock would: nothing.
fn hanging_it_is_killed_and_started_again(writer: &Writer) {
    assert_eq!(property("tierd", "WatchdogUSec"), "1min");
    drop_in("tierd.service", "[Service]\nWatchdogSec=4\n");
    systemctl(&["restart", "tierd"]);
    let process = property("tierd", "MainPID");
    // Fed: it lives for longer than the watchdog's time.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(
        property("tierd", "MainPID"),
        process,
        "killed while it was well"
    );
    run("kill", &["-STOP", &process]);
    wait_for_another_than(&process);
    writer.assert_goes_on();
    run("journalctl", &["--sync"]);
    let said = run("journalctl", &["--boot", "--output=cat", "--unit=tierd"]);
    assert!(said.contains("Watchdog timeout"), "{said}");
    no_drop_in("tierd.service");
    systemctl(&["restart", "tierd"]);
}

fn stopping_the_units_stops_no_volume(writer: &Writer) {
    systemctl(&["start", "tierd-activate"]);
    systemctl(&["stop", "tierd", "tierd-activate"]);
    assert_eq!(
        systemctl(&["list-units", "--no-legend", "--state=active", "tierd*"]),
        ""
    );
    writer.assert_goes_on();
    assert!(Path::new("/dev/tierd/v").exists());
    // And both find it running.
    systemctl(&["start", "tierd-activate"]);
    systemctl(&["start", "tierd"]);
    assert_eq!(property("tierd", "StatusText"), "serving v");
    writer.assert_goes_on();
}

/// The configuration is broken while the daemon runs, and shows when it dies in a move: what it
/// leaves is settled all the same.
fn a_wrong_configuration_is_no_reason_to_try_again(writer: &Writer) {
    let file = "/etc/tierd/tierd.toml";
    let good = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, "[policy]\nheadrom = 0.1\n").unwrap();
    moving("hdd");
    kill_it();
    wait_until("tierd is given up on", PATIENCE, || {
        property("tierd", "ActiveState") == "failed"
    });
    assert_eq!(property("tierd", "ExecMainStatus"), "3");
    assert_eq!(mirrors(), Vec::<String>::new());
    writer.assert_goes_on();
    let log = journal("tierd");
    // Past the log, which a program without a configuration does not have yet.
    let is_it = |message: &str| message.starts_with("tierd: ") && message.contains("headrom");
    let told = log.iter().find(|line| is_it(&line.message));
    let told = told.unwrap_or_else(|| panic!("no word of it: {log:#?}"));
    assert_eq!(told.priority, "3", "{told:?}");
    let refused = attempt("systemctl", &["start", "tierd"]);
    assert!(refused.is_err(), "started with a wrong configuration");
    assert_eq!(property("tierd", "ActiveState"), "failed");
    std::fs::write(file, good).unwrap();
    systemctl(&["start", "tierd"]);
    assert_eq!(property("tierd", "StatusText"), "serving v");
    the_log_begins_at_the_beginning();
}

/// The first line that a start logs is there, before anything that came of it.
fn the_log_begins_at_the_beginning() {
    let process = property("tierd", "MainPID");
    let log = journal("tierd");
    let own: Vec<_> = log.iter().filter(|line| line.process == process).collect();
    let first = own
        .first()
        .unwrap_or_else(|| panic!("nothing was logged: {log:#?}"));
    assert!(first.message.contains("tierd starts"), "{first:?}");
    assert_eq!(first.priority, "6");
    let served = own
        .iter()
        .find(|line| line.message.contains("volume is served"));
    assert_eq!(
        served.map(|line| line.priority.as_str()),
        Some("6"),
        "{own:#?}"
    );
    assert!(
        log.iter().all(|line| !line.message.starts_with('<')),
        "a priority is part of a message: {log:#?}"
    );
}
