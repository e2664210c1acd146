//! What a volume costs: I/O through it, flushes, holds and copies, measured in guests beside what
//! the same devices do without it. `tests/bench` builds what is needed and runs this.
//!
//! Owns: which figures there are, and the page that they make. Each figure is measured inside a
//! guest by a module of its own, in interleaved rounds on one boot, and comes back as a Markdown
//! table. May not: judge. A figure that misses its goal is shown as it is; an I/O error, a move
//! that fails or a program that cannot be started ends the bench.
//!
//! Arguments name the figures (all, without any): see [`FIGURES`]. `TIER_BENCH_QUICK=1` makes two
//! short rounds, to try whether everything runs.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a bench prints its tables, and a panic is how it fails"
)]

mod copy;
mod effort;
mod fio;
mod fsync;
mod holds;
mod iops;
mod page;
mod race;
mod restarts;
mod rig;
mod spread;
mod stages;
mod turns;
mod ublk;

use std::time::Duration;

use tier_tests::guest::{Drive, Guest, Inside};

use crate::rig::Devices;

/// One table of the page.
struct Figure {
    name: &'static str,
    /// Where it is measured.
    guest: fn(&str) -> Guest<'static>,
    /// What measures it there: the table, as Markdown.
    measure: fn(&Inside) -> String,
}

/// The file in which a guest leaves its table.
const TABLE: &str = "table.md";

const FIGURES: &[Figure] = &[
    Figure {
        name: "turns-uml",
        guest: user_mode,
        measure: |guest| turns::measure(guest, &Devices::ram(), Duration::from_millis(20)),
    },
    Figure {
        name: "turns-ram",
        guest: emulated,
        measure: |guest| turns::measure(guest, &Devices::ram(), Duration::from_millis(30)),
    },
    Figure {
        name: "iops-uml",
        guest: user_mode,
        measure: |guest| iops::measure(guest, &Devices::ram(), 15),
    },
    Figure {
        name: "iops-ram",
        guest: emulated,
        measure: |guest| iops::measure(guest, &Devices::ram(), 5),
    },
    Figure {
        name: "iops-nvme",
        guest: emulated,
        measure: |guest| iops::measure(guest, &Devices::drives(guest), 5),
    },
    Figure {
        name: "iops-ublk",
        guest: on_ublk,
        measure: ublk::measure,
    },
    Figure {
        name: "stages-ublk",
        guest: on_ublk,
        measure: stages::measure,
    },
    Figure {
        name: "restarts-ublk",
        guest: on_ublk,
        measure: restarts::measure,
    },
    Figure {
        name: "fsync-uml",
        guest: user_mode,
        measure: |guest| fsync::measure(&Devices::files(guest).fast),
    },
    Figure {
        name: "fsync-nvme",
        guest: emulated,
        measure: |guest| fsync::measure(&Devices::drives(guest).fast),
    },
    Figure {
        name: "holds-uml",
        guest: user_mode,
        measure: |guest| holds::measure(guest, &Devices::ram()),
    },
    Figure {
        name: "copy-uml",
        guest: user_mode,
        measure: |guest| copy::measure(guest, &Devices::ram(), 7),
    },
    Figure {
        name: "copy-disk",
        guest: user_mode,
        measure: |guest| copy::measure(guest, &Devices::with_hard_disk(), 3),
    },
    Figure {
        name: "copy-nvme",
        guest: emulated,
        measure: |guest| copy::measure(guest, &Devices::drives(guest), 2),
    },
];

/// Size of each RAM disk, in KiB as its module takes it.
const RAM_DISK_KIB: u32 = 1_310_720;
/// Size of the emulated drives: room for ten thousand regions of one MiB.
const DRIVE_BYTES: u64 = 11 << 30;

fn user_mode(figure: &str) -> Guest<'static> {
    Guest::uml(figure)
        .alone()
        .memory_mib(4096)
        .module(&format!("brd rd_nr=2 rd_size={RAM_DISK_KIB}"))
        .deadline(Duration::from_mins(15))
        .phase(measure)
}

fn emulated(figure: &str) -> Guest<'static> {
    Guest::qemu(figure)
        .processors(2)
        .alone()
        .memory_mib(4096)
        .module(&format!("brd rd_nr=2 rd_size={RAM_DISK_KIB}"))
        .drive(Drive::nvme("fast", DRIVE_BYTES))
        .drive(Drive::ssd("slow", DRIVE_BYTES))
        .deadline(Duration::from_mins(30))
        .phase(measure)
}

/// RAM disks are small here: what is measured fits into the beginning of each.
fn on_ublk(figure: &str) -> Guest<'static> {
    Guest::qemu(figure)
        .processors(2)
        .alone()
        .memory_mib(2048)
        .module("brd rd_nr=2 rd_size=262144")
        .module("ublk_drv")
        .drive(Drive::nvme("fast", DRIVE_BYTES))
        .drive(Drive::nvme("beside", DRIVE_BYTES))
        .deadline(Duration::from_mins(30))
        .phase(measure)
}

/// Inside the guest: measures the figure that this process was started for.
fn measure(guest: &Inside) {
    let name = wanted().pop().expect("the guest names the figure");
    let table = (figure(&name).measure)(guest);
    guest.note(TABLE, table);
}

fn figure(name: &str) -> &'static Figure {
    let known = FIGURES.iter().find(|figure| figure.name == name);
    known.unwrap_or_else(|| {
        let names: Vec<_> = FIGURES.iter().map(|figure| figure.name).collect();
        panic!("no figure {name:?}; there are {}", names.join(" "))
    })
}

/// The figures that the arguments name. What else stands there is cargo's and the guests'.
fn wanted() -> Vec<String> {
    let arguments = std::env::args().skip(1);
    arguments.filter(|word| !word.starts_with("--")).collect()
}

fn main() {
    let mut figures: Vec<_> = wanted().iter().map(|name| figure(name)).collect();
    if figures.is_empty() {
        figures = FIGURES.iter().collect();
    }
    if Inside::current().is_none() {
        println!("{}", page::heading());
    }
    for figure in figures {
        let guest = (figure.guest)(figure.name);
        // Inside, this measures and does not return.
        match guest.run() {
            Some(scratch) => {
                let table = std::fs::read_to_string(scratch.path().join(TABLE));
                println!("{}", table.expect("the guest left its table"));
            }
            None => println!("`{}` cannot run here.\n", figure.name),
        }
    }
}
