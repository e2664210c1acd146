//! A volume on three members, as the suites that move and kill need it.
//!
//! Owns: the members' disks, the daemon's configuration, and what the kernel says of the volume
//! without the daemon. The volume is `v`; its members are 0 (nvme), 1 (ssd) and 2 (hdd); a region
//! is 1 MiB and a move two of them at most, so that a request becomes a batch of moves.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tier_sys::block::{Access, BlockDevice, DeviceNumber};

use crate::api;
use crate::command::{attempt, run};
use crate::disk::{Disk, RunningDisk, Speed};
use crate::guest::Inside;
use crate::io::wait_until;
use crate::tierd::{Daemon, Programs, Setting};

/// Device of the volume.
pub const VOLUME: &str = "/dev/tierd/v";
/// Folder of the daemon's socket.
const RUN: &str = "/run/tierd";
/// Where the daemon answers.
const SOCKET: &str = "/run/tierd/tierd.sock";
/// The volume's moves.
const MOVES: &str = "/v1/volumes/v/moves";
/// Bytes of a region.
pub const REGION_BYTES: u64 = 1 << 20;
/// 512-byte sectors of a region.
const REGION_SECTORS: u64 = REGION_BYTES / 512;
/// Regions that one move takes along, unless a suite wants others.
pub const REGIONS_A_MOVE: u32 = 2;
/// Classes of the members, in the order of their numbers.
pub const CLASSES: [&str; 3] = ["nvme", "ssd", "hdd"];
/// Bytes of each member.
const MEMBER_BYTES: [u64; 3] = [32 << 20, 32 << 20, 40 << 20];
/// Longer than moves and starts take. On a busy machine, in a guest that is emulated
/// instruction by instruction, a start takes half a minute and more.
const PATIENCE: Duration = Duration::from_mins(2);

/// Three disks with a volume on them.
#[derive(Debug)]
pub struct Rig<'inside> {
    guest: &'inside Inside,
    programs: Programs,
    /// The members' disks.
    pub disks: [RunningDisk; 3],
    regions: u32,
    regions_a_move: u32,
}

/// How a daemon that was to be killed is found.
#[derive(Debug)]
pub enum Met {
    /// It answers.
    Up(Daemon),
    /// It died before it answered.
    DiedAtStart,
}

impl<'inside> Rig<'inside> {
    /// Makes disks and a volume on them; no daemon is left.
    #[must_use]
    pub fn start(guest: &'inside Inside, programs: Programs, discard: bool) -> Self {
        Self::start_on("dm", guest, programs, discard)
    }

    /// The same with a volume on this backend.
    #[must_use]
    pub fn start_on(
        backend: &str,
        guest: &'inside Inside,
        programs: Programs,
        discard: bool,
    ) -> Self {
        let disks = [0, 1, 2].map(|at: usize| {
            let disk = Disk::new(guest.image(CLASSES[at]), MEMBER_BYTES[at]);
            let disk = if discard { disk.discard() } else { disk };
            disk.start()
        });
        let mut rig = Self {
            guest,
            programs,
            disks,
            regions: 0,
            regions_a_move: REGIONS_A_MOVE,
        };
        let daemon = rig.run();
        let members = [0, 1, 2].map(|at: usize| (CLASSES[at], rig.disks[at].path()));
        daemon.create_on(backend, "v", &members);
        assert!(daemon.stop().success());
        let bytes = BlockDevice::open(Path::new(VOLUME), Access::ReadOnly)
            .expect("the volume")
            .size_bytes();
        rig.regions = u32::try_from(bytes / REGION_BYTES).expect("a small volume");
        rig
    }

    /// Lets daemons that start from now on take along so many regions in a move, and not
    /// [`REGIONS_A_MOVE`].
    #[must_use]
    pub fn with_moves_of(self, regions_a_move: u32) -> Self {
        Self {
            regions_a_move,
            ..self
        }
    }

    /// Makes the third disk a slow one that turns. Mildly: a seek of 2 ms.
    pub fn slow_down_the_hdd(&self) {
        self.disks[2].set_speed(Speed::Rotating {
            full_seek: Duration::from_millis(2),
            turn: Duration::from_millis(1),
            bytes_per_second: 120 << 20,
        });
    }

