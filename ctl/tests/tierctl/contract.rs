//! What every verb promises: help, refusal of what it does not know, JSON for programs, and an exit
//! code of its own where there is no daemon or a value cannot be right.

use std::path::Path;

use crate::fake::{Fake, Mood};
use crate::run::run;

/// A socket on which nobody listens.
const NOWHERE: &str = "/nonexistent/tierd.sock";

const USAGE: i32 = 2;
const INVALID: i32 = 3;
const NOT_RUNNING: i32 = 17;

/// Help goes to stdout with code 0, and shows the shared options.
fn helps(verb: &[&str]) {
    for flag in ["--help", "-h"] {
        let ran = run(Path::new(NOWHERE), &[verb, &[flag]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(
            ran.stdout.contains("Usage: tierctl") && ran.stdout.contains("--json"),
            "{ran:?}"
        );
        assert!(ran.stderr.is_empty());
    }
}

/// An unknown option is refused before anything is asked of anybody.
fn refuses_unknown_options(args: &[&str]) {
    let ran = run(Path::new(NOWHERE), &[args, &["--no-such-option"]].concat());
    assert_eq!(ran.code, USAGE, "{ran:?}");
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains("--no-such-option"),
        "{ran:?}"
    );
}

/// With `--json`, stdout is one JSON document and stderr is empty.
fn prints_json(args: &[&str]) {
    let fake = Fake::new(Mood::Well);
    let ran = run(&fake.socket(), &[args, &["--json"]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.is_empty(), "{ran:?}");
    serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
}

/// Without a daemon: its own code, the socket's name and what to start, and nothing on stdout.
fn says_that_no_daemon_runs(args: &[&str]) {
    let ran = run(Path::new(NOWHERE), args);
    assert_eq!(ran.code, NOT_RUNNING, "{ran:?}");
    assert!(ran.stdout.is_empty());
    assert!(
        ran.stderr.contains(NOWHERE) && ran.stderr.contains("systemctl start tierd"),
        "{ran:?}"
    );
    let ran = run(Path::new(NOWHERE), &[args, &["--json"]].concat());
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], NOT_RUNNING);
    assert_eq!(error["error"]["errno"], 2);
}

/// A value that cannot be right has its own code, and its text is repeated.
fn refuses_bad_values(args: &[&str], value: &str) {
    let ran = run(Path::new(NOWHERE), args);
    assert_eq!(ran.code, INVALID, "{ran:?}");
    assert!(
        ran.stdout.is_empty() && ran.stderr.contains(value),
        "{ran:?}"
    );
}

/// One module of contract tests for each verb that talks to tierd.
macro_rules! online {
    ($($name:ident: [$($verb:literal),+] [$($arg:literal),*], bad [$($bad:literal),+] $value:literal;)+) => {$(
        mod $name {
            #[test]
            fn helps() {
                super::helps(&[$($verb),+]);
            }
            #[test]
            fn refuses_unknown_options() {
                super::refuses_unknown_options(&[$($verb,)+ $($arg),*]);
            }
            #[test]
            fn prints_json() {
                super::prints_json(&[$($verb,)+ $($arg),*]);
            }
            #[test]
            fn says_that_no_daemon_runs() {
                super::says_that_no_daemon_runs(&[$($verb,)+ $($arg),*]);
            }
            #[test]
            fn refuses_bad_values() {
                super::refuses_bad_values(&[$($verb,)+ $($bad),+], $value);
            }
        }
    )+};
}

online! {
    volume_create: ["volume", "create"] ["new", "/dev/sdb=hdd"], bad ["new", "/dev/sdb=fast"] "fast";
    volume_list: ["volume", "list"] [], bad ["--timeout", "soon"] "soon";
    volume_show: ["volume", "show"] ["data"], bad ["a/b"] "a/b";
    volume_start: ["volume", "start"] ["data"], bad ["a/b"] "a/b";
    volume_stop: ["volume", "stop"] ["data"], bad ["a/b"] "a/b";
    volume_destroy: ["volume", "destroy"] ["data", "--yes"], bad ["a/b"] "a/b";
    member_list: ["member", "list"] [], bad ["a/b"] "a/b";
    status: ["status"] [], bad ["--interval", "soon"] "soon";
    heat: ["heat"] [], bad ["--rows", "many"] "many";
    plan: ["plan"] [], bad ["a/b"] "a/b";
    explain: ["explain"] ["--region", "51200"], bad ["--region", "x"] "x";
    model_list: ["model", "list"] [], bad ["a/b"] "a/b";
    model_show: ["model", "show"] [], bad ["first"] "first";
    model_retrain: ["model", "retrain"] [], bad ["a/b"] "a/b";
    model_rollback: ["model", "rollback"] [], bad ["first"] "first";
    move_by_hand: ["move"] ["--all", "--to", "nvme"], bad ["--regions", "9-1", "--to", "nvme"] "9-1";
    moves: ["moves"] ["--history"], bad ["--history=0"] "0";
    cancel: ["cancel"] ["18"], bad ["eighteen"] "eighteen";
    priority: ["priority"] ["18", "low"], bad ["18", "urgent"] "urgent";
    pause: ["pause"] [], bad ["a/b"] "a/b";
    resume: ["resume"] [], bad ["a/b"] "a/b";
    health: ["health"] [], bad ["--timeout", "0"] "0";
}

/// One module for each verb that needs no tierd.
macro_rules! offline {
    ($($name:ident: [$($verb:literal),+] [$($arg:literal),*];)+) => {$(
        mod $name {
            #[test]
            fn helps() {
                super::helps(&[$($verb),+]);
            }
            #[test]
            fn refuses_unknown_options() {
                super::refuses_unknown_options(&[$($verb,)+ $($arg),*]);
            }
            #[test]
            fn prints_json_without_a_daemon() {
                let ran = crate::run::run(
                    std::path::Path::new(super::NOWHERE),
                    &[$($verb,)+ $($arg,)* "--json"],
                );
                assert_eq!(ran.code, 0, "{ran:?}");
                serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap();
            }
        }
    )+};
}

offline! {
    completions: ["completions"] ["bash"];
    man: ["man"] [];
}

/// `record`, which has devices of its own to be tried on.
mod record {
    #[test]
    fn helps() {
        super::helps(&["record"]);
    }

    #[test]
    fn refuses_unknown_options() {
        super::refuses_unknown_options(&["record", "--output", "x", "y"]);
    }
}

/// `simulate`, which has traces of its own to be tried on.
mod simulate {
    #[test]
    fn helps() {
        super::helps(&["simulate"]);
    }

    #[test]
    fn refuses_unknown_options() {
        super::refuses_unknown_options(&["simulate", "--trace", "x"]);
    }
}

/// A verb that is not tested above would show up here.
#[test]
fn every_verb_has_its_contract_tested() {
    let help = run(Path::new(NOWHERE), &["--help"]).stdout;
    let verbs: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let tested = [
        "volume",
        "member",
        "status",
        "heat",
        "plan",
        "explain",
        "model",
        "move",
        "moves",
        "cancel",
        "priority",
        "pause",
        "resume",
        "health",
        "check",
        "dump",
        "record",
        "simulate",
        "completions",
        "man",
        "help",
    ];
    assert_eq!(verbs, tested);
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = run(Path::new(NOWHERE), &["--help"]).stdout;
    let codes = help.split_once("Exit codes:").unwrap().1;
    let listed: Vec<i32> = codes
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse().ok())
        .collect();
    assert_eq!(listed, (0..=21).collect::<Vec<_>>());
}
