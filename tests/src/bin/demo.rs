//! The demonstration: `tests/demo` sets up, builds, and starts it.
//!
//! Owns: where the job runs (this kernel, if that can and may; else a virtual machine, in which
//! this program runs again), and the exit status: 0 only when all files were verified and the hot
//! data had moved.
#![allow(
    clippy::expect_used,
    reason = "a demonstration that cannot go on says why and ends"
)]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tier_tests::demo::here::{self, Devices};
use tier_tests::demo::job::{self, Settings, VOLUME};
use tier_tests::demo::outcome::Outcome;
use tier_tests::demo::scene::Scene;
use tier_tests::demo::summary::summary;
use tier_tests::demo::view::View;
use tier_tests::demo::witness::Member;
use tier_tests::guest::{Drive, Guest, Inside};
use tier_tests::tierd::Programs;
use tier_wire::Class;

/// The members, in the order in which the volume lies on them: what is written first, the files,
/// lies on the slowest.
const MEMBERS: [(Class, u64); 3] = [
    (Class::Hdd, 512 << 20),
    (Class::Ssd, 128 << 20),
    (Class::Nvme, 128 << 20),
];
/// Requests per second of the drive that stands for a SATA SSD.
const SSD_REQUESTS_PER_SECOND: u32 = 3000;
/// Between two looks at what the guest tells.
const LOOK: Duration = Duration::from_millis(250);
const PROGRESS: &str = "progress.json";
const OUTCOME: &str = "outcome.json";

fn main() -> ExitCode {
    if Inside::current().is_none()
        && let Err(why) = here::suits()
    {
        say(&format!(
            "this kernel cannot do the job: {why}; using a virtual machine\n"
        ));
    } else if Inside::current().is_none() {
        let folder = tempfile::tempdir().expect("folder for the devices");
        let bytes = MEMBERS.iter().map(|(_, bytes)| bytes).sum();
        if here::is_allowed(folder.path(), bytes) {
            return judge(Some(here(folder.path())));
        }
    }
    judge(in_a_guest())
}

fn say(text: &str) {
    // A closed terminal is no reason to end.
    let _ = std::io::stdout().write_all(text.as_bytes());
}

fn judge(outcome: Option<Outcome>) -> ExitCode {
    let Some(outcome) = outcome else {
        say("nothing was shown: there is no kernel to run the job on\n");
        return ExitCode::FAILURE;
    };
    say(&summary(&outcome));
    if outcome.is_good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn settings(folder: &Path, members: Vec<Member>) -> Settings {
    let own = std::env::current_exe().expect("own path");
    Settings {
        programs: Programs::beside(&own.with_file_name("tierd").display().to_string()),
        folder: folder.to_owned(),
        run: PathBuf::from("/run/tierd-demo"),
        members,
        file_bytes: 160 << 20,
        hot_bytes: 24 << 20,
        ledger_bytes: 4 << 20,
        measured: Duration::from_secs(20),
        patience: Duration::from_mins(4),
        moved_share: 0.85,
        scale: 0.1,
        record: None,
    }
}

/// The job on this kernel.
fn here(folder: &Path) -> Outcome {
    let devices = Devices::make(folder, &MEMBERS);
    let mut view = View::default();
    let settings = settings(folder, devices.members());
    let (outcome, daemon) = job::run(&settings, |scene| view.show(scene));
    view.end();
    daemon.must(&["volume", "stop", VOLUME]);
    daemon.must(&["volume", "destroy", VOLUME, "--yes"]);
    daemon.stop();
    outcome
}

/// The job in a virtual machine. Runs there too, up to and including `run`.
fn in_a_guest() -> Option<Outcome> {
    let mut guest = Guest::qemu("demo")
        .processors(2)
        .deadline(Duration::from_mins(15));
    for (class, bytes) in MEMBERS {
        guest = guest.drive(match class {
            Class::Nvme => Drive::nvme("nvme", bytes),
            Class::Ssd => Drive::ssd("ssd", bytes).requests_per_second(SSD_REQUESTS_PER_SECOND),
            Class::Hdd => Drive::hdd("hdd", bytes),
        });
    }
    let mut view = View::default();
    let mut looked = Instant::now();
    if Inside::current().is_none() {
        view.show(&Scene::default());
    }
    let scratch = guest
        .watch(move |folder| {
            if looked.elapsed() >= LOOK {
                looked = Instant::now();
                if let Some(scene) = told(folder) {
                    view.show(&scene);
                }
            }
        })
        .phase(inside)
        .run()?;
    say("\n");
    let text = std::fs::read_to_string(scratch.path().join(OUTCOME)).expect("the guest's outcome");
    Some(serde_json::from_str(&text).expect("the guest's outcome"))
}

/// The moment as the guest told it last.
fn told(folder: &Path) -> Option<Scene> {
    let text = std::fs::read_to_string(folder.join(PROGRESS)).ok()?;
    serde_json::from_str(&text).ok()
}

/// The job, inside the virtual machine.
fn inside(guest: &Inside) {
    let member = |(class, _): (Class, u64)| Member {
        class,
        path: guest.drive(class.name()),
    };
    let settings = settings(guest.scratch(), MEMBERS.map(member).to_vec());
    let (outcome, daemon) = job::run(&settings, |scene| hand_over(guest, PROGRESS, scene));
    hand_over(guest, OUTCOME, &outcome);
    daemon.stop();
}

/// Puts a file where the host reads it, whole or not at all.
fn hand_over(guest: &Inside, name: &str, what: &impl serde::Serialize) {
    let text = serde_json::to_string(what).expect("JSON");
    let half = guest.file("half-written");
    let mut file = File::create(&half).expect("file for the host");
    file.write_all(text.as_bytes()).expect("file for the host");
    file.sync_all().expect("file for the host");
    std::fs::rename(&half, guest.file(name)).expect("file for the host");
}
