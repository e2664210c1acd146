//! A guest with tierd installed, and what is asked of systemd, udev and the journal there.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tier_tests::command::{attempt, run};
use tier_tests::io::wait_until;

const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");

/// A guest is slow when its host is busy, and systemd has much to start.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The repository's root.
fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What systemd/README.md tells people to type, word for word, before systemd starts. The programs
/// are those under test.
pub(crate) fn installed() -> String {
    let readme = std::fs::read_to_string(repository().join("systemd/README.md")).unwrap();
    let after = readme.split("## Install\n").nth(1).unwrap();
    let block = after.split("```sh\n").nth(1).unwrap();
    let lines = block.split("```").next().unwrap();
    for needed in [
        "target/release/tierd ",
        "*.service",
        "*.rules",
        "systemctl enable",
    ] {
        assert!(lines.contains(needed), "{needed:?} is not among: {lines}");
    }
    format!(
        "mkdir -p /run/checkout/target/release\n\
         cd /run/checkout\n\
         ln -s {repository}/systemd systemd\n\
         ln -s {TIERD} target/release/tierd\n\
         ln -s {tierctl} target/release/tierctl\n\
         {lines}",
        repository = repository().display(),
        tierctl = Path::new(TIERD).with_file_name("tierctl").display()
    )
}

/// The same, with this configuration.
pub(crate) fn installed_with(config: &str) -> String {
    format!(
        "{}\ncat >/etc/tierd/tierd.toml <<'.'\n{config}\n.",
        installed()
    )
}

/// Runs `tierctl`, which must succeed.
#[track_caller]
pub(crate) fn tierctl(arguments: &[&str]) -> String {
    run("tierctl", arguments)
}

/// Runs `systemctl`, which must succeed.
#[track_caller]
pub(crate) fn systemctl(arguments: &[&str]) -> String {
    run("systemctl", arguments)
}

/// A property of a unit.
#[track_caller]
pub(crate) fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// Whether the control socket answers.
pub(crate) fn answers() -> bool {
    attempt("tierctl", &["volume", "list", "--timeout", "2s"]).is_ok()
}

/// Waits until the daemon has been started again after the process `before`, and answers.
#[track_caller]
pub(crate) fn wait_for_another_than(before: &str) {
    wait_until("tierd was started again and answers", PATIENCE, || {
        let process = property("tierd", "MainPID");
        process != before && process != "0" && property("tierd", "ActiveState") == "active"
    });
    assert!(answers(), "tierd is active and does not answer");
}

/// Adds to a unit, as `systemctl edit` does, until the next boot.
pub(crate) fn drop_in(unit: &str, text: &str) {
    let folder = PathBuf::from(format!("/run/systemd/system/{unit}.d"));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("test.conf"), text).unwrap();
    systemctl(&["daemon-reload"]);
}

/// Takes that back.
pub(crate) fn no_drop_in(unit: &str) {
    std::fs::remove_dir_all(format!("/run/systemd/system/{unit}.d")).unwrap();
    systemctl(&["daemon-reload"]);
}

/// A line of the journal.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) priority: String,
    pub(crate) process: String,
    pub(crate) message: String,
}

/// What the processes of a unit, settle among them, have said since the boot.
pub(crate) fn journal(unit: &str) -> Vec<Line> {
    run("journalctl", &["--sync"]);
    let unit = format!("_SYSTEMD_UNIT={unit}.service");
    let said = run("journalctl", &["--boot", "--output=json", &unit]);
    let field =
        |entry: &serde_json::Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    said.lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|entry| Line {
            priority: field(&entry, "PRIORITY"),
            process: field(&entry, "_PID"),
            message: field(&entry, "MESSAGE"),
        })
        .collect()
}

/// What udev knows of a device, as `KEY=value` lines. `None` if it has gone, or udev has not come to
/// it yet.
pub(crate) fn udev(device: &Path) -> Option<Vec<String>> {
    let device = device.to_str().unwrap();
    let said = attempt("udevadm", &["info", "--query=property", device]).ok()?;
    let known: Vec<_> = said.lines().map(str::to_owned).collect();
    let seen = known
        .iter()
        .any(|line| line.starts_with("USEC_INITIALIZED="));
    seen.then_some(known)
}

/// The device-mapper devices that tierd has made, with their uuids, but for volumes.
pub(crate) fn inner_devices() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/sys/block").unwrap().flatten() {
        // A device may go while it is looked at.
        let uuid = std::fs::read_to_string(entry.path().join("dm/uuid")).unwrap_or_default();
        let uuid = uuid.trim().to_owned();
        if uuid.starts_with("TIERD-") && !uuid.ends_with("-volume") {
            found.push((Path::new("/dev").join(entry.file_name()), uuid));
        }
    }
    found
}

/// Every link below /dev/disk, and where it leads.
pub(crate) fn disk_links() -> Vec<(PathBuf, PathBuf)> {
    let mut links = Vec::new();
    for kind in std::fs::read_dir("/dev/disk").unwrap().flatten() {
        for link in std::fs::read_dir(kind.path()).unwrap().flatten() {
            if let Ok(target) = std::fs::canonicalize(link.path()) {
                links.push((link.path(), target));
            }
        }
    }
    links
}
