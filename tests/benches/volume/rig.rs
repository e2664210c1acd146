//! A volume of two members, and what lies beneath it.
//!
//! Owns: the devices of each guest, the daemon over them, and asking it. The daemon is the release
//! build that `tests/bench` makes.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use tier_tests::command::run;
use tier_tests::disk::{Disk, RunningDisk, Speed};
use tier_tests::dm::Device;
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;
use tier_tests::loopdev::LoopDevice;
use tier_tests::tierd::{Daemon, Programs, Setting};

use crate::fio::Span;

pub(crate) const SOCKET: &str = "/run/tierd/tierd.sock";
/// The volume's node.
pub(crate) const VOLUME: &str = "/dev/tierd/v";
/// Its name in device-mapper.
pub(crate) const DM_NAME: &str = "tierd-v";
/// Regions are of one MiB.
pub(crate) const REGION_BYTES: u64 = 1 << 20;
/// Size of the disks that take time, in MiB; their images lie in memory.
const TIMED_MIB: u64 = 1280;
/// How long moves may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// A fast device and a slow one, by name at least.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) fast: PathBuf,
    pub(crate) slow: PathBuf,
    /// One that nothing is measured on: the metadata lie on the two fastest members.
    beside: Option<PathBuf>,
    _loops: Vec<LoopDevice>,
    _disks: Vec<RunningDisk>,
}

impl Devices {
    /// RAM disks (brd): they serve each I/O in the call that submits it, so that whatever lies
    /// above them is seen at its dearest.
    pub(crate) fn ram() -> Self {
        Self {
            fast: "/dev/ram0".into(),
            slow: "/dev/ram1".into(),
            ..Self::default()
        }
    }

    /// The drives of an emulated machine.
    pub(crate) fn drives(guest: &Inside) -> Self {
        Self {
            fast: guest.drive("fast"),
            slow: guest.drive("slow"),
            ..Self::default()
        }
    }

    /// Loop devices over files in memory: a request queue with a volatile write cache, as an NVMe
    /// drive has it.
    pub(crate) fn files(_guest: &Inside) -> Self {
        let attach = |name: &str| {
            let path = Path::new("/dev/shm").join(name);
            let file = std::fs::File::create(&path).expect("file in memory");
            file.set_len(super::DRIVE_BYTES).expect("sparse file");
            LoopDevice::attach(&path, 512)
        };
        let loops = vec![attach("fast"), attach("slow")];
        Self {
            fast: loops[0].path().to_owned(),
            slow: loops[1].path().to_owned(),
            _loops: loops,
            ..Self::default()
        }
    }

    /// A flash drive and a hard disk of 150 MB/s at 7,200 turns a minute, and flash beside them.
    pub(crate) fn with_hard_disk() -> Self {
        let slow = Speed::Rotating {
            full_seek: Duration::from_millis(16),
            turn: Duration::from_micros(8333),
            bytes_per_second: 150_000_000,
        };
        let disks = [
            timed("fast", FLASH, TIMED_MIB),
            timed("slow", slow, TIMED_MIB),
            timed("beside", FLASH, 64),
        ];
        Self {
            fast: disks[0].path().to_owned(),
            slow: disks[1].path().to_owned(),
            beside: Some(disks[2].path().to_owned()),
            _disks: disks.into(),
            ..Self::default()
        }
    }
}

/// Flash of 800 MB/s.
const FLASH: Speed = Speed::Flash {
    latency: Duration::from_micros(80),
    bytes_per_second: 800_000_000,
};

/// A disk of the harness that takes the time of a real one, so that drives set the pace, and not
/// the processor.
fn timed(name: &str, speed: Speed, mib: u64) -> RunningDisk {
    let image = Path::new("/dev/shm").join(name);
    Disk::new(image, mib << 20).speed(speed).start()
}

/// How the volume's I/O is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counting {
    /// By device-mapper statistics.
    Statistics,
    /// By the eBPF probe.
    Probe,
}

