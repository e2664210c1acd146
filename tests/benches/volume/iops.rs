//! I/O through the volume, beside a plain linear device on the same sectors and the sectors
//! themselves.

use tier_tests::dm::Device;
use tier_tests::guest::Inside;

use crate::effort::Effort;
use crate::fio::{Reading, Span, random};
use crate::page::Table;
use crate::rig::{Counting, Devices, REGION_BYTES, Rig, VOLUME, segments};
use crate::spread::Spread;

/// Where fio works: small enough to be filled in a moment under emulation.
const SPAN_BYTES: u64 = 128 * REGION_BYTES;

/// The sectors without device-mapper.
const RAW: &str = "raw member";
/// What the volume is held against.
const LINEAR: &str = "plain dm-linear";

struct Variant {
    name: &'static str,
    reads: Vec<Reading>,
    writes: Vec<Reading>,
}

/// What the kernel can count with.
fn countings() -> Vec<(&'static str, Counting)> {
    let mut all = vec![("volume, dm statistics", Counting::Statistics)];
    // User-Mode Linux has no BPF tracing.
    if std::path::Path::new("/sys/kernel/btf/vmlinux").exists() {
        all.push(("volume, probe", Counting::Probe));
    }
    all
}

/// IOPS and latency of random I/O.
pub(crate) fn measure(guest: &Inside, devices: &Devices) -> String {
    let effort = Effort::rounds(12);
    let mut rig = Rig::new(guest, devices);
    let segment = segments(devices).remove(0);
    assert!(segment.start_bytes == 0 && segment.beneath.length_bytes >= SPAN_BYTES);
    let raw = Span {
        length_bytes: SPAN_BYTES,
        ..segment.beneath
    };
    raw.fill();
    let linear = format!(
        "0 {} linear {} {}",
        SPAN_BYTES / 512,
        raw.device.display(),
        raw.offset_bytes / 512
    );
    let linear = Span::start(&Device::create("plain", &linear).path(), SPAN_BYTES);
    let volume = Span::start(VOLUME.as_ref(), SPAN_BYTES);

    let mut variants: Vec<Variant> = [RAW, LINEAR, "volume, nothing counts"]
        .into_iter()
        .chain(countings().iter().map(|(name, _)| *name))
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
        for (at, (_, counting)) in countings().into_iter().enumerate() {
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
    let mut table = Table::new(
        "Random I/O of 4 KiB, sixteen in flight",
        &[
            "",
            "read IOPS",
            "of plain",
            "p99 µs",
            "of plain",
            "write IOPS",
            "of plain",
            "p99 µs",
            "of plain",
        ],
    );
    let plain = variants
        .iter()
        .find(|variant| variant.name == LINEAR)
        .expect("the plain device is a variant");
    for variant in variants {
        let mut cells = vec![variant.name.to_owned()];
        for (ours, theirs) in [
            (&variant.reads, &plain.reads),
            (&variant.writes, &plain.writes),
        ] {
            for (of, digits) in [(iops as fn(&Reading) -> f64, 0), (p99, 0)] {
                cells.push(format!(
                    "{:.digits$}",
                    Spread::of(ours.iter().map(of)).median()
                ));
                let ratios = ours.iter().zip(theirs).map(|(a, b)| of(a) / of(b));
                cells.push(Spread::of(ratios).shown(3));
            }
        }
        table.row(&cells);
    }
    table.end(&format!(
        "{} rounds of {} s in turn; \"of plain\" is a round's ratio to plain dm-linear on the same sectors.",
        effort.rounds, effort.seconds
    ))
}

const fn iops(reading: &Reading) -> f64 {
    reading.iops
}

const fn p99(reading: &Reading) -> f64 {
    reading.p99_us
}
