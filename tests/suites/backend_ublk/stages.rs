//! The process that serves a volume dies at each stage of a move, beneath a load that tolerates nothing.
//! The next serves from the records, which name the source.

use std::process::{Child, Command, Stdio};

use tier_core::command::AddLeg;
use tier_core::policy::TrialPolicy;
use tier_tests::disk::{Disk, Speed};
use tier_tests::guest::{Guest, Inside};
use tier_tests::load::Load;
use tier_tests::test_name;

use super::shape::{MEMBER_BYTES, an_add, region_offset};
use super::trial::{asks_the_target, staying, tried};
use super::*;

/// Set for the process that is to be killed: the nodes of its disks, the device that it takes over,
/// if any, the stage that it comes to, and the file that it makes then.
const ORDER: &str = "TIER_STAGE_ORDER";
/// The stages, by number: the copy, four of the trial, what has passed and awaits its commit, and what
/// is being read back.
const STAGES: usize = 7;

fn move_until(stage: usize) -> AddLeg {
    let steps = [
        Trial::Reads(1),
        Trial::Reads(100),
        Trial::Writes(1),
        Trial::Writes(100),
    ];
    let policy = match stage.checked_sub(1) {
        None => TrialPolicy {
            copy_bytes_per_second: 1 << 18,
            ..TrialPolicy::default()
        },
        Some(5) => TrialPolicy {
            copy_bytes_per_second: 1 << 20,
            ..TrialPolicy::default()
        },
        Some(at) => steps
            .get(at)
            .map_or_else(TrialPolicy::default, |step| staying(*step)),
    };
    tried(an_add(), policy, false)
}

/// Whether a move has come to its stage.
fn is_there(stage: usize, seen: MirrorState) -> bool {
    match stage {
        0 => seen.in_sync_chunks > 0,
        1..=4 => seen.trial.is_some_and(asks_the_target),
        6 => matches!(seen.trial, Some(Trial::ReadsBack(1..))),
        _ => seen.is_complete(),
    }
}

#[test]
fn a_server_that_dies_at_any_stage_of_a_move_loses_nothing() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .deadline(Duration::from_mins(15))
        .phase(|guest| {
            let disks = ["m0", "m1"].map(|name| Disk::new(guest.image(name), MEMBER_BYTES).start());
            // So that some of what is in flight is on one leg alone when the server dies.
            disks[1].set_speed(Speed::Flash {
                latency: Duration::from_millis(10),
                bytes_per_second: 1 << 30,
            });
            let nodes = [disks[0].path(), disks[1].path()];
            let mut served = Served::start(guest, nodes, None, 0);
            let bytes = region_offset(2)..region_offset(5);
            let load = Load::start(Path::new(&served.node), bytes, 9, true);
            for stage in 0..2 * STAGES {
                load.must_go_on(LONG);
                let pause = u64::try_from(stage).unwrap() * 37 % 200;
                std::thread::sleep(Duration::from_millis(pause));
                let id = served.kill();
                served = Served::start(guest, nodes, Some(id), (stage + 1) % STAGES);
            }
            load.must_go_on(LONG);
            let id = served.kill();
            let rig = Rig::begin(Begin::Again(id), nodes, &extents());
            load.must_go_on(LONG);
            rig.stop_under(load);
        })
        .run();
}

/// A process that serves the volume, with a move that stays at its stage.
struct Served {
    child: Child,
    id: u32,
    node: String,
}

impl Served {
    fn start(guest: &Inside, nodes: [&Path; 2], id: Option<u32>, stage: usize) -> Self {
        let [first, second] = nodes.map(|node| node.display().to_string());
        let id = id.map_or_else(|| "new".to_owned(), |id| id.to_string());
        let file = guest.file("served");
        // There may be none.
        let _ = std::fs::remove_file(&file);
        let order = format!("{first} {second} {id} {stage} {}", file.display());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "stages::moves_until_a_stage", "--nocapture"])
            .env(ORDER, order)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        wait_until("it serves", Duration::from_mins(2), || {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            file.exists()
        });
        let said = std::fs::read_to_string(&file).unwrap();
        let (id, node) = said.split_once(' ').unwrap();
        Self {
            child,
            id: id.parse().unwrap(),
            node: node.to_owned(),
        }
    }

    /// Kills it, and tells which device it leaves behind.
    fn kill(mut self) -> u32 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.id
    }
}

/// The process that is killed: no test of its own.
#[test]
fn moves_until_a_stage() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    let words: Vec<_> = order.split(' ').collect();
    let [first, second, id, stage, file] = words[..] else {
        panic!("{order}");
    };
    let begin = id.parse().map_or(Begin::New, Begin::Again);
    let stage = stage.parse().unwrap();
    let mut rig = Rig::begin(begin, [Path::new(first), Path::new(second)], &extents());
    let add = move_until(stage);
    rig.backend.add_legs(&[add]).unwrap();
    wait_until("the stage", LONG, || is_there(stage, rig.state(add.id)));
    let half = format!("{file}.half");
    std::fs::write(&half, format!("{} {}", rig.id, rig.path.display())).unwrap();
    std::fs::rename(&half, file).unwrap();
    loop {
        std::thread::park();
    }
}
