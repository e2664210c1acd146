//! What is different on a terminal: colours, and a person who can be asked. `script(1)` of
//! util-linux (in Debian's essential package bsdutils) gives the program a terminal of its own.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::fake::{Fake, Mood};

/// Runs tierctl on a terminal on which `typed` is typed. Gives its exit code and what it showed.
fn on_a_terminal(socket: &Path, args: &str, typed: &str, no_color: bool) -> (i32, String) {
    let program = env!("CARGO_BIN_EXE_tierctl");
    let mut script = Command::new("script");
    script
        .args([
            "--quiet",
            "--return",
            "--command",
            &format!("{program} {args}"),
            "/dev/null",
        ])
        .env("TIERD_SOCKET", socket)
        .env("COLUMNS", "80")
        .env_remove("NO_COLOR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    if no_color {
        script.env("NO_COLOR", "1");
    }
    let mut child = script
        .spawn()
        .expect("script(1) is needed: apt-get install bsdutils");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(typed.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
    )
}

#[test]
fn a_terminal_gets_colours_unless_it_wants_none() {
    let fake = Fake::new(Mood::Well);
    let (code, shown) = on_a_terminal(&fake.socket(), "heat data", "", false);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("\x1b[38;5;196m█"), "{shown}");
    let (code, shown) = on_a_terminal(&fake.socket(), "heat data", "", true);
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains('█') && !shown.contains('\x1b'), "{shown}");
}

#[test]
fn a_person_who_types_the_name_destroys_and_any_other_answer_does_not() {
    for (typed, code, requests) in [("data\n", 0, 2), ("yes\n", 19, 1), ("\n", 19, 1)] {
        let fake = Fake::new(Mood::Well);
        let (ended, shown) = on_a_terminal(&fake.socket(), "volume destroy data", typed, false);
        assert_eq!(ended, code, "{shown}");
        assert!(
            shown.contains("all data on it (100.0 GiB on 3 members)"),
            "{shown}"
        );
        assert!(shown.contains("Type data to go on"), "{shown}");
        assert_eq!(fake.asked().len(), requests);
    }
}

#[test]
fn a_watch_on_a_terminal_covers_what_it_showed_before() {
    let fake = Fake::new(Mood::Well);
    let args = "moves data --count 2 --interval 1ms";
    let (code, shown) = on_a_terminal(&fake.socket(), args, "", true);
    assert_eq!(code, 0, "{shown}");
    assert_eq!(shown.matches("\x1b[H\x1b[2J").count(), 2, "{shown:?}");
}

#[test]
fn waiting_shows_its_progress() {
    let fake = Fake::new(Mood::Moving(false));
    let args = "move data --all --to nvme --wait";
    let (code, shown) = on_a_terminal(&fake.socket(), args, "", true);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("32.00 MiB of 64.00 MiB") && shown.contains("2.0 s to go"),
        "{shown:?}"
    );
    assert!(shown.contains("Move 18 is done"), "{shown:?}");
}
