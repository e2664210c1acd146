//! The job itself, from blank devices to verified files.
//!
//! Owns: the order of things and the figures taken meanwhile. May not: help the volume along: the
//! only verbs used between "before" and "after" are those that look, and `resume`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tier_wire::{Class, Explanation, Move, MoveList, Status};

use super::files::Files;
use super::ledger::Ledger;
use super::load::{Load, Tally};
use super::outcome::{Measured, Outcome};
use super::scene::{Scene, Stage};
use super::witness::{Member, Reads};
use crate::command::{attempt, run as must};
use crate::tierd::{Daemon, Programs, Setting};

/// The volume's name.
pub const VOLUME: &str = "demo";
/// Between two pictures of the moment.
const TURN: Duration = Duration::from_secs(1);
/// The state is asked for each so many turns, the heat map each so many.
const STATUS_TURNS: u32 = 3;
const HEAT_TURNS: u32 = 9;
/// Turns over which a share of reads is judged.
const JUDGED_TURNS: usize = 3;

/// How the job is to be done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The programs under test.
    pub programs: Programs,
    /// Where the daemon's log goes.
    pub folder: PathBuf,
    /// Where the socket and the mount point are made.
    pub run: PathBuf,
    /// The members, in the order in which the volume lies on them.
    pub members: Vec<Member>,
    /// Bytes of files.
    pub file_bytes: u64,
    /// Bytes of these that are hot.
    pub hot_bytes: u64,
    /// Bytes of the file that is written.
    pub ledger_bytes: u64,
    /// How long is measured, before and after.
    pub measured: Duration,
    /// How long the hot data may take to move.
    pub patience: Duration,
    /// The data have moved when `NVMe` serves this share of reads.
    pub moved_share: f64,
    /// By which the policy's times are multiplied.
    pub scale: f64,
    /// Where the engine's events are recorded, if they are.
    pub record: Option<PathBuf>,
}

impl Settings {
    /// The daemon of this job. `more` is added to its configuration.
    #[must_use]
    pub fn daemon(&self, more: &str) -> Setting<'_> {
        let run = self.run.display();
        let members: Vec<String> = self
            .members
            .iter()
            .map(|member| format!("\"{}\"", member.path.display()))
            .collect();
        let config = format!(
            "[daemon]\nsocket = \"{run}/tierd.sock\"\n\
             [daemon.scan]\ninclude = [{}]\n[intervals]\nscale = {}\n\
             [forecast]\nstate = \"{}\"\n{more}",
            members.join(", "),
            self.scale,
            self.folder.join("state").display(),
        );
        Setting::in_folders(&self.folder, &self.run, self.programs.clone()).config(&config)
    }

    /// The volume's device.
    #[must_use]
    pub fn device(&self) -> PathBuf {
        Path::new("/dev/tierd").join(VOLUME)
    }

    fn mount_point(&self) -> PathBuf {
        self.run.join("files")
    }
}

/// Does the job and returns what was seen, with the daemon, which still serves the volume; its
/// file system is not mounted. `told` is given each picture of the moment.
///
/// # Panics
/// When something fails that is not for the job to judge.
pub fn run(settings: &Settings, told: impl FnMut(&Scene)) -> (Outcome, Daemon) {
    let began = Instant::now();
    let mut job = Job::start(settings, told);
    job.create();
    let files = job.fill();
    let hot = files.hot(settings.hot_bytes);
    let ledger = Ledger::create(
        &settings.mount_point().join("ledger"),
        settings.ledger_bytes,
    );
    let ledger = ledger.expect("ledger");
    let load = Load::start(&hot, &files.all(), ledger).expect("load");

    job.enter(Stage::Before);
    let before = job.measure(&load);
    let heat_before = job.heat();
    job.enter(Stage::Moving);
    job.daemon.must(&["resume", VOLUME]);
    let moved_in_seconds = job.until_moved(&load);
    job.enter(Stage::After);
    let after = job.measure(&load);
    let heat = [heat_before, job.heat()];
    job.daemon.must(&["pause", VOLUME]);
    let ledger = load.end().expect("reads and writes of the load");

    let status = job.status();
    let moves = job.json::<MoveList>(&["moves", VOLUME, "--history=10000"]);
    let explained = job.explain(&moves.history);
    let complaints = job.verify(&files, &ledger);
    let outcome = Outcome {
        kernel: read("/proc/sys/kernel/osrelease"),
        probe: status.probe,
        files: files.count(),
        file_bytes: files.bytes(),
        hot_bytes: hot.iter().map(|file| file.blocks * 4096).sum(),
        before,
        after,
        moved_in_seconds,
        moves: moves.history,
        explained,
        holds: status.holds,
        heat,
        ledger_writes: ledger.writes(),
        complaints,
        seconds: began.elapsed().as_secs_f64(),
    };
    (outcome, job.daemon)
}

