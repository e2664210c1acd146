//! The network of a volume, as its user sees it: run by ONNX Runtime, trained anew by
//! `tierd-learn` with local examples, taken back; and a machine without the library.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tier_network::Runtime;
use tier_network::contract::{HORIZON_SECONDS, STEPS, WINDOW_TIMES, WINDOWS, code};
use tier_network::example::{Example, header};
use tier_tests::command::run;
use tier_tests::disk::{Disk, RunningDisk};
use tier_tests::guest::{Guest, Inside};
use tier_tests::io::{fill, wait_until};
use tier_tests::skip;
use tier_tests::test_name;
use tier_tests::tierd::{Daemon, Programs, Setting};

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
const MIB: u64 = 1 << 20;
/// The finest window.
const WINDOW_SECONDS: u64 = 60;
/// From the time on at which they are asked about, groups are used so many times as much.
const MORE: u32 = 3;
const EXAMPLES: u64 = 6_000;
/// For what takes no time.
const PATIENCE: Duration = Duration::from_secs(20);
/// A training of that many, on one emulated processor.
const TRAINED_WITHIN: Duration = Duration::from_mins(4);

/// A daemon that moves nothing, with more of its configuration.
fn setting<'inside>(guest: &'inside Inside, forecast: &str) -> Setting<'inside> {
    let config = format!(
        "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
         [daemon.scan]\ninclude = [\"/dev/nbd*\"]\n[policy]\nenabled = false\n\
         [forecast]\nstate = \"{}\"\n{forecast}",
        guest.file("state").display()
    );
    Setting::new(guest, Programs::beside(TIERD)).config(&config)
}

fn create(guest: &Inside, daemon: &Daemon) -> [RunningDisk; 2] {
    let disks = ["fast", "slow"].map(|name| Disk::new(guest.file(name), 48 * MIB).start());
    let [fast, slow] = &disks;
    daemon.create("v", &[("nvme", fast.path()), ("hdd", slow.path())]);
    disks
}

fn models(daemon: &Daemon) -> Value {
    daemon.json(&["model", "list", "v"])
}

fn in_use(list: &Value) -> u64 {
    let all = list["models"].as_array().unwrap();
    let mut current = all.iter().filter(|one| one["is_current"] == true);
    let number = current.next().unwrap()["number"].as_u64().unwrap();
    assert!(current.next().is_none(), "{list}");
    number
}

/// What a group would have left as an example that was touched so often in each window.
fn example(window: u64, touches: u32) -> Example {
    let mut codes = [0; STEPS];
    for (codes, times) in codes.chunks_exact_mut(WINDOWS).zip(WINDOW_TIMES) {
        codes.fill(code(f64::from(touches * times)));
    }
    let windows = HORIZON_SECONDS.map(|seconds| u64::from(seconds) / WINDOW_SECONDS);
    #[allow(clippy::cast_precision_loss, reason = "some thousand")]
    let touches = windows.map(|windows| (windows * u64::from(touches * MORE)) as f32);
    Example {
        at_seconds: 1_800_000_000 + window * WINDOW_SECONDS,
        codes,
        touches,
    }
}

/// Puts local history where the daemon would have put it.
fn write_history(state: &Path) {
    let volumes: Vec<PathBuf> = std::fs::read_dir(state)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [volume] = &volumes[..] else {
        panic!("{volumes:?}")
    };
    let examples = (0..EXAMPLES).map(|at| example(at, 1 << (at * 7 % 8)));
    let bytes: Vec<u8> = header()
        .into_iter()
        .chain(examples.flat_map(|one| one.to_bytes()))
        .collect();
    std::fs::write(volume.join("examples"), bytes).unwrap();
}