    /// How a daemon of this volume is started: it moves nothing by itself, and leaves much room
    /// for moves.
    #[must_use]
    pub fn setting(&self) -> Setting<'inside> {
        self.setting_at(Path::new(RUN))
    }

    /// The same with another folder for its socket.
    #[must_use]
    pub fn setting_at(&self, run: &Path) -> Setting<'inside> {
        let socket = run.join("tierd.sock");
        let mut config = String::new();
        let _ = write!(
            config,
            "[daemon]\nsocket = \"{}\"\n[daemon.scan]\ninclude = [\"/dev/nbd*\"]\n\
             [intervals]\nscale = 0.05\n[probe]\nenabled = false\n[policy]\nenabled = false\n\
             headroom = 0.4\nmirrors_max = 4\nretry_seconds = 2.0\nmove_bytes_max = {}\n\
             [policy.trial]\nlow_bytes_per_second = 1\n",
            socket.display(),
            u64::from(self.regions_a_move) * REGION_BYTES
        );
        Setting::in_folders(self.guest.scratch(), run, self.programs.clone()).config(&config)
    }

    /// Starts a daemon and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    #[must_use]
    pub fn run(&self) -> Daemon {
        match Self::meet(&self.setting()) {
            Met::Up(daemon) => daemon,
            Met::DiedAtStart => panic!("tierd died at its start"),
        }
    }

    /// Starts a daemon that may die before it answers.
    #[must_use]
    pub fn meet(setting: &Setting<'_>) -> Met {
        Self::meet_at(setting, Path::new(SOCKET))
    }

    /// The same for one that answers elsewhere.
    #[must_use]
    pub fn meet_at(setting: &Setting<'_>, socket: &Path) -> Met {
        let mut daemon = setting.spawn();
        let start = Instant::now();
        loop {
            if daemon.ended().is_some() {
                return Met::DiedAtStart;
            }
            if api::get(socket, "/v1/health").is_ok() {
                return Met::Up(daemon);
            }
            assert!(start.elapsed() < PATIENCE, "no answer:\n{}", daemon.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Regions of the volume.
    #[must_use]
    pub const fn regions(&self) -> u32 {
        self.regions
    }

    /// The member that each region lives on, from the kernel's table.
    ///
    /// # Panics
    /// When the table has anything but linear targets on members.
    #[must_use]
    pub fn homes(&self) -> Vec<usize> {
        let table = run("dmsetup", &["table", "tierd-v"]);
        let numbers = self.numbers();
        let mut homes = Vec::new();
        for line in table.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let ["linear", device, _] = words[2..] else {
                panic!("not linear: {line}")
            };
            let member = numbers.iter().position(|number| number == device);
            let member = member.unwrap_or_else(|| panic!("not on a member: {line}\n{table}"));
            let sectors: u64 = words[1].parse().expect("length of a target");
            homes.extend((0..sectors / REGION_SECTORS).map(|_| member));
        }
        assert_eq!(homes.len(), self.regions as usize, "{table}");
        homes
    }

    fn numbers(&self) -> [String; 3] {
        [0, 1, 2].map(|at: usize| {
            let device = BlockDevice::open(self.disks[at].path(), Access::ReadOnly);
            let DeviceNumber { major, minor } = device
                .expect("a member")
                .number()
                .expect("number of a member");
            format!("{major}:{minor}")
        })
    }

    /// Asserts that nothing of a move is left in the kernel, and nothing is held.
    #[track_caller]
    pub fn assert_all_linear(&self) {
        let shown = run(
            "dmsetup",
            &[
                "info",
                "-c",
                "--noheadings",
                "-o",
                "name,suspended,tables_loaded",
            ],
        );
        for line in shown.lines() {
            assert!(line.contains("Active") && line.ends_with("Live"), "{shown}");
        }
        assert_eq!(
            shown.lines().count(),
            4,
            "the volume and three areas:\n{shown}"
        );
        let _linear_all = self.homes();
    }

    /// Asserts that `tierctl check` finds nothing on the members. No daemon may run.
    #[track_caller]
    pub fn assert_checked(&self) {
        let mut arguments = vec!["check"];
        arguments.extend(self.disks.iter().map(RunningDisk::node));
        let said = attempt(&self.programs.tierctl.display().to_string(), &arguments);
        let said = said.unwrap_or_else(|why| panic!("{why}"));
        assert!(said.contains("Nothing was found."), "{said}");
    }
}

/// Asks for a move of these regions to a member; the ids of the moves that it takes.
///
/// # Errors
/// What the daemon complained of, or that it died meanwhile.
pub fn ask_move(first: u32, count: u32, member: usize) -> Result<Vec<u64>, String> {
    let request = json!({
        "range": { "regions": { "first": first, "count": count } },
        "to": { "member": member },
    });
    let accepted = api::post(Path::new(SOCKET), MOVES, &request)?;
    let ids = accepted["moves"].as_array().expect("moves");
    Ok(ids.iter().map(|id| id.as_u64().expect("id")).collect())
}

/// Asks for a move of these regions to a member until something holds: again whenever it is over, since
/// on a busy machine its hold may find no moment. The daemon may die before it has answered.
///
/// # Panics
/// When it does not hold in time.
#[track_caller]
pub fn ask_until(
    what: &str,
    (first, count): (u32, u32),
    member: usize,
    mut holds: impl FnMut() -> bool,
) {
    wait_until(what, PATIENCE, || {
        if holds() {
            return true;
        }
        if are_moves_over().unwrap_or(false) {
            let _ = ask_move(first, count, member);
        }
        false
    });
}

/// The moves of the volume, ended ones included.
///
/// # Errors
/// That the daemon does not answer.
pub fn moves() -> Result<Value, String> {
    api::get(Path::new(SOCKET), &format!("{MOVES}?history=1000"))
}

/// Whether no move is under way or pending.
///
/// # Errors
/// That the daemon does not answer.
pub fn are_moves_over() -> Result<bool, String> {
    let moves = moves()?;
    let none = |list: &str| moves[list].as_array().expect("list of moves").is_empty();
    Ok(none("live") && none("pending"))
}

/// Waits until no move is under way or pending.
///
/// # Panics
/// When that takes too long.
#[track_caller]
pub fn wait_for_moves(daemon: &Daemon) {
    let start = Instant::now();
    while !are_moves_over().unwrap_or_else(|why| panic!("{why}\n{}", daemon.log())) {
        assert!(
            start.elapsed() < PATIENCE,
            "moves do not end: {:?}\n{}",
            moves(),
            daemon.log()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
