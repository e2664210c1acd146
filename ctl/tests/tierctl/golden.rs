//! The text that people see, at 100 columns. `TIERCTL_GOLDEN=write` writes the files anew; the
//! change is then there to be read.

use std::path::Path;

use crate::fake::{Fake, Mood};
use crate::run::{Ran, command, ended, run};

fn compare(name: &str, ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tierctl/golden")
        .join(name);
    if std::env::var_os("TIERCTL_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, &ran.stdout).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    assert!(
        ran.stdout == golden,
        "{name} differs; it is now:\n{}",
        ran.stdout
    );
    let widest = ran
        .stdout
        .lines()
        .map(|line| line.chars().count())
        .max()
        .unwrap();
    assert!(widest <= 100, "{name} is {widest} columns wide");
}

macro_rules! golden {
    ($($name:ident: [$($arg:literal),+];)+) => {$(
        #[test]
        fn $name() {
            let fake = Fake::new(Mood::Well);
            compare(concat!(stringify!($name), ".txt"), &run(&fake.socket(), &[$($arg),+]));
        }
    )+};
}

golden! {
    volume_list: ["volume", "list"];
    volume_show: ["volume", "show", "data"];
    volume_create_dry_run: ["volume", "create", "new", "/dev/sdb", "--dry-run"];
    volume_destroy: ["volume", "destroy", "data", "--yes"];
    member_list: ["member", "list"];
    status: ["status"];
    heat: ["heat"];
    plan: ["plan"];
    explain_region: ["explain", "--region", "51200"];
    explain_move: ["explain", "--move", "17"];
    model_list: ["model", "list"];
    model_show: ["model", "show"];
    model_show_base: ["model", "show", "0"];
    model_retrain: ["model", "retrain"];
    model_rollback: ["model", "rollback"];
    moves: ["moves", "--history"];
    move_by_hand: ["move", "--regions", "0-63", "--to", "nvme"];
    move_dry_run: ["move", "--regions", "0-63", "--to", "nvme", "--dry-run"];
    cancel: ["cancel", "18"];
    priority: ["priority", "18", "low"];
    pause: ["pause"];
    resume: ["resume"];
    health: ["health"];
}

/// Only reasons fold where the terminal is narrow.
#[test]
fn plan_narrow() {
    let fake = Fake::new(Mood::Well);
    let mut narrow = command(&fake.socket(), &["plan"]);
    compare(
        "plan_narrow.txt",
        &ended(narrow.env("COLUMNS", "72").output().unwrap()),
    );
}