#[test]
fn a_model_is_trained_on_local_history_used_kept_and_taken_back() {
    if Runtime::load(None).is_err() {
        skip::record(&test_name!(), "no ONNX Runtime (tests/setup)");
        return;
    }
    Guest::uml(test_name!())
        .deadline(Duration::from_mins(8))
        .phase(|guest| {
            let setting = setting(guest, "retrain = \"0s\"\n");
            let daemon = setting.run();
            let _disks = create(guest, &daemon);
            wait_until("the network runs", PATIENCE, || {
                models(&daemon)["network"]["runs"] == true
            });
            assert_eq!(in_use(&models(&daemon)), 0);
            let why = daemon.ctl(&["model", "retrain", "v"]).unwrap_err();
            assert!(why.contains("0 examples are kept"), "{why}");
            daemon.kill();
            write_history(&guest.file("state"));

            let daemon = setting.run();
            assert_eq!(models(&daemon)["examples"], EXAMPLES);
            daemon.must(&["model", "retrain", "v"]);
            let why = daemon.ctl(&["model", "retrain", "v"]).unwrap_err();
            assert!(why.contains("under way"), "{why}");
            wait_until("the training has ended", TRAINED_WITHIN, || {
                models(&daemon)["training"]["last"].is_object()
            });
            let list = models(&daemon);
            println!("{}", daemon.must(&["model", "list", "v"]));
            assert_eq!(list["training"]["last"]["made"], 1, "{list}");
            assert_eq!(in_use(&list), 1);
            let trained = &list["models"][1];
            for horizon in 0..HORIZON_SECONDS.len() {
                let [new, old] = ["loss", "loss_before"].map(|which| &trained[which][horizon]);
                assert!(new.as_f64() < old.as_f64(), "{trained}");
            }

            // It is there after the daemon's death, and the base model when it is taken back.
            daemon.kill();
            let daemon = setting.run();
            wait_until("the network runs", PATIENCE, || {
                models(&daemon)["network"]["runs"] == true
            });
            assert_eq!(in_use(&models(&daemon)), 1);
            daemon.must(&["model", "rollback", "--volume", "v"]);
            assert_eq!(in_use(&models(&daemon)), 0);
            let why = daemon
                .ctl(&["model", "rollback", "--volume", "v"])
                .unwrap_err();
            assert!(why.contains("nothing older"), "{why}");
            let why = daemon
                .ctl(&["model", "rollback", "7", "--volume", "v"])
                .unwrap_err();
            assert!(why.contains("no model 7"), "{why}");
            daemon.must(&["model", "rollback", "1", "--volume", "v"]);
            assert_eq!(in_use(&models(&daemon)), 1);
            let shown = daemon.must(&["model", "show", "--volume", "v"]);
            assert!(shown.contains("It is in use"), "{shown}");
        })
        .run();
}

#[test]
fn without_the_library_all_else_works_and_says_so() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let missing = setting(guest, "library = \"/no/such/libonnxruntime.so\"\n");
            let daemon = missing.run();
            let _disks = create(guest, &daemon);
            wait_until("it is said", PATIENCE, || {
                models(&daemon)["network"]["problem"].is_string()
            });
            let list = models(&daemon);
            let problem = list["network"]["problem"].as_str().unwrap();
            assert!(problem.contains("/no/such/libonnxruntime.so"), "{problem}");
            assert_eq!(list["network"]["runs"], false);
            daemon.must(&["move", "v", "--regions", "40-41", "--to", "nvme", "--wait"]);
            assert!(daemon.stop().success());

            let off = setting(guest, "network = false\n").run();
            let why = off.ctl(&["model", "list", "v"]).unwrap_err();
            assert!(why.contains("forecast.network is false"), "{why}");
        })
        .run();
}

