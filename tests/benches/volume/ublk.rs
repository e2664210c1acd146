//! I/O through a volume on ublk, beside the device itself and `rublk`, the targets of libublk's own
//! author, on devices alike.
//!
//! Owns: the volumes, the `rublk` devices, and the table. The volumes are served by `tierd serve`, as
//! their users have them; the daemon that made them has ended.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tier_tests::command::{attempt, run};
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;
use tier_tests::tierd::{Daemon, Programs, Setting};
use tier_ublk::features::Features;

use crate::effort::Effort;
use crate::fio::Span;
use crate::page::Table;
use crate::race::{Lane, Load, Turns, race};
use crate::rig::{REGION_BYTES, SOCKET, release};
use crate::spread::Spread;

/// Where fio works.
const SPAN_BYTES: u64 = 64 * REGION_BYTES;
/// Where nothing measured lies on a device that is no volume's: as far from its beginning.
const OFFSET_BYTES: u64 = 64 * REGION_BYTES;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// The loads that are tried.
pub(crate) const LOADS: [Load; 4] = [
    Load {
        kind: "randread",
        depth: 1,
    },
    Load {
        kind: "randread",
        depth: 32,
    },
    Load {
        kind: "randwrite",
        depth: 1,
    },
    Load {
        kind: "randwrite",
        depth: 32,
    },
];

/// A daemon that makes volumes on ublk and looks at none of their I/O.
pub(crate) fn daemon(guest: &Inside) -> Daemon {
    let config = format!(
        "[daemon]\nsocket = \"{SOCKET}\"\n\
         [daemon.scan]\ninclude = [\"/dev/nvme*\", \"/dev/ram*\"]\nexclude = []\n\
         [probe]\nenabled = false\n[policy]\nenabled = false\nheadroom = 0.5\n"
    );
    let setting = Setting::new(guest, Programs::beside(&release("tierd")));
    setting.config(&config).run()
}

/// The process that serves a volume.
pub(crate) fn server(volume: &str) -> Option<u32> {
    let found = attempt("pgrep", &["-f", &format!("serve {volume}$")]);
    found.ok()?.trim().parse().ok()
}

/// A device that `rublk` serves, until this is dropped.
struct Rublk {
    server: Child,
    node: PathBuf,
}

impl Rublk {
    /// With as many queues, and as deep, as those of a volume.
    fn start(id: u32, target: &[&str]) -> Self {
        let queues = std::thread::available_parallelism().map_or(1, usize::from);
        let program = release("tierd").replace("/release/tierd", "/rublk/bin/rublk");
        let server = Command::new(&program)
            .arg("add")
            .args(target)
            .args(["--foreground", "--quiet", "-d", "64", "-b", "256KiB"])
            .args(["-q", &queues.to_string(), "-n", &id.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; tests/bench installs it"));
        let node = PathBuf::from(format!("/dev/ublkb{id}"));
        wait_until("rublk serves", PATIENCE, || node.exists());
        Self { server, node }
    }

    fn lane(&self, name: &str, span: &Span) -> Lane {
        Lane {
            name: name.to_owned(),
            span: Span {
                device: self.node.clone(),
                ..span.clone()
            },
            server: Some(self.server.id()),
        }
    }
}

impl Drop for Rublk {
    fn drop(&mut self) {
        // The guest ends next, and with it the device.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// IOPS and the servers' processor time of random I/O.
pub(crate) fn measure(guest: &Inside) -> String {
    let effort = Effort::rounds(12);
    let (fast, beside) = (guest.drive("fast"), guest.drive("beside"));
    let daemon = daemon(guest);
    daemon.create_on("ublk", "drive", &[("nvme", &fast)]);
    daemon.create_on("ublk", "ram", &[("nvme", Path::new("/dev/ram0"))]);
    assert!(daemon.stop().success());
    let span = |device: &Path, offset_bytes| Span {
        device: device.to_owned(),
        offset_bytes,
        length_bytes: SPAN_BYTES,
    };
    let loops = [&beside, Path::new("/dev/ram1")].map(|device| span(device, OFFSET_BYTES));
    let rublks = [
        Rublk::start(10, &["loop", "-f", &loops[0].device.display().to_string()]),
        Rublk::start(11, &["loop", "-f", &loops[1].device.display().to_string()]),
        Rublk::start(12, &["null"]),
    ];
    let lanes = |at: usize, what: &str, volume: &str| {
        let raw = Lane {
            name: what.to_owned(),
            span: loops[at].clone(),
            server: None,
        };
        let serving = server(volume);
        let volume = Lane {
            name: format!("volume on {what}"),
            span: span(&Path::new("/dev/tierd").join(volume), 0),
            server: serving,
        };
        assert!(serving.is_some(), "nobody serves {what}");
        raw.span.fill();
        volume.span.fill();
        let rublk = rublks[at].lane(&format!("rublk loop on {what}"), &loops[at]);
        vec![rublk, raw, volume]
    };
    let drives = lanes(0, "NVMe", "drive");
    let mut memory = lanes(1, "a RAM disk", "ram");
    memory.push(rublks[2].lane("rublk null", &loops[0]));
    let mut table = heads();
    for lanes in [drives, memory] {
        let all = LOADS.map(|load| race(&lanes, load, effort.rounds));
        for depth in 0..2 {
            rows(
                &mut table,
                &lanes,
                LOADS[depth].depth,
                [&all[depth], &all[depth + 2]],
            );
        }
    }
    table.end(&format!(
        "{} rounds of short turns by one fio. \"Of rublk loop\" is a round's ratio to `{}` on a device \
         alike, with as many queues, as deep; the server's time is of its processor, user and system, \
         for each request. Goal: 0.95. ublk of this kernel offers {}.",
        effort.rounds,
        run(&release("tierd").replace("/release/tierd", "/rublk/bin/rublk"), &["--version"]).trim(),
        features()
    ))
}

fn heads() -> Table {
    Table::new(
        "Random I/O of 4 KiB on ublk",
        &[
            "",
            "in flight",
            "read IOPS",
            "of rublk loop",
            "server's µs",
            "p99 µs",
            "write IOPS",
            "of rublk loop",
            "server's µs",
            "p99 µs",
        ],
    )
}

/// What the kernel's ublk offers, by its flags.
fn features() -> String {
    Features::of_kernel().map_or_else(|error| error.to_string(), |all| all.to_string())
}

/// A row for each lane; the first of them is what all are held against.
fn rows(table: &mut Table, lanes: &[Lane], depth: u32, ways: [&Vec<Turns>; 2]) {
    for (at, lane) in lanes.iter().enumerate() {
        let mut cells = vec![lane.name.clone(), depth.to_string()];
        for turns in ways {
            let ours = &turns[at];
            let median = |all: &[f64]| Spread::of(all.iter().copied()).median();
            cells.push(format!("{:.0}", median(&ours.iops)));
            cells.push(ours.iops_of(&turns[0]).shown(2));
            cells.push(match lane.server {
                Some(_) => format!("{:.0}", ours.server_us()),
                None => "–".to_owned(),
            });
            cells.push(format!("{:.0}", median(&ours.p99_us)));
        }
        table.row(&cells);
    }
}
