//! What single verbs promise beyond the contract.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tier_wire::{ErrorBody, ErrorKind};

use crate::fake::{Fake, Mood};
use crate::run::{command, run};

const DECLINED: i32 = 19;

/// The body of the last request.
fn last_body(fake: &Fake) -> Value {
    let asked = fake.asked();
    let body = asked.last().unwrap().splitn(3, ' ').nth(2).unwrap();
    serde_json::from_str(body).unwrap()
}

#[test]
fn create_sends_what_was_asked_with_absolute_paths() {
    let fake = Fake::new(Mood::Well);
    let ran = run(
        &fake.socket(),
        &[
            "volume",
            "create",
            "v",
            "/dev/a=nvme",
            "b",
            "--region-size",
            "4M",
            "--block-size",
            "4K",
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    let here = std::env::current_dir().unwrap().join("b");
    assert_eq!(
        last_body(&fake),
        json!({"name": "v", "region_bytes": 4 << 20, "block_bytes": 4096, "backend": "dm", "force": false,
               "dry_run": false, "members": [{"path": "/dev/a", "class": "nvme"},
                                             {"path": here, "class": null}]})
    );
}

#[test]
fn create_by_force_names_what_it_would_destroy_and_changes_nothing_unasked() {
    let fake = Fake::new(Mood::Overwriting);
    let ran = run(
        &fake.socket(),
        &["volume", "create", "v", "/dev/sdb", "--force"],
    );
    assert_eq!(ran.code, DECLINED, "{ran:?}");
    assert!(
        ran.stderr.contains("ext4 on /dev/sdb") && ran.stderr.contains("--yes"),
        "{ran:?}"
    );
    assert_eq!(fake.asked().len(), 1);
    assert_eq!(last_body(&fake)["dry_run"], json!(true));

    let ran = run(
        &fake.socket(),
        &["volume", "create", "v", "/dev/sdb", "--force", "--yes"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(last_body(&fake)["dry_run"], json!(false));
    assert!(ran.stdout.contains("overwritten: ext4 on /dev/sdb"));
}

#[test]
fn create_by_force_over_blank_devices_asks_nothing() {
    let fake = Fake::new(Mood::Well);
    let ran = run(
        &fake.socket(),
        &["volume", "create", "v", "/dev/sdb", "--force"],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(last_body(&fake)["dry_run"], json!(false));
}

#[test]
fn destroy_and_a_degraded_start_need_a_yes() {
    for verb in [
        &["volume", "destroy", "data"][..],
        &["volume", "start", "data", "--degraded"],
    ] {
        let fake = Fake::new(Mood::Well);
        let ran = run(&fake.socket(), verb);
        assert_eq!(ran.code, DECLINED, "{ran:?}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains("--yes"),
            "{ran:?}"
        );
        assert!(
            fake.asked()
                .iter()
                .all(|one| one.contains("\"dry_run\":true")),
            "{verb:?}"
        );
        let ran = run(&fake.socket(), &[verb, &["--yes"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(last_body(&fake)["dry_run"], json!(false));
    }
}

#[test]
fn a_dry_run_asks_nobody_and_asks_for_nothing_else() {
    for verb in [
        &["volume", "create", "v", "/dev/sdb", "--force"][..],
        &["volume", "start", "data", "--degraded"],
        &["volume", "stop", "data"],
        &["volume", "destroy", "data"],
        &["move", "data", "--all", "--to", "hdd"],
        &["cancel", "18", "data"],
    ] {
        let fake = Fake::new(Mood::Overwriting);
        let ran = run(&fake.socket(), &[verb, &["--dry-run"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("Would "), "{ran:?}");
        assert_eq!(fake.asked().len(), 1);
        assert_eq!(last_body(&fake)["dry_run"], json!(true), "{verb:?}");
    }
}

#[test]
fn a_range_is_named_in_exactly_one_way() {
    let nowhere = Path::new("/nonexistent");
    for range in [
        &[][..],
        &["--all", "--regions", "1"],
        &["--bytes", "0+1", "--regions", "1"],
    ] {
        let ran = run(nowhere, &[&["move", "--to", "ssd"], range].concat());
        assert_eq!(ran.code, 2, "{ran:?}");
    }
}

#[test]
fn ranges_and_targets_are_sent_as_they_were_given() {
    for (args, range, to) in [
        (
            ["--regions=3-5", "--to=member:2"],
            json!({"regions": {"first": 3, "count": 3}}),
            json!({"member": 2}),
        ),
        (
            ["--bytes=1G+64M", "--to=ssd"],
            json!({"bytes": {"offset": 1 << 30, "length": 64 << 20}}),
            json!({"class": "ssd"}),
        ),
        (["--all", "--to=hdd"], json!("all"), json!({"class": "hdd"})),
    ] {
        let fake = Fake::new(Mood::Well);
        assert_eq!(
            run(&fake.socket(), &[&["move", "data"][..], &args].concat()).code,
            0
        );
        assert_eq!(
            last_body(&fake),
            json!({"range": range, "to": to, "dry_run": false})
        );
    }
}

#[test]
fn waiting_ends_with_the_moves_and_says_how() {
    let by_hand = ["move", "--all", "--to", "nvme", "--wait", "--json"];
    let fake = Fake::new(Mood::Moving(false));
    let ran = run(&fake.socket(), &by_hand);
    assert_eq!(ran.code, 0, "{ran:?}");
    let waited: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(waited["moves"], json!([18]));
    assert_eq!(waited["ended"][0]["stage"], "done");

    let fake = Fake::new(Mood::Moving(true));
    let ran = run(&fake.socket(), &by_hand[..5]);
    assert_eq!(ran.code, 20, "{ran:?}");
    assert!(ran.stdout.contains("Move 18 is failed"), "{ran:?}");
    assert!(ran.stderr.contains("Input/output error"), "{ran:?}");
}

#[test]
fn an_error_of_tierd_gives_its_words_and_its_own_code() {
    let kinds = [
        (ErrorKind::Invalid, 3),
        (ErrorKind::NotFound, 4),
        (ErrorKind::Exists, 5),
        (ErrorKind::Busy, 6),
        (ErrorKind::Foreign, 7),
        (ErrorKind::Unfit, 8),
        (ErrorKind::NoRoom, 9),
        (ErrorKind::Degraded, 10),
        (ErrorKind::Denied, 11),
        (ErrorKind::Io, 12),
        (ErrorKind::Damaged, 13),
        (ErrorKind::Unsupported, 14),
        (ErrorKind::Timeout, 15),
        (ErrorKind::Unavailable, 16),
        (ErrorKind::Internal, 1),
    ];
    assert_eq!(kinds.len(), ErrorKind::ALL.len());
    for (kind, code) in kinds {
        let error = ErrorBody::new(kind, "/dev/sdb is in the way")
            .with_hint("move it")
            .with_device("/dev/sdb")
            .with_errno(Some(16));
        let fake = Fake::new(Mood::Failing(error));
        let ran = run(&fake.socket(), &["volume", "list"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""));
        assert_eq!(
            ran.stderr,
            "tierctl: /dev/sdb is in the way\n         move it\n"
        );
        let ran = run(&fake.socket(), &["volume", "list", "--json"]);
        assert_eq!(
            serde_json::from_str::<Value>(&ran.stderr).unwrap(),
            json!({"error": {"exit_code": code, "message": "/dev/sdb is in the way",
                             "hint": "move it", "device": "/dev/sdb", "errno": 16}})
        );
    }
}

#[test]
fn the_only_volume_needs_no_name() {
    let fake = Fake::new(Mood::Well);
    assert_eq!(run(&fake.socket(), &["status"]).code, 0);
    assert_eq!(
        fake.asked(),
        ["GET /v1/volumes", "GET /v1/volumes/data/status"]
    );
}

#[test]
fn a_name_is_needed_where_there_are_two_volumes_and_none_helps_where_there_are_none() {
    let fake = Fake::new(Mood::Two);
    let ran = run(&fake.socket(), &["status"]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.stderr.contains("data, other"), "{ran:?}");
    let fake = Fake::new(Mood::Empty);
    let ran = run(&fake.socket(), &["status"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("volume create"), "{ran:?}");
    let ran = run(&fake.socket(), &["volume", "list"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    let ran = run(&fake.socket(), &["volume", "list", "--json"]);
    assert_eq!((ran.stderr.as_str(), ran.code), ("", 0), "{ran:?}");
}

#[test]
fn a_dead_daemons_socket_is_not_running_too() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("s");
    drop(UnixListener::bind(&socket).unwrap());
    let ran = run(&socket, &["health"]);
    assert_eq!(ran.code, 17, "{ran:?}");
    assert!(ran.stderr.contains("Connection refused"), "{ran:?}");
}

#[test]
fn what_is_no_answer_has_a_code_of_its_own() {
    for mood in [
        Mood::Babbling("hello"),
        Mood::Babbling("{}"),
        Mood::HangingUp,
    ] {
        let fake = Fake::new(mood.clone());
        let ran = run(&fake.socket(), &["health"]);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (18, ""),
            "{mood:?}: {ran:?}"
        );
    }
}

#[test]
fn a_silent_daemon_is_waited_for_only_so_long() {
    let fake = Fake::new(Mood::Silent);
    let ran = run(&fake.socket(), &["health", "--timeout", "100ms"]);
    assert_eq!(ran.code, 15, "{ran:?}");
    assert!(ran.stderr.contains("0.1 s"), "{ran:?}");
}

#[test]
fn the_option_wins_over_the_environment() {
    let fake = Fake::new(Mood::Well);
    let socket = fake.socket();
    let ran = run(
        Path::new("/nonexistent"),
        &["health", "--socket", socket.to_str().unwrap()],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn watching_shows_again_and_ends_after_its_count() {
    let fake = Fake::new(Mood::Well);
    let args = ["moves", "data", "--count", "3", "--interval", "1ms"];
    let ran = run(&fake.socket(), &args);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(ran.stdout.matches("STAGE").count(), 3);
    assert_eq!(fake.asked().len(), 3);
    let ran = run(&fake.socket(), &[&args[..], &["--json"]].concat());
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
}

#[test]
fn a_reader_that_goes_away_ends_the_run_in_silence() {
    let fake = Fake::new(Mood::Well);
    let mut child = command(
        &fake.socket(),
        &["moves", "data", "--watch", "--interval", "1ms"],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

#[test]
fn what_cannot_be_written_is_said() {
    let fake = Fake::new(Mood::Well);
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = command(&fake.socket(), &["health"])
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(21));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("No space left")
    );
}

#[test]
fn no_colour_reaches_a_pipe() {
    let fake = Fake::new(Mood::Well);
    assert!(!run(&fake.socket(), &["heat"]).stdout.contains('\x1b'));
}

#[test]
fn man_pages_are_written_for_every_verb() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("man1");
    let ran = run(
        Path::new("/nonexistent"),
        &["man", "--directory", path.to_str().unwrap()],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("tierctl-volume-create.1"), "{ran:?}");
    assert!(
        std::fs::read_to_string(path.join("tierctl.1"))
            .unwrap()
            .contains("EXTRA")
    );
}
