//! The volume under test: its disks, the daemon on it, and what must hold after every cut.
//!
//! Owns: three members of three classes with volatile caches, bringing them up by `tierd activate`
//! or `tierd run`, and the comparison of the kernel's tables with the record.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use tier_tests::command::{attempt, run};
use tier_tests::disk::{Disk, PowerLoss, RunningDisk};
use tier_tests::guest::Inside;
use tier_tests::tierd::{Daemon, Programs, Setting};

/// The volume's name.
pub(crate) const NAME: &str = "v";
/// Its device.
pub(crate) const DEVICE: &str = "/dev/tierd/v";
/// The members' classes, in their order, each with its size in MiB. Half of each stays free, so
/// that all of the load fits on any of them, and the load begins on the first.
const MEMBERS: [(&str, u64); 3] = [("nvme", 47), ("ssd", 47), ("hdd", 64)];
const TIERD: &str = env!("CARGO_BIN_EXE_tierd_under_test");
/// See [`arm`].
const ARMED: &str = "/run/armed";
/// Sectors of 512 bytes in a region.
const REGION_SECTORS: u64 = 2048;

/// What becomes of the members' unflushed writes when the power goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lost,
    Kept,
    /// Each block by a coin, every member with a coin of its own.
    Some(u64),
    /// Each member by itself loses, keeps, or keeps some.
    Each(u64),
}

impl Fate {
    fn of_member(self, index: u64) -> PowerLoss {
        match self {
            Self::Lost => PowerLoss::Lost,
            Self::Kept => PowerLoss::Kept,
            Self::Some(seed) => PowerLoss::Some {
                seed: seed.wrapping_mul(31).wrapping_add(index),
            },
            Self::Each(seed) => match (seed / 3_u64.pow(u32::try_from(index).unwrap_or(0))) % 3 {
                0 => PowerLoss::Lost,
                1 => PowerLoss::Kept,
                _ => PowerLoss::Some { seed },
            },
        }
    }
}

/// The volume's disks, in the order of its members.
pub(crate) struct Disks {
    disks: Vec<RunningDisk>,
}

impl Disks {
    pub(crate) fn start(guest: &Inside, fate: Fate) -> Self {
        Self::start_as(guest, fate, |_class, disk| disk)
    }

    pub(crate) fn start_as(
        guest: &Inside,
        fate: Fate,
        settings: impl Fn(&str, Disk) -> Disk,
    ) -> Self {
        let disks = MEMBERS.iter().zip(0_u64..).map(|((class, mib), index)| {
            let image = guest.file(&format!("{class}.img"));
            let disk = Disk::new(image, mib << 20).on_power_loss(fate.of_member(index));
            settings(class, disk).start()
        });
        Self {
            disks: disks.collect(),
        }
    }

    pub(crate) fn all(&self) -> &[RunningDisk] {
        &self.disks
    }

    fn nodes(&self) -> Vec<&str> {
        self.disks.iter().map(RunningDisk::node).collect()
    }

    /// Creates the volume.
    pub(crate) fn create(&self, daemon: &Daemon) {
        self.try_create(daemon)
            .unwrap_or_else(|why| panic!("{why}"));
    }

    /// Creates the volume, or says why it was not.
    pub(crate) fn try_create(&self, daemon: &Daemon) -> Result<String, String> {
        let members = MEMBERS.iter().zip(&self.disks);
        let members: Vec<String> = members
            .map(|((class, _), disk)| format!("{}={class}", disk.node()))
            .collect();
        let mut arguments = vec!["volume", "create", NAME, "--yes"];
        arguments.extend(members.iter().map(String::as_str));
        daemon.ctl(&arguments)
    }

    /// What `tierctl dump` says of the record.
    fn record(&self) -> Value {
        let said = offline("dump", &self.nodes(), &["--json"]);
        let whole: Value = serde_json::from_str(&said.expect("dump")).expect("JSON of the dump");
        whole["metadata"].clone()
    }

    /// Asserts what must hold of a volume that was just brought up, while nothing changes it: its
    /// metadata is sound, its table is linear and what the record says, and nothing of a move is
    /// left. Returns which member carries the volume's first region.
    pub(crate) fn assert_sound(&self) -> usize {
        assert!(Path::new(DEVICE).exists(), "the volume did not come up");
        let checked = offline("check", &self.nodes(), &[]);
        let said = checked.unwrap_or_else(|why| panic!("`tierctl check` finds: {why}"));
        assert!(said.contains("Nothing was found"), "{said}");
        let record = self.record();
        assert_eq!(
            Self::mapped(),
            self.recorded(&record),
            "table and record differ"
        );
        let devices = run("dmsetup", &["ls"]);
        assert!(
            !devices.contains("-move-") && !devices.contains("-mirror-"),
            "devices of a move are left: {devices}"
        );
        let home = &record["extents"][0]["legs"][0]["member"];
        usize::try_from(number(home)).expect("a member")
    }

