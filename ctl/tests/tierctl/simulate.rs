//! `simulate` on traces that are made here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::run::{Ran, run};

const INVALID: i32 = 3;
const IO: i32 = 12;

fn simulate(arguments: &[&str]) -> Ran {
    let nowhere = Path::new("/nonexistent/tierd.sock");
    run(nowhere, &[&["simulate"], arguments].concat())
}

fn trace(folder: &TempDir, name: &str, lines: &str) -> PathBuf {
    let path = folder.path().join(name);
    let header = "timestamp_us,op,offset_bytes,length_bytes\n";
    std::fs::write(&path, format!("{header}{lines}")).unwrap();
    path
}

/// One region of ten is read all the time.
fn skewed(folder: &TempDir) -> PathBuf {
    let mut lines = String::new();
    for number in 0..5_000_u32 {
        let region = if number % 10 == 0 {
            number / 10 % 10
        } else {
            4
        };
        let offset = region * (1 << 20) + number * 7919 % 250 * 4096;
        writeln!(lines, "{},R,{offset},4096", number * 50_000).unwrap();
    }
    trace(folder, "skewed.csv", &lines)
}

#[test]
fn it_shows_each_policy_beside_everything_on_the_slow_device() {
    let folder = TempDir::new().unwrap();
    let path = skewed(&folder);
    let arguments = ["--trace", path.to_str().unwrap(), "--fast-share", "0.3"];
    let ran = simulate(&[&arguments[..], &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(shown["trace"], path.to_str().unwrap());
    let policies = shown["policies"].as_array().unwrap();
    let slow_time = |name: &str| {
        let one = policies.iter().find(|one| one["name"] == name).unwrap();
        assert!(one["timed"].as_bool().unwrap() && one["params"].is_object());
        one["second_half"]["slow_time"].as_f64().unwrap()
    };
    assert!((slow_time("all-slow") - 1.0).abs() < 1e-9);
    assert!(slow_time("all-fast").abs() < 1e-9);
    assert!(slow_time("engine") < 0.3, "{}", ran.stdout);
    let whole = |one: &Value| one["whole"]["slow_time"].as_f64().unwrap();
    let bounds = policies.iter().filter(|one| one["kind"] == "bound");
    let best = bounds.map(whole).fold(f64::INFINITY, f64::min);
    let bound = policies.iter().find(|one| one["name"] == shown["bound"]);
    assert!(
        (whole(bound.unwrap()) - best).abs() < 1e-12,
        "{}",
        shown["bound"]
    );

    let ran = simulate(&arguments);
    assert_eq!(ran.code, 0);
    for words in [
        "(the bound: out of reach)",
        "5000 requests in 4 min",
        "30.0 %",
        "engine",
        "touch-3-minute, ideal",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
}

#[test]
fn what_cannot_be_simulated_is_named() {
    let folder = TempDir::new().unwrap();
    let torn = trace(&folder, "torn.csv", "0,R,0,4096\n1,R,40\n");
    let empty = trace(&folder, "empty.csv", "");
    for (path, exit, says) in [
        (torn.as_path(), INVALID, "line 3 of the trace"),
        (&empty, INVALID, "holds no read and no write"),
        (
            Path::new("/etc/hostname"),
            INVALID,
            "no trace that is known",
        ),
        (Path::new("/nonexistent/trace"), IO, "/nonexistent/trace"),
    ] {
        let ran = simulate(&["--trace", path.to_str().unwrap()]);
        assert_eq!(ran.code, exit, "{ran:?}");
        assert!(
            ran.stdout.is_empty() && ran.stderr.contains(says),
            "{ran:?}"
        );
    }
    for share in ["0", "1.5", "much"] {
        let ran = simulate(&["--trace", torn.to_str().unwrap(), "--fast-share", share]);
        assert_eq!(ran.code, INVALID, "{ran:?}");
        assert!(ran.stderr.contains(share), "{ran:?}");
    }
}

#[test]
fn members_that_one_has_or_would_buy_take_the_place_of_a_share() {
    let folder = TempDir::new().unwrap();
    let path = skewed(&folder);
    let path = path.to_str().unwrap();
    let members = |members: &[&str]| {
        let members = members.iter().flat_map(|member| ["--member", member]);
        let words: Vec<&str> = ["--trace", path].into_iter().chain(members).collect();
        simulate(&[&words[..], &["--json"]].concat())
    };
    let mean_us = |ran: &Ran, name: &str| {
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(shown.get("fast_share").is_none());
        let policies = shown["policies"].as_array().unwrap();
        let one = policies.iter().find(|one| one["name"] == name).unwrap();
        one["whole"]["mean_us"].as_f64().unwrap()
    };
    let usual = members(&["nvme:4M", "ssd:4M", "hdd:40M"]);
    assert!(mean_us(&usual, "engine") < 0.3 * mean_us(&usual, "all-slow"));
    let slower = members(&["nvme:4M", "hdd:40M:16000/16000/100"]);
    assert!(mean_us(&slower, "all-slow") > 1.8 * mean_us(&usual, "all-slow"));
    for (wrong, says) in [
        (&["nvme:1M", "hdd:9M"][..], "the trace reaches to byte 10"),
        (&["hdd:40M", "hdd:40M"], "of class hdd"),
        (&["tape:40M"], "\"tape:40M\" is no member"),
        (&["nvme"], "is no member"),
        (&["nvme:much"], "is no size"),
        (&["hdd:40M:fast"], "is no profile"),
        (&["hdd:40M:1/2/0"], "is no profile"),
    ] {
        let ran = members(wrong);
        assert_eq!(ran.code, INVALID, "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let both = [
        "--trace",
        path,
        "--member",
        "nvme:4M",
        "--fast-share",
        "0.5",
    ];
    let ran = simulate(&both);
    assert!(
        ran.code == 2 && ran.stderr.contains("cannot be used with"),
        "{ran:?}"
    );
}

#[test]
fn a_load_can_be_made_up() {
    let made_up = |name: &str| simulate(&["--made-up", name, "--json"]);
    let one = made_up("streams:3");
    assert_eq!(one.code, 0, "{one:?}");
    let shown: Value = serde_json::from_str(&one.stdout).unwrap();
    assert_eq!(shown["trace"], "streams:3");
    assert_ne!(one.stdout, made_up("streams").stdout, "the seed is 1");
    for (wrong, says) in [
        ("strems", "there are hot, daily, weekly, phases"),
        ("streams:x", "is no seed"),
    ] {
        let ran = made_up(wrong);
        assert!(ran.code == INVALID && ran.stderr.contains(says), "{ran:?}");
    }
    let alone = simulate(&["--made-up", "streams:3", "--alone", "--json"]);
    let alone: Value = serde_json::from_str(&alone.stdout).unwrap();
    let policies = |shown: &Value| shown["policies"].as_array().unwrap().clone();
    assert_eq!(
        policies(&alone),
        policies(&shown)[..4],
        "the engine's is the same"
    );
    assert_eq!(policies(&alone)[3]["name"], "engine");
    assert!(alone.get("bound").is_none());
    let neither = simulate(&[]);
    assert!(
        neither.code == 2 && neither.stderr.contains("--trace"),
        "{neither:?}"
    );
}

/// The engine alone by a policy of this text.
fn with_policy(text: &str, form: &[&str]) -> Ran {
    let folder = TempDir::new().unwrap();
    let (path, policy) = (skewed(&folder), folder.path().join("policy.toml"));
    std::fs::write(&policy, text).unwrap();
    let file = policy.to_str().unwrap();
    let words = ["--trace", path.to_str().unwrap(), "--alone"];
    simulate(&[&words[..], &["--policy", file], form].concat())
}

#[test]
fn a_policy_can_be_tried_and_what_flash_it_wears_is_told() {
    let engine = |text: &str| {
        let ran = with_policy(text, &["--json"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let shown: Value = serde_json::from_str(&ran.stdout).unwrap();
        shown["policies"].as_array().unwrap()[3].clone()
    };
    let usual = engine("");
    assert!(usual["whole"]["moved_bytes"].as_u64().unwrap() > 0);
    let still = engine("[policy]\nenabled = false\n");
    assert_eq!(still["whole"]["moved_bytes"], 0);
    let day = engine("[policy.wear]\nnvme_drive_writes_per_day = 1e-8\n");
    let flash = |one: &Value, what: &str| one["wear"]["members"][0][what].as_f64().unwrap();
    // 100 GB, which a smaller member is taken to be a part of, a hundred-millionth each day.
    assert!(
        (flash(&day, "bytes_per_year") / 3.65e5 - 1.0).abs() < 1e-9,
        "{day}"
    );
    assert!(flash(&day, "written_bytes") > 0.0);
    assert!(flash(&day, "seconds_per_gib") > flash(&usual, "seconds_per_gib"));
    let budget = "[policy.wear]\nnvme_money_per_terabyte = 90.0\nmoney_per_year = 20.0\n";
    let ran = with_policy(budget, &[]);
    for words in [
        "Wear by engine, member 0 (nvme): ",
        " of 1.64 allowed by then, 20.00 a year\n",
    ] {
        assert!(ran.stdout.contains(words), "no {words:?} in {}", ran.stdout);
    }
}

#[test]
fn mistakes_of_a_policy_are_named_as_the_daemon_names_them() {
    let member = "[policy.wear.members.\"0f6d7e7a-3b0c-4f3e-9d65-0a53c4c1b111\"]\nmoney = 1.0\n";
    for (text, says) in [
        (
            "[policy]\n\nhedroom = 0.1\n",
            "policy.toml:3: there is no key `hedroom` in [policy]",
        ),
        (
            "[policy]\nheadroom = 2.0\n",
            "policy.toml:2: `policy.headroom` is 2, and has to be",
        ),
        (
            "[policy.wear]\nrated_years = 0\n",
            "policy.toml:2: `policy.wear.rated_years` is 0",
        ),
        (
            "[policy]\nenabled = 1\n",
            "policy.toml:2: `policy.enabled`: invalid type",
        ),
        (
            "headroom = 0.1\n",
            "policy.toml:1: there is no section or key `headroom`",
        ),
        (
            member,
            "members have no UUIDs; give the ratings of their class",
        ),
    ] {
        let ran = with_policy(text, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (INVALID, ""), "{ran:?}");
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let ran = simulate(&["--made-up", "hot", "--policy", "/nonexistent/policy.toml"]);
    assert_eq!(ran.code, IO, "{ran:?}");
    assert!(
        ran.stderr
            .contains("/nonexistent/policy.toml: No such file"),
        "{ran:?}"
    );
}
