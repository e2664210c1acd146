//! Moves to and fro beneath a load that knows what every block must hold.

use tier_core::event::Kept;
use tier_tests::disk::Disk;
use tier_tests::guest::Guest;
use tier_tests::load::Load;
use tier_tests::test_name;
use tierd::backend::{Backend as _, DropOutcome};

use super::shape::{MEMBER_BYTES, MIB, REGIONS, add, finish, leg, undo};
use super::*;

/// Moves each way, at least.
const ROUNDS: u64 = 6;

#[test]
fn what_is_written_while_it_moves_to_and_fro_is_there() {
    Guest::qemu(test_name!())
        .module("ublk_drv")
        .phase(|guest| {
            let disks = ["m0", "m1"]
                .map(|name| Disk::new(guest.image(name), MEMBER_BYTES).discard().start());
            let mut rig = Rig::start([disks[0].path(), disks[1].path()]);
            let bytes = u64::from(REGIONS) * MIB;
            let load = Load::start(&rig.path(), 0..bytes, 5, true);
            let (here, there) = (leg(0, 2), leg(1, 9));
            let mut id = 0;
            let mut go = |rig: &mut Rig, from, to, kept| {
                id += 1;
                let move_there = add(id, 2, 3, from, to);
                rig.backend.add_legs(&[move_there]).unwrap();
                rig.wait_until_complete(move_there.id);
                load.must_go_on(LONG);
                let drop = match kept {
                    Kept::Target => finish(&move_there),
                    Kept::Source => undo(&move_there),
                };
                let outcome = rig.backend.drop_leg(drop).unwrap();
                assert!(matches!(outcome, DropOutcome::Dropped(_)), "{outcome:?}");
                rig.backend.set_map(&[move_there.id]).unwrap();
                load.must_go_on(LONG);
            };
            for _ in 0..ROUNDS {
                go(&mut rig, here, there, Kept::Target);
                go(&mut rig, there, here, Kept::Source);
                go(&mut rig, there, here, Kept::Target);
            }
            load.stop().verify();
            rig.stop();
        })
        .run();
}
