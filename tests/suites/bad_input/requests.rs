//! Requests that do not fit the volumes there are, a second daemon, and wrong configurations.

use std::time::Duration;

use tier_tests::command::run;
use tier_tests::guest::Guest;
use tier_tests::io::{fill, wait_until};
use tier_tests::test_name;

use super::*;

#[test]
fn a_request_that_does_not_fit_the_volumes_is_refused_and_changes_none() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (daemon, [fast, slow]) = with_volume(guest);
            let spare = disk(guest, "spare", 16);
            let [fast, slow, spare] = [&fast, &slow, &spare];
            while_it_runs(&daemon, [fast, slow, spare]);
            mounted(&daemon, [fast, slow]);
            dry_runs_change_nothing(&daemon, [fast, slow]);
            daemon.must(&["volume", "stop", "v"]);
            while_it_is_stopped(&daemon, [fast, slow, spare]);
        })
        .run();
}

#[test]
fn a_wrong_configuration_is_refused_with_its_file_and_line() {
    Guest::uml(test_name!()).phase(wrong_configurations).run();
}

#[test]
fn a_second_daemon_is_refused_what_the_first_one_serves() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let (daemon, [fast, slow]) = with_volume(guest);
            a_second_daemon(guest, &daemon, [&fast, &slow]);
        })
        .run();
}

fn while_it_runs(daemon: &Daemon, [fast, slow, spare]: [&RunningDisk; 3]) {
    let rows = [about_volumes(slow, spare), about_moves()].concat();
    refuse_all(daemon, &[fast.path(), slow.path(), spare.path()], &rows);
    let moves = daemon.json(&["moves", "v", "--history"]);
    for list in ["live", "pending", "history"] {
        assert_eq!(moves[list].as_array().map(Vec::len), Some(0), "{moves}");
    }
}

fn about_volumes(slow: &RunningDisk, spare: &RunningDisk) -> Vec<Refused> {
    let unknown = ["there is no volume nope", "tierctl volume list"];
    vec![
        refused(&["volume", "show", "nope"], exit::NOT_FOUND, &unknown),
        refused(&["volume", "start", "nope"], exit::NOT_FOUND, &unknown),
        refused(&["volume", "stop", "nope"], exit::NOT_FOUND, &unknown),
        refused(
            &["volume", "destroy", "nope", "--yes"],
            exit::NOT_FOUND,
            &unknown,
        ),
        refused(&["status", "nope"], exit::NOT_FOUND, &unknown),
        refused(&["pause", "nope"], exit::NOT_FOUND, &unknown),
        refused(
            &["volume", "destroy", "v", "--yes"],
            exit::BUSY,
            &["volume v runs", "tierctl volume stop v"],
        ),
        refused(
            &["volume", "create", "v", spare.node()],
            exit::EXISTS,
            &["there is a volume v already", "choose another name"],
        ),
        refused(
            &[
                "volume",
                "create",
                "w",
                spare.node(),
                slow.node(),
                "--force",
                "--yes",
            ],
            exit::FOREIGN,
            &[
                slow.node(),
                "is member 1 of volume v already",
                "tierctl volume destroy v",
            ],
        ),
    ]
}

/// The fast disk has two regions free, and the volume 33: nine on the fast disk, then the slow.
fn about_moves() -> Vec<Refused> {
    vec![
        refused(
            &["move", "v", "--regions", "30-40", "--to", "nvme"],
            exit::INVALID,
            &[
                "regions 30 to 40",
                "not all in the volume",
                "tierctl volume show",
            ],
        ),
        refused(
            &["move", "v", "--regions", "9-3", "--to", "nvme"],
            exit::INVALID,
            &["ends before it begins", "FIRST-LAST"],
        ),
        refused(
            &["move", "v", "--regions", "0-3", "--to", "ssd"],
            exit::NOT_FOUND,
            &["ssd", "tierctl member list"],
        ),
        refused(
            &["move", "v", "--regions", "0-3", "--to", "member:9"],
            exit::NOT_FOUND,
            &["9", "tierctl member list"],
        ),
        refused(
            &["move", "v", "--regions", "9-30", "--to", "nvme"],
            exit::NO_ROOM,
            &[
                "are wanted on nvme, which has 2 free",
                "demote something first",
            ],
        ),
        refused(
            &["cancel", "77", "v"],
            exit::NOT_FOUND,
            &["77", "tierctl moves"],
        ),
    ]
}

fn mounted(daemon: &Daemon, [fast, slow]: [&RunningDisk; 2]) {
    run(
        "mkfs.ext4",
        &["-q", "-E", "lazy_itable_init=0", "/dev/tierd/v"],
    );
    std::fs::create_dir_all("/tmp/volume").unwrap();
    run("mount", &["-o", "ro", "/dev/tierd/v", "/tmp/volume"]);
    for dry_run in [&[][..], &["--dry-run"]] {
        let arguments = [&["volume", "stop", "v"][..], dry_run].concat();
        let row = refused(&arguments, exit::BUSY, &["/dev/dm-", "unmount"]);
        refuse(daemon, &[fast.path(), slow.path()], &row);
    }
    run("umount", &["/tmp/volume"]);
}

