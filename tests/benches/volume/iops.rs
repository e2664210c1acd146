//! I/O through the volume, beside a plain linear device on the same sectors and the sectors
//! themselves.

use tier_tests::guest::Inside;

use crate::effort::Effort;
use crate::fio::{Reading, Span, random};
use crate::page::Table;
use crate::rig::{Devices, REGION_BYTES, Rig, VOLUME, beneath, counting_name, countings};
use crate::spread::Spread;

/// Where fio works: small enough to be filled in a moment under emulation.
const SPAN_BYTES: u64 = 128 * REGION_BYTES;

/// The sectors without device-mapper.
const RAW: &str = "raw member";
/// What the volume is held against.
const LINEAR: &str = "plain dm-linear";

struct Variant {
    name: String,
    reads: Vec<Reading>,
    writes: Vec<Reading>,
}

/// IOPS and latency of random I/O, in so many rounds.
pub(crate) fn measure(guest: &Inside, devices: &Devices, rounds: u32) -> String {
    let effort = Effort::rounds(rounds);
    let mut rig = Rig::new(guest, devices);
    let [raw, linear] = beneath(devices, SPAN_BYTES);
    let volume = Span::start(VOLUME.as_ref(), SPAN_BYTES);

    let volumes = countings()
        .into_iter()
        .map(|counting| format!("volume, {}", counting_name(counting)));
    let mut variants: Vec<Variant> = [RAW.to_owned(), LINEAR.to_owned()]
        .into_iter()
        .chain(volumes)
        .map(|name| Variant {
            name,
            reads: Vec::new(),
            writes: Vec::new(),
        })
        .collect();
    for round in 0..effort.rounds {
        rig.stop();
        let mut uncounted: Vec<(usize, &Span)> =
            [&raw, &linear, &volume].into_iter().enumerate().collect();
        // What comes later in a round has no advantage in the next.
        let turns = uncounted.len();
        uncounted.rotate_left(round as usize % turns);
        for (at, span) in uncounted {
            variants[at].turn(span, effort);
        }
        for (at, counting) in countings().into_iter().flatten().enumerate() {
            rig.start(counting);
            variants[turns + at].turn(&volume, effort);
            rig.stop();
        }
    }
    table(&variants, effort)
}

impl Variant {
    fn turn(&mut self, span: &Span, effort: Effort) {
        self.reads.push(random(span, "randread", effort.seconds));
        self.writes.push(random(span, "randwrite", effort.seconds));
    }
}

fn table(variants: &[Variant], effort: Effort) -> String {
    let columns = [
        "",
        "read IOPS",
        "of plain",
        "best",
        "p99 µs",
        "of plain",
        "write IOPS",
        "of plain",
        "best",
        "p99 µs",
        "of plain",
    ];
    let mut table = Table::new("Random I/O of 4 KiB, sixteen in flight", &columns);
    let plain = variants
        .iter()
        .find(|variant| variant.name == LINEAR)
        .expect("the plain device is a variant");
    for variant in variants {
        let mut cells = vec![variant.name.clone()];
        cells.extend(compared(&variant.reads, &plain.reads));
        cells.extend(compared(&variant.writes, &plain.writes));
        table.row(&cells);
    }
    table.end(&format!(
        "{} rounds of {} s in turn. \"Of plain\" is a round's ratio to plain dm-linear on the same \
         sectors, \"best\" the ratio of the best rounds: what else runs on the machine only takes \
         away. Goal: 0.97.",
        effort.rounds, effort.seconds
    ))
}

/// The five cells of one direction.
fn compared(ours: &[Reading], plain: &[Reading]) -> [String; 5] {
    let spread =
        |readings: &[Reading], of: fn(&Reading) -> f64| Spread::of(readings.iter().map(of));
    let ratios = |of: fn(&Reading) -> f64| {
        Spread::of(ours.iter().zip(plain).map(|(a, b)| of(a) / of(b))).shown(2)
    };
    let best = |readings: &[Reading]| spread(readings, iops).quantile(1.0);
    [
        format!("{:.0}", spread(ours, iops).median()),
        ratios(iops),
        format!("{:.2}", best(ours) / best(plain)),
        format!("{:.0}", spread(ours, p99).median()),
        ratios(p99),
    ]
}

const fn iops(reading: &Reading) -> f64 {
    reading.iops
}

const fn p99(reading: &Reading) -> f64 {
    reading.p99_us
}
