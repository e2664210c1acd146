//! The daemon killed: at every step of a move, at random moments, at its start, while settling,
//! and with a leg failing while it is dead.
//!
//! Each kill happens under a load that knows what every block must hold and tolerates no error.
//! Every step is met; random moments are ten. A campaign has hundreds of those:
//! `TIER_KILL_DEATHS=300 cargo test -p tier-tests --all-features --test kill random`.
//! `TIER_KILL_SEED=N` chooses other moments than 1 does.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by it")]
#![allow(
    clippy::print_stdout,
    reason = "shown with --nocapture, and when a test fails"
)]

mod daemons;
mod legs;
mod random;
mod settling;
mod starts;
mod steps;

use std::path::Path;
use std::time::Duration;

use tier_tests::load::Load;
use tier_tests::rig::{REGION_BYTES, Rig, VOLUME, ask_move, wait_for_moves};
use tier_tests::tierd::Programs;

/// How long a request may take once nothing is held or parked any more.
const SOON: Duration = Duration::from_secs(20);

fn programs() -> Programs {
    Programs::beside(env!("CARGO_BIN_EXE_tierd_under_test"))
}

/// A load on all of the volume.
fn load(rig: &Rig<'_>, seed: u64) -> Load {
    let bytes = u64::from(rig.regions()) * REGION_BYTES;
    Load::start(Path::new(VOLUME), 0..bytes, seed, false)
}

/// How a volume is made whole after a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Settling,
    TheNextStart,
}

impl By {
    /// Each in its turn.
    const fn turn(death: u32) -> Self {
        if death.is_multiple_of(2) {
            Self::Settling
        } else {
            Self::TheNextStart
        }
    }
}

/// Makes the volume whole, and sees that it is: I/O goes on, nothing of a move is left, the
/// members' metadata has no finding, and (by a start) these regions can be moved again.
fn make_whole(rig: &Rig<'_>, load: &Load, by: By, first: u32, count: u32) {
    match by {
        By::Settling => {
            assert!(rig.setting().settle().success());
            load.must_go_on(SOON);
        }
        By::TheNextStart => {
            let daemon = rig.run();
            load.must_go_on(SOON);
            wait_for_moves(&daemon);
            rig.assert_all_linear();
            let to = move_away(rig, first, count);
            wait_for_moves(&daemon);
            assert!(daemon.stop().success());
            let homes = &rig.homes()[first as usize..(first + count) as usize];
            assert!(homes.iter().all(|&home| home == to), "{homes:?}");
        }
    }
    rig.assert_all_linear();
    rig.assert_checked();
}

/// Asks for a move of these regions to one of the other members. Gives the member: what moved
/// before may have filled one, and not both.
fn move_away(rig: &Rig<'_>, first: u32, count: u32) -> usize {
    let home = rig.homes()[first as usize];
    let others = [(home + 1) % 3, (home + 2) % 3];
    let mut refused = Vec::new();
    for to in others {
        match ask_move(first, count, to) {
            Ok(ids) => {
                assert!(!ids.is_empty());
                return to;
            }
            Err(why) => refused.push(why),
        }
    }
    panic!("{refused:?}")
}