#[test]
fn what_was_touched_is_known_after_a_restart() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let setting = setting(guest, "network = false\n");
            let daemon = setting.run();
            let _disks = create(guest, &daemon);
            let touches = |daemon: &Daemon| {
                let told = daemon.json(&["explain", "v", "--region", "40"]);
                told["touches_in_all"].as_f64().unwrap()
            };
            for block in 0..32 {
                let offset = 40 * MIB + block * 32_768;
                fill(Path::new("/dev/tierd/v"), offset, 4_096, 1).unwrap();
            }
            wait_until("the writes are counted", PATIENCE, || {
                touches(&daemon) > 0.0
            });
            let before = touches(&daemon);
            assert!(daemon.stop().success());
            let daemon = setting.run();
            let after = touches(&daemon);
            assert!(
                (after - before).abs() < 1e-6,
                "{before} before, {after} after"
            );

            // A volume is taken down and up: the same.
            daemon.must(&["volume", "stop", "v"]);
            daemon.must(&["volume", "start", "v"]);
            assert!((touches(&daemon) - before).abs() < 1e-6);

            let state = || std::fs::read_dir(guest.file("state")).unwrap().count();
            assert_eq!(state(), 1);
            daemon.must(&["volume", "stop", "v"]);
            daemon.must(&["volume", "destroy", "v", "--yes"]);
            assert_eq!(state(), 0, "what was learned outlives the volume");
        })
        .run();
}

/// Where the volume is mounted that everything is put on.
const MOUNTED: &str = "/run/fs";

/// Makes a file system on the volume, mounts it, and gives a link that leads into it.
fn mounted() -> PathBuf {
    run("mkfs.ext4", &["-q", "/dev/tierd/v"]);
    std::fs::create_dir(MOUNTED).unwrap();
    run("mount", &["/dev/tierd/v", MOUNTED]);
    let link = PathBuf::from("/run/link");
    std::os::unix::fs::symlink(MOUNTED, &link).unwrap();
    link
}

/// Parks all I/O of the volume, with nothing of its file system left in memory.
fn park() {
    run::<&str>("sync", &[]);
    std::fs::write("/proc/sys/vm/drop_caches", "3").unwrap();
    run(
        "dmsetup",
        &["suspend", "--noflush", "--nolockfs", "tierd-v"],
    );
}

/// What the daemon keeps would lie on the volume that it serves. It keeps nothing there, says so,
/// and neither serves, ends nor settles the worse when the volume stands still.
#[test]
fn nothing_of_the_daemons_lies_on_a_volume_of_its_own() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let daemon = setting(guest, "network = false\n").run();
            let _disks = create(guest, &daemon);
            assert!(daemon.stop().success());
            let link = mounted();

            let more = format!("[record]\nevents = \"{MOUNTED}/events\"\n");
            let config = format!(
                "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
                 [daemon.scan]\ninclude = [\"/dev/nbd*\"]\n[policy]\nenabled = false\n\
                 [forecast]\nstate = \"{}/state\"\n{more}",
                link.display()
            );
            let daemon = Setting::new(guest, Programs::beside(TIERD))
                .config(&config)
                .run();
            let problem = daemon.json(&["status", "v"]).to_string();
            assert!(problem.contains("record.events"), "{problem}");
            let list = models(&daemon);
            let problem = list["network"]["problem"].as_str().unwrap();
            assert!(problem.contains("lies on tierd-v"), "{problem}");
            assert!(problem.contains("forecast.state"), "{problem}");
            assert!(!Path::new(MOUNTED).join("events").exists());
            assert!(!Path::new(MOUNTED).join("state").exists());
            park();
            let member = format!("{MOUNTED}/disk=nvme");
            let why = daemon.ctl(&["volume", "create", "w", "--yes", &member]);
            let why = why.unwrap_err();
            assert!(why.contains("lies on tierd-v"), "{why}");
            assert!(daemon.stop().success());
            run("dmsetup", &["resume", "tierd-v"]);

            let config = config.replace("/run/tierd/tierd.sock", "/run/fs/run/tierd.sock");
            let file = format!("{MOUNTED}/run.toml");
            let own = Path::new(MOUNTED).join("run");
            let own = Setting::in_folders(guest.scratch(), &own, Programs::beside(TIERD));
            let mut daemon = own.config(&config).spawn();
            assert_eq!(daemon.wait().code(), Some(3), "{}", daemon.log());
            assert!(daemon.log().contains("daemon.socket"), "{}", daemon.log());
            park();
            run(TIERD, &["settle", "--config", &file]);
            let text = std::fs::read_to_string(file).unwrap();
            assert!(text.contains(MOUNTED), "{text}");
        })
        .run();
}