/// The ways of counting that this kernel has, none first.
pub(crate) fn countings() -> Vec<Option<Counting>> {
    let mut all = vec![None, Some(Counting::Statistics)];
    // User-Mode Linux has no BPF tracing.
    if Path::new("/sys/kernel/btf/vmlinux").exists() {
        all.push(Some(Counting::Probe));
    }
    all
}

/// How people call them.
pub(crate) const fn counting_name(counting: Option<Counting>) -> &'static str {
    match counting {
        None => "nothing counts",
        Some(Counting::Statistics) => "dm statistics",
        Some(Counting::Probe) => "probe",
    }
}

/// A volume of two members, half of each free.
pub(crate) struct Rig<'guest> {
    guest: &'guest Inside,
    daemon: Option<Daemon>,
    socket: PathBuf,
}

impl<'guest> Rig<'guest> {
    pub(crate) fn new(guest: &'guest Inside, devices: &Devices) -> Self {
        let mut rig = Self {
            guest,
            daemon: None,
            socket: SOCKET.into(),
        };
        rig.start(Counting::Statistics);
        let mut members: Vec<(&str, &Path)> = vec![("nvme", &devices.fast), ("hdd", &devices.slow)];
        members.extend(devices.beside.iter().map(|path| ("ssd", path.as_path())));
        rig.daemon().create("v", &members);
        rig
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("the daemon runs")
    }

    /// Starts the daemon, which takes over the running volume.
    pub(crate) fn start(&mut self, counting: Counting) {
        let config = format!(
            "[daemon]\nsocket = \"{SOCKET}\"\n\
             [daemon.scan]\ninclude = [\"/dev/*\"]\nexclude = [\"/dev/sr*\", \"/dev/fd*\"]\n\
             [probe]\nenabled = {}\n\
             [policy]\nenabled = false\nheadroom = 0.5\n",
            counting == Counting::Probe
        );
        let setting = Setting::new(self.guest, Programs::beside(&release("tierd")));
        let daemon = setting.config(&config).run();
        // It takes over the volume that runs, if one does already.
        if Path::new(VOLUME).exists() {
            let probe = &daemon.json(&["status", "v"])["probe"];
            let wanted = if counting == Counting::Probe {
                "on"
            } else {
                "fallback"
            };
            assert_eq!(probe["state"], wanted, "{probe}");
        }
        self.daemon = Some(daemon);
    }

