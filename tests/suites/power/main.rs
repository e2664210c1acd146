//! The power is cut: at every step of a move, at random moments, in the volume's first and last
//! moment, and while a start mends what an earlier cut left.
//!
//! Each test is a chain of boots over the same disks. A boot brings the volume up (by `tierd
//! activate` and by `tierd run` in turn), holds it against all that was ever acknowledged, moves
//! the load once as a whole, and then goes into the next cut under load. So n cuts take n + 1 boots
//! of about five seconds, and what one cut leaves is what the next one finds.
//!
//! After every cut: every batch and every file that a sync acknowledged is there ([`stamps`],
//! [`files`]), and nothing that was not written; the file system is clean; `tierctl check` finds
//! nothing; the kernel's table is all linear and what the record says; the volume takes writes; its
//! regions move.
//!
//! The fates of what a disk had not flushed are: lost, kept, and each block by a coin. There are 25
//! points ([`steps`]). By default each is met with two fates (by a chain on ext4 and one on XFS),
//! and eight of them with the third: 58 cuts in 61 boots. Six cuts come at random moments
//! ([`random`]) and twelve in creation and destruction ([`life`]), where each member has a fate of
//! its own. And the suite shows that it fails on disks that lie ([`control`]). That is 87 boots.
//! A campaign is `TIER_POWER_CUTS=300 TIER_POWER_ALL=1 cargo test -p tier-tests --all-features --test
//! power`.
//!
//! | variable | meaning |
//! |---|---|
//! | `TIER_POWER_CUTS` | random cuts instead of 6: hundreds are a campaign |
//! | `TIER_POWER_ALL` | 1: every point with every fate, 17 cuts more |
//! | `TIER_POWER_SEED` | seed of the random moments and coins instead of 1 |
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by them, and says in a guest's console how far it came"
)]

mod control;
mod files;
mod life;
mod load;
mod log;
mod random;
mod stamps;
mod steps;
mod volume;

/// A number from the environment, which guests are given too.
fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} has to be a number, and is {text:?}"))
    })
}

/// The seed of everything that is random here.
fn seed() -> u64 {
    variable("TIER_POWER_SEED", 1)
}
