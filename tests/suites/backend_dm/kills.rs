//! `SIGKILL` at random moments of moves, under a load that verifies what it reads.

use std::process::{Command, Stdio};

use tier_core::event::AdoptedStage;
use tier_tests::command::run;
use tier_tests::disk::Speed;
use tier_tests::guest::Guest;
use tier_tests::test_name;

use super::moves::verifying_load;
use tierd::backend::settle::Settle as _;

use super::*;

/// Set for the process that is to be killed: the nodes of its two disks.
const NODES: &str = "TIER_CHURN_NODES";

#[test]
fn a_death_at_any_moment_of_a_move_loses_nothing_and_settling_frees_everything() {
    Guest::uml(test_name!())
        .phase(|guest| {
            let mut rig = Rig::start(guest);
            for disk in &rig.disks {
                // Slow enough that holds have something to wait for.
                disk.set_speed(Speed::Flash {
                    latency: Duration::from_millis(3),
                    bytes_per_second: 100 << 20,
                });
            }
            let mut load = verifying_load(guest, &rig.path(), 20);
            let (mut deaths, mut found_mirrors) = (0_u64, 0);
            while load.try_wait().unwrap().is_none() {
                let mut churn = Command::new(std::env::current_exe().unwrap())
                    .args(["--exact", "kills::moves_until_killed", "--nocapture"])
                    .env(
                        NODES,
                        format!("{} {}", rig.disks[0].node(), rig.disks[1].node()),
                    )
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .spawn()
                    .unwrap();
                // Not round figures, so that no moment is met again and again.
                std::thread::sleep(Duration::from_millis(60 + deaths * 37 % 311));
                churn.kill().unwrap();
                churn.wait().unwrap();
                deaths += 1;
                let settled = rig.another().settle(&extents()).unwrap();
                found_mirrors += settled.dropped.len();
                assert!(settled.failed.is_empty(), "{settled:?}");
                assert!(settled.needs_commit.is_empty(), "{settled:?}");
                let shown = run(
                    "dmsetup",
                    &["info", "-c", "--noheadings", "-o", "suspended"],
                );
                assert!(shown.lines().all(|state| state == "Active"), "{shown}");
                let map = rig.backend.read_back().unwrap();
                for found in &map.moves {
                    assert!(
                        matches!(found.stage, AdoptedStage::Linear(home) if home == found.source)
                    );
                }
            }
            assert!(load.wait().unwrap().success(), "fio found a difference");
            assert!(
                deaths >= 10 && found_mirrors > 0,
                "{deaths} deaths, {found_mirrors} mirrors"
            );
            fold_all(&mut rig.backend);
            assert_eq!(rig.backend.read_back().unwrap().direct, extents());
            rig.backend.deactivate().unwrap();
        })
        .run();
}

/// The process that is killed: no test of its own.
#[test]
fn moves_until_killed() {
    let Ok(nodes) = std::env::var(NODES) else {
        return;
    };
    let (first, second) = nodes.split_once(' ').unwrap();
    let mut backend = DmBackend::new(layout_on([first.as_ref(), second.as_ref()])).unwrap();
    backend.activate(&extents()).unwrap();
    fold_all(&mut backend);
    for id in 1.. {
        let at = u32::try_from(id % 4).unwrap();
        let adds = [
            add(2 * id, at, 2, leg(0, at), leg(1, 8 + at)),
            add(2 * id + 1, 8 + at, 2, leg(1, at), leg(0, 8 + at)),
        ];
        add_all(&mut backend, &adds);
        for add in &adds {
            backend.drop_leg(undo(add)).unwrap();
        }
        backend.set_map(&adds.map(|add| add.id)).unwrap();
    }
}

fn fold_all(backend: &mut DmBackend) {
    let moves = backend.read_back().unwrap().moves;
    let ids: Vec<_> = moves.iter().map(|found| found.id).collect();
    backend.set_map(&ids).unwrap();
}