    /// Ends the daemon; the volume runs on, and nothing counts its I/O.
    pub(crate) fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            assert!(daemon.stop().success());
        }
        let listed = run("dmsetup", &["message", DM_NAME, "0", "@stats_list"]);
        for line in listed.lines() {
            let id = line.split(':').next().expect("number of the statistics");
            run(
                "dmsetup",
                &["message", DM_NAME, "0", &format!("@stats_delete {id}")],
            );
        }
    }

    /// The volume's status, as `tierctl` shows it.
    pub(crate) fn status(&self) -> Value {
        self.daemon().json(&["status", "v"])
    }

    /// Asks for one move of these regions.
    pub(crate) fn move_to(&self, class: &str, first: u64, count: u64) {
        let request = json!({
            "range": {"regions": {"first": first, "count": count}},
            "to": {"class": class},
        });
        self.ask("POST", "/v1/volumes/v/moves", &request.to_string());
    }

    /// Waits until no move is live or pending. All that were asked for must have been made.
    pub(crate) fn wait_for_moves(&self) {
        wait_until("the moves have ended", PATIENCE, || {
            let list = self.moves("");
            let empty = |what: &str| list[what].as_array().is_some_and(Vec::is_empty);
            empty("live") && empty("pending")
        });
        let list = self.moves("?history=1000");
        let ended = list["history"].as_array().expect("history of moves");
        let bad = ended.iter().find(|one| one["stage"] != "done");
        assert!(
            bad.is_none(),
            "a move failed: {bad:?}\n{}",
            self.daemon().log()
        );
    }

    fn moves(&self, query: &str) -> Value {
        let list = self.ask("GET", &format!("/v1/volumes/v/moves{query}"), "");
        serde_json::from_str(&list).expect("JSON of tierd")
    }

    /// Waits until no more of this tier is taken than at the start: homes that were left are freed
    /// by a commit that waits until nothing else is to be done.
    pub(crate) fn wait_until_half_is_free(&self, class: &str) {
        wait_until("the homes that were left are free", PATIENCE, || {
            let status = self.status();
            let tiers = status["tiers"].as_array().expect("tiers of the volume");
            let tier = tiers.iter().find(|tier| tier["class"] == class);
            let bytes = |key: &str| tier.and_then(|tier| tier[key].as_u64()).expect("bytes");
            bytes("free_bytes") * 2 >= bytes("capacity_bytes")
        });
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        self.ask("GET", "/metrics", "")
    }

    /// Asks the daemon, without the cost of starting `tierctl`.
    fn ask(&self, method: &str, target: &str, body: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("tierd listens");
        write!(
            stream,
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("request to tierd");
        let mut reply = String::new();
        stream.read_to_string(&mut reply).expect("reply of tierd");
        let (head, body) = reply.split_once("\r\n\r\n").expect("reply of tierd");
        let status = head.split(' ').nth(1).unwrap_or_default();
        assert!(status.starts_with('2'), "{method} {target}: {reply}");
        body.to_owned()
    }
}

/// A linear part of the volume: where it begins on the volume, and what lies beneath.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) start_bytes: u64,
    pub(crate) beneath: Span,
}

/// The volume's live table.
pub(crate) fn segments(devices: &Devices) -> Vec<Segment> {
    let nodes = [&devices.fast, &devices.slow]
        .into_iter()
        .chain(&devices.beside);
    let numbered: Vec<(String, &PathBuf)> = nodes.map(|node| (number(node), node)).collect();
    let table = run("dmsetup", &["table", DM_NAME]);
    let segment = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        assert_eq!(words[2], "linear", "{table}");
        let sectors = |word: &str| word.parse::<u64>().expect("sectors") * 512;
        let (_, node) = numbered
            .iter()
            .find(|(number, _)| number == words[3])
            .unwrap_or_else(|| panic!("{} is no member: {table}", words[3]));
        Segment {
            start_bytes: sectors(words[0]),
            beneath: Span {
                device: (*node).clone(),
                offset_bytes: sectors(words[4]),
                length_bytes: sectors(words[1]),
            },
        }
    };
    table.lines().map(segment).collect()
}

/// The sectors beneath the beginning of the volume, filled, and a plain linear device over them.
pub(crate) fn beneath(devices: &Devices, length_bytes: u64) -> [Span; 2] {
    let segment = segments(devices).remove(0);
    assert!(segment.start_bytes == 0 && segment.beneath.length_bytes >= length_bytes);
    let raw = Span {
        length_bytes,
        ..segment.beneath
    };
    raw.fill();
    let linear = format!(
        "0 {} linear {} {}",
        length_bytes / 512,
        raw.device.display(),
        raw.offset_bytes / 512
    );
    let linear = Span::start(&Device::create("plain", &linear).path(), length_bytes);
    [raw, linear]
}

/// A device's number as tables show it.
fn number(node: &Path) -> String {
    let name = node.file_name().expect("name of a device");
    let path = Path::new("/sys/class/block").join(name).join("dev");
    let number = std::fs::read_to_string(path).expect("number of a device");
    number.trim().to_owned()
}

/// A program of the release build.
pub(crate) fn release(name: &str) -> String {
    let own = std::env::current_exe().expect("own executable");
    let folder = own
        .ancestors()
        .find(|folder| folder.ends_with("release"))
        .expect("benches are built by the release profile");
    folder.join(name).display().to_string()
}