struct Job<'settings, Told> {
    settings: &'settings Settings,
    daemon: Daemon,
    told: Told,
    scene: Scene,
    turns: u32,
}

impl<'settings, Told: FnMut(&Scene)> Job<'settings, Told> {
    fn start(settings: &'settings Settings, mut told: Told) -> Self {
        let scene = Scene {
            stage: Stage::Volume,
            ..Scene::default()
        };
        told(&scene);
        std::fs::create_dir_all(settings.mount_point()).expect("mount point");
        let record = settings.record.as_ref();
        let record = record.map(|path| format!("[record]\nevents = \"{}\"\n", path.display()));
        let daemon = settings.daemon(&record.unwrap_or_default()).run();
        Self {
            settings,
            daemon,
            told,
            scene,
            turns: 0,
        }
    }

    fn enter(&mut self, stage: Stage) {
        self.scene.stage = stage;
        self.tell("");
    }

    fn tell(&mut self, detail: &str) {
        detail.clone_into(&mut self.scene.detail);
        (self.told)(&self.scene);
    }

    /// The volume, paused before the first byte of load, and its file system.
    fn create(&mut self) {
        let members: Vec<(&str, &Path)> = self
            .settings
            .members
            .iter()
            .map(|member| (member.class.name(), member.path.as_path()))
            .collect();
        self.daemon.create(VOLUME, &members);
        self.daemon.must(&["pause", VOLUME]);
        let device = self.settings.device().display().to_string();
        // Blocks of 4 KiB whatever the size, and nothing left to be initialised under the load.
        let now = "lazy_itable_init=0,lazy_journal_init=0,nodiscard";
        must("mkfs.ext4", &["-q", "-F", "-b", "4096", "-E", now, &device]);
        self.mount();
    }

    fn mount(&self) {
        let device = self.settings.device().display().to_string();
        let point = self.settings.mount_point().display().to_string();
        // A udev that lags behind takes the link of a device away that was there before, and makes it
        // again when it comes to the new one. mount(8) goes by that link.
        let (began, mut last) = (Instant::now(), String::new());
        while began.elapsed() < self.settings.patience {
            match attempt("mount", &["-o", "noatime", &device, &point]) {
                Ok(_) => return,
                Err(why) => last = why,
            }
            std::thread::sleep(TURN);
        }
        panic!("{last}");
    }

    fn unmount(&self) {
        must("umount", &[self.settings.mount_point()]);
    }

    fn fill(&mut self) -> Files {
        self.enter(Stage::Fill);
        let wanted = self.settings.file_bytes;
        let point = self.settings.mount_point();
        let mut shown = Instant::now();
        let files = Files::copy(&point, wanted, |copied| {
            if shown.elapsed() >= TURN {
                shown = Instant::now();
                self.tell(&format!("{} of {} MiB", copied >> 20, wanted >> 20));
            }
        });
        files.expect("copies of the machine's files")
    }

