//! The guest harness itself: what it promises to every other suite.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by it")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use tier_tests::command::run;
use tier_tests::guest::{Guest, Inside};
use tier_tests::test_name;

#[test]
fn a_body_runs_on_the_guests_kernel_and_its_files_come_back() {
    let scratch = Guest::uml(test_name!())
        .phase(|guest| {
            let version = std::fs::read_to_string("/proc/version").unwrap();
            std::fs::write(guest.file("version"), version).unwrap();
        })
        .run();
    let Some(scratch) = scratch else { return };
    let version = std::fs::read_to_string(scratch.path().join("version")).unwrap();
    assert!(version.contains("Linux version 6.1"), "{version}");
}

#[test]
fn the_phases_run_in_order_and_hand_on_what_they_noted() {
    Guest::uml(test_name!())
        .until_cut(|guest| {
            guest.note("first", "one");
            guest.cut_power()
        })
        .cut_after(Duration::from_secs(1), |guest| {
            assert_eq!(guest.read_note("first"), "one");
            guest.note("second", "two");
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        })
        .until_cut(|guest| {
            assert_eq!(guest.read_note("second"), "two");
            // A program under test cuts the power by itself.
            run("sh", &["-c", ": >\"$TIER_GUEST_CUT\""]);
            guest.wait_for_cut()
        })
        .phase(|guest| assert_eq!(guest.phase(), 3))
        .run();
}

/// Runs a guest whose phase goes wrong, and returns what the test would say.
fn complaint(guest: Guest<'_>) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| guest.run()));
    assert!(
        Inside::current().is_none(),
        "inside, `run` does not come back"
    );
    match outcome {
        Ok(None) => None,
        Ok(Some(_scratch)) => panic!("the guest's failure was not seen"),
        Err(panic) => Some(panic.downcast_ref::<String>().cloned().unwrap_or_default()),
    }
}

#[test]
fn a_failing_body_fails_the_test_with_the_end_of_its_console() {
    let guest = Guest::uml(test_name!()).phase(|_guest| panic!("four words to find"));
    // Inside, the panic above is the test's end, so this is the host.
    let Some(said) = complaint(guest) else { return };
    assert!(said.contains("its body failed (exit status 101)"), "{said}");
    assert!(said.contains("four words to find"), "{said}");
}

#[test]
fn a_body_that_ends_otherwise_than_planned_fails_the_test() {
    let guest = Guest::uml(test_name!()).cut_after(Duration::from_mins(1), |_guest| ());
    let Some(said) = complaint(guest) else { return };
    assert!(said.contains("returned before its power was cut"), "{said}");
}

#[test]
fn a_guest_that_hangs_is_killed_at_its_deadline() {
    let guest = Guest::uml(test_name!())
        .deadline(Duration::from_secs(8))
        .phase(|_guest| {
            loop {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
    let Some(said) = complaint(guest) else { return };
    // Its body never ends: that there is a complaint at all shows that it was killed.
    assert!(said.contains("was killed at its deadline"), "{said}");
}

#[test]
fn a_kernel_that_dies_fails_the_test() {
    let guest = Guest::uml(test_name!()).phase(|_guest| {
        run(
            "sh",
            &[
                "-c",
                "echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger",
            ],
        );
    });
    let Some(said) = complaint(guest) else { return };
    assert!(said.contains("the guest died by itself"), "{said}");
}

#[test]
fn changes_below_etc_and_var_stay_in_the_guest() {
    const FOLDERS: [&str; 4] = ["/etc", "/var/lib", "/run", "/tmp"];
    // The scratch folder's name is no other test's, and no earlier run's.
    let mark = |scratch: &Path, folder: &str| Path::new(folder).join(scratch.file_name().unwrap());
    let scratch = Guest::uml(test_name!())
        .phase(|guest| {
            for folder in FOLDERS {
                std::fs::write(mark(guest.scratch(), folder), "").unwrap();
            }
        })
        .run();
    let Some(scratch) = scratch else { return };
    // A checkout in /tmp is not hidden from the guest, and so /tmp is not its own then.
    let shared = std::env::current_dir().unwrap().starts_with("/tmp");
    for folder in &FOLDERS[..if shared { 3 } else { 4 }] {
        let path = mark(scratch.path(), folder);
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn nothing_of_a_guest_is_left_when_it_was_cut() {
    let scratch = Guest::uml(test_name!())
        .until_cut(|guest| {
            run("sh", &["-c", "sleep 1000 >/dev/null 2>&1 &"]);
            guest.cut_power()
        })
        .run();
    let Some(scratch) = scratch else { return };
    let mark = scratch.path().display().to_string();
    let of_the_guest = |entry: &std::fs::DirEntry| {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&mark)
    };
    let left: Vec<_> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(of_the_guest)
        .collect();
    assert!(left.is_empty(), "{left:?}");
}