/// One daemon serves a machine's volumes; a second one says which first has them, and ends.
fn a_second_daemon(guest: &Inside, daemon: &Daemon, [fast, slow]: [&RunningDisk; 2]) {
    let devices = [fast.path(), slow.path()];
    let before = contents(&devices);
    let mut same_socket = Setting::new(guest, Programs::beside(TIERD)).spawn();
    assert_eq!(same_socket.wait().code(), Some(tierd_exit::IN_USE));
    assert!(
        daemon.log().contains("/run/tierd/tierd.sock"),
        "{}",
        daemon.log()
    );

    let config =
        "[daemon]\nsocket = \"/run/second/tierd.sock\"\n[daemon.scan]\ninclude = [\"/dev/nbd*\"]\n";
    std::fs::create_dir_all("/run/second").unwrap();
    let second = Setting::new(guest, Programs::beside(TIERD))
        .config(config)
        .spawn();
    let tierctl = Programs::beside(TIERD).tierctl;
    let socket = ["--socket", "/run/second/tierd.sock"];
    wait_until("the second daemon answers", Duration::from_secs(20), || {
        outcome(&tierctl, &[&socket[..], &["health"]].concat()).0 == 0
    });
    let health = run(
        tierctl.to_str().unwrap(),
        &[&socket[..], &["health", "--json"]].concat(),
    );
    assert!(health.contains("another tierd holds volume v"), "{health}");
    assert!(health.contains("stop that one first"), "{health}");
    for (arguments, says) in [
        (
            &["volume", "start", "v"][..],
            "another tierd holds volume v",
        ),
        (&["volume", "stop", "v"], "this tierd does not serve it"),
        (
            &["volume", "destroy", "v", "--yes"],
            "this tierd does not serve it",
        ),
    ] {
        let (code, said) = outcome(&tierctl, &[&socket[..], arguments].concat());
        assert_eq!(code, exit::BUSY, "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
        assert!(said.contains("stop"), "{arguments:?}: no mend in: {said}");
    }
    assert_eq!(second.stop().code(), Some(0));
    assert_eq!(
        before,
        contents(&devices),
        "a second daemon changed a device"
    );
    assert_eq!(daemon.json(&["volume", "show", "v"])["state"], "running");
    fill(Path::new("/dev/tierd/v"), 0, 4096, 1).unwrap();
}

fn dry_runs_change_nothing(daemon: &Daemon, [fast, slow]: [&RunningDisk; 2]) {
    let devices = [fast.path(), slow.path()];
    let state = || {
        (
            contents(&devices),
            volumes(daemon),
            daemon.json(&["moves", "v", "--history"]),
        )
    };
    let before = state();
    for arguments in [
        &["move", "v", "--regions", "12-13", "--to", "nvme"][..],
        &["volume", "stop", "v"],
        &["volume", "start", "v"],
    ] {
        daemon.must(&[arguments, &["--dry-run"]].concat());
        assert_eq!(before, state(), "{arguments:?}");
    }
}

fn while_it_is_stopped(daemon: &Daemon, [fast, slow, spare]: [&RunningDisk; 3]) {
    let devices = [fast.path(), slow.path(), spare.path()];
    let rows = [
        refused(
            &["status", "v"],
            exit::UNAVAILABLE,
            &["volume v does not run", "tierctl volume start v"],
        ),
        refused(
            &["volume", "destroy", "v"],
            exit::DECLINED,
            &["destroys volume v", "--yes"],
        ),
        refused(
            &[
                "volume",
                "create",
                "w",
                spare.node(),
                slow.node(),
                "--force",
                "--yes",
            ],
            exit::FOREIGN,
            &[
                slow.node(),
                "is member 1 of volume v already",
                "tierctl volume destroy v",
            ],
        ),
    ];
    refuse_all(daemon, &devices, &rows);
    let before = contents(&devices);
    daemon.must(&["volume", "destroy", "v", "--dry-run"]);
    daemon.must(&["volume", "start", "v", "--dry-run"]);
    assert_eq!(before, contents(&devices), "a dry run changed a device");
}

fn wrong_configurations(guest: &Inside) {
    for (config, says) in [
        (
            "[policy]\nhedroom = 0.1\n",
            &["/wrong.toml:2", "hedroom", "headroom"][..],
        ),
        ("[polcy]\n", &["/wrong.toml", "polcy", "policy"]),
        (
            "[policy]\nheadroom = 2\n",
            &["/wrong.toml:2", "policy.headroom", "0 to 0.9"],
        ),
        (
            "[policy]\nheadroom = \"much\"\n",
            &["/wrong.toml:2", "headroom"],
        ),
        ("[policy\n", &["/wrong.toml:1"]),
    ] {
        let file = guest.file("wrong.toml");
        std::fs::write(&file, config).unwrap();
        for what in ["run", "--check-config"] {
            let arguments = ["--config", file.to_str().unwrap(), what];
            let (code, said) = outcome(Path::new(TIERD), &arguments);
            assert_eq!(code, tierd_exit::CONFIG, "{config}: {said}");
            for words in says {
                assert!(said.contains(words), "no {words:?} in: {said}");
            }
        }
    }
}