    /// One turn under load: what was done in it, told.
    fn turn(&mut self, load: &Load, detail: &str) -> (Tally, Reads) {
        let before = Reads::now(&self.settings.members);
        std::thread::sleep(TURN);
        assert!(!load.has_failed(), "an access of the load failed or ended");
        let (tally, now) = (load.take(), Reads::now(&self.settings.members));
        self.scene.reads = Some(tally.reads());
        self.scene.seconds = tally.seconds();
        self.scene.served = now.shares_since(&before);
        if self.turns.is_multiple_of(STATUS_TURNS) {
            self.look();
        }
        if self.turns.is_multiple_of(HEAT_TURNS) {
            self.scene.heat = self.heat();
        }
        self.turns += 1;
        self.tell(detail);
        (tally, now)
    }

    /// Takes in how the volume is doing.
    fn look(&mut self) {
        let status = self.status();
        self.scene.tiers = status.tiers;
        self.scene.moves = status.moves;
        let moves = self.json::<MoveList>(&["moves", VOLUME]);
        self.scene.moving = moves.live.iter().map(super::summary::one_move).collect();
    }

    fn measure(&mut self, load: &Load) -> Measured {
        let before = Reads::now(&self.settings.members);
        // What was done until now belongs to no phase.
        drop(load.take());
        let (mut sum, mut now) = (Tally::default(), before.clone());
        let wanted = self.settings.measured.as_secs_f64();
        while sum.seconds() < wanted {
            let left = wanted - sum.seconds();
            let (tally, reads) = self.turn(load, &format!("{left:.0} s more"));
            sum.add(tally);
            now = reads;
        }
        Measured {
            seconds: sum.seconds(),
            reads: sum.reads(),
            writes: sum.writes(),
            served: now.shares_since(&before),
        }
    }

    /// Waits until `NVMe` serves the wanted share of reads; how long that took.
    fn until_moved(&mut self, load: &Load) -> Option<f64> {
        let began = Instant::now();
        let mut past = VecDeque::from([Reads::now(&self.settings.members)]);
        while began.elapsed() < self.settings.patience {
            let (_, now) = self.turn(load, "waiting for the hot data to move by itself");
            let judged = past.front().map(|before| now.shares_since(before));
            let share = judged.and_then(|shares| shares.get(&Class::Nvme).copied());
            if past.len() == JUDGED_TURNS && share >= Some(self.settings.moved_share) {
                return Some(began.elapsed().as_secs_f64());
            }
            past.push_back(now);
            if past.len() > JUDGED_TURNS {
                past.pop_front();
            }
        }
        None
    }

    /// Stops and starts the volume, checks the file system, and reads every file again.
    fn verify(&mut self, files: &Files, ledger: &Ledger) -> Vec<String> {
        self.scene.reads = None;
        self.enter(Stage::Verify);
        self.unmount();
        self.daemon.must(&["volume", "stop", VOLUME]);
        self.daemon.must(&["volume", "start", VOLUME]);
        let device = self.settings.device().display().to_string();
        // 0 is clean (e2fsck(8)); the journal was emptied by the unmount.
        let mut complaints: Vec<String> = attempt("e2fsck", &["-f", "-n", &device])
            .err()
            .into_iter()
            .collect();
        self.mount();
        let all = files.bytes();
        let mut shown = Instant::now();
        complaints.extend(files.verify(|verified| {
            if shown.elapsed() >= TURN {
                shown = Instant::now();
                self.tell(&format!("{} of {} MiB", verified >> 20, all >> 20));
            }
        }));
        complaints.extend(ledger.verify().expect("ledger"));
        self.unmount();
        complaints
    }

    fn heat(&self) -> String {
        self.daemon.must(&["heat", VOLUME, "--rows", "4"])
    }

    /// What came of the oldest promotion to the fastest tier, if there was one.
    fn explain(&self, newest_first: &[Move]) -> Option<Explanation> {
        let done = |one: &&Move| one.stage == tier_wire::Stage::Done && one.to.class == Class::Nvme;
        let oldest = newest_first.iter().rfind(done)?.id.to_string();
        Some(self.json(&["explain", VOLUME, "--move", &oldest]))
    }

    fn status(&self) -> Status {
        self.json(&["status", VOLUME])
    }

    fn json<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> T {
        serde_json::from_value(self.daemon.json(arguments)).expect("reply of tierctl")
    }
}

fn read(path: &str) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}