    /// Whether a former home is not freed yet.
    pub(crate) fn has_retired(&self) -> bool {
        let record = self.record();
        !record["retired"].as_array().expect("list").is_empty()
    }

    /// By region, the member's device number and the sector at which the kernel has it.
    fn mapped() -> BTreeMap<u64, (String, u64)> {
        let mut map = BTreeMap::new();
        for line in run("dmsetup", &["table", &format!("tierd-{NAME}")]).lines() {
            let words: Vec<_> = line.split(' ').collect();
            let [start, length, "linear", device, offset] = words[..] else {
                panic!("no linear target: {line}");
            };
            let [start, length, offset]: [u64; 3] =
                [start, length, offset].map(|word| word.parse().expect("sectors"));
            for at in (0..length).step_by(usize::try_from(REGION_SECTORS).expect("small")) {
                map.insert(
                    (start + at) / REGION_SECTORS,
                    (device.to_owned(), offset + at),
                );
            }
        }
        map
    }

    /// The same, from the record.
    fn recorded(&self, record: &Value) -> BTreeMap<u64, (String, u64)> {
        let members = record["facts"]["members"].as_array().expect("members");
        let mut map = BTreeMap::new();
        for extent in record["extents"].as_array().expect("extents") {
            let legs = extent["legs"].as_array().expect("legs");
            assert_eq!(legs.len(), 1, "an extent with more than one leg: {extent}");
            let index = usize::try_from(number(&legs[0]["member"])).expect("a member");
            let start = number(&members[index]["data_start"]) / 512;
            let first = number(&legs[0]["first"]);
            for at in 0..number(&extent["count"]) {
                let place = start + (first + at) * REGION_SECTORS;
                let device = self.number_of(index);
                map.insert(number(&extent["first"]) + at, (device, place));
            }
        }
        map
    }

    fn number_of(&self, index: usize) -> String {
        let path = format!("/sys/block/{}/dev", self.disks[index].name());
        let text = std::fs::read_to_string(path).expect("number of a disk");
        text.trim().to_owned()
    }
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn programs() -> Programs {
    Programs::beside(TIERD)
}

/// A verb of `tierctl` that needs no daemon.
fn offline(verb: &str, devices: &[&str], flags: &[&str]) -> Result<String, String> {
    let mut arguments = vec![verb];
    arguments.extend(flags);
    arguments.extend(devices);
    attempt(
        programs().tierctl.to_str().expect("path of tierctl"),
        &arguments,
    )
}

/// How the daemon is started here. Half of each member stays free.
pub(crate) fn setting(guest: &Inside) -> Setting<'_> {
    Setting::new(guest, programs()).config(
        "[daemon]\nsocket = \"/run/tierd/tierd.sock\"\n\
         [daemon.scan]\ninclude = [\"/dev/nbd*\"]\n\
         [intervals]\nscale = 0.05\n\
         [policy]\nenabled = false\nheadroom = 0.5\n",
    )
}

/// The same, with places to be stopped at counted from [`arm`] on: not in the start, and not in what
/// goes before.
pub(crate) fn armed(guest: &Inside) -> Setting<'_> {
    setting(guest).environment("TIERD_STOP_FROM", ARMED)
}

/// From here on the daemon counts the places to be stopped at.
pub(crate) fn arm() {
    std::fs::write(ARMED, "").expect("file that arms the cut");
}

/// Brings the volume up, if there is one yet, and serves it: at once, or after `tierd activate`
/// has brought it up.
pub(crate) fn bring_up(guest: &Inside, setting: &Setting<'_>, by_activation: bool) -> Daemon {
    if by_activation {
        let status = setting.activate();
        assert!(status.success(), "activate: {status}\n{}", log(guest));
    }
    setting.run()
}

fn log(guest: &Inside) -> String {
    std::fs::read_to_string(guest.file("tierd.log")).unwrap_or_default()
}

/// Asks for a move of these regions to the member after the one at `home`; waits for its end if
/// told to.
pub(crate) fn move_on(
    daemon: &Daemon,
    regions: (u32, u32),
    home: usize,
    wait: bool,
) -> Result<String, String> {
    let (class, _) = MEMBERS[next(home)];
    let range = format!("{}-{}", regions.0, regions.1);
    let mut arguments = vec!["move", NAME, "--regions", &range, "--to", class];
    if wait {
        arguments.push("--wait");
    }
    daemon.ctl(&arguments)
}

/// The member after this one.
pub(crate) const fn next(home: usize) -> usize {
    (home + 1) % MEMBERS.len()
}
