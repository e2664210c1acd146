//! What a move costs the I/O to what it moves, stage by stage, on ublk.
//!
//! Owns: a volume on two drives alike that this process serves, so that a move remains at its stage as
//! long as is wanted; half of it moves, and is held against the other half.

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use tier_core::command::{AddLeg, DropLeg};
use tier_core::event::{Kept, Trial};
use tier_core::policy::TrialPolicy;
use tier_core::units::{Bytes, MemberIndex, MemberRegion, MoveId, RegionSize, VolumeRegion};
use tier_core::volume::{Extent, Leg, Legs};
use tier_sys::block::{Access, BlockDevice};
use tier_tests::guest::Inside;
use tier_tests::io::wait_until;
use tier_ublk::device::{Begin, Device, Shape};
use tierd::backend::ublk::{UblkBackend, claim};
use tierd::backend::{Backend as _, DropOutcome, Layout, LegState, MemberDevice};
use uuid::Uuid;

use crate::effort::Effort;
use crate::fio::Span;
use crate::page::Table;
use crate::race::{Lane, Turns, race};
use crate::rig::REGION_BYTES;
use crate::ublk::LOADS;

/// Regions that move, and as many that do not.
const HALF: u32 = 32;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(2);
const MOVE: MoveId = MoveId(1);

/// The stages, and how a move remains there.
fn stages() -> [(&'static str, Option<TrialPolicy>); 4] {
    let staying = |reads: u8, compare_percent, writes: u8| TrialPolicy {
        copy_bytes_per_second: 0,
        read_percents: [reads, 0, 0, 0],
        compare_percent,
        write_percents: [writes, 0, 0, 0],
        step_requests: u32::MAX,
        step_millis_max: u32::MAX,
        idle_step_millis: u32::MAX,
        ..TrialPolicy::default()
    };
    [
        ("copied, both legs written", None),
        ("all reads on the target", Some(staying(100, 0, 0))),
        ("all reads on both, compared", Some(staying(100, 100, 0))),
        ("all writes to the target first", Some(staying(0, 0, 100))),
    ]
}

fn leg(member: u16, first: u32) -> Leg {
    Leg {
        member: MemberIndex(member),
        first: MemberRegion(first),
    }
}

fn layout(nodes: [PathBuf; 2]) -> Layout {
    let member = |(index, path): (u16, PathBuf)| MemberDevice {
        index: MemberIndex(index),
        number: BlockDevice::open(&path, Access::ReadOnly)
            .expect("a member")
            .number()
            .expect("number of a member"),
        path,
        data_start: Bytes(2 * REGION_BYTES),
        regions: 2 * HALF,
    };
    Layout {
        volume: Uuid::from_u128(7),
        name: "stages".parse().expect("name"),
        region_size: RegionSize::MIN,
        regions: 2 * HALF,
        block_bytes: Bytes(512),
        members: (0..).zip(nodes).map(member).collect(),
    }
}

/// Serves a volume whose data all lie on the first of two drives, for as long as the process lives.
fn serve(guest: &Inside) -> (UblkBackend, PathBuf) {
    let layout = layout(["fast", "beside"].map(|name| guest.drive(name)));
    let members = claim(&layout, PATIENCE).expect("members");
    let all = Extent {
        first: VolumeRegion(0),
        count: 2 * HALF,
        legs: Legs::from_iter([leg(0, 0)]),
    };
    let backend = UblkBackend::new(layout, members, &[all]).expect("a volume");
    let volume = backend.volume().clone();
    let shape = Shape {
        block_bytes: 512,
        physical_block_bytes: 4096,
        takes_discard: true,
    };
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let device = Device::make(Begin::New).expect("a device");
        let served = device.serve(&volume, shape, move |path| {
            ready.send(path).expect("somebody waits");
        });
        served.expect("it is served");
    });
    let path = is_ready.recv_timeout(PATIENCE).expect("a device");
    (backend, path)
}

/// Has the second half move until it is where the stage is.
fn begin(backend: &mut UblkBackend, trial: Option<TrialPolicy>) {
    let add = AddLeg {
        id: MOVE,
        first: VolumeRegion(HALF),
        count: HALF,
        source: leg(0, HALF),
        target: leg(1, 0),
        trial,
        promises_faster: false,
    };
    backend.add_legs(&[add]).expect("a move");
    wait_until("the move is at its stage", PATIENCE, || {
        match backend.leg_state(MOVE).expect("state of the move") {
            LegState::Mirror(state) => match trial {
                None => state.is_complete(),
                Some(_) => state.trial.is_some_and(|step| step != Trial::Ahead),
            },
            LegState::Linear => panic!("the move is not mirrored"),
        }
    });
}

/// Has it go back to where it was.
fn end(backend: &mut UblkBackend) {
    let drop = DropLeg {
        id: MOVE,
        keep: Kept::Source,
        leg: leg(0, HALF),
        require_complete: false,
    };
    wait_until("the move is undone", PATIENCE, || {
        match backend.drop_leg(drop) {
            Err(error) if error.is_transient() => false,
            done => matches!(done.expect("the move ends"), DropOutcome::Dropped(_)),
        }
    });
    backend.set_map(&[MOVE]).expect("the move is over");
}

/// IOPS and processor time of random I/O to what moves, beside what does not.
pub(crate) fn measure(guest: &Inside) -> String {
    let effort = Effort::rounds(9);
    let (mut backend, device) = serve(guest);
    let half_bytes = u64::from(HALF) * REGION_BYTES;
    let lane = |name: &str, offset_bytes| Lane {
        name: name.to_owned(),
        span: Span {
            device: device.clone(),
            offset_bytes,
            length_bytes: half_bytes,
        },
        server: Some(std::process::id()),
    };
    let lanes = [lane("plain", 0), lane("moving", half_bytes)];
    for lane in &lanes {
        lane.span.fill();
    }
    let mut table = Table::new(
        "Random I/O of 4 KiB to what moves, on ublk",
        &[
            "the move's stage",
            "in flight",
            "reads of plain",
            "processor of plain",
            "writes of plain",
            "processor of plain",
        ],
    );
    for (stage, trial) in stages() {
        begin(&mut backend, trial);
        let all = LOADS.map(|load| race(&lanes, load, effort.rounds));
        end(&mut backend);
        for depth in 0..2 {
            let mut cells = vec![stage.to_owned(), LOADS[depth].depth.to_string()];
            for turns in [&all[depth], &all[depth + 2]] {
                cells.extend(beside(turns));
            }
            table.row(&cells);
        }
    }
    table.end(&format!(
        "{} rounds of short turns by one fio. \"Of plain\" is a round's ratio to the half of the volume \
         that does not move; the processor's is that of what one request takes in the process that \
         serves. Source and target are drives alike.",
        effort.rounds
    ))
}

fn beside(turns: &[Turns]) -> [String; 2] {
    let [plain, moving] = turns else {
        panic!("two lanes");
    };
    let processor = moving.server_us() / plain.server_us();
    [moving.iops_of(plain).shown(2), format!("{processor:.2}")]
}
